import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  EventKind,
  exportCast,
  exportJsonLines,
  exportText,
  openRecording,
  play,
  type RecordingReader,
} from '../../../recorder/index.ts';
import { collect, initOf, makeBed, Signals, STARTED_AT, text } from './bed.ts';
import { archived } from './video/bed.ts';

type Step = readonly [
  afterMs: number,
  kind: EventKind,
  channel: number,
  payload: Uint8Array | object | string,
];

async function recorded(steps: readonly Step[]): Promise<RecordingReader> {
  const bed = await makeBed();
  const recording = await bed.recorder.open(initOf('s1'), new Signals());
  for (const [afterMs, kind, channel, payload] of steps) {
    await bed.clock.advance(afterMs);
    if (typeof payload === 'string') recording.write(kind, channel, text(payload));
    else if (payload instanceof Uint8Array) recording.write(kind, channel, payload);
    else recording.note(kind, channel, payload);
  }
  await recording.seal('done');
  return await openRecording(bed.archive, 's1', [bed.identity.identity]);
}

async function castOf(reader: RecordingReader, channel?: number): Promise<unknown[]> {
  const whole = (await collect(exportCast(reader, channel === undefined ? {} : { channel }))).join('');
  assert.ok(whole.endsWith('\n'));
  return whole
    .slice(0, -1)
    .split('\n')
    .map((line): unknown => JSON.parse(line));
}

async function textOf(reader: RecordingReader, channel?: number): Promise<string> {
  const pieces = await collect(exportText(reader, channel === undefined ? {} : { channel }));
  return Buffer.concat(pieces).toString();
}

const SHELL: readonly Step[] = [
  [0, EventKind.channelOpen, 0, { type: 'session', openedBy: 'client' }],
  [0, EventKind.output, 0, 'early exec'],
  [100, EventKind.terminal, 1, { term: 'xterm-256color', columns: 132, rows: 43 }],
  [0, EventKind.start, 1, { request: 'shell' }],
  [400, EventKind.output, 1, '$ '],
  [500, EventKind.input, 1, 'ls\r'],
  [25, EventKind.output, 1, 'a.txt\r\n'],
  [0, EventKind.output, 2, 'forwarded bytes'],
  [1000, EventKind.resize, 1, { columns: 100, rows: 30 }],
  [0, EventKind.notice, 1, { text: 'locked\r\n' }],
  [0, EventKind.exit, 1, { status: 0 }],
];
const HEADER = {
  version: 2,
  width: 132,
  height: 43,
  timestamp: STARTED_AT / 1000,
  title: 'root@web01',
  env: { TERM: 'xterm-256color' },
};

test('a terminal becomes an asciicast', async () => {
  assert.deepEqual(await castOf(await recorded(SHELL)), [
    HEADER,
    [0.5, 'o', '$ '],
    [1, 'i', 'ls\r'],
    [1.025, 'o', 'a.txt\r\n'],
    [2.025, 'r', '100x30'],
    [2.025, 'o', 'locked\r\n'],
  ]);
});

test('the text of a terminal is what it was sent', async () => {
  const reader = await recorded(SHELL);
  assert.equal(await textOf(reader), '$ a.txt\r\nlocked\r\n');
  assert.equal(await textOf(reader, 0), 'early exec');
  assert.equal(await textOf(reader, 9), '');
});

test('without a terminal the first program is exported, both its outputs', async () => {
  const reader = await recorded([
    [0, EventKind.channelOpen, 3, { type: 'session', openedBy: 'client' }],
    [0, EventKind.input, 3, 'stdin'],
    [1, EventKind.output, 3, 'out '],
    [1, EventKind.errorOutput, 3, 'err '],
    [1, EventKind.output, 4, 'other'],
  ]);
  assert.equal(await textOf(reader), 'out err ');
  assert.deepEqual(await castOf(reader), [
    { version: 2, width: 80, height: 24, timestamp: STARTED_AT / 1000, title: 'root@web01' },
    [0, 'i', 'stdin'],
    [0.001, 'o', 'out '],
    [0.002, 'o', 'err '],
  ]);
});

test('a recording in which nothing was shown is an empty cast', async () => {
  const reader = await recorded([[0, EventKind.refusal, 0, { request: 'x11', reason: 'policy' }]]);
  assert.equal((await castOf(reader)).length, 1);
  assert.equal(await textOf(reader), '');
});

test('characters split over events are joined, broken ones replaced', async () => {
  const euro = Buffer.from('€');
  const reader = await recorded([
    [0, EventKind.terminal, 0, { columns: 80, rows: 24 }],
    [0, EventKind.output, 0, euro.subarray(0, 1)],
    [1, EventKind.input, 0, Buffer.from('é').subarray(0, 1)],
    [1, EventKind.output, 0, euro.subarray(1)],
    [1, EventKind.input, 0, Buffer.from('é').subarray(1)],
    [1, EventKind.output, 0, Buffer.from([0xff, 0x41])],
    [1, EventKind.output, 0, euro.subarray(0, 2)],
  ]);
  assert.deepEqual((await castOf(reader)).slice(1), [
    [0.002, 'o', '€'],
    [0.003, 'i', 'é'],
    [0.004, 'o', '\ufffdA'],
    [0.005, 'o', '\ufffd'],
  ]);
});

test('sizes that no terminal has are left out', async () => {
  const reader = await recorded([
    [0, EventKind.terminal, 0, { term: 'dumb', columns: 0, rows: 0 }],
    [0, EventKind.resize, 0, { columns: 1e9, rows: 3 }],
    [0, EventKind.resize, 0, 'no json'],
    [0, EventKind.output, 0, 'x'],
  ]);
  assert.deepEqual(await castOf(reader), [
    { version: 2, width: 80, height: 24, timestamp: STARTED_AT / 1000, title: 'root@web01' },
    [0, 'o', 'x'],
  ]);
});

test('every event becomes a line of JSON', async () => {
  const reader = await recorded([
    [0, EventKind.terminal, 0, { columns: 80, rows: 24 }],
    [1500, EventKind.output, 0, 'grün'],
    [0, EventKind.output, 1, Buffer.from([0xff, 0x00])],
    [0, EventKind.exit, 1, 'not json'],
  ]);
  const lines = (await collect(exportJsonLines(reader))).map((line): unknown => JSON.parse(line));
  assert.deepEqual(lines, [
    {
      at: 0,
      time: '2026-11-21T10:30:45.000Z',
      kind: 'terminal',
      channel: 0,
      data: { columns: 80, rows: 24 },
    },
    { at: 1_500_000, time: '2026-11-21T10:30:46.500Z', kind: 'output', channel: 0, text: 'grün' },
    { at: 1_500_000, time: '2026-11-21T10:30:46.500Z', kind: 'output', channel: 1, base64: '/wA=' },
    { at: 1_500_000, time: '2026-11-21T10:30:46.500Z', kind: 'exit', channel: 1, text: 'not json' },
  ]);
  assert.equal((await collect(exportJsonLines(reader, { channel: 1 }))).length, 2);
});

async function played(
  reader: RecordingReader,
  speed: number,
  maxIdle?: number,
): Promise<(number | string)[]> {
  const log: (number | string)[] = [];
  await play(reader, {
    write: (bytes) => void log.push(Buffer.from(bytes).toString()),
    sleep: async (ms) => void log.push(ms),
    speed,
    maxIdle,
  });
  return log;
}

test('a replay keeps the pace, scaled, with long waits shortened', async () => {
  const reader = await recorded(SHELL);
  assert.deepEqual(await played(reader, 1), [500, '$ ', 525, 'a.txt\r\n', 1000, 'locked\r\n']);
  assert.deepEqual(await played(reader, 2), [250, '$ ', 262.5, 'a.txt\r\n', 500, 'locked\r\n']);
  assert.deepEqual(await played(reader, 1, 510), [500, '$ ', 510, 'a.txt\r\n', 510, 'locked\r\n']);
  await assert.rejects(played(reader, 0), RangeError);
});

test('waits shorter than a millisecond add up', async () => {
  const reader = await recorded([
    [0, EventKind.terminal, 0, { columns: 80, rows: 24 }],
    [1, EventKind.output, 0, 'a'],
    [1, EventKind.output, 0, 'b'],
    [1, EventKind.output, 0, 'c'],
    [1, EventKind.output, 0, 'd'],
  ]);
  assert.deepEqual(await played(reader, 2), ['a', 1, 'b', 'c', 1, 'd']);
});

test('a part of a recording is what came between its ends', async () => {
  const reader = await recorded(SHELL);
  const part = { from: 1_000_000, to: 2_025_000 };
  assert.equal(Buffer.concat(await collect(exportText(reader, part))).toString(), 'a.txt\r\n');
  const cast = (await collect(exportCast(reader, part))).join('').trimEnd().split('\n');
  assert.deepEqual(
    cast.map((line): unknown => JSON.parse(line)),
    [{ ...HEADER, timestamp: STARTED_AT / 1000 + 1 }, [0, 'i', 'ls\r'], [0.025, 'o', 'a.txt\r\n']],
  );
  const later = (await collect(exportCast(reader, { from: 2_025_001 }))).join('');
  assert.deepEqual(JSON.parse(later), {
    ...HEADER,
    width: 100,
    height: 30,
    timestamp: STARTED_AT / 1000 + 2,
  });
  const progress: number[] = [];
  const onProgress = (at: number, duration: number): void => void progress.push(at / duration);
  assert.equal((await collect(exportJsonLines(reader, { ...part, onProgress }))).length, 3);
  assert.deepEqual(progress, [1000 / 2025, 1025 / 2025, 1025 / 2025]);
});

test('a replay from a moment on begins with the screen of that moment', async () => {
  const reader = await recorded(SHELL);
  const log: (number | string)[] = [];
  await play(reader, {
    write: (bytes) => void log.push(Buffer.from(bytes).toString()),
    sleep: async (ms) => void log.push(ms),
    speed: 1,
    from: 1_500_000,
    to: 2_100_000,
    onLeftOut: () => assert.fail('nothing is left out of a short recording'),
  });
  assert.deepEqual(log, ['$ ', 'a.txt\r\n', 525, 'locked\r\n']);
});

test('a replay from a late moment of a long recording reads a part of it', async () => {
  const { archive, identity } = await archived(
    [
      [0, EventKind.terminal, { columns: 80, rows: 24 }],
      ...Array.from({ length: 160 }, (_, i): [number, EventKind, Uint8Array] => [
        1000 * (i + 1),
        EventKind.output,
        randomBytes(100 * 1024),
      ]),
    ],
    'ssh',
  );
  const reader = await openRecording(archive, 's1', [identity]);
  archive.bytesRead = 0;
  let leftOut = 0;
  let written = 0;
  await play(reader, {
    write: (bytes) => {
      written += bytes.length;
    },
    sleep: () => assert.fail('nothing comes behind it'),
    speed: 1,
    from: 150_500_000,
    to: 150_900_000,
    onLeftOut: (until) => {
      leftOut = until;
    },
  });
  assert.ok(written >= 5 * 100 * 1024 && written <= 12 * 100 * 1024, `${written} bytes written`);
  assert.ok(leftOut > 138_000_000 && leftOut < 147_000_000, `${leftOut} µs left out`);
  assert.ok(archive.bytesRead < 5 * 1024 * 1024, `${archive.bytesRead} bytes read`);
});

test('a replay stops when it is aborted', async () => {
  const reader = await recorded(SHELL);
  const stop = new AbortController();
  const log: string[] = [];
  await play(reader, {
    write: (bytes) => {
      log.push(Buffer.from(bytes).toString());
      stop.abort();
    },
    sleep: async () => {},
    speed: 1,
    signal: stop.signal,
  });
  assert.deepEqual(log, ['$ ']);
});
