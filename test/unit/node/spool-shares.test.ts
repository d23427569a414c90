/** A spool that several processes fill: each knows what the others take, and together they keep to its limit. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SpoolShares } from '../../../gateway/node/spool-shares.ts';
import { SpoolRoom } from '../../../recorder/archive/spool-room.ts';
import type { SpoolShare } from '../../../workers/process.ts';

const LIMIT = 100;
const own = new SharedArrayBuffer(8);
const shares = new SpoolShares(own);
const main = new SpoolRoom({ limit: LIMIT, used: own });

/** A process, which shares no memory with the main one. */
class Process {
  readonly #elsewhere = new SharedArrayBuffer(8);
  readonly room = new SpoolRoom({ limit: LIMIT, used: new SharedArrayBuffer(8), elsewhere: this.#elsewhere });
  readonly share: SpoolShare = shares.join((bytes) => {
    new BigInt64Array(this.#elsewhere)[0] = BigInt(bytes);
  });

  take(bytes: number): void {
    this.room.take(bytes);
    this.share.set(this.room.used);
  }

  give(bytes: number): void {
    this.room.give(bytes);
    this.share.set(this.room.used);
  }
}

const full = { name: 'ArchiveError', code: 'archive-full' };

test('what one process has is not left for another, until it gives it back', () => {
  main.count(10);
  shares.changed();
  const [one, other] = [new Process(), new Process()];
  one.take(60);
  assert.throws(() => other.take(31), full);
  assert.equal(other.room.used, 0, 'a refusal leaves nothing taken');
  other.take(30);
  assert.equal(shares.used, LIMIT);
  assert.throws(() => one.take(1), full);
  other.give(20);
  one.take(20);
  main.give(10);
  shares.changed();
  one.take(10);

  // What a process leaves that is killed is the main one's, and counts until it is drained.
  one.share.leave();
  assert.equal(main.used, 90);
  assert.equal(shares.used, LIMIT);
  assert.throws(() => other.take(1), full);
  const third = new Process();
  assert.throws(() => third.take(1), full);
  // It had more than it could tell.
  main.give(95);
  shares.changed(true);
  assert.equal(shares.used, 10);
  third.take(90);
});
