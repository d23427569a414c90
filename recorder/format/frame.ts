/**
 * A recording is an append-only stream of frames: one header, segments, one manifest.
 * A frame is a fixed header and a body; integers are big-endian:
 *
 * | offset | size | field                                                            |
 * |-------:|-----:|------------------------------------------------------------------|
 * |      0 |    4 | magic `SLYR`                                                     |
 * |      4 |    1 | version, 1                                                       |
 * |      5 |    1 | type: 1 header, 2 segment, 3 manifest                            |
 * |      6 |    1 | flags: bit 0 the segment's plaintext is compressed (zstd)        |
 * |      7 |    1 | zero                                                             |
 * |      8 |    4 | sequence number: header 0, segments from 1, manifest the last    |
 * |     12 |    4 | length of the body in bytes                                      |
 * |     16 |    8 | time of the first event in the body, µs since the recording's start |
 * |     24 |    8 | time of the last event                                           |
 * |     32 |   32 | SHA-256 over the whole previous frame; zeros in the first        |
 *
 * The times let a reader seek without a key; the frame header is the associated data of
 * the segment's encryption, so that a body cannot move to another place or recording.
 */
import { ContainerError } from './error.ts';

export const FRAME_HEADER_BYTES = 64;
export const HASH_BYTES = 32;
/** Bound of a frame's body and of a segment's plaintext: what a reader must be ready to allocate. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024;

export const FrameType = { header: 1, segment: 2, manifest: 3 } as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export interface FrameHeader {
  readonly type: FrameType;
  readonly compressed: boolean;
  readonly sequence: number;
  readonly bodyLength: number;
  /** µs since the recording's start. INVARIANT: `firstAt` ≤ `lastAt`, both safe integers. */
  readonly firstAt: number;
  readonly lastAt: number;
  readonly previousHash: Uint8Array;
}

const MAGIC = [0x53, 0x4c, 0x59, 0x52] as const;
const VERSION = 1;
const FLAG_COMPRESSED = 1;

/** Writes the {@link FRAME_HEADER_BYTES} of `header` at the start of `target`. */
export function encodeFrameHeader(header: FrameHeader, target: Uint8Array): void {
  const view = new DataView(target.buffer, target.byteOffset, FRAME_HEADER_BYTES);
  target.set(MAGIC, 0);
  view.setUint8(4, VERSION);
  view.setUint8(5, header.type);
  view.setUint8(6, header.compressed ? FLAG_COMPRESSED : 0);
  view.setUint8(7, 0);
  view.setUint32(8, header.sequence);
  view.setUint32(12, header.bodyLength);
  view.setBigUint64(16, BigInt(header.firstAt));
  view.setBigUint64(24, BigInt(header.lastAt));
  target.set(header.previousHash, 32);
}

/**
 * Reads the frame header at the start of `bytes`; `offset` is where that is in the
 * recording, for the error. Throws {@link ContainerError}.
 */
export function decodeFrameHeader(bytes: Uint8Array, offset: number): FrameHeader {
  if (bytes.length < FRAME_HEADER_BYTES) {
    throw new ContainerError(
      'torn',
      `frame header: ${bytes.length} of ${FRAME_HEADER_BYTES} bytes are there`,
      offset,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES);
  for (const [i, byte] of MAGIC.entries()) {
    if (view.getUint8(i) !== byte) {
      throw new ContainerError('not-a-frame', 'frame magic: these bytes are no frame of a recording', offset);
    }
  }
  const version = view.getUint8(4);
  if (version !== VERSION) {
    throw new ContainerError(
      'not-a-frame',
      `frame version: ${version} is not known, ${VERSION} is`,
      offset + 4,
    );
  }
  const type = view.getUint8(5);
  if (type !== FrameType.header && type !== FrameType.segment && type !== FrameType.manifest) {
    throw new ContainerError('not-a-frame', `frame type: ${type} is not known`, offset + 5);
  }
  const flags = view.getUint8(6);
  if (flags > (type === FrameType.segment ? FLAG_COMPRESSED : 0) || view.getUint8(7) !== 0) {
    throw new ContainerError(
      'not-a-frame',
      `frame flags: ${flags} are not known for type ${type}`,
      offset + 6,
    );
  }
  const bodyLength = view.getUint32(12);
  if (bodyLength > MAX_BODY_BYTES) {
    throw new ContainerError(
      'too-large',
      `frame body length: ${bodyLength} is over the bound of ${MAX_BODY_BYTES}`,
      offset + 12,
    );
  }
  const firstAt = Number(view.getBigUint64(16));
  const lastAt = Number(view.getBigUint64(24));
  if (firstAt > lastAt || !Number.isSafeInteger(lastAt)) {
    throw new ContainerError('not-a-frame', 'frame times: the first event is after the last', offset + 16);
  }
  return {
    type,
    compressed: (flags & FLAG_COMPRESSED) !== 0,
    sequence: view.getUint32(8),
    bodyLength,
    firstAt,
    lastAt,
    previousHash: bytes.slice(32, 32 + HASH_BYTES),
  };
}
