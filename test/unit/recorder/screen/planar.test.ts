import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScreenError } from '../../../../recorder/screen/cursor.ts';
import { PlanarDecoder } from '../../../../recorder/screen/planar.ts';
import { type Random, randomFrom } from '../../../support/random.ts';
import { encodePlane, randomPicture } from './encoders.ts';

const SIZES = [
  [1, 1],
  [1, 50],
  [50, 1],
  [3, 5],
  [64, 64],
  [47, 33],
  [300, 4],
] as const;

function randomPlane(random: Random, width: number, height: number): Uint8Array {
  return Uint8Array.from(randomPicture(random, 8, width, height).pixels);
}

function stream(random: Random, header: number, planes: readonly [Uint8Array, number][]): Uint8Array {
  const encoded = (header & 0x10) !== 0;
  const bytes = planes.flatMap(([plane, width]) =>
    encoded ? encodePlane(random, plane, width) : [...plane],
  );
  return Uint8Array.from([header, ...bytes, ...(encoded ? [] : [0])]);
}

const decoder = new PlanarDecoder();

test('planes of red, green and blue come out again, encoded or not, with alpha or without', () => {
  for (let seed = 0; seed < 200; seed += 1) {
    const random = randomFrom(seed);
    const [width, height] = SIZES[seed % SIZES.length] ?? [1, 1];
    const header = [0x00, 0x10, 0x20, 0x30][random(4)] ?? 0;
    const [alpha, red, green, blue] = [0, 1, 2, 3].map(() => randomPlane(random, width, height));
    assert.ok(alpha !== undefined && red !== undefined && green !== undefined && blue !== undefined);
    const planes = (header & 0x20) !== 0 ? [red, green, blue] : [alpha, red, green, blue];
    const out = new Uint32Array(width * height);
    decoder.decode(
      stream(
        random,
        header,
        planes.map((plane) => [plane, width]),
      ),
      width,
      height,
      out,
    );
    const expected = Uint8Array.from({ length: 4 * width * height }, (_, i) =>
      i % 4 === 3 ? 255 : ([red, green, blue][i % 4]?.[i >> 2] ?? 0),
    );
    assert.deepEqual(new Uint8Array(out.buffer), expected, `seed ${seed}`);
  }
});

test('planes that are the same three times are grey; where one differs in its last value, it shows', () => {
  for (let seed = 0; seed < 60; seed += 1) {
    const random = randomFrom(seed);
    const [width, height] = SIZES[seed % SIZES.length] ?? [1, 1];
    const header = [0x00, 0x10, 0x20, 0x30][random(4)] ?? 0;
    const grey = randomPlane(random, width, height);
    const other = Uint8Array.from(grey);
    other[grey.length - 1] = (grey.at(-1) ?? 0) ^ 1;
    // With one state of the encoder's whims, same planes are coded the same.
    const coded = (plane: Uint8Array): number[] =>
      (header & 0x10) === 0 ? [...plane] : encodePlane(randomFrom(seed), plane, width);
    const alpha = (header & 0x20) !== 0 ? [] : coded(randomPlane(random, width, height));
    const variants: (readonly [Uint8Array, Uint8Array, Uint8Array])[] = [
      [grey, grey, grey],
      [grey, other, grey],
      [grey, grey, other],
      [other, grey, grey],
    ];
    for (const planes of variants) {
      const padding = (header & 0x10) === 0 ? [0] : [];
      const source = Uint8Array.from([header, ...alpha, ...planes.flatMap(coded), ...padding]);
      const out = new Uint32Array(width * height);
      decoder.decode(source, width, height, out);
      const expected = Uint8Array.from({ length: 4 * width * height }, (_, i) =>
        i % 4 === 3 ? 255 : (planes[i % 4]?.[i >> 2] ?? 0),
      );
      assert.deepEqual(new Uint8Array(out.buffer), expected, `seed ${seed}`);
    }
    const cut = Uint8Array.from([
      header,
      ...alpha,
      ...coded(grey),
      ...coded(grey),
      ...coded(grey).slice(0, -1),
    ]);
    assert.throws(() => decoder.decode(cut, width, height, new Uint32Array(width * height)), ScreenError);
  }
});

test('planes of luma and chroma, at each colour loss level, whole or subsampled', () => {
  for (let seed = 0; seed < 200; seed += 1) {
    const random = randomFrom(seed);
    const [width, height] = SIZES[seed % SIZES.length] ?? [1, 1];
    const level = 1 + random(7);
    const subsampled = random(2);
    const header = level | (subsampled << 3) | (random(2) << 4) | 0x20;
    const chromaWidth = subsampled === 1 ? Math.ceil(width / 2) : width;
    const chromaHeight = subsampled === 1 ? Math.ceil(height / 2) : height;
    const luma = randomPlane(random, width, height);
    const orange = randomPlane(random, chromaWidth, chromaHeight);
    const green = randomPlane(random, chromaWidth, chromaHeight);
    const out = new Uint32Array(width * height);
    const planes: [Uint8Array, number][] = [
      [luma, width],
      [orange, chromaWidth],
      [green, chromaWidth],
    ];
    decoder.decode(stream(random, header, planes), width, height, out);

    const signed = (plane: Uint8Array, at: number) => {
      const byte = ((plane[at] ?? 0) * 2 ** (level - 1)) % 256;
      return byte < 128 ? byte : byte - 256;
    };
    const expected = new Uint8ClampedArray(4 * width * height);
    for (let i = 0; i < width * height; i += 1) {
      const [x, y] = [i % width, Math.floor(i / width)];
      const at = subsampled === 1 ? Math.floor(y / 2) * chromaWidth + Math.floor(x / 2) : i;
      const [co, cg, here] = [signed(orange, at), signed(green, at), luma[i] ?? 0];
      expected.set([here - cg + co, here + cg, here - cg - co, 255], 4 * i);
    }
    assert.deepEqual(new Uint8ClampedArray(out.buffer), expected, `seed ${seed}`);
  }
});

test('a difference has its sign in the lowest bit, and wraps', () => {
  const out = new Uint32Array(4);
  // Red 10, 20 and below it 10 - 1, 20 + 3; green 0 and below it 0 - 1; blue none.
  decoder.decode(
    Uint8Array.of(0x30, 0x20, 10, 20, 0x20, 1, 6, 0x20, 0, 0, 0x20, 1, 1, 0x20, 0, 0, 0x20, 0, 0),
    2,
    2,
    out,
  );
  assert.deepEqual([...new Uint8Array(out.buffer)].slice(8), [9, 255, 0, 255, 23, 255, 0, 255]);
});

for (const [what, bytes, message] of [
  ['is empty', [], 'formatHeader at offset 0 is missing'],
  [
    'has subsampled chroma of no chroma',
    [0x28, 0, 0, 0],
    'formatHeader at offset 0 has subsampled chroma without',
  ],
  ['is cut in a plain plane', [0x20, 1, 2, 3, 4, 5], 'plane at offset 5 needs 4 bytes'],
  ['is cut before a line', [0x30, 0x20, 1, 2], 'plane at offset 4 ends in line 1 of 2'],
  ['is cut in raw values', [0x30, 0x20, 1], 'plane at offset 2 needs 2 raw values'],
  ['leaves its line', [0x30, 0x03], 'plane at offset 1 writes 3 values where 2 are left'],
  ['leaves its line in a long run', [0x30, 0x02], 'plane at offset 1 writes 32 values where 2 are left'],
] as const) {
  test(`a stream that ${what} is refused`, () => {
    assert.throws(
      () => decoder.decode(Uint8Array.from(bytes), 2, 2, new Uint32Array(4)),
      (error) => error instanceof ScreenError && error.message.startsWith(message),
    );
  });
}
