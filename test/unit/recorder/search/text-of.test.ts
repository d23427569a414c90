import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventKind } from '../../../../recorder/index.ts';
import type { TextEntry } from '../../../../recorder/search/entry.ts';
import { textOf } from '../../../../recorder/search/text-of.ts';
import { collect } from '../bed.ts';
import { recorded, type Step } from '../video/bed.ts';

const { output, errorOutput, input } = EventKind;

async function textIn(steps: readonly Step[], protocol: 'ssh' | 'rdp' = 'ssh'): Promise<TextEntry[]> {
  const reader = await recorded(steps, protocol);
  const batches = await collect(textOf(reader));
  await reader.close();
  return batches.flat();
}

/** `at` in ms, and the text. */
async function linesIn(steps: readonly Step[], protocol: 'ssh' | 'rdp' = 'ssh'): Promise<[number, string][]> {
  return (await textIn(steps, protocol)).map(({ at, text }) => [at / 1000, text]);
}

function out(at: number, text: string, channel = 0): Step {
  return [at, output, Buffer.from(text), channel];
}

function terminal(columns = 40, rows = 5, channel = 0): Step {
  return [0, EventKind.terminal, { term: 'xterm', columns, rows }, channel];
}

test('a line of a terminal is found as it read when it was ended, and once', async () => {
  assert.deepEqual(
    await linesIn([
      terminal(),
      out(100, '\x1b[1m$\x1b[0m '),
      out(200, 'l'),
      out(300, 'sx'),
      out(400, '\b\x1b[K'),
      out(500, ' -la'),
      out(600, '\r\n\x1b[31mtotal\x1b[0m gr'),
      out(700, 'ü'),
      out(800, 'n\r\n'),
      out(5000, '$ '),
    ]),
    [
      [600, '$ ls -la'],
      [800, 'total grün'],
    ],
  );
});

test('a line that wraps is one, and one that scrolls by is not lost', async () => {
  const long = `${'word '.repeat(10)}needle${' end'.repeat(8)}`;
  const many = Array.from({ length: 500 }, (_, i) => `line${i}`);
  const lines = await linesIn([terminal(20, 4), out(1, `${long}\r\n${many.join('\r\n')}\r\n`)]);
  assert.deepEqual(
    lines.map(([, line]) => line),
    [long, ...many],
  );
});

test('lines that scroll by in bulk are found like any others', async () => {
  const lines = Array.from({ length: 2000 }, (_, i) => `line ${i} ${'grün '.repeat(i % 30)}end`);
  const colourful = lines.map((line, i) => `\x1b[3${i % 8}m${line}\x1b[0m\r\n`).join('');
  const prompt = out(0, '$ cat fi');
  const found = async (...steps: readonly Step[]): Promise<string[]> =>
    (await linesIn([terminal(200, 24), prompt, ...steps])).map(([, line]) => line);
  const expected = ['$ cat file', ...lines, '$ done'];
  assert.deepEqual(await found(out(100, `le\r\n${colourful}$ done`)), expected);
  // The same in pieces, cut anywhere, through characters too.
  const bytes = Buffer.from(`le\r\n${colourful}$ done`);
  const pieces = Array.from(
    { length: Math.ceil(bytes.length / 20_001) },
    (_, i): Step => [100 + i, output, bytes.subarray(i * 20_001, (i + 1) * 20_001)],
  );
  assert.deepEqual(await found(...pieces), expected);
  // What is drawn over is no line of text.
  const over = `${'x'.repeat(9)}\rkept one\r\n${'spin\b\b\b\bdone\r\n'.repeat(3000)}`;
  assert.deepEqual(await found(out(100, `le\r\n${over}$ done`)), [
    '$ cat file',
    'kept onex',
    'done',
    '$ done',
  ]);
});

test('what a full-screen program placed is found when it stood, or was wiped', async () => {
  const lines = await linesIn([
    terminal(),
    out(0, 'shell one\r\n'),
    out(1000, '\x1b[?1049h\x1b[2J\x1b[2;3Hfirst page\x1b[4;1Hstatus\x1b[1;1H'),
    out(2000, '\x1b[2J\x1b[2;3Hsecond page\x1b[1;1H'),
    out(2100, '\x1b[?1049l'),
    out(3000, 'shell two\r\n'),
  ]);
  assert.deepEqual(lines, [
    [0, 'shell one'],
    [1000, 'first page'],
    [1000, 'status'],
    [2000, 'second page'],
    [3000, 'shell two'],
  ]);
});

test('what stays on the screen is found once, what comes again later again', async () => {
  const lines = await linesIn([
    terminal(),
    out(0, 'uid=0\r\n$ id\r\n'),
    out(60_000, 'uid=0\r\n'),
    ...Array.from({ length: 20 }, (_, i) => out(61_000 + i, 'yes\r\n')),
  ]);
  assert.deepEqual(lines, [
    [0, 'uid=0'],
    [0, '$ id'],
    [60_000, 'uid=0'],
    [61_000, 'yes'],
  ]);
});

test('a line that is being typed is found when it is done, or stands for seconds', async () => {
  const lines = await linesIn([
    terminal(),
    out(0, 'pass'),
    out(1000, 'phrase'),
    out(9000, ' of'),
    out(9100, ' alice\r\n'),
    out(9200, 'the last words'),
  ]);
  assert.deepEqual(lines, [
    [1000, 'passphrase'],
    [9100, 'passphrase of alice'],
    [9200, 'the last words'],
  ]);
});

test('each channel has a screen of its own, and it ends with the channel', async () => {
  const entries = await textIn([
    terminal(40, 5, 1),
    terminal(40, 5, 2),
    out(10, 'left ', 1),
    out(20, 'right ', 2),
    out(30, 'one', 1),
    [40, EventKind.channelClose, { fromClient: 0, fromTarget: 0 }, 1],
    out(50, 'two', 2),
    [60, EventKind.notice, { text: 'locked by bob\r\n' }, 0xffffffff],
  ]);
  assert.deepEqual(
    entries.map(({ channel, text }) => [channel, text]),
    [
      [1, 'left one'],
      [2, 'right twolocked by bob'],
    ],
  );
});

test('programs without a terminal, commands, files and refused lines', async () => {
  const entries = await textIn([
    [0, EventKind.start, { request: 'exec', command: 'cat /etc/hosts\nid' }],
    [0, EventKind.start, { request: 'subsystem', command: 'sftp' }],
    out(10, '127.0.0.1 local'),
    [11, errorOutput, Buffer.from('\x1b[31mwarn')],
    out(20, 'host\r\nprogress 1\rprogress 2\n'),
    [21, errorOutput, Buffer.from('ing\x1b[0m\n')],
    out(30, `\x7fELF\0binary needle\n${'\xff'.repeat(20)}\n`),
    [31, output, Buffer.from([0xff, 0xfe, 0xfd, 0x61, 0x0a])],
    [40, EventKind.file, { protocol: 'sftp', operation: 'rename', path: '/tmp/a', to: '/tmp/b' }],
    [50, EventKind.file, Buffer.from('no object')],
    out(60, 'no end'),
  ]);
  assert.deepEqual(
    entries.map(({ at, kind, text }) => [at / 1000, kind, text]),
    [
      [0, 'command', 'cat /etc/hosts'],
      [0, 'command', 'id'],
      [20, 'shown', '127.0.0.1 localhost'],
      [20, 'shown', 'progress 1'],
      [20, 'shown', 'progress 2'],
      [21, 'shown', 'warning'],
      [30, 'shown', 'ÿ'.repeat(20)],
      [40, 'file', 'rename /tmp/a → /tmp/b'],
      [60, 'shown', 'no end'],
    ],
  );
});

test('a desktop: what was typed, the clipboard, names of files', async () => {
  const entries = await textIn(
    [
      [0, EventKind.desktop, { width: 64, height: 48, bitsPerPixel: 32 }],
      [10, input, Buffer.from('net uzer<Backspace>')],
      [20, input, Buffer.from('<Backspace><Backspace>ser<Enter>')],
      [30, EventKind.clipboard, { direction: 'to-target', text: 'first\r\nsecond', bytes: 13 }],
      [40, EventKind.clipboard, { direction: 'from-target', files: ['plan.docx', 7], bytes: 0 }],
      [50, EventKind.file, { protocol: 'rdpdr', operation: 'write', path: 'share\\salaries.xlsx' }],
      [60, EventKind.notice, { text: 'your session ends soon' }],
      [70, EventKind.fastPathOutput, Buffer.from('needle')],
    ],
    'rdp',
  );
  assert.deepEqual(
    entries.map(({ at, kind, text }) => [at / 1000, kind, text]),
    [
      [20, 'typed', 'net user'],
      [30, 'clipboard', 'first'],
      [30, 'clipboard', 'second'],
      [40, 'clipboard', 'plan.docx'],
      [50, 'file', 'write share\\salaries.xlsx'],
      [60, 'shown', 'your session ends soon'],
    ],
  );
});

test('output that would cost much is bounded', async () => {
  const hostile = [
    // Wipes without end, lines without end, one line read again and again, sizes without end.
    'x\x1b[2J'.repeat(200),
    '\n'.repeat(100_000),
    'w'.repeat(200_000),
    `${'wrapped '.repeat(2000)}${'\x1b[A\n'.repeat(1000)}`,
  ];
  const entries = await textIn([
    terminal(500, 190),
    ...hostile.map((text, i) => out(i * 1000, text)),
    ...Array.from(
      { length: 100 },
      (_, i): Step => [9000 + i, EventKind.resize, { columns: 2 + 5 * i, rows: 190 }],
    ),
    ...Array.from({ length: 200 }, (_, channel) => terminal(500, 190, channel + 1)).map(
      ([, ...rest]): Step => [10_000, ...rest],
    ),
    out(20_000, '\x1b[2J\x1b[Hstill read\r\n'),
  ]);
  assert.ok(entries.every(({ text }) => text.length <= 4096));
  assert.equal(entries.at(-1)?.text, 'still read');
  assert.ok(entries.length < 500, `${entries.length} entries`);
});
