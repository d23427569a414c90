import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from '../../../recorder/container/backoff.ts';
import { ArchiveError, EventKind } from '../../../recorder/index.ts';
import { initOf, makeBed, Signals, text } from './bed.ts';

test('pauses are random up to a bound that doubles, to a most', () => {
  const most = new Backoff(50, 400, () => 1);
  assert.deepEqual(
    Array.from({ length: 5 }, () => most.next()),
    [50, 100, 200, 400, 400],
  );
  most.reset();
  assert.equal(most.next(), 50);
  const some = [0, 0.25, 0.5].values();
  const backoff = new Backoff(100, 1000, () => some.next().value ?? 0);
  assert.deepEqual([backoff.next(), backoff.next(), backoff.next()], [0, 50, 200]);
});

test('recordings that an outage stops at the same moment do not all come back at the same moments', async () => {
  const bed = await makeBed();
  const recordings = await Promise.all(
    Array.from({ length: 20 }, (_, i) => bed.recorder.open(initOf(`s${i}`), new Signals())),
  );
  bed.archive.failure = new ArchiveError('archive-io', 'it is away');
  for (const recording of recordings) recording.write(EventKind.output, 0, text('x'));
  // Tries in each 25 ms.
  const tries: number[] = [];
  for (let before = 0; tries.length < 400; before = bed.archive.appends) {
    await bed.clock.advance(25);
    tries.push(bed.archive.appends - before);
  }
  const later = tries.slice(120);
  assert.ok(Math.max(...later) < 20, `${later}`);
  bed.archive.failure = undefined;
  await bed.clock.advance(3000);
  for (const recording of recordings) assert.equal((await recording.seal('done')).sealed, true);
});
