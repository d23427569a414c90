import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Canvas, type DirtyRectangle, type Rectangle } from '../../../../gateway/rdp/screen/canvas.ts';
import { font } from '../../../../recorder/font/font.ts';
import { seeded } from '../../../support/random.ts';

const PALETTE = [0x000000, 0xff0000, 0x00ff00, 0x123456];
const places = (dirty: readonly DirtyRectangle[]) =>
  dirty.map(({ x, y, width, height }) => [x, y, width, height]);

/** Paints rectangles as a client would, and checks that they are disjoint and tight. */
function apply(screen: Uint32Array, width: number, dirty: readonly DirtyRectangle[]): void {
  const seen = new Uint8Array(screen.length);
  for (const box of dirty) {
    assert.equal(box.pixels.length, box.width * box.height);
    const changed = { left: false, right: false, top: false, bottom: false };
    for (let row = 0; row < box.height; row++)
      for (let column = 0; column < box.width; column++) {
        const at = (box.y + row) * width + box.x + column;
        assert.equal(seen[at], 0, 'rectangles overlap');
        seen[at] = 1;
        const pixel = box.pixels[row * box.width + column] ?? -1;
        if (pixel === screen[at]) continue;
        screen[at] = pixel;
        changed.left ||= column === 0;
        changed.right ||= column === box.width - 1;
        changed.top ||= row === 0;
        changed.bottom ||= row === box.height - 1;
      }
    assert.deepEqual(
      changed,
      { left: true, right: true, top: true, bottom: true },
      'a rectangle is too large',
    );
  }
}

test('everything at first, then what changed, then nothing', () => {
  const canvas = new Canvas(100, 50, PALETTE);
  assert.deepEqual(places(canvas.takeDirty()), [[0, 0, 100, 50]]);
  assert.deepEqual(canvas.takeDirty(), []);
  canvas.fill({ x: 37, y: 20, width: 3, height: 2 }, 3);
  assert.deepEqual(canvas.takeDirty(), [
    { x: 37, y: 20, width: 3, height: 2, pixels: new Uint32Array(6).fill(0x123456) },
  ]);
  canvas.fill({ x: 37, y: 20, width: 3, height: 2 }, 3);
  assert.deepEqual(canvas.takeDirty(), []);
  canvas.invalidate();
  assert.deepEqual(places(canvas.takeDirty()), [[0, 0, 100, 50]]);
});

test('what is drawn over and back again did not change', () => {
  const canvas = new Canvas(64, 64, PALETTE);
  canvas.takeDirty();
  canvas.fill({ x: 0, y: 0, width: 64, height: 64 }, 2);
  canvas.fill({ x: 0, y: 0, width: 64, height: 64 }, 0);
  canvas.fill({ x: 63, y: 63, width: 1, height: 1 }, 1);
  assert.deepEqual(places(canvas.takeDirty()), [[63, 63, 1, 1]]);
});

test('far changes are rectangles of their own, near ones are one', () => {
  const canvas = new Canvas(600, 300, PALETTE);
  canvas.takeDirty();
  canvas.fill({ x: 10, y: 10, width: 8, height: 16 }, 1);
  canvas.fill({ x: 20, y: 12, width: 8, height: 16 }, 1);
  canvas.fill({ x: 500, y: 200, width: 90, height: 90 }, 1);
  assert.deepEqual(places(canvas.takeDirty()), [
    [10, 10, 18, 18],
    [500, 200, 90, 90],
  ]);
});

test('what lies outside is cut off', () => {
  const canvas = new Canvas(20, 20, PALETTE);
  canvas.takeDirty();
  canvas.fill({ x: -5, y: -5, width: 8, height: 7 }, 1);
  assert.deepEqual(places(canvas.takeDirty()), [[0, 0, 3, 2]]);
  for (const box of [
    { x: 20, y: 0, width: 5, height: 5 },
    { x: -9, y: 3, width: 9, height: 5 },
    { x: 3, y: 3, width: -2, height: 5 },
  ]) {
    canvas.fill(box, 2);
    canvas.frame(box, 2);
    canvas.text(box.x, box.y, '#', font(16), 2, { x: 5, y: 5, width: 0, height: 9 });
  }
  canvas.text(-100, 0, 'far away', font(16), 2);
  canvas.text(0, 40, 'below', font(16), 2);
  assert.deepEqual(canvas.takeDirty(), []);
  assert.deepEqual(new Canvas(0, 0, PALETTE).takeDirty(), []);
});

test('text stays inside its clip and is the same with and without one', () => {
  const draw = (clip: Rectangle | undefined) => {
    const canvas = new Canvas(80, 30, PALETTE);
    canvas.text(5, 4, 'Sallyport', font(16), 1, clip);
    return canvas.takeDirty()[0]?.pixels ?? new Uint32Array();
  };
  const whole = draw(undefined);
  const clip = { x: 9, y: 7, width: 30, height: 6 };
  const cut = draw(clip);
  assert.ok(cut.includes(0xff0000));
  for (let at = 0; at < whole.length; at++) {
    const [x, y] = [at % 80, Math.floor(at / 80)];
    const inside = x >= 9 && x < 39 && y >= 7 && y < 13;
    assert.equal(cut[at], inside ? whole[at] : 0, `at ${x}, ${y}`);
  }
});

test('a screen painted from the rectangles is the canvas, whatever is drawn', () => {
  for (let seed = 0; seed < 60; seed++) {
    const random = seeded(seed);
    const below = (limit: number) => Math.floor(random() * limit);
    const [width, height] = [1 + below(200), 1 + below(120)];
    const canvas = new Canvas(width, height, PALETTE);
    const model = new Uint32Array(width * height);
    const screen = new Uint32Array(width * height);
    canvas.takeDirty();
    for (let round = 0; round < 10; round++) {
      for (let i = below(8); i > 0; i--) {
        const box = {
          x: below(width + 20) - 20,
          y: below(height + 20) - 20,
          width: below(50),
          height: below(30),
        };
        const colour = below(PALETTE.length);
        canvas.fill(box, colour);
        for (let y = Math.max(0, box.y); y < Math.min(height, box.y + box.height); y++)
          for (let x = Math.max(0, box.x); x < Math.min(width, box.x + box.width); x++)
            model[y * width + x] = PALETTE[colour] ?? 0;
      }
      apply(screen, width, canvas.takeDirty());
      assert.deepEqual(screen, model, `seed ${seed}, round ${round}`);
    }
  }
});
