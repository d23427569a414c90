/** What a recorder tells of how it stands, for those who count. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ArchiveError, EventKind } from '../../../recorder/index.ts';
import { initOf, makeBed, Signals, text, WINDOW } from './bed.ts';

test('lag, waits and appends are told as they are', async () => {
  const told: (string | number)[][] = [];
  const bed = await makeBed(WINDOW, {
    observer: {
      appended: (seconds, bytes) => told.push(['appended', seconds, bytes > 0 ? 'bytes' : 'none']),
      refused: () => told.push(['refused']),
      paused: () => told.push(['paused']),
      resumed: (seconds) => told.push(['resumed', seconds]),
    },
  });
  const none = { bytes: 0, ms: 0, fill: 0 };
  assert.deepEqual(bed.recorder.standing(), { recordings: 0, paused: 0, lag: none, heldBytes: 0 });
  const busy = await bed.recorder.open(initOf('s1'), new Signals());
  await bed.recorder.open(initOf('s2'), new Signals());
  bed.archive.held = true;
  busy.write(EventKind.output, 0, text('x'));
  await bed.clock.advance(500);
  const late = bed.recorder.standing();
  assert.equal(late.recordings, 2);
  assert.deepEqual([late.lag.ms, late.lag.fill, late.paused], [500, 0.5, 0]);
  assert.ok(late.lag.bytes > 0 && late.heldBytes > 0);
  await bed.clock.advance(1000);
  assert.equal(bed.recorder.standing().paused, 1);
  assert.ok(bed.recorder.standing().lag.fill > 1);
  bed.archive.release();
  await bed.clock.advance(25);
  assert.deepEqual(bed.recorder.standing().lag, none);
  assert.deepEqual(told, [['paused'], ['appended', 1.1, 'bytes'], ['resumed', 0.5]]);

  bed.archive.failure = new ArchiveError('archive-io', 'no');
  busy.write(EventKind.output, 0, text('x'));
  await bed.clock.advance(450);
  assert.deepEqual(told.at(-1), ['refused']);
});

test('bytes fill the window as much as their age does', async () => {
  const bed = await makeBed();
  const recording = await bed.recorder.open(initOf('s1'), new Signals());
  bed.archive.held = true;
  recording.write(EventKind.output, 0, text('x'.repeat(WINDOW.bytes / 4)));
  const { fill } = bed.recorder.standing().lag;
  assert.ok(fill > 0.5 && fill < 0.51, `${fill}: it waits at half of a window as small as this`);
});
