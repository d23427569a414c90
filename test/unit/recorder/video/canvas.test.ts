import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Canvas } from '../../../../recorder/video/canvas.ts';
import { type Random, randomFrom } from '../../../support/random.ts';

interface Whole {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint32Array;
}

/** Y, U and V of a colour by the words of ITU-R BT.709-6 §3, unrounded. */
function bt709(pixel: number): readonly [number, number, number] {
  const [r, g, b] = [0, 8, 16].map((shift) => ((pixel >>> shift) & 0xff) / 255) as [number, number, number];
  const y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return [16 + 219 * y, 128 + (224 * (b - y)) / 1.8556, 128 + (224 * (r - y)) / 1.5748];
}

function randomPicture(random: Random, width: number, height: number): Whole {
  // Plain parts and noise, as screens have them.
  const colours = Array.from({ length: 3 }, () => (0xff000000 | random(1 << 24)) >>> 0);
  const pixels = Uint32Array.from({ length: width * height }, () => colours[random(4)] ?? 0xff000000);
  return { width, height, pixels };
}

/** The whole canvas with `picture` in its middle, by floating point. */
function expected({ width, height, pixels }: Whole, canvas: Canvas): number[] {
  const offset = (all: number, part: number): number => ((all - part) >> 1) & ~1;
  const [left, top] = [offset(canvas.width, width), offset(canvas.height, height)];
  /** Sides that are odd repeat their last pixels. */
  const at = (x: number, y: number): readonly [number, number, number] => {
    const [column, line] = [x - left, y - top];
    if (column < 0 || line < 0 || column >= width + (width % 2) || line >= height + (height % 2))
      return [16, 128, 128];
    return bt709(pixels[Math.min(line, height - 1) * width + Math.min(column, width - 1)] ?? 0);
  };
  const planes: number[][] = [[], [], []];
  for (let y = 0; y < canvas.height; y += 1)
    for (let x = 0; x < canvas.width; x += 1) planes[0]?.push(at(x, y)[0]);
  for (let y = 0; y < canvas.height; y += 2)
    for (let x = 0; x < canvas.width; x += 2)
      for (const plane of [1, 2] as const) {
        const sum = at(x, y)[plane] + at(x + 1, y)[plane] + at(x, y + 1)[plane] + at(x + 1, y + 1)[plane];
        planes[plane]?.push(sum / 4);
      }
  return planes.flat();
}

function assertNear(canvas: Canvas, picture: Whole, what: string): void {
  const values = expected(picture, canvas);
  assert.equal(canvas.bytes.length, values.length);
  const wrong = values.findIndex((value, i) => Math.abs(value - (canvas.bytes[i] ?? -1)) > 0.6);
  assert.equal(wrong, -1, `${what}: byte ${wrong} is ${canvas.bytes[wrong]}, not ${values[wrong]}`);
}

const whole = ({ width, height }: Whole) => [{ left: 0, top: 0, right: width, bottom: height }];

test('black, white, grey and pure colours are what BT.709 says', () => {
  const canvas = new Canvas({ sizes: [{ width: 2, height: 2 }], duration: 0 });
  assert.deepEqual([...canvas.bytes], [16, 16, 16, 16, 128, 128]);
  for (const [pixel, y, u, v] of [
    [0xff000000, 16, 128, 128],
    [0xffffffff, 235, 128, 128],
    [0xff808080, 126, 128, 128],
    [0xff0000ff, 63, 102, 240],
    [0xff00ff00, 173, 42, 26],
    [0xffff0000, 32, 240, 118],
  ] as const) {
    const picture = { width: 2, height: 2, pixels: new Uint32Array(4).fill(pixel) };
    canvas.draw({ ...picture, changed: whole(picture) });
    assert.deepEqual([...canvas.bytes], [y, y, y, y, u, v], pixel.toString(16));
  }
});

test('pictures of any size are converted and centred; a change of size leaves nothing of the last', () => {
  const random = randomFrom(1);
  const sizes = Array.from({ length: 40 }, () => ({ width: 1 + random(40), height: 1 + random(30) }));
  const canvas = new Canvas({ sizes, duration: 0 });
  for (const { width, height } of sizes) {
    const picture = randomPicture(random, width, height);
    canvas.draw({ ...picture, changed: whole(picture) });
    assertNear(canvas, picture, `${width} × ${height}`);
  }
});

test('where a picture changed, and only there, it is converted', () => {
  const random = randomFrom(2);
  for (const [width, height] of [
    [64, 48],
    [61, 47],
  ] as const) {
    const canvas = new Canvas({
      sizes: [
        { width, height },
        { width: 90, height: 60 },
      ],
      duration: 0,
    });
    const picture = randomPicture(random, width, height);
    canvas.draw({ ...picture, changed: [] });
    assertNear(canvas, picture, 'a first picture is drawn whole');
    for (let i = 0; i < 100; i += 1) {
      const [left, top] = [random(width), random(height)];
      const [right, bottom] = [left + 1 + random(width - left), top + 1 + random(height - top)];
      for (let y = top; y < bottom; y += 1)
        picture.pixels.fill((0xff000000 | random(1 << 24)) >>> 0, y * width + left, y * width + right);
      canvas.draw({ ...picture, changed: [{ left, top, right, bottom }] });
      assertNear(canvas, picture, `part ${i}`);
    }
    const before = canvas.bytes.slice();
    picture.pixels.fill(0xff123456);
    canvas.draw({ ...picture, changed: [] });
    assert.deepEqual(canvas.bytes, before);
  }
});
