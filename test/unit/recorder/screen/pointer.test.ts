import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Screen, ShareData } from '../../../../recorder/screen/index.ts';
import { u16, u32 } from './encoders.ts';
import { bitmapUpdate, fastPathUpdate, paletteUpdate, pointerShape } from './updates.ts';

const PointerUpdate = { hidden: 5, system: 6, position: 8, colour: 9, cached: 10, new: 11, large: 12 };

const bytes = (...parts: readonly number[][]) => Uint8Array.from(parts.flat());
const hex = (pixels: Uint32Array) => [...pixels].map((pixel) => pixel.toString(16).padStart(8, '0'));
const GREY = 0xff808080;

/** The screen's picture with its pointer, on grey; alpha, blue, green, red. */
function composed(screen: Screen): string[] {
  screen.framebuffer.pixels.fill(GREY);
  const target = new Uint32Array(screen.framebuffer.pixels.length);
  screen.compose(target);
  assert.ok(
    screen.framebuffer.pixels.every((pixel) => pixel === GREY),
    'the picture itself stays',
  );
  return hex(target);
}

/** A screen of 2 × 2 whose pointer has this shape, and nothing hidden. */
function showing(code: number, data: readonly number[]): Screen {
  const screen = new Screen(2, 2);
  screen.fastPath(bytes(fastPathUpdate(code, data)));
  assert.deepEqual([...screen.problems], []);
  return screen;
}

test('a colour pointer: the AND mask says what shows, and where it does not, XOR inverts', () => {
  // Lines bottom first, of 6 bytes; masks of 2 bytes a line.
  const xor = [1, 2, 3, 0, 0, 0, 255, 255, 255, 0, 0, 0];
  const and = [0b00000000, 0, 0b11000000, 0];
  const screen = showing(PointerUpdate.colour, pointerShape(0, [0, 0], [2, 2], xor, and));
  assert.deepEqual(hex(screen.pointer.shape.pixels), ['00ffffff', '00000000', 'ff010203', 'ff000000']);
  assert.deepEqual(composed(screen), ['ff7f7f7f', 'ff808080', 'ff010203', 'ff000000']);
});

test('a pointer of one bit: lines from the top', () => {
  const data = [...u16(1), ...pointerShape(0, [0, 0], [2, 2], [0x80, 0, 0x80, 0], [0x00, 0, 0xc0, 0])];
  const screen = showing(PointerUpdate.new, data);
  assert.deepEqual(hex(screen.pointer.shape.pixels), ['ffffffff', 'ff000000', '00ffffff', '00000000']);
});

test('pointers of 8, 16 and 24 bits', () => {
  const and = [0, 0];
  for (const [bits, xor, expected] of [
    [8, [1, 2], ['ff0000aa', 'ff020202']],
    [16, [0x00, 0xf8, 0x1f, 0x00], ['ff0000ff', 'ffff0000']],
    [24, [1, 2, 3, 4, 5, 6], ['ff010203', 'ff040506']],
  ] as const) {
    const screen = new Screen(2, 2);
    screen.fastPath(bytes(fastPathUpdate(2, paletteUpdate([0, 0, 0], [0xaa, 0, 0]))));
    screen.fastPath(
      bytes(fastPathUpdate(PointerUpdate.new, [...u16(bits), ...pointerShape(0, [0, 0], [2, 1], xor, and)])),
    );
    assert.deepEqual(hex(screen.pointer.shape.pixels), expected, `${bits} bits`);
  }
});

test('at 32 bits the alpha channel blends, unless it is empty', () => {
  const xor = [10, 20, 30, 255, 255, 255, 255, 128];
  const alpha = showing(PointerUpdate.new, [...u16(32), ...pointerShape(0, [0, 0], [2, 1], xor, [0xc0, 0])]);
  assert.deepEqual(composed(alpha), ['ff0a141e', 'ffc0c0c0', 'ff808080', 'ff808080']);
  const opaque = [0, 0, 0, 255, 255, 255, 255, 255];
  const inverting = showing(PointerUpdate.new, [
    ...u16(32),
    ...pointerShape(0, [0, 0], [2, 1], opaque, [0xc0, 0]),
  ]);
  assert.deepEqual(hex(inverting.pointer.shape.pixels), ['00000000', '00ffffff']);
  const without = xor.map((byte, i) => (i % 4 === 3 ? 0 : byte));
  const mask = showing(PointerUpdate.new, [
    ...u16(32),
    ...pointerShape(0, [0, 0], [2, 1], without, [0x40, 0]),
  ]);
  assert.deepEqual(hex(mask.pointer.shape.pixels), ['ff0a141e', '00ffffff']);
});

test('a large pointer has long lengths', () => {
  const side = 300;
  const xor = Array<number>(side * side * 4).fill(0xff);
  const and = Array<number>(38 * side).fill(0);
  const shape = [...u16(32), ...pointerShape(7, [1, 2], [side, side], xor, and, true)];
  const screen = new Screen(2, 2);
  // Larger than one update can say: it comes in fragments.
  for (let at = 0; at < shape.length; at += 60_000) {
    const fragment = at === 0 ? 2 : at + 60_000 < shape.length ? 3 : 1;
    screen.fastPath(bytes(fastPathUpdate(PointerUpdate.large, shape.slice(at, at + 60_000), fragment)));
  }
  assert.deepEqual([...screen.problems], []);
  const { width, height, hotSpotX, hotSpotY } = screen.pointer.shape;
  assert.deepEqual([width, height, hotSpotX, hotSpotY], [side, side, 1, 2]);
});

test('the pointer is drawn with its hot spot where it is, cut at the edges', () => {
  const shape = pointerShape(0, [1, 1], [2, 2], Array<number>(12).fill(0), [0, 0, 0, 0]);
  const screen = showing(PointerUpdate.colour, shape);
  const black = 'ff000000';
  const grey = 'ff808080';
  assert.deepEqual(composed(screen), [black, grey, grey, grey]);
  screen.fastPath(bytes(fastPathUpdate(PointerUpdate.position, [...u16(1), ...u16(1)])));
  assert.deepEqual(composed(screen), [black, black, black, black]);
  screen.pointer.moveTo(2, 2);
  assert.deepEqual(composed(screen), [grey, grey, grey, black]);
  screen.pointer.moveTo(0, 1);
  assert.deepEqual(composed(screen), [black, grey, black, grey]);
  screen.pointer.moveTo(-5, 700);
  assert.deepEqual(composed(screen), [grey, grey, grey, grey]);
});

test('hidden, the system’s own, and cached again; on the slow path too', () => {
  const slow = (type: number, data: readonly number[]) => bytes([...u16(type), 0, 0, ...data]);
  const screen = new Screen(2, 2);
  const own = screen.pointer.shape;
  const black = Array<number>(6).fill(0);
  screen.slowPath(ShareData.pointer, slow(6, pointerShape(3, [0, 0], [1, 1], black, [0, 0])));
  screen.slowPath(
    ShareData.pointer,
    slow(8, [...u16(24), ...pointerShape(4, [0, 0], [1, 1], [1, 2, 3, 0], [0, 0])]),
  );
  screen.slowPath(ShareData.pointer, slow(3, [...u16(1), ...u16(0)]));
  assert.deepEqual([screen.pointer.x, screen.pointer.y], [1, 0]);
  assert.deepEqual(hex(screen.pointer.shape.pixels), ['ff010203']);
  screen.slowPath(ShareData.pointer, slow(7, u16(3)));
  assert.deepEqual(hex(screen.pointer.shape.pixels), ['ff000000']);
  screen.slowPath(ShareData.pointer, slow(1, u32(0)));
  assert.equal(screen.pointer.visible, false);
  assert.deepEqual(composed(screen), Array(4).fill('ff808080'));
  screen.fastPath(bytes(fastPathUpdate(PointerUpdate.cached, u16(4))));
  assert.equal(screen.pointer.visible, true);
  screen.fastPath(bytes(fastPathUpdate(PointerUpdate.hidden, [])));
  assert.equal(screen.pointer.visible, false);
  screen.slowPath(ShareData.pointer, slow(1, u32(0x7f00)));
  assert.deepEqual([screen.pointer.visible, screen.pointer.shape], [true, own]);
  screen.fastPath(
    bytes(fastPathUpdate(PointerUpdate.cached, u16(4)), fastPathUpdate(PointerUpdate.system, [])),
  );
  assert.equal(screen.pointer.shape, own);
  assert.deepEqual([...screen.problems], []);
  screen.fastPath(bytes(fastPathUpdate(PointerUpdate.cached, u16(9))));
  assert.equal(screen.problems.get('pointer')?.first, 'cacheIndex at offset 0 names no pointer (9)');
});

test('shapes that are cut, too large or too many are counted, and the last good one stays', () => {
  const screen = showing(PointerUpdate.colour, pointerShape(0, [0, 0], [1, 1], [1, 2, 3, 0], [0, 0]));
  const { shape } = screen.pointer;
  for (const bad of [
    pointerShape(1, [0, 0], [385, 1], [], []),
    pointerShape(1, [0, 0], [2, 2], [1, 2, 3], [0, 0, 0, 0]),
    pointerShape(1, [0, 0], [1, 2], Array<number>(8).fill(0), [0, 0]),
    pointerShape(1, [0, 0], [1, 1], [1, 2, 3, 0], [0, 0]).slice(0, -1),
  ])
    screen.fastPath(bytes(fastPathUpdate(PointerUpdate.colour, bad)));
  assert.equal(screen.problems.get('pointer')?.count, 4);
  assert.equal(screen.pointer.shape, shape);

  const mask = Array<number>(48 * 384).fill(0);
  const largest = bytes(
    fastPathUpdate(PointerUpdate.large, [
      ...u16(1),
      ...pointerShape(0, [0, 0], [384, 384], mask, mask, true),
    ]),
  );
  // Behind the update's header and the depth comes the index.
  for (let index = 0; index < 60; index += 1) {
    largest[5] = index;
    screen.fastPath(largest);
  }
  assert.equal(screen.pointer.cache.size, 50, 'the cache has a bound');
  screen.fastPath(bytes(fastPathUpdate(PointerUpdate.colour, pointerShape(1000, [0, 0], [0, 0], [], []))));
  assert.equal(screen.problems.get('pointer')?.first.includes('385'), true);
  assert.equal(screen.problems.get('pointer')?.count, 4 + 10 + 1);
});

test('a snapshot holds the pointer, its place and its cache', () => {
  const screen = new Screen(2, 2);
  screen.fastPath(
    bytes(
      fastPathUpdate(1, bitmapUpdate({ left: 0, top: 0, width: 1, height: 1, bits: 32, data: [1, 2, 3, 0] })),
      fastPathUpdate(PointerUpdate.colour, pointerShape(5, [0, 0], [1, 1], [1, 2, 3, 0], [0, 0])),
      fastPathUpdate(PointerUpdate.colour, pointerShape(6, [0, 1], [1, 1], [4, 5, 6, 0], [0x80, 0])),
      fastPathUpdate(PointerUpdate.hidden, []),
    ),
  );
  screen.pointer.moveTo(-3, 1);
  const other = new Screen(2, 2);
  other.restore(screen.snapshot());
  assert.deepEqual(other.pointer, screen.pointer);
  assert.deepEqual(other.framebuffer.pixels, screen.framebuffer.pixels);
});
