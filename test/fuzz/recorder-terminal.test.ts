/**
 * Hostile terminals: whatever bytes and sizes come, the emulator and the painter go on, the cursor stays on
 * the screen, what is painted piece by piece is what is painted at once, and memory stays bounded.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { EventKind, exportPng, VideoError } from '../../recorder/index.ts';
import { Emulator, Painter } from '../../recorder/terminal/index.ts';
import { type Random, randomFrom } from '../support/random.ts';
import { collect } from '../unit/recorder/bed.ts';
import { output, recorded, type Step } from '../unit/recorder/video/bed.ts';

/** What terminals are driven with, and what only looks like it. */
const PARTS = [
  ...['\x1b[', '\x1b]', '\x1bP', '\x1b', '\u009b', '\x1b\\', '\x07', '\x18', '\x1b#8', '\x1b(0', '\x1bc'],
  ...['0', '1', '8', '25', '1049', '2147483647', ';', ':', '?', '!', '$', ' ', '38;5;', '48:2::1:2:3'],
  ...'HJKLMSTX@PbmhlrsuqtpDE7=>ABCI',
  ...['\r\n', '\t', '\b', '\x0e', '\x0f', '\x00', 'text', '日', 'e\u0301', '😀', '\u200d', '\ue0b0', '█'],
];

function hostile(random: Random): Buffer {
  if (random(5) === 0) return Buffer.from(Array.from({ length: random(60) }, () => random(256)));
  const text = Array.from({ length: random(40) }, () => PARTS[random(PARTS.length)]).join('');
  const bytes = Buffer.from(text);
  return random(4) === 0 ? bytes.subarray(random(bytes.length + 1)) : bytes;
}

test('a terminal follows anything, and is painted piece by piece as at once', () => {
  const random = randomFrom(20_261_122);
  for (let round = 0; round < 60; round++) {
    const terminal = new Emulator(random(40), random(16));
    let painter = new Painter(terminal.columns, terminal.rows);
    for (let step = 0; step < 20; step++) {
      if (random(4) === 0) terminal.resize(random(50), random(20));
      terminal.write(hostile(random));
      const { columns, rows, cursor } = terminal;
      if (painter.columns !== columns || painter.rows !== rows) painter = new Painter(columns, rows);
      painter.paint(terminal);
      if (cursor !== undefined) assert.ok(cursor.column < columns && cursor.row < rows);
      const atOnce = new Painter(columns, rows);
      atOnce.paint(terminal);
      assert.deepEqual(painter.pixels, atOnce.pixels);
    }
  }
});

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function memory(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

for (const [name, text] of [
  ['marks on one character', '\u0301'],
  ['links', '\x1b]8;;http://example.org/\x07a\r'],
  ['repeated characters with marks', `a${'\u0301'.repeat(60)}\x1b[2147483647b`],
  ['colours of underlines', '\x1b[4:3;58:2::1:2:3mx'],
  ['lines', 'x\n'],
] as const) {
  test(`memory stays bounded: ${name}`, () => {
    const terminal = new Emulator(80, 24);
    const piece = Buffer.from(text.repeat(Math.ceil(50_000 / text.length)));
    terminal.write(piece);
    const before = memory();
    for (let bytes = 0; bytes < 2_000_000; bytes += piece.length) terminal.write(piece);
    const grown = memory() - before;
    assert.ok(grown < 4_000_000, `${grown} bytes more after 2 MB`);
  });
}

test('recordings of terminals that never were end with a picture or words', async () => {
  const random = randomFrom(4422);
  const kinds = [EventKind.terminal, EventKind.resize, EventKind.notice, EventKind.output, EventKind.input];
  const sizes = [-1, 0, 1, 2, 80, 65_535, 65_536, 1e9, 1.5, '80', null];
  const size = () => sizes[random(sizes.length)];
  for (let round = 0; round < 40; round++) {
    const steps = Array.from({ length: 1 + random(12) }, (_, at): Step => {
      const kind = kinds[random(kinds.length)] ?? EventKind.output;
      if (random(3) === 0) return output(at, hostile(random).toString('latin1'));
      if (random(3) === 0) return [at, kind, hostile(random)];
      return [at, kind, { columns: size(), rows: random(3) === 0 ? size() : 24, text: 'x' }];
    });
    const pictures = collect(exportPng(await recorded(steps, 'ssh')));
    await pictures.then(
      ([picture]) => assert.equal(picture?.[0], 0x89),
      (error) => assert.ok(error instanceof VideoError, String(error)),
    );
  }
});
