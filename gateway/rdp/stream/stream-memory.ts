/**
 * Memory for what a stream sends in one turn and for a PDU that spans reads: lent, so that busy
 * streams make no garbage and idle ones hold none. One pool for all streams of a thread.
 */

/** A turn of small PDUs, such as the answer to a key. Hundreds of streams have one after a stall. */
export const SMALL_CHUNK_BYTES = 16 * 1024;
/** Twice the longest PDU, and what a TLS socket encrypts and sends at once. */
export const LARGE_CHUNK_BYTES = 128 * 1024;

/** As many spares as busy streams hold between two turns. */
const POOLS = [
  { bytes: SMALL_CHUNK_BYTES, most: 128, spare: [] as Buffer[] },
  { bytes: LARGE_CHUNK_BYTES, most: 16, spare: [] as Buffer[] },
] as const;

/** At least `length` bytes, contents undefined. */
export function takeChunk(length: number): Buffer {
  const pool = POOLS.find(({ bytes }) => bytes >= length);
  return pool?.spare.pop() ?? Buffer.allocUnsafeSlow(pool?.bytes ?? length);
}

export function giveChunk(chunk: Buffer): void {
  const pool = POOLS.find(({ bytes }) => bytes === chunk.length);
  if (pool !== undefined && pool.spare.length < pool.most) pool.spare.push(chunk);
}
