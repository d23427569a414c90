/**
 * The two JSON documents of a recording: the header (first frame) and the manifest
 * (last frame). The header's body is the JSON alone. The manifest's body is
 *
 *     JSON ‖ Ed25519 signature (64 bytes) ‖ length of the whole frame (4 bytes, big-endian)
 *
 * The signature covers {@link manifestSignatureInput}; the length at the very end lets a
 * reader find the manifest from the end of the recording.
 */
import * as z from 'zod';
import { ContainerError } from './error.ts';
import { FRAME_HEADER_BYTES } from './frame.ts';

const count = z.int().min(0);
/** End of the year 9999: what a date can print. */
const MAX_TIME_MS = 253_402_300_799_999;
const hash = z.string().regex(/^[0-9a-f]{64}$/);

const headerSchema = z.object({
  sessionId: z.string().min(1).max(64),
  /** Name of the node that recorded. */
  node: z.string(),
  /** ms since the epoch; event times count from here. */
  startedAt: z.int().min(0).max(MAX_TIME_MS),
  protocol: z.enum(['ssh', 'rdp']),
  user: z.string(),
  account: z.string(),
  system: z.string(),
  policy: z.string(),
  /** Base64: a binary age file that holds the 32-byte key from which this recording's key derives. */
  wrappedKey: z.base64(),
  /** Base64, 16 bytes: salt of that derivation. */
  salt: z.base64().length(24),
});

const manifestFields = z.object({
  sessionId: z.string().min(1).max(64),
  /** ms since the epoch. */
  sealedAt: count,
  /** Why the session ended. */
  reason: z.string(),
  segments: count,
  /** Who seals without the recording's key cannot count them. */
  events: count.optional(),
  /** µs from the recording's start to its last event. */
  duration: count,
  /** Bytes of all frames before the manifest. */
  bytes: count,
  /** Lower-case hex SHA-256 of the frame before the manifest. */
  head: hash,
  /** Which node key signed: lower-case hex, the first 16 bytes of the SHA-256 of its SPKI. */
  keyId: z.string().regex(/^[0-9a-f]{32}$/),
  /**
   * For seeking: `[sequence, offset of the frame, first event, last event (µs)]`, in order.
   * Long recordings list only every n-th segment.
   */
  index: z.array(z.tuple([count, count, count, count])),
  /**
   * Present: the recording's own node was gone, and this node sealed what the archive had. The
   * recording is truncated behind its last segment.
   */
  recovered: z.object({ node: z.string() }).optional(),
});
const manifestSchema = manifestFields.refine(
  ({ events, recovered }) => events !== undefined || recovered !== undefined,
  { path: ['events'], message: 'is missing' },
);

export type RecordingHeader = Readonly<z.infer<typeof headerSchema>>;
export type IndexEntry = readonly [sequence: number, offset: number, firstAt: number, lastAt: number];
export type RecordingManifest = Readonly<Omit<z.infer<typeof manifestSchema>, 'index'>> & {
  readonly index: readonly IndexEntry[];
};

export const SIGNATURE_BYTES = 64;
/** Length of the whole frame, at the very end of a sealed recording. */
export const TRAILER_BYTES = 4;
const SIGNATURE_CONTEXT = 'sallyport recording manifest 1\0';

export function encodeDocument(document: RecordingHeader | RecordingManifest): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(document));
}

/** Throws {@link ContainerError} when `body` is no recording header. */
export function decodeHeader(body: Uint8Array): RecordingHeader {
  return decode('recording header', headerSchema, body);
}

export interface SignedManifest {
  readonly manifest: RecordingManifest;
  /** The JSON as it was signed. */
  readonly json: Uint8Array;
  readonly signature: Uint8Array;
}

/** Throws {@link ContainerError} when `body` is no recording manifest. The signature is not checked here. */
export function decodeManifest(body: Uint8Array): SignedManifest {
  const jsonLength = body.length - SIGNATURE_BYTES - TRAILER_BYTES;
  if (jsonLength < 0) {
    throw new ContainerError(
      'bad-document',
      `recording manifest: ${body.length} bytes are too few for a signature`,
    );
  }
  if (decodeTrailer(body.subarray(jsonLength + SIGNATURE_BYTES)) !== FRAME_HEADER_BYTES + body.length) {
    throw new ContainerError(
      'bad-document',
      'recording manifest: its closing length is not that of its frame',
    );
  }
  const json = body.subarray(0, jsonLength);
  return {
    manifest: decode('recording manifest', manifestSchema, json),
    json,
    signature: body.subarray(jsonLength, jsonLength + SIGNATURE_BYTES),
  };
}

/** Bytes of the manifest frame for a JSON of this length. */
export function manifestBodyLength(jsonLength: number): number {
  return jsonLength + SIGNATURE_BYTES + TRAILER_BYTES;
}

/** What the node signs: a context string, the manifest's frame header (with the chain's head) and its JSON. */
export function manifestSignatureInput(frameHeader: Uint8Array, json: Uint8Array): Uint8Array {
  const context = new TextEncoder().encode(SIGNATURE_CONTEXT);
  const input = new Uint8Array(context.length + FRAME_HEADER_BYTES + json.length);
  input.set(context, 0);
  input.set(frameHeader.subarray(0, FRAME_HEADER_BYTES), context.length);
  input.set(json, context.length + FRAME_HEADER_BYTES);
  return input;
}

export function encodeTrailer(frameLength: number, target: Uint8Array, offset: number): void {
  new DataView(target.buffer, target.byteOffset, target.byteLength).setUint32(offset, frameLength);
}

/** `bytes`: the last {@link TRAILER_BYTES} of a recording; the length of the frame that ends there, if it is a manifest. */
export function decodeTrailer(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, TRAILER_BYTES).getUint32(0);
}

function decode<T>(what: string, schema: z.ZodType<T>, body: Uint8Array): T {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw new ContainerError('bad-document', `${what}: it is not JSON in UTF-8`, undefined, cause);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const field = issue?.path.join('.') ?? '';
    throw new ContainerError(
      'bad-document',
      `${what}: field ${field || '(top)'}: ${issue?.message ?? 'is wrong'}`,
    );
  }
  return parsed.data;
}
