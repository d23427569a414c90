import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { LiveRecording } from '../../../recorder/container/recording.ts';
import { ArchiveError, EventKind, openRecording } from '../../../recorder/index.ts';
import { type Bed, eventsOf, initOf, makeBed, Signals, text, until } from './bed.ts';

const MIB = 1024 * 1024;
/** The age is not what is tested here. */
const WINDOW = { bytes: 4 * MIB, ms: 60_000, graceSeconds: 30 };
const NOISE = randomBytes(32 * 1024);

interface Open {
  readonly recording: LiveRecording;
  readonly signals: Signals;
  written: number;
}

async function open(bed: Bed, sessionId: string): Promise<Open> {
  const signals = new Signals();
  const recording = await bed.recorder.open(initOf(sessionId), signals);
  assert.ok(recording instanceof LiveRecording);
  return { recording, signals, written: 0 };
}

/** A leg reads on until it is told to pause, and gives the rest of a read behind that. */
function readOn(open: Open, bytes: number): void {
  for (let left = bytes; left > 0 && !open.recording.paused; left -= 256 * 1024) {
    for (let rest = 256 * 1024; rest > 0; rest -= NOISE.length) {
      open.recording.write(EventKind.output, 0, NOISE);
      open.written += NOISE.length;
    }
  }
}

async function bytesBack(bed: Bed, sessionId: string): Promise<number> {
  const reader = await openRecording(bed.archive, sessionId, [bed.identity.identity]);
  return (await eventsOf(reader)).reduce((sum, event) => sum + event.payload.length, 0);
}

test('those that hold most are paused first, and nobody is who types', async () => {
  const limit = 16 * MIB;
  const bed = await makeBed(WINDOW, { memoryBytes: limit });
  const bulk = await Promise.all(Array.from({ length: 8 }, (_, i) => open(bed, `bulk${i}`)));
  const typist = await open(bed, 'typist');
  bed.archive.held = true;
  let most = 0;
  for (let round = 0; round < 40; round += 1) {
    typist.recording.write(EventKind.output, 0, text('k'));
    typist.written += 1;
    for (const each of bulk) readOn(each, MIB);
    await bed.clock.advance(25);
    most = Math.max(most, bed.recorder.heldBytes);
  }
  assert.ok(most <= limit, `${most} bytes of memory`);
  for (const { recording, signals, written } of bulk) {
    assert.deepEqual(signals.seen, ['pause']);
    assert.equal(recording.paused, true);
    assert.ok(written > 0 && written < WINDOW.bytes / 2, `${written} bytes are far from its own window`);
  }
  assert.deepEqual(typist.signals.seen, []);
  bed.archive.release();
  await until(() => bulk.every(({ recording }) => !recording.paused));
  for (const each of bulk) readOn(each, MIB);
  bed.archive.release();
  for (const [i, { recording, written }] of bulk.entries()) {
    assert.equal((await recording.seal('done')).sealed, true);
    assert.equal(await bytesBack(bed, `bulk${i}`), written);
  }
  await typist.recording.seal('done');
  assert.equal(await bytesBack(bed, 'typist'), typist.written);
  assert.equal(bed.recorder.heldBytes, 0, 'all memory is given back');
});

test('when all hold a little too much, all are paused, and all go on', async () => {
  const limit = 4 * MIB;
  const bed = await makeBed(WINDOW, { memoryBytes: limit });
  const all = await Promise.all(Array.from({ length: 64 }, (_, i) => open(bed, `s${i}`)));
  bed.archive.held = true;
  let most = 0;
  for (let round = 0; round < 40 && all.some(({ recording }) => !recording.paused); round += 1) {
    for (const each of all) {
      if (each.recording.paused) continue;
      each.recording.write(EventKind.output, 0, NOISE.subarray(0, 4000));
      each.written += 4000;
    }
    await bed.clock.advance(25);
    most = Math.max(most, bed.recorder.heldBytes);
  }
  assert.ok(all.every(({ recording }) => recording.paused));
  assert.ok(most <= limit, `${most} bytes of memory`);
  bed.archive.held = false;
  bed.archive.release();
  await bed.clock.advance(450);
  await until(() => all.every(({ recording }) => !recording.paused));
  for (const [i, { recording, signals, written }] of all.entries()) {
    assert.deepEqual(signals.seen, ['pause', 'resume']);
    assert.equal((await recording.seal('done')).sealed, true);
    assert.equal(await bytesBack(bed, `s${i}`), written);
  }
  assert.equal(bed.recorder.heldBytes, 0);
});

test('a bulk session that runs alone does not feel the others', async () => {
  const bed = await makeBed(WINDOW, { memoryBytes: 64 * MIB });
  await Promise.all(Array.from({ length: 100 }, (_, i) => open(bed, `idle${i}`)));
  const bulk = await open(bed, 'bulk');
  bed.archive.held = true;
  readOn(bulk, 8 * MIB);
  assert.deepEqual(bulk.signals.seen, ['pause']);
  assert.ok(bulk.written >= 3 * MIB, 'its own window is what pauses it');
  bed.archive.release();
});

test('whatever ends a recording gives its memory back', async () => {
  const bed = await makeBed({ ...WINDOW, ms: 1000 });
  const failing = await open(bed, 's1');
  const stream = failing.recording.hashStream();
  stream.update(NOISE);
  const long = failing.recording.hashStream();
  for (let i = 0; i < 16; i += 1) long.update(NOISE);
  readOn(failing, 256 * 1024);
  bed.archive.failure = new ArchiveError('archive-full', 'full');
  await bed.clock.advance(40_000);
  assert.deepEqual(failing.signals.seen.at(-1), 'failed');
  stream.update(NOISE);
  stream.digest(() => assert.fail('a stream of a recording that is over has no digest'));
  bed.archive.failure = undefined;
  await bed.clock.advance(4000);
  await until(() => bed.recorder.heldBytes === 0);

  const sealed = await open(bed, 's2');
  const digests: string[] = [];
  sealed.recording.hashStream().update(NOISE);
  const ended = sealed.recording.hashStream();
  for (let i = 0; i < 16; i += 1) ended.update(NOISE);
  ended.digest((sha256) => void digests.push(sha256));
  await sealed.recording.seal('done');
  assert.equal(digests.length, 1);
  await until(() => bed.recorder.heldBytes === 0);
});
