import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Rectangle, Screen, ScreenError, ShareData } from '../../../../recorder/screen/index.ts';
import { u16, u32 } from './encoders.ts';
import { bitmapUpdate, fastPathUpdate, paletteUpdate, surfaceBits } from './updates.ts';

const ORDERS = 0;
const BITMAP = 1;
const PALETTE = 2;
const SURFACE = 4;
const COMPRESSED = 0x0001;
const NO_HEADER = 0x0400;

const bytes = (...parts: readonly number[][]) => Uint8Array.from(parts.flat());
const colours = (screen: Screen) =>
  [...screen.framebuffer.pixels].map((pixel) => (pixel & 0xffffff).toString(16).padStart(6, '0'));
const counts = (screen: Screen) => [...screen.problems].map(([kind, { count }]) => [kind, count]);
const sides = ({ left, top, right, bottom }: Rectangle) => [left, top, right, bottom];
const BLACK = '000000';

test('uncompressed bitmaps: lines from the bottom up, padded to four bytes, blue first', () => {
  const at24 = [1, 2, 3, 4, 5, 6, 0, 0, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0, 0];
  const at16 = [0x00, 0xf8, 0xe0, 0x07, 0x1f, 0x00, 0xff, 0xff];
  const at15 = [0x00, 0x7c, 0xe0, 0x03, 0x1f, 0x80, 0xff, 0xff];
  const at32 = [1, 2, 3, 9, 4, 5, 6, 9, 0x11, 0x12, 0x13, 9, 0x14, 0x15, 0x16, 9];
  const at8 = [1, 2, 0, 0, 3, 4, 0, 0];
  // A colour is written here as blue, green, red.
  for (const [bits, data, expected] of [
    [24, at24, ['111213', '141516', '010203', '040506']],
    [16, at16, ['ff0000', 'ffffff', '0000ff', '00ff00']],
    [15, at15, ['ff0000', 'ffffff', '0000ff', '00ff00']],
    [32, at32, ['111213', '141516', '010203', '040506']],
    [8, at8, ['030303', '040404', '010101', '020202']],
  ] as const) {
    const screen = new Screen(2, 2, bits);
    screen.slowPath(
      ShareData.update,
      bytes(bitmapUpdate({ left: 0, top: 0, width: 2, height: 2, bits, data })),
    );
    assert.deepEqual(colours(screen), expected, `${bits} bits`);
    assert.deepEqual(counts(screen), []);
  }
});

test('a bitmap is cut to its destination, and that to the desktop', () => {
  const screen = new Screen(3, 3);
  // 4 × 2, of which 3 × 2 are wanted: the padding of the right stays out.
  const rle = [0x68, 0xaa];
  const tile = { left: 1, top: 2, right: 3, bottom: 3, width: 4, height: 2, bits: 8, data: rle };
  screen.fastPath(bytes(fastPathUpdate(BITMAP, bitmapUpdate({ ...tile, flags: COMPRESSED | NO_HEADER }))));
  assert.deepEqual(colours(screen), [...Array(7).fill(BLACK), 'aaaaaa', 'aaaaaa']);
  assert.deepEqual(
    screen.takeDirty(),
    [{ left: 0, top: 0, right: 3, bottom: 3 }],
    'a new screen is all dirty',
  );
  const small = { left: 0, top: 0, right: 0, bottom: 0, width: 4, height: 2, bits: 8, data: rle };
  screen.fastPath(bytes(fastPathUpdate(BITMAP, bitmapUpdate({ ...small, flags: COMPRESSED | NO_HEADER }))));
  assert.deepEqual(screen.takeDirty(), [{ left: 0, top: 0, right: 3, bottom: 3 }], 'tiles are whole');
  const away = { ...small, left: 3, right: 5, flags: COMPRESSED | NO_HEADER };
  screen.fastPath(bytes(fastPathUpdate(BITMAP, bitmapUpdate(away))));
  assert.deepEqual(screen.takeDirty(), []);
  assert.deepEqual(counts(screen), []);
});

test('a compressed bitmap may have a header of its own', () => {
  const screen = new Screen(4, 1);
  const header = [...u16(0), ...u16(2), ...u16(4), ...u16(4)];
  const tile = { left: 0, top: 0, width: 4, height: 1, bits: 8, flags: COMPRESSED };
  screen.fastPath(bytes(fastPathUpdate(BITMAP, bitmapUpdate({ ...tile, data: [...header, 0x64, 7] }))));
  assert.deepEqual(colours(screen), Array(4).fill('070707'));
});

test('a palette gives 8 bits their colours, those that come after it', () => {
  const screen = new Screen(1, 1, 8);
  const draw = fastPathUpdate(
    BITMAP,
    bitmapUpdate({ left: 0, top: 0, width: 1, height: 1, bits: 8, data: [1, 0, 0, 0] }),
  );
  screen.fastPath(bytes(fastPathUpdate(PALETTE, paletteUpdate([9, 9, 9], [0x10, 0x20, 0x30])), draw));
  assert.deepEqual(colours(screen), ['302010']);
  screen.slowPath(ShareData.update, bytes(paletteUpdate([9, 9, 9], [1, 2, 3])));
  assert.deepEqual(colours(screen), ['302010']);
  screen.fastPath(bytes(draw));
  assert.deepEqual(colours(screen), ['030201']);
});

test('fragments are joined, also over PDUs, and one that is lost costs only its update', () => {
  const data = bitmapUpdate({ left: 0, top: 0, width: 1, height: 1, bits: 32, data: [1, 2, 3, 0] });
  const screen = new Screen(1, 1);
  screen.fastPath(
    bytes(fastPathUpdate(BITMAP, data.slice(0, 5), 2), fastPathUpdate(BITMAP, data.slice(5, 9), 3)),
  );
  assert.deepEqual(colours(screen), [BLACK]);
  screen.fastPath(bytes(fastPathUpdate(BITMAP, data.slice(9), 1)));
  assert.deepEqual(colours(screen), ['010203']);

  const lost = new Screen(1, 1);
  lost.fastPath(bytes(fastPathUpdate(BITMAP, data.slice(9), 1)));
  lost.fastPath(
    bytes(fastPathUpdate(BITMAP, data.slice(0, 5), 2), fastPathUpdate(PALETTE, data.slice(5), 1)),
  );
  lost.fastPath(bytes(fastPathUpdate(BITMAP, data.slice(0, 5), 2), fastPathUpdate(BITMAP, data)));
  assert.deepEqual(counts(lost), [['fragment', 3]]);
  assert.deepEqual(colours(lost), ['010203']);
});

test('an update that never ends is given up at its bound', () => {
  const screen = new Screen(1, 1);
  const part = Array<number>(65_535).fill(0);
  const next = bytes(fastPathUpdate(BITMAP, part, 3));
  screen.fastPath(bytes(fastPathUpdate(BITMAP, part, 2)));
  for (let i = 0; i < 256; i += 1) screen.fastPath(next);
  assert.equal(screen.problems.get('fragment')?.first, 'fragmentation at offset 0 exceeds 16777216 bytes');
});

test('surface commands: uncompressed bits are drawn, markers passed over, codecs counted', () => {
  const screen = new Screen(2, 2);
  const marker = [...u16(4), ...u16(0), ...u32(1)];
  const bits = surfaceBits(1, 0, 1, 2, 32, 0, [1, 2, 3, 0, 4, 5, 6, 0]);
  const codec = surfaceBits(0, 0, 2, 2, 32, 3, [1, 2, 3]);
  screen.fastPath(bytes(fastPathUpdate(SURFACE, [marker, codec, bits, marker].flat())));
  assert.deepEqual(colours(screen), [BLACK, '040506', BLACK, '010203']);
  assert.deepEqual(counts(screen), [['codec', 1]]);
});

test('orders that draw nothing are passed over, those that draw are counted', () => {
  const screen = new Screen(1, 1);
  const marker = [(0x0d << 2) | 2, ...u32(0)];
  const window = [(0x0b << 2) | 2, ...u16(7), 1, 2, 3, 4];
  const composition = [(0x0c << 2) | 2, 1, ...u16(2), 8, 8];
  const cache = [0x03, ...u16(1), 0, 0, 1, ...Array<number>(8).fill(0)];
  const quiet = [marker, window, composition, cache, marker].flat();
  screen.fastPath(bytes(fastPathUpdate(ORDERS, [...u16(5), ...quiet])));
  screen.slowPath(ShareData.update, bytes([...u16(0), 0, 0, ...u16(5), 0, 0, ...quiet]));
  assert.deepEqual(counts(screen), []);
  screen.fastPath(bytes(fastPathUpdate(ORDERS, [...u16(2), ...marker, 0x09, 1, 2, 3])));
  screen.fastPath(bytes(fastPathUpdate(ORDERS, [...u16(1), (0x01 << 2) | 2, 1, 2, 3])));
  assert.deepEqual(counts(screen), [['orders', 2]]);
});

test('what does not decode is counted, and what follows it is drawn', () => {
  const good = { left: 0, top: 0, width: 1, height: 1, bits: 32, data: [1, 2, 3, 0] };
  const screen = new Screen(1, 1);
  screen.fastPath(
    bytes(
      fastPathUpdate(7, [1]),
      [BITMAP | 0x80, 0x21, ...u16(1), 0],
      fastPathUpdate(
        BITMAP,
        bitmapUpdate({ ...good, bits: 12 }, { ...good, width: 9000 }, { ...good, data: [1] }, good),
      ),
      fastPathUpdate(PALETTE, [0]),
      [BITMAP, ...u16(500), 1],
    ),
  );
  screen.slowPath(ShareData.update, bytes([9, 0]));
  screen.slowPath(ShareData.pointer, bytes([9, 0, 0, 0]));
  screen.slowPath(0x26, bytes([1]));
  assert.deepEqual(colours(screen), ['010203']);
  assert.deepEqual(counts(screen), [
    ['update', 3],
    ['compressed', 1],
    ['bitmap', 3],
    ['palette', 1],
    ['pointer', 1],
  ]);
  assert.equal(screen.problems.get('update')?.first, 'updateCode at offset 0 is 7, which is none');
});

test('a bitmap that no desktop of this size needs is refused for its size', () => {
  for (const [width, height] of [
    [258, 1],
    [1, 259],
    [0, 1],
    [1, 0],
  ] as const) {
    const screen = new Screen(1, 2);
    const tile = { left: 0, top: 0, width, height, bits: 32, data: Array<number>(259 * 4).fill(0) };
    screen.fastPath(bytes(fastPathUpdate(BITMAP, bitmapUpdate(tile))));
    assert.equal(
      screen.problems.get('bitmap')?.first,
      `bitmap at offset 0 of ${width} × ${height} pixels does not fit the desktop`,
    );
  }
});

test('dirty are the tiles of 32 × 32 that were drawn on', () => {
  const screen = new Screen(150, 65);
  assert.deepEqual(screen.takeDirty().map(sides), [
    [0, 0, 150, 32],
    [0, 32, 150, 64],
    [0, 64, 150, 65],
  ]);
  const dot = { width: 1, height: 1, bits: 32, data: [1, 2, 3, 0] };
  const wide = { left: 31, top: 31, width: 2, height: 2, bits: 32, data: Array(16).fill(5) };
  const dots = [
    { ...dot, left: 149, top: 64 },
    { ...dot, left: 96, top: 0 },
  ];
  screen.fastPath(bytes(fastPathUpdate(BITMAP, bitmapUpdate(wide, ...dots))));
  assert.deepEqual(screen.takeDirty().map(sides), [
    [0, 0, 64, 32],
    [96, 0, 128, 32],
    [0, 32, 64, 64],
    [128, 64, 150, 65],
  ]);
  assert.deepEqual(screen.takeDirty(), []);
});

test('a part of the picture is composed, the rest of the target stays', () => {
  const screen = new Screen(4, 2);
  const data = [1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 10, 11, 12, 0];
  const row = { left: 0, top: 0, width: 4, height: 1, bits: 32, data };
  screen.fastPath(bytes(fastPathUpdate(BITMAP, bitmapUpdate(row))));
  screen.pointer.hide();
  const target = new Uint32Array(8).fill(7);
  screen.compose(target, [{ left: 1, top: 0, right: 3, bottom: 2 }]);
  const black = 0xff000000;
  assert.deepEqual([...target], [7, 0xff040506, 0xff070809, 7, 7, black, black, 7]);
});

test('what is not the server’s fault is not counted but thrown', () => {
  assert.throws(() => new Screen(1, 1).fastPath(undefined as unknown as Uint8Array), TypeError);
});

test('a compressed update takes the one that it came into with it', () => {
  const data = bitmapUpdate({ left: 0, top: 0, width: 1, height: 1, bits: 32, data: [1, 2, 3, 0] });
  const screen = new Screen(1, 1);
  screen.fastPath(
    bytes(
      fastPathUpdate(BITMAP, data.slice(0, 5), 2),
      [BITMAP | 0xb0, 0x20, ...u16(1), 0],
      fastPathUpdate(BITMAP, data.slice(5), 1),
    ),
  );
  assert.deepEqual(counts(screen), [
    ['compressed', 1],
    ['fragment', 1],
  ]);
  assert.deepEqual(colours(screen), [BLACK]);
});

test('compression that is announced but not used is none', () => {
  const data = bitmapUpdate({ left: 0, top: 0, width: 1, height: 1, bits: 32, data: [1, 2, 3, 0] });
  const screen = new Screen(1, 1);
  screen.fastPath(bytes([BITMAP | 0x80, 0x01, ...u16(data.length), ...data]));
  assert.deepEqual(colours(screen), ['010203']);
});

test('a resize begins black and dirty; a size that no desktop has is counted', () => {
  const screen = new Screen(1, 1);
  screen.fastPath(
    bytes(
      fastPathUpdate(
        BITMAP,
        bitmapUpdate({ left: 0, top: 0, width: 1, height: 1, bits: 32, data: [1, 2, 3, 0] }),
      ),
    ),
  );
  screen.resize(2, 1, 16);
  assert.deepEqual(colours(screen), [BLACK, BLACK]);
  assert.deepEqual(screen.takeDirty(), [{ left: 0, top: 0, right: 2, bottom: 1 }]);
  for (const [width, height] of [
    [0, 5],
    [40_000, 1],
    [30_000, 30_000],
  ] as const)
    screen.resize(width, height, 32);
  assert.deepEqual(counts(screen), [['desktop', 3]]);
  assert.equal(screen.framebuffer.width, 2);
  assert.throws(() => new Screen(0, 0), ScreenError);
});

test('a snapshot holds the update that is not whole yet', () => {
  const data = bitmapUpdate({ left: 0, top: 0, width: 1, height: 1, bits: 32, data: [1, 2, 3, 0] });
  const screen = new Screen(1, 1);
  screen.fastPath(bytes(fastPathUpdate(BITMAP, data.slice(0, 7), 2)));
  const other = new Screen(5, 5);
  other.restore(screen.snapshot());
  other.fastPath(bytes(fastPathUpdate(BITMAP, data.slice(7), 1)));
  assert.deepEqual(colours(other), ['010203']);
});

test('bytes that are no snapshot are refused, and change nothing', () => {
  const screen = new Screen(2, 2);
  const snapshot = screen.snapshot();
  for (const broken of [
    snapshot.subarray(0, -1),
    Uint8Array.of(...snapshot, 0),
    Uint8Array.of(9, ...snapshot.subarray(1)),
    new Uint8Array(0),
  ]) {
    assert.throws(() => screen.restore(broken), ScreenError);
    assert.deepEqual(screen.snapshot(), snapshot);
  }
});
