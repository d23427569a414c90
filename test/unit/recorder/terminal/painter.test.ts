import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BACKGROUND, FOREGROUND, faint, opaque, PALETTE } from '../../../../recorder/terminal/colours.ts';
import { Emulator } from '../../../../recorder/terminal/emulator.ts';
import { Painter } from '../../../../recorder/terminal/painter.ts';

class Bed {
  readonly terminal = new Emulator(16, 3);
  readonly painter = new Painter(16, 3);

  /** Writes and paints; resolves with what changed, as `left top right bottom`. */
  show(text: string): string[] {
    this.terminal.write(Buffer.from(text));
    return this.painter
      .paint(this.terminal)
      .map(({ left, top, right, bottom }) => [left, top, right, bottom].join(' '));
  }

  pixel(x: number, y: number): number {
    return this.painter.pixels[y * this.painter.width + x] ?? 0;
  }

  /** The colours of a cell and how many pixels have each. */
  cell(column: number, row = 0): Map<number, number> {
    const found = new Map<number, number>();
    for (let y = row * 16; y < row * 16 + 16; y++)
      for (let x = column * 8; x < column * 8 + 8; x++) {
        const pixel = this.pixel(x, y);
        found.set(pixel, (found.get(pixel) ?? 0) + 1);
      }
    return found;
  }
}

test('a block in every kind of colour', () => {
  const bed = new Bed();
  bed.show(
    '█\x1b[31m█\x1b[91m█\x1b[38;5;17m█\x1b[38;5;255m█\x1b[38;2;1;2;253m█\x1b[38:2::9:8:7m█\x1b[1;31m█\x1b[0;31;7m \x1b[0;31;2m█\x1b[0;8m█',
  );
  const colours = [
    FOREGROUND,
    PALETTE[1],
    PALETTE[9],
    opaque(0x00005f),
    opaque(0xeeeeee),
    opaque(0x0102fd),
    opaque(0x090807),
    // Bold text in one of the eight dark colours is bright.
    PALETTE[9],
    PALETTE[1],
    faint(PALETTE[1] ?? 0, BACKGROUND),
    BACKGROUND,
  ];
  for (const [column, colour] of colours.entries())
    assert.deepEqual(bed.cell(column), new Map([[colour, 128]]), `column ${column}`);
  assert.equal(opaque(0x0102fd), 0xfffd0201);
  assert.equal(faint(opaque(0xff0080), opaque(0x010080)), opaque(0x7f0080));
});

test('backgrounds, and lines below, through and above', () => {
  const bed = new Bed();
  bed.show('\x1b[44m \x1b[48;5;196m \x1b[48;2;1;2;3m \x1b[0;4m \x1b[0;9m \x1b[0;53m \x1b[0m');
  assert.deepEqual(bed.cell(0), new Map([[PALETTE[4], 128]]));
  assert.deepEqual(bed.cell(1), new Map([[opaque(0xff0000), 128]]));
  assert.deepEqual(bed.cell(2), new Map([[opaque(0x010203), 128]]));
  for (const [column, y] of [
    [3, 14],
    [4, 8],
    [5, 0],
  ] as const) {
    assert.deepEqual(
      bed.cell(column),
      new Map([
        [BACKGROUND, 120],
        [FOREGROUND, 8],
      ]),
    );
    assert.equal(bed.pixel(column * 8, y), FOREGROUND);
  }
});

test('the cursor in its shapes, also on text of its own colour', () => {
  const bed = new Bed();
  bed.show('\x1b[2 q');
  assert.deepEqual(bed.cell(0), new Map([[FOREGROUND, 128]]));
  bed.show('\x1b[4 q');
  assert.equal(bed.cell(0).get(FOREGROUND), 16);
  bed.show('\x1b[6 q');
  assert.equal(bed.cell(0).get(FOREGROUND), 32);
  bed.show('\x1b[?25l');
  assert.deepEqual(bed.cell(0), new Map([[BACKGROUND, 128]]));
  bed.show('\x1b[?25h\x1b[2 q\x1b[31;41mA\b');
  assert.equal(bed.cell(0).get(FOREGROUND), 128 - (bed.cell(0).get(PALETTE[1] ?? 0) ?? 0));
  bed.show('\x1b[8mA\b');
  assert.deepEqual(bed.cell(0), new Map([[FOREGROUND, 128]]));
});

test('only what changed is painted, row by row', () => {
  const bed = new Bed();
  assert.deepEqual(bed.show('\x1b[?25l'), ['0 0 128 16', '0 16 128 32', '0 32 128 48']);
  assert.deepEqual(bed.show(''), []);
  assert.deepEqual(bed.show('\x1b[2;3Hab'), ['16 16 32 32']);
  assert.deepEqual(bed.show('\x1b[2;3Hab'), []);
  assert.deepEqual(bed.show('\x1b[2;3H\x1b[44mab'), ['16 16 32 32'], 'the background alone');
  assert.deepEqual(bed.show('\x1b[2;3H\x1b[34;44mab'), ['16 16 32 32'], 'the foreground alone');
  assert.deepEqual(bed.show('\x1b[2;3H\x1b[0mab'), ['16 16 32 32']);
  assert.deepEqual(bed.show('\x1b[1;16Hz\x1b[2;3HaB\x1b[2;6H日'), ['120 0 128 16', '24 16 56 32']);
});

test('a wide character takes two cells, and gives both back', () => {
  const bed = new Bed();
  bed.show('\x1b[?25l日本');
  assert.equal(bed.cell(0).size, 2);
  assert.equal(bed.cell(3).size, 2);
  // A blank under the right half of one that comes and goes.
  bed.show('\x1b[3;1H  \x1b[3;1H日');
  bed.show('\x1b[3;1H  ');
  assert.deepEqual(bed.cell(1, 2), new Map([[BACKGROUND, 128]]));
  bed.show('\x1b[1;1H  \x1b[1;4Hx');
  assert.deepEqual(bed.cell(0), new Map([[BACKGROUND, 128]]));
  assert.deepEqual(bed.cell(1), new Map([[BACKGROUND, 128]]));
  assert.deepEqual(bed.cell(2), new Map([[BACKGROUND, 128]]));
  assert.equal(bed.cell(3).size, 2);
});
