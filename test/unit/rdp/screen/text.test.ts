import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cellsOf, fit, fitEnds, wrap } from '../../../../gateway/rdp/screen/text.ts';

test('text that fits stays, what does not ends with an ellipsis', () => {
  assert.equal(fit('win01', 5), 'win01');
  assert.equal(fit('win012', 5), 'win0…');
  assert.equal(fit('😀😀😀', 3), '😀😀😀');
  assert.equal(fit('😀😀😀😀', 3), '😀😀…');
  assert.equal(fit('abc', 0), '');
  assert.equal(fitEnds('account@system', 14), 'account@system');
  assert.equal(fitEnds('account@system', 9), 'acco…stem');
  assert.equal(fitEnds('account@system', 2), 'a…');
});

test('lines break at spaces and line ends', () => {
  assert.deepEqual(wrap('one two three', 8, 9), ['one two', 'three']);
  assert.deepEqual(wrap('one\n\ntwo\r\nthree', 8, 9), ['one', '', 'two', 'three']);
  assert.deepEqual(wrap('  one\t two ', 8, 9), ['one two']);
  assert.deepEqual(wrap('', 8, 9), []);
  assert.deepEqual(wrap('one', 0, 9), []);
  assert.deepEqual(wrap('one', 8, 0), []);
});

test('a word longer than a line is cut, and nothing of it is lost', () => {
  const word = 'x'.repeat(37);
  assert.deepEqual(wrap(`a ${word} b`, 10, 9), [
    'a',
    'x'.repeat(10),
    'x'.repeat(10),
    'x'.repeat(10),
    'xxxxxxx b',
  ]);
});

test('the last line says that more was to come', () => {
  assert.deepEqual(wrap('one two three four', 5, 2), ['one', 'two…']);
  assert.deepEqual(wrap('abcde fghij klmno', 5, 2), ['abcde', 'fghi…']);
  const huge = wrap('word '.repeat(100_000), 20, 100_000);
  assert.ok(huge.length < 1000);
  assert.match(huge.at(-1) ?? '', /…$/);
});

test('no line is wider than it may be', () => {
  const text = 'Łódź is a city, and https://example.org/a/very/long/address is not – “quoted” 😀😀😀';
  for (let cells = 1; cells < 40; cells++)
    for (let lines = 1; lines < 12; lines++) {
      const wrapped = wrap(text, cells, lines);
      assert.ok(wrapped.length <= lines);
      for (const line of wrapped) assert.ok(cellsOf(line) <= cells, `"${line}" in ${cells}`);
    }
});
