/**
 * The object with which another than its writer seals a recording:
 *
 *     4 bytes   'SPS1'
 *     uint64    how many bytes of the recording stand before the manifest, big-endian
 *     bytes     the manifest
 */
import type { Extent } from './layout.ts';
import { lengthOf } from './layout.ts';

export interface Seal {
  /** Bytes of the recording before the manifest. */
  readonly end: number;
  readonly manifest: Uint8Array;
}

const MAGIC = 0x53505331;
const HEAD_BYTES = 12;
/** A manifest holds an index entry for every few segments: a few MiB after days. */
export const MAX_SEAL_BYTES = 64 * 1024 * 1024;

export function encodeSeal({ end, manifest }: Seal): Buffer {
  const target = Buffer.allocUnsafe(HEAD_BYTES + manifest.length);
  target.writeUInt32BE(MAGIC, 0);
  target.writeBigUInt64BE(BigInt(end), 4);
  target.set(manifest, HEAD_BYTES);
  return target;
}

/** Undefined: the object is none. */
export function decodeSeal(object: Uint8Array): Seal | undefined {
  const source = Buffer.from(object.buffer, object.byteOffset, object.byteLength);
  if (source.length < HEAD_BYTES || source.readUInt32BE(0) !== MAGIC) return undefined;
  const end = Number(source.readBigUInt64BE(4));
  return Number.isSafeInteger(end) ? { end, manifest: source.subarray(HEAD_BYTES) } : undefined;
}

/** A recording's bytes with the manifest behind them, where they reach to it. */
export function withSeal(extents: readonly Extent[], seal: Seal | undefined): readonly Extent[] {
  if (seal === undefined || lengthOf(extents) !== seal.end) return extents;
  const { end, manifest } = seal;
  return [...extents, { start: end, end: end + manifest.length, bytes: manifest }];
}
