/** Paints a terminal's cells, each only when it is another than before. */
import type { IBufferCell } from '@xterm/headless';
import type { Rectangle } from '../screen/index.ts';
import { BACKGROUND, FOREGROUND, faint, opaque, PALETTE } from './colours.ts';
import type { CursorShape, Emulator } from './emulator.ts';
import { CELL_HEIGHT, CELL_WIDTH, glyphOf } from './glyphs.ts';

const Style = {
  bold: 1,
  underline: 2,
  strikethrough: 4,
  overline: 8,
  cursorUnderline: 16,
  cursorBar: 32,
} as const;

/** Pixel rows of a cell. */
const UNDERLINE_ROW = CELL_HEIGHT - 2;
const STRIKETHROUGH_ROW = CELL_HEIGHT / 2;
/** How thick a cursor is that is no block. */
const CURSOR_PIXELS = 2;

/** Numbers that are kept of a cell: its character, width and style packed, and its two colours. */
const KEPT = 3;
const NOT_PAINTED = 0xffffffff;
const SPACE = 0x20;
/** The first 8 of the palette become the 8 behind them where text is bold. */
const BRIGHT = 8;

/** Of the picture of a terminal. */
export function pixelsOf(size: { readonly columns: number; readonly rows: number }): {
  readonly width: number;
  readonly height: number;
} {
  return { width: size.columns * CELL_WIDTH, height: size.rows * CELL_HEIGHT };
}

export class Painter {
  readonly columns: number;
  readonly rows: number;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** RGBA, opaque, the top line first. */
  readonly pixels: Uint32Array;
  readonly #painted: Uint32Array;

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
    ({ width: this.width, height: this.height } = pixelsOf(this));
    this.pixels = new Uint32Array(this.width * this.height).fill(BACKGROUND);
    this.#painted = new Uint32Array(columns * rows * KEPT).fill(NOT_PAINTED);
  }

  /** What a terminal of this size shows now; returns where it is other than before, one rectangle a row. */
  paint(terminal: Emulator): Rectangle[] {
    const changed: Rectangle[] = [];
    const { cursor } = terminal;
    for (let row = 0; row < this.rows; row++) {
      let first = this.columns;
      let last = 0;
      terminal.readRow(row, (column, codePoint, cell) => {
        const cells = Math.min(Math.max(1, cell.getWidth()), this.columns - column);
        const shape = cursor?.row === row && cursor.column === column ? cursor.shape : undefined;
        if (!this.#update(column, row, cells, codePoint, cell, shape)) return;
        first = Math.min(first, column);
        last = column + cells;
      });
      if (last > 0)
        changed.push({
          left: first * CELL_WIDTH,
          top: row * CELL_HEIGHT,
          right: last * CELL_WIDTH,
          bottom: (row + 1) * CELL_HEIGHT,
        });
    }
    return changed;
  }

  /** False: it is painted so. */
  #update(
    column: number,
    row: number,
    cells: number,
    codePoint: number,
    cell: IBufferCell,
    cursor: CursorShape | undefined,
  ): boolean {
    let foreground = foregroundOf(cell);
    let background = backgroundOf(cell);
    if (cell.isInverse() !== 0) [foreground, background] = [background, foreground];
    if (cell.isDim() !== 0) foreground = faint(foreground, background);
    // A cursor on text of its ground's colour is seen all the same.
    if (cursor === 'block')
      [foreground, background] = [background, foreground === background ? FOREGROUND : foreground];
    const style = styleOf(cell, cursor);
    const shown = cell.isInvisible() !== 0 || cell.getWidth() === 0 ? SPACE : codePoint;
    const packed = ((style << 22) | ((cells - 1) << 21) | shown) >>> 0;
    const at = (row * this.columns + column) * KEPT;
    const painted = this.#painted;
    if (painted[at] === packed && painted[at + 1] === foreground && painted[at + 2] === background)
      return false;
    painted[at] = packed;
    painted[at + 1] = foreground;
    painted[at + 2] = background;
    // What lies under the right half will be painted anew when it is seen again.
    if (cells > 1) painted[at + KEPT] = NOT_PAINTED;
    this.#draw(column, row, cells, glyphOf(shown, cells, (style & Style.bold) !== 0), foreground, background);
    this.#drawLines(column, row, cells, style, foreground);
    return true;
  }

  #draw(column: number, row: number, cells: number, glyph: Uint8Array, ink: number, ground: number): void {
    const { pixels, width } = this;
    let to = row * CELL_HEIGHT * width + column * CELL_WIDTH;
    const skip = width - cells * CELL_WIDTH;
    for (let at = 0, y = 0; y < CELL_HEIGHT; y++, to += skip)
      for (let byte = 0; byte < cells; byte++, at++) {
        const bits = glyph[at] ?? 0;
        for (let mask = 0x80; mask !== 0; mask >>= 1) pixels[to++] = (bits & mask) === 0 ? ground : ink;
      }
  }

  #drawLines(column: number, row: number, cells: number, style: number, ink: number): void {
    if (style <= Style.bold) return;
    const left = column * CELL_WIDTH;
    const top = row * CELL_HEIGHT;
    const fill = (y: number, lines: number, wide: number): void => {
      for (let line = top + y; line < top + y + lines; line++)
        this.pixels.fill(ink, line * this.width + left, line * this.width + left + wide);
    };
    const wide = cells * CELL_WIDTH;
    if ((style & Style.underline) !== 0) fill(UNDERLINE_ROW, 1, wide);
    if ((style & Style.strikethrough) !== 0) fill(STRIKETHROUGH_ROW, 1, wide);
    if ((style & Style.overline) !== 0) fill(0, 1, wide);
    if ((style & Style.cursorUnderline) !== 0) fill(CELL_HEIGHT - CURSOR_PIXELS, CURSOR_PIXELS, wide);
    if ((style & Style.cursorBar) !== 0) fill(0, CELL_HEIGHT, CURSOR_PIXELS);
  }
}

function foregroundOf(cell: IBufferCell): number {
  const colour = cell.getFgColor();
  if (cell.isFgRGB()) return opaque(colour);
  if (!cell.isFgPalette()) return FOREGROUND;
  const brighter = cell.isBold() !== 0 && colour < BRIGHT;
  return PALETTE[brighter ? colour + BRIGHT : colour] ?? FOREGROUND;
}

function backgroundOf(cell: IBufferCell): number {
  const colour = cell.getBgColor();
  if (cell.isBgRGB()) return opaque(colour);
  return cell.isBgPalette() ? (PALETTE[colour] ?? BACKGROUND) : BACKGROUND;
}

function styleOf(cell: IBufferCell, cursor: CursorShape | undefined): number {
  return (
    (cell.isBold() === 0 ? 0 : Style.bold) |
    (cell.isUnderline() === 0 ? 0 : Style.underline) |
    (cell.isStrikethrough() === 0 ? 0 : Style.strikethrough) |
    (cell.isOverline() === 0 ? 0 : Style.overline) |
    (cursor === 'underline' ? Style.cursorUnderline : 0) |
    (cursor === 'bar' ? Style.cursorBar : 0)
  );
}
