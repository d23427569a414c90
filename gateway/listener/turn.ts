/**
 * How much is read in one turn of a thread's event loop. A socket that has more to give is read up
 * to 32 times before another has its turn, over TLS once for each record in that, and all of it is
 * decrypted, recorded and sent on within that turn: a few bulk transfers would make each keystroke
 * wait for tens of milliseconds. So whoever reads much in a turn stops once the turn's share is used
 * up, and goes on in a later turn, one after the other; whoever reads little is never stopped.
 */

/** Who has read so much in this turn is bulk: keystrokes or their echoes are far below. */
const BULK_BYTES = 16 * 1024;
/** A turn's share, about 1.5 ms of work; it is used up by one socket where only one has so much to give. */
const TURN_BYTES = 512 * 1024;
/** What a read takes beside its bytes, as bytes: small records cost what they are many, not long. */
const READ_BYTES = 2 * 1024;
/** Sockets that go on in one turn; each may read as much as is not bulk where the share is used up. */
const TOGETHER = 2;

let turn = 0;
let used = 0;
let scheduled = false;
/** Goes on to read; in the order in which they stopped. */
const waiting = new Set<() => void>();

/**
 * Counts what one socket reads.
 * @param goOn called in a later turn when it was to stop
 * @returns to be told the bytes of each read; says whether to stop reading now
 */
export function readerInTurn(goOn: () => void): (bytes: number) => boolean {
  let [last, own] = [turn, 0];
  return (bytes) => {
    if (last !== turn) {
      last = turn;
      own = 0;
    }
    own += bytes + READ_BYTES;
    used += bytes + READ_BYTES;
    if (!scheduled) {
      scheduled = true;
      setImmediate(nextTurn);
    }
    if (used < TURN_BYTES || own < BULK_BYTES) return false;
    waiting.add(goOn);
    return true;
  };
}

function nextTurn(): void {
  turn = (turn + 1) | 0;
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
