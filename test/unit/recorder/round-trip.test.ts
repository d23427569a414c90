import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { KeyRing } from '../../../recorder/container/keys.ts';
import {
  ContainerError,
  EventKind,
  generateIdentity,
  loadIdentities,
  openRecording,
  parseIdentities,
  Recorder,
  type RecordingReader,
} from '../../../recorder/index.ts';
import { eventsOf, initOf, MemoryArchive, makeBed, Signals, STARTED_AT, text, WINDOW } from './bed.ts';

const BIG_WINDOW = { ...WINDOW, bytes: 64 * 1024 * 1024 };

test('events come back in order with their times, whatever their payload', async () => {
  const bed = await makeBed(BIG_WINDOW);
  const recording = await bed.recorder.open(initOf('s1'), new Signals());
  const dense = randomBytes(300_000);
  const scratch = text('scratch');
  recording.note(EventKind.terminal, 0, { term: 'xterm', columns: 80, rows: 24 });
  await bed.clock.advance(10);
  recording.write(EventKind.output, 0, scratch);
  scratch.fill(0);
  await bed.clock.advance(1000);
  recording.write(EventKind.output, 7, dense);
  recording.write(EventKind.input, 0xffffffff, text(''));
  const summary = await recording.seal('client-closed');
  recording.write(EventKind.output, 0, text('after the seal'));

  const reader = await openRecording(bed.archive, 's1', [bed.identity.identity]);
  const events = await eventsOf(reader);
  assert.deepEqual(
    events.map(({ at, kind, channel }) => [at, kind, channel]),
    [
      [0, EventKind.terminal, 0],
      [10_000, EventKind.output, 0],
      [1_010_000, EventKind.output, 7],
      [1_010_000, EventKind.input, 0xffffffff],
    ],
  );
  assert.equal(Buffer.from(events[0]?.payload ?? []).toString(), '{"term":"xterm","columns":80,"rows":24}');
  assert.equal(Buffer.from(events[1]?.payload ?? []).toString(), 'scratch', 'write takes a copy');
  assert.ok(dense.equals(events[2]?.payload ?? Buffer.alloc(0)));

  const { salt, wrappedKey, ...header } = reader.header();
  assert.deepEqual(header, { ...initOf('s1'), node: 'node1', startedAt: STARTED_AT });
  assert.ok(salt.length > 0 && wrappedKey.length > 0);
  const manifest = reader.manifest();
  assert.equal(manifest?.segments, 3);
  assert.equal(manifest?.events, 4);
  assert.equal(manifest?.duration, 1_010_000);
  assert.equal(manifest?.reason, 'client-closed');
  assert.equal(reader.truncatedAt, undefined);
  assert.deepEqual(
    { segments: summary.segments, bytes: summary.bytes, sealed: summary.sealed },
    { segments: 3, bytes: bed.archive.bytes('s1').length, sealed: true },
  );
});

test('nothing readable is in the archive', async () => {
  const bed = await makeBed();
  const recording = await bed.recorder.open(initOf('s1'), new Signals());
  recording.write(EventKind.output, 0, text('the secret words'));
  await recording.seal('done');
  assert.equal(bed.archive.bytes('s1').includes('secret'), false);
});

test('a payload over the bound of a segment comes back whole', async () => {
  const bed = await makeBed(BIG_WINDOW);
  const recording = await bed.recorder.open(initOf('s1'), new Signals());
  const huge = randomBytes(20 * 1024 * 1024);
  recording.write(EventKind.output, 0, huge);
  assert.equal((await recording.seal('done')).sealed, true);
  const reader = await openRecording(bed.archive, 's1', [bed.identity.identity]);
  const back = Buffer.concat((await eventsOf(reader)).map((event) => event.payload));
  assert.ok(back.equals(huge));
});

test('a long recording is read from the middle, without what is before', async () => {
  const bed = await makeBed();
  const recording = await bed.recorder.open(initOf('s1'), new Signals());
  for (let i = 0; i < 1500; i += 1) {
    recording.write(EventKind.output, 0, text(`${i};`));
    recording.write(EventKind.output, 1, text('same time'));
    await bed.clock.advance(450);
  }
  const { segments } = await recording.seal('done');
  assert.equal(segments, 1500);
  const reader = await openRecording(bed.archive, 's1', [bed.identity.identity]);
  const index = reader.manifest()?.index ?? [];
  assert.ok(index.length > 256 && index.length <= 512, `the index is thinned: ${index.length}`);
  const steps = new Set(index.slice(1).map(([sequence], i) => sequence - (index[i]?.[0] ?? 0)));
  assert.deepEqual([...steps], [4], 'evenly');
  const all = await eventsOf(reader);
  assert.equal(all.length, 3000);
  for (const from of [0, 1, 449_999, 450_000, 450_001, 337_275_000, 674_550_000]) {
    const expected = all.filter((event) => event.at >= from);
    const got = await eventsOf(reader, from);
    assert.deepEqual(got, expected, `from ${from}`);
  }
  assert.deepEqual(await eventsOf(reader, 674_550_001), []);
});

test('events of one moment in several segments are all found from that moment', async () => {
  const bed = await makeBed();
  const recording = await bed.recorder.open(initOf('s1'), new Signals());
  recording.write(EventKind.output, 0, text('before'));
  await bed.clock.advance(450);
  for (let i = 0; i < 4; i += 1) recording.write(EventKind.output, 0, randomBytes(16_384));
  assert.equal((await recording.seal('done')).segments, 5);
  const reader = await openRecording(bed.archive, 's1', [bed.identity.identity]);
  assert.equal((await eventsOf(reader, 450_000)).length, 4);
});

test('a reader stops at what was tampered with', async () => {
  const bed = await makeBed();
  const recording = await bed.recorder.open(initOf('s1'), new Signals());
  const ends = [bed.archive.bytes('s1').length];
  for (const letter of 'abcd') {
    recording.write(EventKind.output, 0, text(letter));
    await bed.clock.advance(450);
    ends.push(bed.archive.bytes('s1').length);
  }
  await recording.seal('done');
  const whole = bed.archive.bytes('s1');
  const read = async (bytes: Buffer, from?: number): Promise<unknown> => {
    bed.archive.recordings.set('s1', bytes);
    return await eventsOf(await openRecording(bed.archive, 's1', [bed.identity.identity]), from);
  };
  const otherUser = Buffer.from(whole.toString('latin1').replace('alice', 'malik'), 'latin1');
  await assert.rejects(read(otherUser), { name: 'ContainerError', code: 'broken-chain' });
  const flipped = Buffer.from(whole);
  const inSecond = (ends[1] ?? 0) + 70;
  flipped.writeUInt8(flipped.readUInt8(inSecond) ^ 1, inSecond);
  await assert.rejects(read(flipped), { code: 'bad-body' });
  const removed = Buffer.concat([whole.subarray(0, ends[1]), whole.subarray(ends[2])]);
  await assert.rejects(read(removed), { code: 'out-of-sequence' });
  await assert.rejects(read(removed, 1), { code: 'out-of-sequence' });
});

test('an unsealed recording is read to its last whole segment', async () => {
  const bed = await makeBed();
  const recording = await bed.recorder.open(initOf('s1'), new Signals());
  for (const letter of 'abc') {
    recording.write(EventKind.output, 0, text(letter));
    await bed.clock.advance(450);
  }
  const whole = bed.archive.bytes('s1');
  const read = async (bytes: Buffer): Promise<{ letters: string; truncatedAt: number | undefined }> => {
    bed.archive.recordings.set('s1', bytes);
    const reader = await openRecording(bed.archive, 's1', [bed.identity.identity]);
    const letters = (await eventsOf(reader)).map((event) => Buffer.from(event.payload).toString()).join('');
    assert.equal(reader.manifest(), undefined);
    return { letters, truncatedAt: reader.truncatedAt };
  };
  assert.deepEqual(await read(whole), { letters: 'abc', truncatedAt: 3 });
  assert.deepEqual(await read(whole.subarray(0, -1)), { letters: 'ab', truncatedAt: 2 });
  assert.deepEqual(await read(whole.subarray(0, -80)), { letters: 'ab', truncatedAt: 2 });
  await recording.seal('done');
});

test('every recipient opens the recording, nobody else', async () => {
  const archive = new MemoryArchive();
  const [first, second, stranger] = [
    await generateIdentity(),
    await generateIdentity(),
    await generateIdentity(),
  ];
  const { privateKey } = generateKeyPairSync('ed25519');
  const recorder = new Recorder({
    archive,
    recipients: [first.recipient, second.recipient],
    node: 'node1',
    signingKey: privateKey,
    window: WINDOW,
  });
  const recording = await recorder.open(initOf('s1'), new Signals());
  recording.write(EventKind.output, 0, text('hello'));
  await recording.seal('done');
  const open = (identities: string[]): Promise<RecordingReader> => openRecording(archive, 's1', identities);
  for (const identities of [[first.identity], [second.identity], [stranger.identity, second.identity]]) {
    assert.equal((await eventsOf(await open(identities))).length, 1);
  }
  for (const identities of [[], [stranger.identity], ['no identity']]) {
    const reader = await open(identities);
    assert.equal(reader.manifest()?.events, 1, 'header and manifest need no key');
    await assert.rejects(eventsOf(reader), (error) => {
      return (
        error instanceof ContainerError &&
        error.code === 'no-identity' &&
        !error.message.includes('AGE-SECRET')
      );
    });
  }
});

test('recordings of one worker have keys of their own, and share a wrapping for an epoch only', async () => {
  const bed = await makeBed();
  const headers = [];
  for (const id of ['s1', 's2', 's3']) {
    if (id === 's3') await bed.clock.advance(600_000);
    const recording = await bed.recorder.open(initOf(id), new Signals());
    recording.write(EventKind.output, 0, text(id));
    await recording.seal('done');
    const reader = await openRecording(bed.archive, id, [bed.identity.identity]);
    assert.equal((await eventsOf(reader)).length, 1);
    headers.push(reader.header());
  }
  assert.equal(headers[0]?.wrappedKey, headers[1]?.wrappedKey);
  assert.notEqual(headers[0]?.salt, headers[1]?.salt);
  assert.notEqual(headers[1]?.wrappedKey, headers[2]?.wrappedKey);
});

test('a wrapping is over with its time also where nobody asks for the next one', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { recipient } = await generateIdentity();
  // By this clock no time passes.
  const ring = new KeyRing([recipient], () => 0);
  const first = await ring.keyFor('s1');
  t.mock.timers.tick(599_999);
  assert.equal((await ring.keyFor('s2')).wrappedKey, first.wrappedKey);
  t.mock.timers.tick(1);
  assert.notEqual((await ring.keyFor('s3')).wrappedKey, first.wrappedKey);
});

test('a wrapping serves a thousand recordings and no more', async () => {
  const { recipient } = await generateIdentity();
  const ring = new KeyRing([recipient], () => 0);
  const wrapped = new Map<string, number>();
  for (let i = 0; i < 1500; i += 1) {
    const { wrappedKey } = await ring.keyFor(`s${i}`);
    wrapped.set(wrappedKey, (wrapped.get(wrappedKey) ?? 0) + 1);
  }
  assert.deepEqual([...wrapped.values()], [1000, 500]);
});

test('a recorder needs recipients and an Ed25519 key', async () => {
  const archive = new MemoryArchive();
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const options = {
    archive,
    recipients: ['age1nonsense'],
    node: 'n',
    signingKey: privateKey,
    window: WINDOW,
  };
  assert.throws(() => new Recorder({ ...options, recipients: [] }), { code: 'archive-recipient' });
  assert.throws(() => new Recorder({ ...options, signingKey: publicKey }), TypeError);
  await assert.rejects(new Recorder(options).open(initOf('s1'), new Signals()), {
    code: 'archive-recipient',
  });
});

test('identities are read from a file or the environment, and never shown', async () => {
  const { identity } = await generateIdentity();
  assert.deepEqual(parseIdentities(`# created: now\n\n${identity}\r\n${identity}\n`), [identity, identity]);
  process.env['SALLYPORT_TEST_IDENTITY'] = identity;
  assert.deepEqual(await loadIdentities('env:SALLYPORT_TEST_IDENTITY'), [identity]);
  delete process.env['SALLYPORT_TEST_IDENTITY'];
  await assert.rejects(loadIdentities('env:SALLYPORT_TEST_IDENTITY'), /is not set/);
  await assert.rejects(loadIdentities('SALLYPORT_TEST_IDENTITY'), /give file:PATH or env:NAME/);
  assert.throws(
    () => parseIdentities(`x${identity}`),
    (error) => {
      return error instanceof Error && error.message.includes('line 1') && !error.message.includes(identity);
    },
  );
});
