import assert from 'node:assert/strict';
import { test } from 'node:test';
import { font } from '../../../../recorder/font/font.ts';
import { glyphOf } from '../../../../recorder/terminal/glyphs.ts';

function drawn(character: string, cells = 1): string[] {
  const rows = glyphOf(character.codePointAt(0) ?? 0, cells, false);
  return Array.from({ length: 16 }, (_, y) =>
    Array.from({ length: cells * 8 }, (_, x) =>
      ((rows[y * cells + (x >> 3)] ?? 0) & (0x80 >> (x & 7))) === 0 ? ' ' : '#',
    )
      .join('')
      .trimEnd(),
  );
}

test('the font draws what it has, regular and bold', () => {
  for (const character of 'aß│⣿') {
    const codePoint = character.codePointAt(0) ?? 0;
    assert.equal(glyphOf(codePoint, 1, false), font(16).glyph(codePoint));
    assert.equal(glyphOf(codePoint, 1, true), font(16, 'bold').glyph(codePoint));
  }
});

test('a wide character that the font has not is its number', () => {
  assert.deepEqual(drawn('日', 2), [
    '###############',
    '',
    '    ### ###',
    '    #   #',
    '    ### ###',
    '    # #   #',
    '    ### ###',
    '',
    '',
    '    ### ###',
    '    #   #',
    '    ##  ###',
    '    #     #',
    '    ### ###',
    '',
    '###############',
  ]);
  assert.equal(drawn('🚀', 2)[2], '  ###  #  ###');
});

test('a narrow one too; where six digits have no room, a replacement character', () => {
  assert.deepEqual(drawn('❯').slice(0, 8), [
    '#######',
    '',
    '### ###',
    '  #   #',
    '###   #',
    '#     #',
    '###   #',
    '',
  ]);
  assert.deepEqual(glyphOf(0x1d400, 1, false), font(16).glyph(0xfffd));
});

test('quarters of a cell are drawn, and dashed lines as solid ones', () => {
  const [upper, lower] = [drawn('▚')[0], drawn('▚')[15]];
  assert.deepEqual([upper, lower], ['####', '    ####']);
  assert.deepEqual([drawn('▟')[7], drawn('▟')[8]], ['    ####', '########']);
  assert.deepEqual(drawn('▖')[0], '');
  assert.deepEqual(drawn('┄'), drawn('─'));
});
