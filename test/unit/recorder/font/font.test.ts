import assert from 'node:assert/strict';
import { test } from 'node:test';
import { doubled, type Font, font } from '../../../../recorder/font/font.ts';

const rows = (of: Font, character: string) => {
  const glyph = of.glyph(character.codePointAt(0) ?? 0);
  return Array.from({ length: of.height }, (_, y) =>
    Array.from({ length: of.width }, (_, x) =>
      ((glyph[y * of.stride + (x >> 3)] ?? 0) & (0x80 >> (x & 7))) === 0 ? ' ' : '#',
    ).join(''),
  );
};

test('a glyph is the picture of its character', () => {
  assert.deepEqual(rows(font(16), 'L').slice(2, 12), [
    ' #      ',
    ' #      ',
    ' #      ',
    ' #      ',
    ' #      ',
    ' #      ',
    ' #      ',
    ' #      ',
    ' #      ',
    ' ###### ',
  ]);
});

for (const size of [16, 24, 32] as const) {
  test(`the ${size} pixel font covers what names and messages are written in`, () => {
    const regular = font(size);
    assert.equal(regular.height, size);
    assert.equal(regular.width, size / 2);
    const missing = regular.glyph(0xfffd);
    const wanted: number[] = [];
    for (let point = 0x21; point < 0x7f; point++) wanted.push(point);
    for (let point = 0xa1; point < 0x180; point++) wanted.push(point);
    for (const character of '…–—’‘“”•●€™←↑→↓ЖжΩω') wanted.push(character.codePointAt(0) ?? 0);
    for (const point of wanted) {
      assert.notEqual(regular.glyph(point), missing, `U+${point.toString(16)}`);
      if (point !== 0xad) assert.ok(regular.glyph(point).some(Boolean), `U+${point.toString(16)} is empty`);
    }
  });

  test(`the ${size} pixel font says what it has, and draws the rest as a replacement character`, () => {
    assert.notDeepEqual(font(size, 'bold').glyph(0x41), font(size).glyph(0x41));
    assert.deepEqual(
      [0x41, 0xdf, 0x4e00].map((point) => font(size, 'bold').has(point)),
      [true, true, false],
    );
    const missing = font(size).glyph(0xfffd);
    assert.equal(font(size, 'bold').glyph(0x4e00), missing);
  });
}

test('where bold has no glyph, the regular one stands in', () => {
  for (const size of [24, 32] as const) assert.equal(font(size, 'bold').glyph(0xdf), font(size).glyph(0xdf));
});

test('the smallest font draws the boxes, blocks and Braille of terminals, in both weights', () => {
  for (const weight of ['regular', 'bold'] as const) {
    const drawn = font(16, weight);
    for (const character of '─│┌┐└┘├┤┬┴┼═║╔╗╚╝╭╮╯╰▀▄█▌▐░▒▓⠁⣿\ue0b0')
      assert.ok(drawn.has(character.codePointAt(0) ?? 0), character);
    assert.deepEqual(new Set(rows(drawn, '█')), new Set(['########']));
  }
});

test('a doubled font has each pixel four times', () => {
  const once = rows(font(24), 'g');
  const twice = once.flatMap((row) => {
    const wide = [...row].map((pixel) => pixel + pixel).join('');
    return [wide, wide];
  });
  assert.deepEqual(rows(doubled(font(24)), 'g'), twice);
});
