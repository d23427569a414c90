import assert from 'node:assert/strict';
import { hash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Scribe } from '../../../recorder/container/scribe.ts';
import { ChunkPool } from '../../../recorder/container/segment-buffer.ts';
import { EventKind, openRecording } from '../../../recorder/index.ts';
import { eventsOf, initOf, makeBed, Signals, until } from './bed.ts';

const MIB = 1024 ** 2;

test('streams side by side get the digests of their own bytes, whatever their pieces', async () => {
  const scribe = new Scribe(new ChunkPool());
  let behind = 0;
  const streams = [0, 1, 4095, MIB - 1, MIB, 11 * MIB + 7].map((length, i) => ({
    bytes: randomBytes(length),
    piece: [1, 1, 100, 32_768, MIB + 1, 99_999][i] ?? 1,
    stream: scribe.stream((bytes) => {
      behind += bytes;
    }),
  }));
  for (let at = 0, more = true; more; at += 1) {
    more = false;
    for (const { bytes, piece, stream } of streams) {
      if (at * piece >= bytes.length) continue;
      const copy = Buffer.from(bytes.subarray(at * piece, (at + 1) * piece));
      stream.update(copy);
      copy.fill(0);
      more = true;
    }
  }
  const digests = await Promise.all(
    streams.map(({ stream }) => new Promise<string>((resolve) => stream.digest(resolve))),
  );
  assert.deepEqual(
    digests,
    streams.map(({ bytes }) => hash('sha256', bytes)),
  );
  assert.equal(behind, 0);
});

test('a short stream has its digest at once', () => {
  const stream = new Scribe(new ChunkPool()).stream(() => {});
  stream.update(Buffer.from('abc'));
  let digest = '';
  stream.digest((sha256) => {
    digest = sha256;
  });
  assert.equal(digest, hash('sha256', 'abc'));
});

test('a session that is faster than its hash is paused, and goes on', async () => {
  const bed = await makeBed();
  const signals = new Signals();
  const recording = await bed.recorder.open(initOf('s1'), signals);
  const stream = recording.hashStream();
  const piece = randomBytes(MIB);
  let sent = 0;
  while (!recording.paused) {
    stream.update(piece);
    sent += 1;
    assert.ok(sent < 100, 'nothing bounds it');
  }
  await until(() => !recording.paused);
  assert.ok(sent <= 5, `${sent} MiB were waiting`);
  await recording.seal('over');
});

test('a seal waits for the digests that were asked for', async () => {
  const bed = await makeBed();
  const recording = await bed.recorder.open(initOf('s1'), new Signals());
  const stream = recording.hashStream();
  const bytes = randomBytes(2 * MIB);
  stream.update(bytes);
  stream.digest((sha256) => recording.note(EventKind.digest, 3, { sha256 }));
  const summary = await recording.seal('over');
  assert.equal(summary.sealed, true);
  const reader = await openRecording(bed.archive, 's1', [bed.identity.identity]);
  const events = await eventsOf(reader);
  assert.deepEqual(
    events.map(({ kind, channel, payload }) => [kind, channel, Buffer.from(payload).toString()]),
    [[EventKind.digest, 3, JSON.stringify({ sha256: hash('sha256', bytes) })]],
  );
});
