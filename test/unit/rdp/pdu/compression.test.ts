/** What the gateway compresses, decompressed by the recorder, which is another's work. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeInterleaved } from '../../../../gateway/rdp/pdu/interleaved.ts';
import { encodePlanar } from '../../../../gateway/rdp/pdu/planar.ts';
import { decodeInterleaved } from '../../../../recorder/screen/interleaved.ts';
import { PlanarDecoder } from '../../../../recorder/screen/planar.ts';
import { randomFrom } from '../../../support/random.ts';
import { randomPicture } from '../../recorder/screen/encoders.ts';
import { toHex } from './hex.ts';

const random = randomFrom(11);
const SIZES = [
  [4, 1],
  [4, 9],
  [64, 64],
  [1021, 16],
] as const;

for (const bits of [8, 15, 16, 24])
  test(`interleaved RLE of ${bits} bits comes back as it was`, () => {
    for (let n = 0; n < 60; n += 1) {
      const [width = 0, height = 0] = SIZES[n % SIZES.length] ?? [];
      const { pixels } = randomPicture(random, bits, width, height);
      const back = new Uint32Array(pixels.length);
      decodeInterleaved(encodeInterleaved(pixels, width, (bits + 7) >> 3), bits, width, height, back);
      assert.deepEqual(back, pixels);
    }
  });

test('planar compression comes back as it was, opaque', () => {
  const decoder = new PlanarDecoder();
  for (let n = 0; n < 120; n += 1) {
    const [width = 0, height = 0] = SIZES[n % SIZES.length] ?? [];
    const { pixels } = randomPicture(random, 24, width, height);
    const back = new Uint32Array(pixels.length);
    decoder.decode(encodePlanar(pixels, width, n % 3 === 0), width, height, back);
    const shown = back.map((pixel) => ((pixel & 0xff) << 16) | (pixel & 0xff00) | ((pixel >> 16) & 0xff));
    assert.deepEqual(shown, pixels);
  }
});

test('runs have the shortest form that their length fits into', () => {
  const lengths = [4, 31, 32, 287, 288, 65_535];
  const forms = lengths.map((length) => toHex(encodeInterleaved(new Uint32Array(length).fill(7), length, 1)));
  assert.deepEqual(forms, ['6407', '7f07', '600007', '60ff07', 'f3200107', 'f3ffff07']);
  // A row, and one like it; three pixels are spelled out.
  const rows = Uint32Array.of(1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 5);
  assert.equal(toHex(encodeInterleaved(rows, 4, 1)), '8401020304078105');
  assert.throws(
    () => encodeInterleaved(new Uint32Array(65_536), 4, 1),
    /would have 65536 pixels, at most 65535/,
  );
});

test('planes repeat up to 47 values at once, and never one or two', () => {
  const encoded = (values: readonly number[], skipAlpha = false): string =>
    toHex(
      encodePlanar(
        Uint32Array.from(values, (value) => value * 0x010101),
        values.length,
        skipAlpha,
      ),
    );
  const zeros = (length: number): number[] => new Array<number>(length).fill(0);
  // The format, the alpha, three planes.
  assert.equal(encoded(zeros(15)), `101eff${'0f'.repeat(3)}`);
  assert.equal(encoded(zeros(15), true), `30${'0f'.repeat(3)}`);
  assert.equal(encoded(zeros(31)), `101fff0f${'f1'.repeat(3)}`);
  assert.equal(encoded([...zeros(47), 9, 9]), `101fff12${'f2200909'.repeat(3)}`);
});
