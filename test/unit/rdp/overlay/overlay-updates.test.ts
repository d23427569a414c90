import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawsOn, nearestIn, paletteOf } from '../../../../gateway/rdp/overlay/overlay-updates.ts';

/** A bitmap update of rectangles with so many bytes each; right and bottom are inside. */
function bitmaps(...rectangles: readonly (readonly [number, number, number, number, number])[]): Uint8Array {
  return Uint8Array.from([
    ...[1, 0, rectangles.length, 0],
    ...rectangles.flatMap(([left, top, right, bottom, bytes]) => [
      ...[left, top, right, bottom, 4, 1, 16, 0, bytes].flatMap((field) => [field, 0]),
      ...new Array<number>(bytes).fill(0xff),
    ]),
  ]);
}

const BOX = { x: 20, y: 30, width: 10, height: 5 };

test('a rectangle draws on a box from its first to its last pixel', () => {
  for (const touching of [
    [0, 0, 20, 30, 0],
    [29, 34, 60, 60, 0],
    [0, 34, 20, 34, 0],
    [25, 32, 25, 32, 0],
    [0, 0, 200, 200, 0],
  ] as const)
    assert.equal(drawsOn(bitmaps(touching), BOX), true, touching.join());
  for (const beside of [
    [0, 0, 19, 60, 0],
    [30, 0, 60, 60, 0],
    [0, 0, 60, 29, 0],
    [0, 35, 60, 60, 0],
  ] as const)
    assert.equal(drawsOn(bitmaps(beside), BOX), false, beside.join());
});

test('all rectangles of an update count, and one that is cut may be anywhere', () => {
  const away = [0, 0, 1, 1, 7] as const;
  assert.equal(drawsOn(bitmaps(away, away, [25, 30, 25, 30, 3]), BOX), true);
  assert.equal(drawsOn(bitmaps(away, away, away), BOX), false);
  const whole = bitmaps(away, away);
  // The last bytes are pixels, which are not looked at.
  for (let length = 0; length < whole.length - 7; length += 1)
    assert.equal(drawsOn(whole.subarray(0, length), BOX), true, `${length} bytes`);
});

test('a palette is read as far as it is one', () => {
  const palette = Uint8Array.of(2, 0, 0, 0, 2, 0, 0, 0, 1, 2, 3, 0xff, 0xfe, 0xfd);
  assert.deepEqual(paletteOf(palette), Uint32Array.of(0x010203, 0xfffefd));
  for (let length = 0; length < palette.length; length += 1)
    assert.equal(paletteOf(palette.subarray(0, length)), undefined);
  assert.equal(paletteOf(Uint8Array.of(2, 0, 0, 0, 1, 1, 0, 0, ...new Uint8Array(771))), undefined);
});

test('the nearest colour is the one least far in all three channels', () => {
  const nearest = nearestIn(Uint32Array.of(0x000000, 0xff0000, 0x808080, 0xffffff));
  assert.deepEqual([0x101010, 0xc01010, 0x909080, 0xf0f0f0, 0xff0000].map(nearest), [0, 1, 2, 3, 1]);
  assert.equal(nearestIn(new Uint32Array())(0x123456), 0);
});
