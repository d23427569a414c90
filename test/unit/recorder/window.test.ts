import assert from 'node:assert/strict';
import { test } from 'node:test';
import { READ_BYTES } from '../../../gateway/listener/shared-read.ts';
import { LiveRecording } from '../../../recorder/container/recording.ts';
import { MAX_EVENT_OVERHEAD } from '../../../recorder/format/event-codec.ts';
import { ArchiveError, EventKind, openRecording, type Recording } from '../../../recorder/index.ts';
import { type Bed, eventsOf, initOf, makeBed, Signals, settle, text, until, WINDOW } from './bed.ts';

const KIB = text('k'.repeat(1024));
const FULL = new ArchiveError('archive-full', 'archive folder /a is full: free space on it (ENOSPC)');

async function open(bed: Bed, sessionId = 's1') {
  const signals = new Signals();
  return { signals, recording: await bed.recorder.open(initOf(sessionId), signals) };
}

async function bytesBack(bed: Bed, sessionId = 's1'): Promise<number> {
  const reader = await openRecording(bed.archive, sessionId, [bed.identity.identity]);
  return (await eventsOf(reader)).reduce((sum, event) => sum + event.payload.length, 0);
}

test('an idle session writes nothing and has no timer', async () => {
  const bed = await makeBed();
  const { recording, signals } = await open(bed);
  await bed.clock.advance(60_000);
  assert.equal(bed.archive.appends, 0);
  assert.equal(bed.clock.timers, 0);
  recording.write(EventKind.output, 0, text('$ '));
  assert.equal(bed.clock.timers, 1);
  await bed.clock.advance(2000);
  assert.equal(bed.archive.appends, 1);
  assert.equal(bed.clock.timers, 0, 'the timer stops when all is acknowledged');
  assert.deepEqual(signals.seen, []);
});

test('a segment is cut 400 ms after its first byte', async () => {
  const bed = await makeBed();
  const { recording } = await open(bed);
  recording.write(EventKind.output, 0, text('a'));
  await bed.clock.advance(350);
  recording.write(EventKind.output, 0, text('b'));
  await bed.clock.advance(40);
  assert.equal(bed.archive.appends, 0);
  await bed.clock.advance(35);
  assert.equal(bed.archive.appends, 1);
  assert.equal(await bytesBack(bed), 2);
});

test('a segment is cut the sooner, the longer the archive took for the append before', async () => {
  for (const [took, age] of [
    [100, 400],
    [200, 300],
    [300, 250],
    [900, 250],
  ] as const) {
    const bed = await makeBed();
    const { recording } = await open(bed);
    bed.archive.held = true;
    recording.write(EventKind.output, 0, text('a'));
    await bed.clock.advance(400 + took);
    bed.archive.release();
    await bed.clock.advance(25);
    recording.write(EventKind.output, 0, text('b'));
    await bed.clock.advance(age - 25);
    assert.equal(bed.archive.appends, 1, `not before ${age} ms`);
    await bed.clock.advance(50);
    assert.equal(bed.archive.appends, 2, `after ${age} ms`);
  }
});

test('a full segment does not wait for the clock', async () => {
  const bed = await makeBed({ ...WINDOW, bytes: 4 * 1024 * 1024 });
  const { recording } = await open(bed);
  for (let i = 0; i < 256; i += 1) recording.write(EventKind.output, 0, KIB);
  await until(() => bed.archive.sizes.length === 1);
  assert.equal(await bytesBack(bed), 255 * 1024, 'with its coding the 255th event fills the segment');
});

test('what is cut during an append goes together into the next', async () => {
  const bed = await makeBed();
  const { recording } = await open(bed);
  bed.archive.held = true;
  for (const letter of 'abcd') {
    recording.write(EventKind.output, 0, text(letter));
    await bed.clock.advance(225);
  }
  await bed.clock.advance(225);
  assert.equal(bed.archive.appends, 1, 'one append is in flight');
  bed.archive.release();
  await bed.clock.advance(450);
  assert.equal(bed.archive.appends, 2);
  assert.equal(await bytesBack(bed), 4);
});

test('the end of a recording goes together with its manifest', async () => {
  const bed = await makeBed();
  const { recording } = await open(bed);
  recording.write(EventKind.output, 0, text('bye'));
  const { sealed, segments, bytes } = await recording.seal('the client left');
  assert.equal(bed.archive.appends, 1);
  assert.deepEqual({ sealed, segments }, { sealed: true, segments: 1 });
  const reader = await openRecording(bed.archive, 's1', [bed.identity.identity]);
  assert.equal((await bed.archive.open('s1')).size, bytes, 'the summary counts both');
  assert.equal((await eventsOf(reader)).length, 1);
});

test('the window pauses the session with room for what its legs have read, and resumes it under half', async () => {
  const bed = await makeBed({ ...WINDOW, bytes: 128 * 1024 });
  const { recording, signals } = await open(bed);
  bed.archive.held = true;
  for (let i = 0; i < 63; i += 1) recording.write(EventKind.output, 0, KIB);
  assert.deepEqual(signals.seen, [], 'under the window');
  assert.equal(recording.paused, false);
  recording.write(EventKind.output, 0, KIB);
  assert.deepEqual(signals.seen, ['pause']);
  assert.equal(recording.paused, true);
  recording.write(EventKind.output, 0, KIB);
  assert.deepEqual(signals.seen, ['pause'], 'told once');
  await until(() => bed.archive.appends > 0);
  assert.deepEqual(signals.seen, ['pause'], 'not before the archive has it');
  bed.archive.release();
  await bed.clock.advance(450);
  await until(() => !recording.paused);
  assert.deepEqual(signals.seen, ['pause', 'resume']);
  const summary = await recording.seal('done');
  assert.equal(summary.sealed, true);
  assert.equal(await bytesBack(bed), 65 * 1024, 'what came after the pause is not lost');
});

/** A full segment, which is framed in another thread. */
function writeSegment(recording: Recording, letter: string): void {
  recording.write(EventKind.output, 0, text(letter.repeat(256 * 1024)));
}

test('what is framed while the archive takes what was before it comes behind that', async () => {
  const bed = await makeBed({ ...WINDOW, bytes: 4 * 1024 * 1024 });
  const { recording } = await open(bed);
  bed.archive.held = true;
  // One is appended; half of the window is enough to be framed meanwhile.
  for (const letter of 'abcdefghij') writeSegment(recording, letter);
  await until(() => bed.archive.appends === 1);
  writeSegment(recording, 'k');
  bed.archive.release();
  assert.equal((await recording.seal('done')).sealed, true);
  const reader = await openRecording(bed.archive, 's1', [bed.identity.identity]);
  const letters = (await eventsOf(reader)).map(({ payload }) => String.fromCharCode(payload[0] ?? 0));
  assert.deepEqual(letters, [...'abcdefghijk']);
  assert.equal(bed.recorder.heldBytes, 0);
});

test('a recording that fails gives back what was framed ahead', async () => {
  const bed = await makeBed({ ...WINDOW, bytes: 4 * 1024 * 1024 });
  const { recording, signals } = await open(bed);
  bed.archive.held = true;
  for (const letter of 'abcdefghij') writeSegment(recording, letter);
  await until(() => bed.archive.appends === 1);
  await bed.clock.advance((WINDOW.graceSeconds + 2) * 1000 + WINDOW.ms);
  assert.ok(signals.seen.length >= 2, 'paused, then failed');
  bed.archive.release();
  await until(() => bed.recorder.heldBytes === 0);
});

test('the window holds though a leg gives the rest of its read behind the pause', async () => {
  const window = { ...WINDOW, bytes: 4 * 1024 * 1024 };
  const bed = await makeBed(window);
  const { recording } = await open(bed);
  bed.archive.held = true;
  let events = 0;
  const write = (): void => {
    recording.write(EventKind.output, 0, KIB);
    events += 1;
  };
  while (!recording.paused) write();
  for (let rest = READ_BYTES; rest > 0; rest -= KIB.length) write();
  assert.ok(events * (KIB.length + MAX_EVENT_OVERHEAD) <= window.bytes, `${events} KiB are taken`);
  bed.archive.release();
  await recording.seal('done');
});

test('a session stays paused while more than half of the window waits', async () => {
  const bed = await makeBed();
  const { recording, signals } = await open(bed);
  bed.archive.held = true;
  for (let i = 0; i < 10; i += 1) recording.write(EventKind.output, 0, KIB);
  await bed.clock.advance(450);
  assert.equal(bed.archive.appends, 1, 'the first part is on its way');
  for (let i = 0; i < 54; i += 1) recording.write(EventKind.output, 0, KIB);
  assert.deepEqual(signals.seen, ['pause']);
  bed.archive.step();
  await until(() => bed.archive.appends === 2);
  assert.deepEqual(signals.seen, ['pause'], '54 of 64 KiB still wait');
  bed.archive.release();
  await bed.clock.advance(450);
  await until(() => !recording.paused);
  assert.deepEqual(signals.seen, ['pause', 'resume']);
});

test('the window pauses the session when its oldest byte is too old', async () => {
  const bed = await makeBed();
  const { recording, signals } = await open(bed);
  bed.archive.held = true;
  recording.write(EventKind.output, 0, text('x'));
  await bed.clock.advance(975);
  assert.deepEqual(signals.seen, []);
  await bed.clock.advance(50);
  assert.deepEqual(signals.seen, ['pause']);
  bed.archive.release();
  await settle();
  assert.deepEqual(signals.seen, ['pause', 'resume']);
});

test('an archive that answers nothing for the grace time ends the recording', async () => {
  const bed = await makeBed();
  const { recording, signals } = await open(bed);
  bed.archive.held = true;
  recording.write(EventKind.output, 0, text('x'));
  await bed.clock.advance(1000 + 29_900);
  assert.deepEqual(signals.seen, ['pause']);
  await bed.clock.advance(200);
  assert.deepEqual(signals.seen, ['pause', 'failed']);
  assert.equal(signals.error?.code, 'archive-timeout');
  assert.equal(recording.paused, true);
  recording.write(EventKind.output, 0, text('late'));
  const summary = await recording.seal('archive-failed');
  assert.deepEqual({ ...summary, head: '', bytes: 0 }, { segments: 0, bytes: 0, head: '', sealed: false });
  assert.equal(bed.clock.timers, 0);
  bed.archive.release();
  await settle();
  assert.deepEqual(signals.seen, ['pause', 'failed'], 'an answer that comes too late changes nothing');
  assert.deepEqual(await recording.seal('archive-failed'), summary);
});

test('an archive that answers too slowly for the grace time is told as that', async () => {
  const bed = await makeBed();
  const { recording, signals } = await open(bed);
  bed.archive.held = true;
  for (let i = 0; i < 60; i += 1) recording.write(EventKind.output, 0, Buffer.alloc(1024, 'x'));
  for (let second = 0; second < 31; second += 1) {
    // It acknowledges something, and is never up to date.
    if (second === 10) bed.archive.step();
    await bed.clock.advance(1000);
  }
  assert.ok(bed.archive.sizes.length > 0);
  assert.equal(signals.error?.message, 'the archive did not catch up with the session for 30 seconds');
  bed.archive.release();
});

test('an error that persists ends the recording with that error', async () => {
  const bed = await makeBed();
  const { recording, signals } = await open(bed);
  bed.archive.failure = FULL;
  recording.write(EventKind.output, 0, text('x'));
  await bed.clock.advance(40_000);
  assert.deepEqual(signals.seen, ['pause', 'failed']);
  assert.equal(signals.error, FULL);
  assert.ok(
    bed.archive.appends > 5 && bed.archive.appends < 120,
    `${bed.archive.appends} tries, with back-off`,
  );
  assert.equal((await recording.seal('archive-failed')).sealed, false);
  assert.equal(bed.clock.timers, 0);
});

test('an error that heals within the grace time loses nothing', async () => {
  const bed = await makeBed();
  const { recording, signals } = await open(bed);
  bed.archive.failure = FULL;
  recording.write(EventKind.output, 0, text('before '));
  await bed.clock.advance(20_000);
  recording.write(EventKind.output, 0, text('during'));
  bed.archive.failure = undefined;
  await bed.clock.advance(3000);
  assert.deepEqual(signals.seen, ['pause', 'resume']);
  assert.equal(await bytesBack(bed), 13);

  // What is over is not blamed for what comes later.
  bed.archive.held = true;
  recording.write(EventKind.output, 0, text('x'));
  await bed.clock.advance(32_000);
  assert.equal(signals.error?.code, 'archive-timeout');
  bed.archive.release();
});

test('sealing waits for the archive no longer than the grace time', async () => {
  const bed = await makeBed();
  const { recording, signals } = await open(bed);
  recording.write(EventKind.output, 0, text('x'));
  bed.archive.held = true;
  const sealing = recording.seal('done');
  await bed.clock.advance(31_000);
  assert.equal((await sealing).sealed, false);
  assert.deepEqual(signals.seen, ['failed'], 'a session that ends is not paused any more');
  bed.archive.release();
});

test('sealing survives an archive that is full for a while', async () => {
  const bed = await makeBed();
  const { recording } = await open(bed);
  recording.write(EventKind.output, 0, text('x'));
  bed.archive.failure = FULL;
  const sealing = recording.seal('done');
  await bed.clock.advance(10_000);
  bed.archive.failure = undefined;
  await bed.clock.advance(3000);
  const summary = await sealing;
  assert.equal(summary.sealed, true);
  assert.equal(summary.bytes, bed.archive.bytes('s1').length);
  assert.deepEqual(await recording.seal('again'), summary, 'a second call gives the same answer');
  assert.equal(bed.clock.timers, 0);
});

test('a session is refused when the archive cannot take its recording', async () => {
  const bed = await makeBed();
  bed.archive.failure = FULL;
  await assert.rejects(bed.recorder.open(initOf('s1'), new Signals()), FULL);
  bed.archive.failure = undefined;
  bed.archive.held = true;
  const opening = assert.rejects(bed.recorder.open(initOf('s1'), new Signals()), { code: 'archive-timeout' });
  await settle();
  await bed.clock.advance(30_100);
  await opening;
  bed.archive.release();
});

test('a window smaller than a segment still flows', async () => {
  const bed = await makeBed({ bytes: 4096, ms: 1000, graceSeconds: 30 });
  const { recording, signals } = await open(bed);
  for (let i = 0; i < 16; i += 1) {
    recording.write(EventKind.output, 0, KIB);
    await until(() => !recording.paused);
  }
  assert.equal((await recording.seal('done')).sealed, true);
  assert.equal(await bytesBack(bed), 16 * 1024);
  assert.ok(!signals.seen.includes('failed'));
});

/** Lets every append take `ms` of the bed's time. */
function slowDown({ archive, clock }: Bed, ms: number): void {
  const create = archive.create.bind(archive);
  archive.create = async (...call) => {
    const inner = await create(...call);
    return {
      append: async (bytes) => {
        await new Promise<void>((resolve) => void clock.after(ms, resolve));
        await inner.append(bytes);
      },
      close: () => inner.close(),
    };
  };
}

for (const [rate, everyMs, payload, total] of [
  ['a key now and then', 700, 1, 20],
  ['typing', 100, 1, 100],
  ['10 KiB/s', 25, 256, 64 * 1024],
  ['1 MiB/s', 25, 26 * 1024, 8 * 1024 * 1024],
  ['as fast as it may', 0, 128 * 1024, 24 * 1024 * 1024],
] as const) {
  test(`the window holds with an archive that takes 500 ms for an append: ${rate}`, async (t) => {
    // The bed's time goes faster than the scribe works: no grace is over by that.
    const window = { bytes: 4 * 1024 * 1024, ms: 1000, graceSeconds: 3600 };
    const bed = await makeBed(window);
    slowDown(bed, 500);
    const { recording, signals } = await open(bed);
    assert.ok(recording instanceof LiveRecording);
    /** When bytes were taken, with how many had been taken then. */
    const taken: (readonly [at: number, upTo: number])[] = [];
    let all = 0;
    let largest = 0;
    let oldest = 0;
    const look = (): void => {
      largest = Math.max(largest, recording.held);
      while ((taken[0]?.[1] ?? Number.POSITIVE_INFINITY) <= all - recording.held) taken.shift();
      const age = bed.clock.now() - (taken[0]?.[0] ?? bed.clock.now());
      oldest = Math.max(oldest, age);
      // Exact to one tick of the recorder's timer.
      assert.ok(age < window.ms + 25 || recording.paused, `${age} ms and not paused`);
      assert.ok(recording.held <= window.bytes, `${recording.held} bytes`);
    };
    const pass = async (): Promise<void> => {
      await bed.clock.advance(25);
      await new Promise<void>((resolve) => void setTimeout(resolve, 1));
      look();
    };
    let written = 0;
    for (let next = 0; written < total; look()) {
      if (recording.paused || bed.clock.now() < next) {
        await pass();
        continue;
      }
      const before = recording.held;
      recording.write(EventKind.output, 0, new Uint8Array(payload));
      written += payload;
      all += recording.held - before;
      taken.push([bed.clock.now(), all]);
      next = bed.clock.now() + everyMs;
    }
    while (recording.held > 0) await pass();
    t.diagnostic(
      `${(bed.clock.now() / 1000).toFixed(1)} s, at most ${largest} bytes and ${oldest} ms unacknowledged, ` +
        `${bed.archive.sizes.length} appends, paused ${signals.seen.filter((each) => each === 'pause').length} times`,
    );
    assert.ok(!signals.seen.includes('failed'));
    assert.equal(await bytesBack(bed), written);
  });
}

test('events count from when the session began, however long the archive takes to create the recording', async () => {
  const bed = await makeBed();
  bed.archive.held = true;
  const opening = open(bed);
  await settle();
  await bed.clock.advance(2_500);
  bed.archive.release();
  const { recording } = await opening;
  await bed.clock.advance(500);
  recording.write(EventKind.output, 0, text('$ '));
  await recording.seal('the client left');
  const reader = await openRecording(bed.archive, 's1', [bed.identity.identity]);
  assert.deepEqual(
    (await eventsOf(reader)).map(({ at }) => at),
    [3_000_000],
  );
});
