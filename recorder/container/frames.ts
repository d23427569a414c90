/**
 * Segments into frames: pack, encrypt, chain. Apart from the rest of the chain, because it
 * is the heavy part, and runs in the session's thread for a terminal's few bytes and in the
 * scribe's for more.
 */
import { hash } from 'node:crypto';
import { encodeFrameHeader, FRAME_HEADER_BYTES, type FrameHeader, FrameType } from '../format/frame.ts';
import { encryptBody, type Packed, Packer, release, sealedLength } from './segment-body.ts';

/** Where a chain stands between two segments. */
export interface ChainLink {
  /** Of this recording alone. */
  readonly key: Uint8Array;
  /** Of the next frame. */
  readonly sequence: number;
  /** SHA-256 of the last frame. */
  readonly head: Uint8Array;
  /** State of the {@link Packer}. */
  readonly dense: number;
}

/** The encoded events of a segment: the first `length` bytes of `chunk`. */
export interface PlainSegment {
  readonly chunk: Buffer;
  readonly length: number;
  /** µs since the recording's start. */
  readonly firstAt: number;
  readonly lastAt: number;
  readonly events: number;
}

export interface Framed {
  /** Length of each segment's frame; they follow each other. */
  readonly lengths: readonly number[];
  readonly head: Uint8Array;
  readonly dense: number;
}

/** Bytes that the frames of these segments take at most. */
export function framesBound(segments: readonly PlainSegment[]): number {
  return segments.reduce((sum, { length }) => sum + frameLength(length), 0);
}

/** Writes the frames of `segments` at the start of `target` ({@link framesBound} bytes). */
export function frameSegments(link: ChainLink, segments: readonly PlainSegment[], target: Buffer): Framed {
  const packer = new Packer(link.dense);
  const lengths: number[] = [];
  let { head, sequence } = link;
  let offset = 0;
  for (const { chunk, length, firstAt, lastAt } of segments) {
    const packed = packer.pack(chunk.subarray(0, length));
    const frame = target.subarray(offset, offset + frameLength(packed.bytes.length));
    frameSegment(link.key, { sequence, firstAt, lastAt, previousHash: head }, packed, frame);
    release(packed);
    head = hash('sha256', frame, 'buffer');
    lengths.push(frame.length);
    sequence += 1;
    offset += frame.length;
  }
  return { lengths, head, dense: packer.dense };
}

/** Writes one frame, which fills `frame` ({@link frameLength}). */
export function frameSegment(
  key: Uint8Array,
  place: Pick<FrameHeader, 'sequence' | 'firstAt' | 'lastAt' | 'previousHash'>,
  { bytes, compressed }: Packed,
  frame: Uint8Array,
): void {
  const bodyLength = frame.length - FRAME_HEADER_BYTES;
  encodeFrameHeader({ ...place, type: FrameType.segment, compressed, bodyLength }, frame);
  encryptBody(key, place.sequence, bytes, frame);
}

/** Bytes of the frame of a segment that packs into so many. */
export function frameLength(packedLength: number): number {
  return FRAME_HEADER_BYTES + sealedLength(packedLength);
}
