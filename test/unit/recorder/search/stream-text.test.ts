import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StreamText } from '../../../../recorder/search/stream-text.ts';
import { seeded } from '../../../support/random.ts';

/** The lines found in pieces of a stream. */
function linesOf(...pieces: readonly (string | Uint8Array)[]): string[] {
  const lines: string[] = [];
  const stream = new StreamText((_, text) => lines.push(text));
  for (const piece of pieces) stream.write(0, Buffer.from(piece));
  stream.end();
  return lines;
}

test('what is around an archive is found, and nothing of the archive', () => {
  const random = seeded(1);
  // Every byte is a letter or NUL: but for the NULs all of it would be words.
  const archive = Buffer.from(
    Array.from({ length: 32_768 }, () => (random() < 0.01 ? 0 : 97 + 26 * random())),
  );
  archive.set(Buffer.from('\nlooks like a line\n'), 9_000);
  assert.deepEqual(linesOf('before\nhalf a li', archive, 'ne\nbehind\n'), [
    'before',
    'half a li',
    'ne',
    'behind',
  ]);
});

test('half a character before an archive is not put before what comes behind', () => {
  assert.deepEqual(linesOf(Buffer.of(0xc3), Buffer.alloc(4_096), 'behind\n'), ['behind']);
});

test('text with a NUL now and then is text', () => {
  const lines = Array.from({ length: 1_000 }, (_, n) => `line number ${n}`);
  const bytes = Buffer.from(`${lines.join('\n')}\n`);
  assert.ok(bytes.length > 8_192);
  bytes[5] = 0;
  assert.deepEqual(linesOf(bytes), lines.slice(1));
});

test('a few bytes are looked at whatever they are', () => {
  assert.deepEqual(linesOf('\0\0\0\0\na line\n\0'), ['a line']);
});
