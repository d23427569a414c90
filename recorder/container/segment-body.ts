/**
 * A segment's body: the encoded events, compressed when that makes them smaller, then
 * AES-256-GCM with the frame header as associated data, the tag at the end. The nonce is
 * the sequence number: a key belongs to one recording and a sequence number to one
 * plaintext of it.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { constants, type ZstdOptions, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { ContainerError } from '../format/error.ts';
import { FRAME_HEADER_BYTES, type FrameHeader, MAX_BODY_BYTES } from '../format/frame.ts';

const TAG_BYTES = 16;
const NONCE_BYTES = 12;
/** Below this zstd's own frame eats what it saves. Above, 25 µs of it make an hour of typing 40 % smaller. */
const MIN_COMPRESSED_BYTES = 64;
/** Up to this a segment is a terminal's: it shrinks, and trying costs little. */
const MAX_TERMINAL_BYTES = 16_384;
/** Segments that are stored as they are after one that did not shrink. */
const DENSE_RUN = 15;
/** Node encrypts into fresh memory; small pieces of it are cheaper to come by than a large one. */
const PIECE_BYTES = 32 * 1024;
const LEVEL = { [constants.ZSTD_c_compressionLevel]: 1 };

export interface Packed {
  readonly bytes: Uint8Array;
  readonly compressed: boolean;
}

/** Gives the memory of packed bytes back that nobody needs any more; what was packed keeps its own. */
export function release({ bytes, compressed }: Packed): void {
  // Node shares the memory of smaller ones among all who ask for some (Buffer.poolSize).
  if (compressed && bytes.buffer.byteLength > 2 * Buffer.poolSize) letGo(bytes);
}

/**
 * Packs the segments of one recording: stands aside where the data is dense already (an
 * archive, a video, ciphertext), and looks again every now and then.
 */
export class Packer {
  /** Segments still to be stored as they are; the whole state. */
  dense: number;

  constructor(dense: number) {
    this.dense = dense;
  }

  /** `plain` itself, or less. */
  pack(plain: Uint8Array): Packed {
    const terminal = plain.length <= MAX_TERMINAL_BYTES;
    if (plain.length < MIN_COMPRESSED_BYTES) return { bytes: plain, compressed: false };
    if (!terminal && this.dense > 0) {
      this.dense -= 1;
      return { bytes: plain, compressed: false };
    }
    const packed = compress(plain);
    if (!terminal && packed.bytes.length > plain.length * 0.95) this.dense = DENSE_RUN;
    return packed;
  }
}

/** The result in one piece: collecting it from zlib's usual small ones costs dense data half its speed. */
function optionsFor(plain: Uint8Array): ZstdOptions {
  return { params: LEVEL, chunkSize: plain.length + (plain.length >> 8) + 64, pledgedSrcSize: plain.length };
}

function compress(plain: Uint8Array): Packed {
  try {
    const compressed = zstdCompressSync(plain, optionsFor(plain));
    if (compressed.length < plain.length) return { bytes: compressed, compressed: true };
  } catch {
    // Nothing of a recording is lost because memory for its compression is short.
  }
  return { bytes: plain, compressed: false };
}

/** Bytes of the body for so many packed bytes. */
export function sealedLength(packedLength: number): number {
  return packedLength + TAG_BYTES;
}

/** Encrypts `packed` behind the frame header that already stands at the start of `frame`. */
export function encryptBody(key: Uint8Array, sequence: number, packed: Uint8Array, frame: Uint8Array): void {
  const cipher = createCipheriv('aes-256-gcm', key, nonce(sequence));
  cipher.setAAD(frame.subarray(0, FRAME_HEADER_BYTES));
  for (let at = 0; at < packed.length; at += PIECE_BYTES) {
    const piece = cipher.update(packed.subarray(at, at + PIECE_BYTES));
    frame.set(piece, FRAME_HEADER_BYTES + at);
    if (piece.length === PIECE_BYTES && piece.buffer.byteLength === PIECE_BYTES) letGo(piece);
  }
  cipher.final();
  frame.set(cipher.getAuthTag(), FRAME_HEADER_BYTES + packed.length);
}

/**
 * Frees memory that Node allocated for these bytes alone: left to the garbage collector, the pieces of
 * a stream cost a quarter of all the time here.
 */
function letGo({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/**
 * The encoded events of a whole segment frame; `offset`: where it stands in the
 * recording, for the error. Throws {@link ContainerError} `bad-body`.
 */
export function openBody(
  key: Uint8Array,
  header: FrameHeader,
  frame: Uint8Array,
  offset: number,
): Uint8Array {
  const body = frame.subarray(FRAME_HEADER_BYTES);
  if (body.length < TAG_BYTES) {
    throw new ContainerError(
      'bad-body',
      `segment ${header.sequence}: its body is shorter than a tag`,
      offset,
    );
  }
  const decipher = createDecipheriv('aes-256-gcm', key, nonce(header.sequence));
  decipher.setAAD(frame.subarray(0, FRAME_HEADER_BYTES));
  decipher.setAuthTag(body.subarray(body.length - TAG_BYTES));
  const packed = decipher.update(body.subarray(0, body.length - TAG_BYTES));
  try {
    decipher.final();
  } catch (cause) {
    throw new ContainerError(
      'bad-body',
      `segment ${header.sequence}: it was altered, or belongs to another place or recording`,
      offset,
      cause,
    );
  }
  if (!header.compressed) return packed;
  try {
    return zstdDecompressSync(packed, { maxOutputLength: MAX_BODY_BYTES });
  } catch (cause) {
    throw new ContainerError('bad-body', `segment ${header.sequence}: it does not decompress`, offset, cause);
  }
}

function nonce(sequence: number): Buffer {
  const bytes = Buffer.alloc(NONCE_BYTES);
  bytes.writeUInt32BE(sequence, NONCE_BYTES - 4);
  return bytes;
}
