/**
 * How much is read in one turn of a thread's event loop. A socket that has more to give is read up
 * to 32 times before another has its turn, and all of it is decrypted, recorded and sent on within
 * that turn: a few bulk transfers would make each keystroke wait for tens of milliseconds. So
 * whoever reads much stops once the turn's share is used up, and goes on in a later turn, one after
 * the other; whoever reads little is never stopped.
 */

/** Reads of this size are bulk: a keystroke or its echo is far below, a full record of TLS is one. */
const BULK_BYTES = 16 * 1024;
/** A turn's share, about 1.5 ms of work; it is used up by one socket where only one has so much to give. */
const TURN_BYTES = 512 * 1024;
/** Sockets that go on in one turn; each may read once where the share is used up. */
const TOGETHER = 2;

let used = 0;
let scheduled = false;
/** Goes on to read; in the order in which they stopped. */
const waiting = new Set<() => void>();

/**
 * Counts what was read.
 * @param goOn called in a later turn when this returns true
 * @returns whether to stop reading now
 */
export function usesUp(bytes: number, goOn: () => void): boolean {
  if (bytes < BULK_BYTES) return false;
  used += bytes;
  if (!scheduled) {
    scheduled = true;
    setImmediate(nextTurn);
  }
  if (used < TURN_BYTES) return false;
  waiting.add(goOn);
  return true;
}

function nextTurn(): void {
  used = 0;
  scheduled = waiting.size > TOGETHER;
  if (scheduled) setImmediate(nextTurn);
  let left = TOGETHER;
  for (const goOn of waiting) {
    if (left === 0) return;
    left -= 1;
    waiting.delete(goOn);
    goOn();
  }
}
