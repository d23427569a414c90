import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MirrorArchive } from '../../../recorder/archive/mirror.ts';
import { SpoolFile } from '../../../recorder/archive/spool-file.ts';
import { SpoolRoom } from '../../../recorder/archive/spool-room.ts';
import { LiveRecording } from '../../../recorder/container/recording.ts';
import {
  ArchiveError,
  drainSpool,
  EventKind,
  keyIdOf,
  openArchive,
  openRecording,
  type Recording,
  type SpoolEvent,
  type SpoolSettings,
  spooledBytes,
  spooledSessions,
  verifyRecording,
} from '../../../recorder/index.ts';
import { temporaryFolder } from '../../support/temp.ts';
import {
  type Bed,
  eventsOf,
  initOf,
  MemoryArchive,
  makeBed,
  Signals,
  STARTED_AT,
  text,
  WINDOW,
} from './bed.ts';

const FULL = new ArchiveError('archive-full', 'archive folder /a is full: free space on it (ENOSPC)');
const MIB = 1024 * 1024;

interface SpoolBed extends Bed {
  readonly settings: SpoolSettings;
  readonly events: SpoolEvent[];
  /** Names in the spool's folder. */
  files(): readonly string[];
  /** While it is unsettled, peers do not know what is spooled. */
  marked: Promise<void>;
}

async function spoolBed(limit = 16 * MIB, window = WINDOW): Promise<SpoolBed> {
  const settings = {
    folder: join(temporaryFolder('spool'), 'spool'),
    limit,
    used: new SharedArrayBuffer(8),
  };
  const events: SpoolEvent[] = [];
  const peers = { marked: Promise.resolve() };
  const bed = await makeBed(window, {
    onFailure: {
      action: 'spool',
      spool: settings,
      onEvent: (event) => void events.push(event),
      marked: () => peers.marked,
    },
  });
  const files = (): readonly string[] => (existsSync(settings.folder) ? readdirSync(settings.folder) : []);
  return Object.assign(peers, bed, { settings, events, files });
}

/** Lets the bed's time pass until `condition` holds, but none while the disk works: how fast it is proves nothing. */
async function pass(bed: Bed, condition: () => boolean): Promise<void> {
  for (const deadline = performance.now() + 30_000; !condition(); ) {
    assert.ok(performance.now() < deadline, `never held: ${condition}`);
    await bed.clock.advance(25);
    do await new Promise<void>((resolve) => void setTimeout(resolve, 1));
    while (process.getActiveResourcesInfo().some((each) => each.startsWith('FSReq')));
  }
}

/** Resolves with what `promise` does, letting the bed's time pass meanwhile. */
async function passing<T>(bed: Bed, promise: Promise<T>): Promise<T> {
  let settled = false;
  const done = (): void => {
    settled = true;
  };
  promise.then(done, done);
  await pass(bed, () => settled);
  return await promise;
}

async function open(bed: Bed, sessionId = 's1'): Promise<{ recording: Recording; signals: Signals }> {
  const signals = new Signals();
  return { signals, recording: await passing(bed, bed.recorder.open(initOf(sessionId), signals)) };
}

async function textBack(bed: Bed, sessionId = 's1'): Promise<string> {
  const reader = await openRecording(bed.archive, sessionId, [bed.identity.identity]);
  return Buffer.concat((await eventsOf(reader)).map(({ payload }) => payload)).toString('latin1');
}

async function verdict(bed: Bed, sessionId = 's1'): Promise<boolean> {
  const report = await verifyRecording(bed.archive, sessionId, {
    identities: [bed.identity.identity],
    publicKeys: new Map([[keyIdOf(bed.publicKey), bed.publicKey]]),
  });
  return report.ok;
}

/** Writes `words`, each in a segment of its own, and lets time pass until they are durable somewhere. */
async function say(bed: Bed, recording: Recording, ...words: string[]): Promise<void> {
  assert.ok(recording instanceof LiveRecording);
  for (const word of words) {
    recording.write(EventKind.output, 0, text(word));
    await pass(bed, () => recording.held === 0);
  }
}

test('what the archive refuses goes to the spool, and from there behind what the archive has', async () => {
  const bed = await spoolBed();
  const { recording, signals } = await open(bed);
  await say(bed, recording, 'direct ');
  assert.deepEqual(bed.files(), []);
  const taken = bed.archive.sizes.length;
  bed.archive.failure = FULL;
  await say(bed, recording, 'spooled ', 'and ', 'spooled ');
  assert.deepEqual(bed.files(), ['s1.spool']);
  assert.deepEqual(bed.events, [{ type: 'spooling', sessionId: 's1', reason: FULL.message }]);
  assert.equal(await textBack(bed), 'direct ');
  bed.archive.failure = undefined;
  await pass(bed, () => bed.events.length === 2);
  assert.deepEqual(bed.files(), [], 'the file is gone');
  const [refused = 0, rest = 0] = bed.archive.sizes.slice(taken);
  assert.equal(bed.archive.sizes.length, taken + 2, 'what was refused goes again as it was, the rest as one');
  assert.ok(refused > 0 && rest > refused);
  assert.equal(new SpoolRoom(bed.settings).used, 0);
  const appends = bed.archive.appends;
  await say(bed, recording, 'direct again');
  assert.equal(bed.archive.appends, appends + 1);
  assert.deepEqual(bed.files(), []);
  const summary = await passing(bed, recording.seal('done'));
  assert.equal(summary.sealed, true);
  assert.equal(summary.bytes, bed.archive.bytes('s1').length);
  assert.equal(await textBack(bed), 'direct spooled and spooled direct again');
  assert.equal(await verdict(bed), true);
  assert.deepEqual(signals.seen, [], 'the session has felt nothing');
  const [, drained] = bed.events;
  assert.equal(drained?.type, 'drained');
  assert.ok(drained?.type === 'drained' && drained.bytes > 100);
});

test('an answer that comes too late counts once, and is of the bytes that were sent', async () => {
  const bed = await spoolBed();
  const { recording, signals } = await open(bed);
  bed.archive.held = true;
  recording.write(EventKind.output, 0, text('first '));
  await pass(bed, () => bed.files().length === 1);
  // The memory of the append that hangs is used again.
  await say(bed, recording, 'second ', 'third ', 'fourth ');
  assert.deepEqual(signals.seen, []);
  assert.match(
    bed.events[0]?.type === 'spooling' ? bed.events[0].reason : '',
    /did not answer within 500 ms/,
  );
  bed.archive.release();
  await pass(bed, () => bed.events.length === 2);
  assert.equal((await passing(bed, recording.seal('done'))).sealed, true);
  assert.equal(await textBack(bed), 'first second third fourth ');
  assert.equal(await verdict(bed), true);
});

test('what was refused late goes again as it was, by itself', async () => {
  const bed = await spoolBed();
  const { recording } = await open(bed);
  bed.archive.held = true;
  recording.write(EventKind.output, 0, text('first '));
  await pass(bed, () => bed.files().length === 1);
  await say(bed, recording, 'second ', 'third');
  const { archive } = bed;
  archive.failure = FULL;
  archive.release();
  await pass(bed, () => archive.appends >= 2);
  archive.failure = undefined;
  await pass(bed, () => bed.events.length === 2);
  assert.equal(archive.sizes.length, 2);
  await passing(bed, recording.seal('done'));
  assert.equal(await textBack(bed), 'first second third');
});

for (const failure of [FULL, undefined]) {
  test(`a recording begins and ends in the spool when the archive ${failure?.code ?? 'does not answer'}`, async () => {
    const bed = await spoolBed();
    bed.archive.failure = failure;
    bed.archive.held = failure === undefined;
    const { recording, signals } = await open(bed);
    await say(bed, recording, 'all of it');
    const summary = await passing(bed, recording.seal('done'));
    assert.deepEqual([summary.sealed, summary.spooled], [false, true], 'the archive has no manifest yet');
    assert.deepEqual(bed.files(), ['s1.spool']);
    assert.equal(bed.archive.recordings.size, 0);
    bed.archive.failure = undefined;
    bed.archive.release();
    await pass(bed, () => bed.events.length === 2);
    assert.deepEqual(bed.files(), []);
    assert.equal(bed.archive.bytes('s1').length, summary.bytes);
    assert.equal(await textBack(bed), 'all of it');
    assert.equal(await verdict(bed), true);
    assert.deepEqual(signals.seen, []);
  });
}

test('the first recording of an archive may begin in the spool', async () => {
  const bed = await spoolBed();
  const root = join(temporaryFolder('spool-first'), 'archive');
  const archive = openArchive(`file:${root}`);
  Object.assign(bed.archive, {
    create: archive.create.bind(archive),
    open: archive.open.bind(archive),
    resume: archive.resume.bind(archive),
  });
  const { recording } = await open(bed);
  await say(bed, recording, 'first of all');
  assert.equal((await passing(bed, recording.seal('done'))).spooled, true);
  mkdirSync(root);
  await pass(bed, () => bed.events.length === 2);
  assert.deepEqual(bed.files(), []);
  assert.equal(await textBack(bed), 'first of all');
});

test('the spool keeps only what is encrypted, for nobody else to read', async () => {
  const bed = await spoolBed();
  bed.archive.failure = FULL;
  const { recording } = await open(bed);
  await say(bed, recording, 'MARKER MARKER MARKER');
  const path = join(bed.settings.folder, 's1.spool');
  assert.equal(readFileSync(path).includes('MARKER'), false);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(bed.settings.folder).mode & 0o777, 0o700);
  assert.equal(await spooledBytes(bed.settings.folder), statSync(path).size);
  assert.equal(new SpoolRoom(bed.settings).used, statSync(path).size);
});

test('what is spooled is acknowledged when peers know of it, or the archive has it', async () => {
  for (const told of [true, false]) {
    const bed = await spoolBed();
    const { recording, signals } = await open(bed);
    await say(bed, recording, 'direct ');
    const mark = Promise.withResolvers<void>();
    bed.marked = mark.promise;
    bed.archive.failure = FULL;
    recording.write(EventKind.output, 0, text('spooled '));
    await pass(bed, () => signals.seen.includes('pause'));
    assert.deepEqual(bed.files(), ['s1.spool']);
    assert.ok(recording instanceof LiveRecording && recording.held > 0);
    assert.equal(recording.progress.segments, 1, 'no more than the window is to be lost');
    if (told) mark.resolve();
    else bed.archive.failure = undefined;
    await pass(bed, () => signals.seen.includes('resume'));
    await say(bed, recording, 'and more');
    bed.archive.failure = undefined;
    await passing(bed, recording.seal('done'));
    await pass(bed, () => bed.events.length === 2);
    assert.deepEqual(signals.seen, ['pause', 'resume']);
    assert.equal(await textBack(bed), 'direct spooled and more');
    assert.equal(await verdict(bed), true);
  }
});

test('a recording of which peers are never told that it is spooled fails in the end', async () => {
  const bed = await spoolBed();
  const { recording, signals } = await open(bed);
  bed.marked = Promise.reject(new Error('the node stops'));
  bed.marked.catch(() => {});
  bed.archive.failure = FULL;
  recording.write(EventKind.output, 0, text('spooled '));
  await pass(bed, () => signals.seen.includes('failed'));
  assert.deepEqual(signals.seen, ['pause', 'failed']);
  assert.equal((await recording.seal('archive-failed')).segments, 0);
});

test('a full spool pauses the session and ends it in the end; what it has taken is drained', async () => {
  const bed = await spoolBed(6 * 1024);
  const { recording, signals } = await open(bed);
  bed.archive.failure = FULL;
  const noise = randomBytes(2048).toString('latin1').slice(0, 1024);
  await say(bed, recording, noise, noise);
  recording.write(EventKind.output, 0, randomBytes(4096));
  await pass(bed, () => signals.seen.includes('failed'));
  assert.deepEqual(signals.seen, ['pause', 'failed']);
  assert.match(
    signals.error?.message ?? '',
    /^archive folder \/a is full.*|the spool's 6144 bytes are used \(archive\.spool\.bytes\)/,
  );
  assert.equal((await recording.seal('archive-failed')).sealed, false);
  bed.archive.failure = undefined;
  await pass(bed, () => bed.events.length === 2);
  assert.deepEqual(bed.files(), []);
  assert.equal(await textBack(bed), Buffer.from(noise + noise).toString('latin1'));
  assert.equal(new SpoolRoom(bed.settings).used, 0);
});

test('recordings share the room; one that is full goes on directly when the archive is back', async () => {
  const bed = await spoolBed(6 * 1024);
  const one = await open(bed, 's1');
  const two = await open(bed, 's2');
  bed.archive.failure = FULL;
  one.recording.write(EventKind.output, 0, randomBytes(5000));
  await pass(bed, () => bed.files().length === 1);
  two.recording.write(EventKind.output, 0, randomBytes(5000));
  await pass(bed, () => two.signals.seen.includes('pause'));
  assert.deepEqual(bed.files(), ['s1.spool']);
  assert.deepEqual(one.signals.seen, []);
  bed.archive.failure = undefined;
  await pass(bed, () => two.signals.seen.includes('resume') && bed.files().length === 0);
  for (const { recording } of [one, two]) {
    assert.equal((await passing(bed, recording.seal('done'))).sealed, true);
  }
  assert.equal((await textBack(bed, 's1')).length, 5000);
  assert.equal((await textBack(bed, 's2')).length, 5000);
});

test('what is added while a file is read is read the next time, and taken for no damage', async () => {
  const { settings } = await spoolBed();
  const room = new SpoolRoom(settings);
  const record = randomBytes(1000);
  const place = { sessionId: 's1', startedAt: STARTED_AT, from: 0 };
  const file = await SpoolFile.create(settings.folder, place, record, room);
  for (let records = 1; records < 200; records += 1) {
    const [{ bytes }] = await Promise.all([file.read(file.start, undefined), file.add(record)]);
    assert.equal(bytes.length, records * record.length);
  }
  await file.wipe();
});

test('who writes faster than the archive takes goes back to it all the same', async () => {
  const bed = await spoolBed(256 * MIB, { ...WINDOW, bytes: 4 * MIB, graceSeconds: 3600 });
  const { archive, clock } = bed;
  const create = archive.create.bind(archive);
  archive.create = async (...call) => {
    const inner = await create(...call);
    return {
      append: async (bytes) => {
        await new Promise<void>((resolve) => void clock.after(300, resolve));
        await inner.append(bytes);
      },
      close: () => inner.close(),
    };
  };
  const { recording, signals } = await open(bed);
  const noise = randomBytes(256 * 1024);
  let written = 0;
  const writeOn = (): boolean => {
    if (!recording.paused) {
      recording.write(EventKind.output, 0, noise);
      written += noise.length;
    }
    return bed.events.length === 2;
  };
  archive.failure = FULL;
  await pass(bed, () => {
    writeOn();
    return written > 4 * MIB;
  });
  archive.failure = undefined;
  await pass(bed, writeOn);
  assert.deepEqual(bed.files(), []);
  assert.equal((await passing(bed, recording.seal('done'))).sealed, true);
  assert.ok(!signals.seen.includes('failed'));
  assert.equal((await textBack(bed)).length, written);
});

test('many recordings are drained after an outage', async () => {
  const bed = await spoolBed();
  const all = await Promise.all(Array.from({ length: 40 }, (_, i) => passing(bed, open(bed, `s${i}`))));
  bed.archive.failure = FULL;
  for (const { recording } of all) recording.write(EventKind.output, 0, text('typed in an outage'));
  await pass(bed, () => bed.files().length === 40);
  bed.archive.failure = undefined;
  await pass(bed, () => bed.files().length === 0);
  await pass(bed, () => bed.events.filter(({ type }) => type === 'drained').length === 40);
  for (let i = 0; i < 40; i += 1) assert.equal(await textBack(bed, `s${i}`), 'typed in an outage');
});

test('an archive that was mounted anew is joined again where it was left', async () => {
  const bed = await spoolBed();
  const { recording } = await open(bed);
  await say(bed, recording, 'before ');
  const { archive } = bed;
  archive.failure = new ArchiveError('archive-stale', 'archive folder /a was exported anew');
  await say(bed, recording, 'during ');
  let resumed = 0;
  const resume = archive.resume.bind(archive);
  archive.resume = async (...args) => {
    resumed += 1;
    return await resume(...args);
  };
  archive.failure = undefined;
  await pass(bed, () => bed.events.length === 2);
  assert.equal(resumed, 1);
  await say(bed, recording, 'after');
  await passing(bed, recording.seal('done'));
  assert.equal(await textBack(bed), 'before during after');
});

test('the first refusal ends a session that is to be terminated; a slow archive does not', async () => {
  const bed = await makeBed(WINDOW, { onFailure: { action: 'terminate' } });
  const { recording, signals } = await open(bed);
  bed.archive.held = true;
  recording.write(EventKind.output, 0, text('slow'));
  await bed.clock.advance(3000);
  assert.deepEqual(signals.seen, ['pause']);
  bed.archive.release();
  await bed.clock.advance(100);
  assert.deepEqual(signals.seen, ['pause', 'resume']);
  bed.archive.failure = FULL;
  recording.write(EventKind.output, 0, text('refused'));
  await bed.clock.advance(450);
  assert.deepEqual(signals.seen, ['pause', 'resume', 'failed']);
  assert.equal(signals.error, FULL);
  assert.equal((await recording.seal('archive-failed')).sealed, false);
  assert.equal(bed.clock.timers, 0);
});

/** A recording that a node has left: `direct` in the archive, `spooled` in the spool. */
async function leftBehind(spooled: readonly string[], direct = 'direct '): Promise<SpoolBed> {
  const bed = await spoolBed();
  if (direct === '') bed.archive.failure = FULL;
  const { recording } = await open(bed);
  if (direct !== '') await say(bed, recording, direct);
  bed.archive.failure = FULL;
  await say(bed, recording, ...spooled);
  return bed;
}

/** The archive as the next start finds it: the recorder above goes on failing. */
function found(bed: SpoolBed): MemoryArchive {
  const archive = new MemoryArchive();
  for (const [sessionId, bytes] of bed.archive.recordings) archive.recordings.set(sessionId, bytes);
  return archive;
}

for (const direct of ['direct ', '']) {
  test(`what a dead node spooled is drained at its next start (${direct || 'nothing'} was archived)`, async () => {
    const bed = await leftBehind(['one ', 'two ', 'three'], direct);
    // Torn by the crash: nobody was told that this is kept.
    appendFileSync(join(bed.settings.folder, 's1.spool'), Buffer.from('000000ff00112233aabb', 'hex'));
    const settings = { ...bed.settings, used: new SharedArrayBuffer(8) };
    new SpoolRoom(settings).count(await spooledBytes(settings.folder));
    const archive = found(bed);
    archive.failure = FULL;
    const [waiting] = await drainSpool(settings, archive);
    assert.equal(waiting?.error, FULL);
    assert.deepEqual(await spooledSessions(settings.folder), ['s1']);
    archive.failure = undefined;
    const [drained] = await drainSpool(settings, archive);
    assert.deepEqual([drained?.sessionId, drained?.error], ['s1', undefined]);
    assert.deepEqual(bed.files(), []);
    assert.equal(new SpoolRoom(settings).used, 0);
    assert.equal(await textBack({ ...bed, archive }), `${direct}one two three`);
    assert.deepEqual(await drainSpool(settings, archive), [], 'a second time there is nothing to do');
  });
}

test('a drain that a crash has interrupted is done again', async () => {
  const bed = await leftBehind(['one ', 'two']);
  const path = join(bed.settings.folder, 's1.spool');
  const spooled = readFileSync(path);
  const archive = found(bed);
  await drainSpool(bed.settings, archive);
  const whole = archive.bytes('s1');
  for (const end of [whole.length, whole.length - 1, whole.length - 100]) {
    writeFileSync(path, spooled);
    archive.recordings.set('s1', whole.subarray(0, end));
    const [drained] = await drainSpool(bed.settings, archive, 's1');
    assert.equal(drained?.error, undefined);
    assert.deepEqual(archive.bytes('s1'), whole);
    assert.deepEqual(bed.files(), []);
  }
});

test('a file is deleted when each of several archives has what is in it', async () => {
  const bed = await leftBehind(['one ', 'two']);
  const spooled = readFileSync(join(bed.settings.folder, 's1.spool'));
  const [behind, ahead] = [found(bed), found(bed)];
  await drainSpool(bed.settings, ahead);
  const whole = ahead.bytes('s1');
  for (const [first, second] of [
    [ahead, behind],
    [behind, ahead],
  ] as const) {
    const direct = found(bed).bytes('s1');
    for (const bytes of [direct, whole.subarray(0, -1), undefined]) {
      writeFileSync(join(bed.settings.folder, 's1.spool'), spooled);
      if (bytes === undefined) behind.recordings.delete('s1');
      else behind.recordings.set('s1', bytes);
      const [drained] = await drainSpool(bed.settings, new MirrorArchive(first, [second]), 's1');
      assert.equal(drained?.error, undefined);
      for (const archive of [ahead, behind]) assert.deepEqual(archive.bytes('s1'), whole);
      assert.deepEqual(bed.files(), []);
    }
  }
});

test('what fits nowhere any more stays, and says why', async () => {
  const bed = await leftBehind(['spooled']);
  const archive = found(bed);
  const taken = archive.bytes('s1');
  const tried = async (): Promise<string> => {
    const [result] = await drainSpool(bed.settings, archive);
    assert.ok(result?.error instanceof ArchiveError);
    assert.equal(result.error.code, 'spool-conflict');
    assert.deepEqual(bed.files(), ['s1.spool']);
    return result.error.message;
  };
  archive.recordings.set('s1', taken.subarray(0, -1));
  assert.match(await tried(), /holds \d+ bytes of the recording, of which it has taken \d+$/);
  archive.recordings.delete('s1');
  assert.match(await tried(), /no longer holds the recording, of which it has taken \d+ bytes/);
  // As another node leaves it that took this one for dead.
  const other = await makeBed();
  const { recording } = await open(other);
  await passing(other, recording.seal('sealed by a peer'));
  const sealed = other.archive.bytes('s1');
  const manifest = sealed.subarray(taken.length - sealed.length);
  archive.recordings.set('s1', Buffer.concat([taken, manifest.length > 0 ? sealed : manifest]));
  assert.match(await tried(), /was sealed meanwhile, without what is spooled/);
});

test('nothing is deleted that the archive does not give back, and the session ends', async () => {
  const bed = await spoolBed();
  const { recording, signals } = await open(bed);
  await say(bed, recording, 'direct ');
  const sealed = bed.archive.bytes('s1');
  bed.archive.failure = FULL;
  await say(bed, recording, 'spooled');
  // As it looks when others have sealed the recording, and what its writer appends goes nowhere.
  const { archive } = bed;
  archive.open = async () => ({
    size: sealed.length,
    read: async (offset, length) => sealed.subarray(offset, offset + length),
    close: async () => {},
  });
  archive.failure = undefined;
  await pass(bed, () => bed.events.length === 2);
  assert.deepEqual(bed.events[1], {
    type: 'stuck',
    sessionId: 's1',
    reason: 'the archive does not hold what it has acknowledged',
  });
  assert.deepEqual(bed.files(), ['s1.spool']);
  // What would be taken from now on would be kept nowhere.
  const kept = readFileSync(join(bed.settings.folder, 's1.spool'));
  recording.write(EventKind.output, 0, text('lost'));
  await pass(bed, () => signals.seen.length > 0);
  assert.deepEqual(signals.seen, ['failed']);
  assert.deepEqual(
    [signals.error?.code, signals.error?.message],
    ['spool-conflict', 'the archive does not hold what it has acknowledged'],
  );
  const summary = await recording.seal('archive-failed');
  assert.deepEqual([summary.sealed, summary.spooled], [false, undefined]);
  assert.deepEqual(readFileSync(join(bed.settings.folder, 's1.spool')), kept);
  assert.equal(new SpoolRoom(bed.settings).used, kept.length);
  await bed.clock.advance(5000);
  assert.equal(bed.clock.timers, 0, 'nothing is tried any more');
});

test('what is no spool file is left alone', async () => {
  const bed = await spoolBed();
  const room = new SpoolRoom(bed.settings);
  const place = { sessionId: 's1', startedAt: STARTED_AT, from: 7 };
  const file = await SpoolFile.create(bed.settings.folder, place, text('first'), room);
  await file.close();
  const path = join(bed.settings.folder, 's1.spool');
  const good = readFileSync(path);
  const flipped = (at: number): Buffer => {
    const bytes = Buffer.from(good);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 0xff, at);
    return bytes;
  };
  for (const at of [0, 4, 5, 6, 14, 22]) {
    writeFileSync(path, flipped(at));
    await assert.rejects(
      SpoolFile.open(bed.settings.folder, 's1', room),
      { code: 'recording-id' },
      `byte ${at}`,
    );
    assert.deepEqual(bed.files(), ['s1.spool']);
  }
  // A record that was cut short was never told of, and with no record a file holds nothing.
  for (const bytes of [Buffer.alloc(0), good.subarray(0, 10), good.subarray(0, 30), good.subarray(0, -1)]) {
    writeFileSync(path, bytes);
    assert.equal(await SpoolFile.open(bed.settings.folder, 's1', room), undefined);
    assert.deepEqual(bed.files(), []);
  }
});

test('what was damaged is refused and kept, what was cut short is left out', async () => {
  const bed = await spoolBed();
  const room = new SpoolRoom(bed.settings);
  const place = { sessionId: 's1', startedAt: STARTED_AT, from: 7 };
  const file = await SpoolFile.create(bed.settings.folder, place, text('first'), room);
  const { start, end: second } = file;
  await file.add(text('second'));
  const { end: third } = file;
  await file.add(text('third'));
  await file.close();
  const path = join(bed.settings.folder, 's1.spool');
  const good = readFileSync(path);
  for (let at = start; at < good.length; at += 1) {
    const bytes = Buffer.from(good);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    writeFileSync(path, bytes);
    const position = at < second ? start : at < third ? second : third;
    await assert.rejects(SpoolFile.open(bed.settings.folder, 's1', room), {
      code: 'spool-conflict',
      message: `spool file ${path} was damaged at byte ${position}: it is kept, look at its disk`,
    });
    assert.deepEqual(readFileSync(path), bytes);
  }
  for (const [length, bytes] of [
    [third + 3, 'firstsecond'.length],
    [good.length - 1, 'firstsecond'.length],
    [second + 13, 'first'.length],
  ] as const) {
    writeFileSync(path, good.subarray(0, length));
    const cut = await SpoolFile.open(bed.settings.folder, 's1', room);
    assert.equal(cut?.bytes, bytes);
    await cut?.close();
  }
  // Nothing of it can be drained: the session does not go on.
  const other = await spoolBed();
  const { recording, signals } = await open(other);
  other.archive.failure = FULL;
  await say(other, recording, 'one ', 'two ');
  const spooled = join(other.settings.folder, 's1.spool');
  const bytes = readFileSync(spooled);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
  writeFileSync(spooled, bytes);
  other.archive.failure = undefined;
  await pass(other, () => other.events.length === 2);
  assert.equal(other.events[1]?.type, 'stuck');
  recording.write(EventKind.output, 0, text('three'));
  await pass(other, () => signals.seen.length > 0);
  assert.match(signals.error?.message ?? '', /was damaged at byte/);
  assert.deepEqual(readFileSync(spooled), bytes);
});
