import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ParameterBound } from '../../../../recorder/terminal/parameter-bound.ts';

/** What 80 × 24 makes of a text that comes in pieces. */
function bounded(...pieces: readonly string[]): string {
  const bound = new ParameterBound();
  bound.resize(80, 24);
  return pieces.map((piece) => bound.filter(piece)).join('');
}

for (const [name, text, expected] of [
  ['a count', '\x1b[2147483647S', '\x1b[255S'],
  ['a count behind CSI as one character', '\x9b99999999b', '\x9b255b'],
  ['each of several', '\x1b[999999;3;70000H', '\x1b[255;3;255H'],
  ['sub-parameters', '\x1b[38:2::300:0:999m', '\x1b[38:2::255:0:255m'],
  ['zeros in front', '\x1b[0000000000000300A', '\x1b[255A'],
  ['a number with controls inside', '\x1b[99\x00\x079999T', '\x1b[99\x00\x07255T'],
  ['modes by their number', '\x1b[?1049h\x1b[?123456h', '\x1b[?1049h\x1b[?9999h'],
  ['a sequence begun anew', '\x1b[12\x1b[\x1b\x1b[999C', '\x1b[12\x1b[\x1b\x1b[255C'],
  ['a sequence called off', '\x1b[12\x1899999', '\x1b[12\x1899999'],
  ['behind a character that ends it', '\x1b[1\ufffd99999', '\x1b[1\ufffd99999'],
  [
    'what is no control sequence',
    '2147483647 \x1b]0;99999\x07 \x1b(0 99999',
    '2147483647 \x1b]0;99999\x07 \x1b(0 99999',
  ],
] as const) {
  test(`numbers are bounded: ${name}`, () => {
    assert.equal(bounded(text), expected);
    assert.equal(bounded(...text), expected, 'in single characters');
  });
}

test('the bound grows with the terminal', () => {
  const bound = new ParameterBound();
  bound.resize(300, 400);
  assert.equal(bound.filter('\x1b[999;399H'), '\x1b[400;399H');
});
