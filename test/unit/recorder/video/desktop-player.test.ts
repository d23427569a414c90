import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { EventKind, type RecordingReader } from '../../../../recorder/index.ts';
import { desktopFilm, surveyDesktop } from '../../../../recorder/video/desktop-player.ts';
import { captures, readCapture } from '../screen/captures.ts';
import { desktop, fill, hidePointer, mouse, recorded, type Step } from './bed.ts';

const RED = [255, 0, 0] as const;
const GREEN = [0, 255, 0] as const;
const BLUE = [0, 0, 255] as const;

interface Seen {
  /** ms */
  readonly at: number;
  readonly width: number;
  readonly height: number;
  /** 0xRRGGBB, with the pointer. */
  pixel(x: number, y: number): number;
}

async function framesOf(reader: RecordingReader): Promise<Seen[]> {
  const seen: Seen[] = [];
  for await (const frame of desktopFilm(reader).frames()) {
    const { at, width, height } = frame;
    const pixels = frame.pixels.slice();
    seen.push({
      at: at / 1000,
      width,
      height,
      pixel(x, y) {
        const rgba = pixels[y * width + x] ?? assert.fail('outside');
        return ((rgba & 0xff) << 16) | (rgba & 0xff00) | ((rgba >> 16) & 0xff);
      },
    });
  }
  return seen;
}

test('frames stand at multiples of 40 ms, 80 ms apart, and hold all that came up to them', async () => {
  const frames = await framesOf(
    await recorded([
      desktop(5, 64, 48),
      hidePointer(5),
      fill(41, [0, 0, 8, 8], RED),
      fill(79, [0, 0, 8, 8], GREEN),
      fill(80, [8, 0, 8, 8], BLUE),
      fill(81, [8, 0, 8, 8], RED),
      fill(119, [0, 0, 8, 8], BLUE),
      fill(161, [0, 0, 8, 8], RED),
      fill(301, [0, 0, 8, 8], GREEN),
    ]),
  );
  assert.deepEqual(
    frames.map((frame) => [frame.at, frame.pixel(0, 0), frame.pixel(8, 0)]),
    [
      [40, 0, 0],
      [120, 0x0000ff, 0xff0000],
      [200, 0xff0000, 0xff0000],
      [320, 0x00ff00, 0xff0000],
    ],
  );
});

test('of each frame it is told where it differs from the one before', async () => {
  const reader = await recorded([
    desktop(0, 300, 200),
    mouse(0, 0x0800, 150, 100),
    fill(1000, [290, 190, 8, 8], RED),
    mouse(2000, 0x0800, 20, 30),
    fill(2000, [70, 0, 8, 8], GREEN),
    hidePointer(3000),
    fill(4000, [0, 0, 100, 100], RED),
    desktop(5000, 200, 300),
    mouse(6000, 0x0800, 10, 250),
  ]);
  let before: { readonly width: number; readonly pixels: Uint32Array } | undefined;
  const areas: number[] = [];
  for await (const { width, height, pixels, changed } of desktopFilm(reader).frames()) {
    const inside = new Uint8Array(width * height);
    for (const { left, top, right, bottom } of changed) {
      assert.ok(left >= 0 && top >= 0 && right <= width && bottom <= height && left < right && top < bottom);
      for (let y = top; y < bottom; y += 1) inside.fill(1, y * width + left, y * width + right);
    }
    const last = before?.width === width ? before.pixels : undefined;
    if (last !== undefined)
      assert.ok(
        pixels.every((pixel, i) => inside[i] === 1 || pixel === last[i]),
        'it changed elsewhere',
      );
    areas.push(inside.reduce((sum, each) => sum + each, 0) / (width * height));
    before = { width, pixels: pixels.slice() };
  }
  assert.deepEqual(
    areas.map((area) => (area === 1 ? 'all' : area > 0.1 ? 'much' : 'little')),
    ['all', 'little', 'little', 'little', 'much', 'all'],
  );
});

test('what changes nothing makes no frame', async () => {
  const frames = await framesOf(
    await recorded([
      desktop(0, 64, 48),
      hidePointer(0),
      [1000, EventKind.input, Buffer.from('x')],
      [2000, EventKind.clipboard, { direction: 'to-target', text: 'x', bytes: 1 }],
      // A pointer that is not shown moves.
      mouse(3000, 0x0800, 30, 30),
      [4000, EventKind.fastPathOutput, Buffer.from('no update')],
    ]),
  );
  assert.deepEqual(
    frames.map((frame) => frame.at),
    [0],
  );
});

test('the pointer is where the mouse was last, wheels apart', async () => {
  const move = 0x0800;
  const pressed = 0x9000;
  const wheel = 0x0200;
  const black = 0x000000;
  const ground = fill(0, [0, 0, 64, 48], BLUE);
  const frames = await framesOf(
    await recorded([
      desktop(0, 64, 48),
      ground,
      mouse(100, move, 10, 12),
      mouse(200, wheel | 0x78, 0, 0),
      mouse(300, pressed, 30, 31),
      mouse(400, move, 30, 31),
    ]),
  );
  // The tip of the arrow is black.
  assert.deepEqual(
    frames.map((frame) => [frame.at, frame.pixel(10, 12), frame.pixel(30, 31)]),
    [
      [0, 0x0000ff, 0x0000ff],
      [120, black, 0x0000ff],
      [320, 0x0000ff, black],
    ],
  );
});

test('a pointer position of the server counts too', async () => {
  const position: Step = [
    50,
    EventKind.slowPathOutput,
    Uint8Array.of(0x1b, 0, 0, 0, 3, 0, 0, 0, 20, 0, 9, 0),
  ];
  const frames = await framesOf(
    await recorded([desktop(0, 64, 48), fill(0, [0, 0, 64, 48], BLUE), position]),
  );
  assert.deepEqual(
    frames.map((frame) => frame.pixel(20, 9)),
    [0x0000ff, 0],
  );
});

test('a reactivation in another size shows another desktop', async () => {
  const reader = await recorded([
    desktop(0, 64, 48),
    fill(0, [0, 0, 64, 48], RED),
    desktop(100, 64, 48),
    desktop(200, 32, 40),
    fill(300, [0, 0, 32, 40], GREEN),
  ]);
  assert.deepEqual(
    (await framesOf(reader)).map(({ at, width, height, pixel }) => [at, width, height, pixel(31, 39)]),
    [
      [0, 64, 48, 0xff0000],
      [120, 64, 48, 0],
      [200, 32, 40, 0],
      [320, 32, 40, 0x00ff00],
    ],
  );
  const told: (readonly [number, number])[] = [];
  assert.deepEqual(await surveyDesktop(reader, (done, all) => told.push([done, all])), {
    sizes: [
      { width: 64, height: 48 },
      { width: 32, height: 40 },
    ],
    duration: 300_000,
  });
  assert.deepEqual(told.at(-1), [300_000, 300_000]);
  assert.ok(told.every(([done, all], index) => all === 300_000 && done >= (told[index - 1]?.[0] ?? 0)));
});

test('sizes that no desktop has, and payloads that are none, are passed over', async () => {
  const reader = await recorded([
    fill(0, [0, 0, 8, 8], RED),
    mouse(0, 0x0800, 3, 3),
    desktop(0, 0, 48),
    desktop(0, 1e9, 48),
    [0, EventKind.desktop, Buffer.from('no json')],
    [0, EventKind.slowPathOutput, Buffer.alloc(0)],
    [0, EventKind.mouse, Buffer.from('abc')],
    desktop(10, 64, 48),
    desktop(20, -1, 48),
  ]);
  assert.deepEqual(
    (await framesOf(reader)).map(({ at, width, height }) => [at, width, height]),
    [[40, 64, 48]],
  );
  assert.deepEqual((await surveyDesktop(reader)).sizes, [{ width: 64, height: 48 }]);
});

for (const capture of captures) {
  test(`the last frame of ${capture.name} is what its client showed`, async () => {
    const pdus = readCapture(capture.name).map(({ type, body }, index): Step => {
      const at = 10 * index;
      if (type === 0) return [at, EventKind.fastPathOutput, body];
      return [at, EventKind.slowPathOutput, Buffer.concat([Buffer.of(type, 0, 0, 0), body])];
    });
    const { width, height, bitsPerPixel } = capture;
    const reader = await recorded([
      [0, EventKind.desktop, { width, height, bitsPerPixel }],
      ...pdus,
      hidePointer(10 * pdus.length),
    ]);
    let last = '';
    for await (const { pixels } of desktopFilm(reader).frames())
      last = createHash('sha256').update(new Uint8Array(pixels.buffer)).digest('hex');
    assert.equal(last, capture.sha256);
  });
}

test('what cannot be shown is told of with its time, once of each kind, and the rest is shown', async () => {
  const raw = (at: number, updates: string): Step => [
    at,
    EventKind.fastPathOutput,
    Buffer.from(updates, 'hex'),
  ];
  const told: string[] = [];
  const { frames } = desktopFilm(
    await recorded([
      desktop(5, 64, 48),
      hidePointer(5),
      fill(10, [0, 0, 8, 8], RED),
      // A bitmap update that is cut, twice; then one of a code that is none.
      raw(1500, '01040001000100'),
      raw(1700, '01040001000100'),
      raw(2500, '0d0000'),
      fill(3000, [0, 0, 8, 8], GREEN),
    ]),
    { onCut: (text) => told.push(text) },
  );
  let last = 0;
  for await (const { pixels } of frames()) last = pixels[0] ?? 0;
  assert.equal(last & 0xffffff, 0x00ff00);
  assert.deepEqual(
    told.map((text) => text.split(' the target sent what cannot be shown ')),
    [
      ['1.500 s after the start', `(bitmap): ${told[0]?.split('(bitmap): ')[1]}`],
      [
        '2.500 s after the start',
        '(update): updateCode at offset 0 is 13, which is none; the picture may be wrong from there on',
      ],
    ],
  );
});
