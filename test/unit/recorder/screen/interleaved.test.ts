import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScreenError } from '../../../../recorder/screen/cursor.ts';
import { decodeInterleaved } from '../../../../recorder/screen/interleaved.ts';
import { randomFrom } from '../../../support/random.ts';
import { encodeInterleaved, randomPicture } from './encoders.ts';

function decode(bytes: readonly number[], bits: number, width: number, height: number): number[] {
  const out = new Uint32Array(width * height).fill(0xdead);
  decodeInterleaved(Uint8Array.from(bytes), bits, width, height, out);
  return [...out];
}

const SIZES = [
  [1, 1],
  [1, 70],
  [70, 1],
  [4, 4],
  [7, 3],
  [64, 64],
  [63, 65],
  [300, 9],
] as const;

for (const bits of [8, 15, 16, 24]) {
  test(`what was encoded at ${bits} bits comes out again, whichever orders said it`, () => {
    for (let seed = 0; seed < 200; seed += 1) {
      const random = randomFrom(seed * 31 + bits);
      const [width, height] = SIZES[seed % SIZES.length] ?? [1, 1];
      const picture = randomPicture(random, bits, width, height);
      const encoded = encodeInterleaved(random, bits, picture);
      const out = new Uint32Array(width * height).fill(0xdead);
      decodeInterleaved(encoded, bits, width, height, out);
      assert.deepEqual(out, picture.pixels, `seed ${seed}`);
    }
  });
}

test('an order longer than its short forms, over many lines', () => {
  const flat = new Uint32Array(1000 * 60).fill(7);
  const line = Array.from({ length: 10 }, (_, i) => i);
  // 10 pixels as they are, then 65 background lines in one order.
  assert.deepEqual(
    decode([0x80 | 10, ...line, 0xf0, 0x8a, 0x02], 8, 10, 66),
    Array.from({ length: 66 }, () => line).flat(),
  );
  assert.deepEqual(decode([0xf3, 0x60, 0xea, 7], 8, 1000, 60), [...flat]);
});

test('a second background run begins with a pixel of the foreground, but not where the first line ends', () => {
  assert.deepEqual(decode([0x02, 0x02], 8, 4, 1), [0, 0, 0xff, 0]);
  // 4 background pixels end the first line: the next run is a new beginning.
  assert.deepEqual(decode([0x84, 1, 2, 3, 4, 0x04, 0x04], 8, 4, 3), [1, 2, 3, 4, 1, 2, 3, 4, 0xfe, 2, 3, 4]);
  assert.deepEqual(decode([0x04, 0x04], 8, 4, 2), [0, 0, 0, 0, 0, 0, 0, 0]);
});

test('an order that begins in the first line keeps its meaning beyond it', () => {
  assert.deepEqual(decode([0x82, 5, 6, 0x04, 0x02], 8, 4, 2), [5, 6, 0, 0, 0, 0, 5 ^ 5 ^ 0, 0]);
});

test('hand-made orders of each kind', () => {
  assert.deepEqual(decode([0x61, 0x34, 0x12, 0x23], 16, 4, 1).length, 4, 'colour, then foreground');
  assert.deepEqual(decode([0x61, 0x34, 0x12, 0x23], 16, 4, 1), [0x1234, 0xffff, 0xffff, 0xffff]);
  assert.deepEqual(decode([0xc2, 9, 0x22], 8, 4, 1), [9, 9, 9, 9]);
  assert.deepEqual(decode([0xe2, 1, 2], 8, 4, 1), [1, 2, 1, 2]);
  assert.deepEqual(decode([0x41, 0b10100101], 8, 8, 1), [255, 0, 255, 0, 0, 255, 0, 255]);
  assert.deepEqual(decode([0xd1, 3, 0b11], 8, 8, 1), [3, 3, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual(decode([0xf9], 8, 8, 1), [255, 255, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual(decode([0xfa], 8, 8, 1), [255, 0, 255, 0, 0, 0, 0, 0]);
  assert.deepEqual(decode([0xfd, 0xfe], 15, 2, 1), [0x7fff, 0]);
  assert.deepEqual(decode([0x81, 1, 2, 3, 0xfd], 24, 2, 1), [0x030201, 0xffffff]);
});

for (const [what, bytes, message] of [
  ['writes past the bitmap', [0x05], 'rleOrder at offset 0 writes 5 pixels where 4 are left'],
  ['writes a mask past the bitmap', [0xf9], 'rleOrder at offset 0 writes 8 pixels where 4 are left'],
  ['does not fill the bitmap', [0x03], 'rleStream at offset 1 ends after 3 of 4 pixels'],
  ['is empty', [], 'rleStream at offset 0 ends after 0 of 4 pixels'],
  ['is cut in a length', [0xf0, 4], 'rleOrder at offset 0 is cut in its length'],
  ['is cut in a short length', [0x00], 'rleOrder at offset 0 is cut in its length'],
  ['is cut in pixels', [0x84, 1, 2, 3], 'rleOrder at offset 0 needs 4 pixels'],
  ['is cut in a colour', [0x64], 'rlePixel at offset 1 needs 1 bytes'],
  ['is cut in the second of two colours', [0xe2, 1], 'rlePixel at offset 2 needs 1 bytes'],
  ['is cut in bits', [0xf2, 4, 0], 'rleOrder at offset 0 needs 1 bytes of bits'],
  ['has an order that is none', [0xa1], 'rleOrder at offset 0 is 0xa1, which is none'],
  ['has a mega order that is none', [0xf5, 1, 0], 'rleOrder at offset 0 is 0xf5, which is none'],
] as const) {
  test(`a stream that ${what} is refused`, () => {
    assert.throws(() => decode(bytes, 8, 4, 1), { name: ScreenError.name, message });
  });
}

test('a depth that has no interleaved form is refused', () => {
  assert.throws(() => decode([0xfd], 32, 1, 1), ScreenError);
});
