/**
 * Memory for what a stream sends in one turn and for a PDU that spans reads: lent, so that busy
 * streams make no garbage and idle ones hold none. One pool for all streams of a thread.
 */

/** Twice the longest PDU, and what a TLS socket encrypts and sends at once. */
const CHUNK_BYTES = 128 * 1024;
/** As many as busy streams hold between two turns. */
const MAX_SPARE = 16;

const spare: Buffer[] = [];

/** At least `length` bytes, contents undefined. */
export function takeChunk(length: number): Buffer {
  return length > CHUNK_BYTES
    ? Buffer.allocUnsafeSlow(length)
    : (spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES));
}

export function giveChunk(chunk: Buffer): void {
  if (chunk.length === CHUNK_BYTES && spare.length < MAX_SPARE) spare.push(chunk);
}
