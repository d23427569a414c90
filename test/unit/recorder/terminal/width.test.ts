import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joining, widthOf } from '../../../../recorder/terminal/width.ts';

const widths = (text: string): number[] =>
  Array.from(text, (character) => widthOf(character.codePointAt(0) ?? 0));

test('characters take as many cells as C libraries count', () => {
  assert.deepEqual(widths('aZ~äßЖΩ│█\u00ad€'), Array(11).fill(1));
  assert.deepEqual(widths('日本語한글！「🚀😀𠀀'), Array(10).fill(2));
  assert.deepEqual(widths('\u0301\u200d\u200b\ufe0f\u0000\u009f\u1160\u{e0100}'), Array(8).fill(0));
  // Known the second time.
  assert.deepEqual(widths('日ä\u0301'), [2, 1, 0]);
});

test('marks join a character, with its width, up to as many as any language has', () => {
  const mark = 0x301;
  const wide = joining('日'.codePointAt(0) ?? 0, 0);
  assert.equal(wide, 2 << 1);
  assert.equal(joining(mark, wide) & 7, (2 << 1) | 1);
  assert.equal(joining(mark, 0), 0, 'nothing to join');
  assert.equal(joining(0x61, wide), 1 << 1);
  let state = joining(0x61, 0);
  for (let marks = 0; marks < 30; marks++) {
    state = joining(mark, state);
    assert.equal(state & 1, 1);
  }
  assert.equal(joining(mark, state) & 1, 0);
});
