/**
 * The one line of the screen that the cursor stands on, from what a program writes to
 * its terminal (ECMA-48, xterm's ctlseqs): text, cursor, and whether the alternate
 * screen shows. Lines that wrap are one line when the size is known.
 */
import { CUT, MORE, REPLACEMENT, Utf8, widthOf } from './utf8.ts';

export interface ScreenListener {
  /** The cursor is about to move, or cells to change, other than by text (only while {@link ScreenLine.watched}). */
  beforeControl(): void;
  /** The line is about to be left for another; it still holds its text. Not on the alternate screen. */
  beforeNewline(): void;
}

/** Longest line that is followed; what is longer stays cut. */
const CELLS_MAX = 8192;
/** Cells kept when a line is done; longer lines give their memory back. */
const CELLS_KEPT = 256;
/** Right half of a wide character. */
const WIDE_REST = 0xffffffff;
const SPACE = 0x20;
const COLON = 0x3a;
const PARAMETERS_MAX = 8;

const GROUND = 0;
const ESCAPE = 1;
const CSI = 2;
const STRING = 3;
const STRING_ESCAPE = 4;
const CHARSET = 5;

export class ScreenLine {
  /** INVARIANT: cells from `length` on are meaningless. */
  cells = new Uint32Array(128);
  length = 0;
  cursor = 0;
  /** Counts lines: changes when the line is another one. */
  serial = 0;
  alternate = false;
  watched = false;
  /** Counts characters written, blanks left out. */
  printed = 0;
  /** The first of them since it was set to 0, and where it was written. */
  firstPoint = 0;
  firstColumn = 0;
  #columns: number;
  #rows: number;
  /** From 1; only as good as what the program tells of it. */
  row = 1;
  #state = GROUND;
  readonly #utf8 = new Utf8();
  #private = 0;
  #parameter = -1;
  #parameters: number[] = [];
  #savedCursor = 0;
  #savedRow = 1;
  /** On the alternate screen, one line that ended in a colon when it was left: a prompt to return to. */
  #promptRow = 0;
  #promptCells: Uint32Array | undefined;

  /** 0: unknown. */
  constructor(columns: number, rows: number) {
    this.#columns = columns;
    this.#rows = rows;
  }

  resize(columns: number, rows: number): void {
    this.#columns = columns;
    this.#rows = rows;
  }

  /** The text from cell `start` to `end`. */
  text(start: number, end: number): string {
    let text = '';
    const stop = Math.min(end, this.length);
    for (let i = start; i < stop; i++) {
      const point = this.cells[i] ?? SPACE;
      if (point !== WIDE_REST) text += String.fromCodePoint(point);
    }
    return text;
  }

  /** Where `points` end if they stand in the cells from `start` up to cell `end`, whole; else -1. */
  holds(points: readonly number[], start: number, end: number): boolean {
    let at = start;
    for (let i = 0; i < points.length && at < end; i++) {
      const point = points[i] ?? 0;
      const width = widthOf(point);
      if (width === 0) continue;
      if (at >= this.length || this.cells[at] !== point) return false;
      at += width;
    }
    return at === end;
  }

  feed(bytes: Uint8Array, listener: ScreenListener): void {
    const size = bytes.length;
    for (let i = 0; i < size; i++) {
      const byte = bytes[i] ?? 0;
      if (this.#state === GROUND) {
        if (byte >= 0x20 && byte < 0x7f && !this.#utf8.open) this.#put(byte, 1);
        else if (byte >= 0x80 || this.#utf8.open) this.#multibyte(byte, listener);
        else this.#control(byte, listener);
      } else {
        this.#sequence(byte, listener);
      }
    }
  }

  #put(point: number, width: number): void {
    const end = this.cursor + width;
    if (end > this.cells.length && !this.#grow(end)) return;
    const cells = this.cells;
    if (this.cursor > this.length) cells.fill(SPACE, this.length, this.cursor);
    cells[this.cursor] = point;
    if (width === 2) cells[this.cursor + 1] = WIDE_REST;
    if (point !== SPACE) {
      this.printed = (this.printed + 1) | 0;
      if (this.firstPoint === 0) {
        this.firstPoint = point;
        this.firstColumn = this.cursor;
      }
    }
    this.cursor = end;
    if (end > this.length) this.length = end;
  }

  #grow(needed: number): boolean {
    if (needed > CELLS_MAX) return false;
    const bigger = new Uint32Array(Math.min(CELLS_MAX, Math.max(needed, this.cells.length * 2)));
    bigger.set(this.cells.subarray(0, this.length));
    this.cells = bigger;
    return true;
  }

  #multibyte(byte: number, listener: ScreenListener): void {
    const point = this.#utf8.feed(byte);
    if (point === MORE) return;
    if (point === CUT) {
      this.#put(REPLACEMENT, 1);
      if (byte >= 0x80) this.#multibyte(byte, listener);
      else if (byte >= 0x20 && byte < 0x7f) this.#put(byte, 1);
      else this.#control(byte, listener);
      return;
    }
    // A combining mark joins the cell before it: as good as unseen for a line of text.
    const width = point < 0xa0 ? 0 : widthOf(point);
    if (width > 0) this.#put(point, width);
  }

  #control(byte: number, listener: ScreenListener): void {
    switch (byte) {
      case 0x0a:
      case 0x0b:
      case 0x0c:
        this.#lineFeed(listener);
        return;
      case 0x0d:
        this.#before(listener);
        this.cursor = this.#rowStart();
        return;
      case 0x08:
        this.#before(listener);
        if (this.cursor > this.#rowStart()) this.cursor--;
        return;
      case 0x09:
        this.#before(listener);
        this.#moveTo((this.cursor | 7) + 1);
        return;
      case 0x1b:
        this.#state = ESCAPE;
        return;
      default:
    }
  }

  #before(listener: ScreenListener): void {
    if (this.watched) listener.beforeControl();
  }

  /** First cell of the cursor's row. Behind a full row the cursor still belongs to that row. */
  #rowStart(): number {
    const columns = this.#columns;
    if (columns <= 0 || this.alternate) return 0;
    const row = Math.floor(this.cursor / columns);
    const waits = this.cursor > 0 && this.cursor % columns === 0 && this.cursor === this.length;
    return (waits ? row - 1 : row) * columns;
  }

  #moveTo(column: number): void {
    this.cursor = Math.max(0, Math.min(column, CELLS_MAX));
  }

  #lineFeed(listener: ScreenListener): void {
    this.#before(listener);
    if (this.alternate) {
      this.#toRow(this.#rows > 0 ? Math.min(this.row + 1, this.#rows) : this.row + 1, listener, true);
      return;
    }
    const columns = this.#columns;
    if (columns > 0 && this.#rowStart() + columns < this.length) {
      this.cursor += columns;
      return;
    }
    listener.beforeNewline();
    this.row++;
    this.#clear();
  }

  /** Another line, empty, the cursor at its start. */
  #clear(): void {
    this.serial = (this.serial + 1) | 0;
    this.length = 0;
    this.cursor = 0;
    if (this.cells.length > CELLS_KEPT) this.cells = new Uint32Array(CELLS_KEPT);
  }

  /** Moves to another row of the screen, its text unknown, or known when it was kept as a prompt. */
  #toRow(row: number, listener: ScreenListener, scrolls = false): void {
    if (row === this.row && !scrolls) return;
    const last = this.cursor > 0 && this.cells[this.cursor - 1] === SPACE ? this.cursor - 2 : this.cursor - 1;
    if (this.alternate && last >= 0 && last < this.length && this.cells[last] === COLON) {
      this.#promptCells = this.cells.slice(0, this.length);
      this.#promptRow = this.row;
    }
    const column = this.cursor;
    if (this.alternate) {
      this.length = 0;
    } else {
      listener.beforeNewline();
      this.#clear();
    }
    this.row = Math.max(1, row);
    if (this.alternate && this.row === this.#promptRow && this.#promptCells !== undefined) {
      const kept = this.#promptCells;
      if (kept.length <= this.cells.length || this.#grow(kept.length)) {
        this.cells.set(kept);
        this.length = kept.length;
      }
    }
    this.cursor = column;
  }

  #sequence(byte: number, listener: ScreenListener): void {
    switch (this.#state) {
      case ESCAPE:
        this.#escape(byte, listener);
        return;
      case CSI:
        this.#csi(byte, listener);
        return;
      case STRING:
        if (byte === 0x1b) this.#state = STRING_ESCAPE;
        else if (byte === 0x07 || byte === 0x18 || byte === 0x1a) this.#state = GROUND;
        return;
      case STRING_ESCAPE:
        this.#state = GROUND;
        if (byte !== 0x5c) this.#escape(byte, listener);
        return;
      default:
        this.#state = GROUND;
    }
  }

  #escape(byte: number, listener: ScreenListener): void {
    this.#state = GROUND;
    switch (byte) {
      case 0x5b: // [
        this.#state = CSI;
        this.#private = 0;
        this.#parameter = -1;
        this.#parameters.length = 0;
        return;
      case 0x5d: // ]
      case 0x50: // P
      case 0x58: // X
      case 0x5e: // ^
      case 0x5f: // _
        this.#state = STRING;
        return;
      case 0x37: // 7
        this.#save();
        return;
      case 0x38: // 8
        this.#before(listener);
        this.#restore(listener);
        return;
      case 0x44: // D
      case 0x45: // E
        this.#lineFeed(listener);
        return;
      case 0x4d: // M
        this.#before(listener);
        this.#toRow(this.row - 1, listener);
        return;
      case 0x63: // c
        this.#before(listener);
        this.#screen(false);
        return;
      case 0x1b:
        this.#state = ESCAPE;
        return;
      default:
        if (byte >= 0x20 && byte < 0x30) this.#state = CHARSET;
        else if (byte < 0x20) this.#control(byte, listener);
    }
  }

  #save(): void {
    this.#savedCursor = this.cursor;
    this.#savedRow = this.row;
  }

  #restore(listener: ScreenListener): void {
    this.#toRow(this.#savedRow, listener);
    this.#moveTo(this.#savedCursor);
  }

  #csi(byte: number, listener: ScreenListener): void {
    if (byte >= 0x30 && byte <= 0x39) {
      this.#parameter = Math.min(65_535, (this.#parameter < 0 ? 0 : this.#parameter * 10) + byte - 0x30);
    } else if (byte === 0x3b || byte === 0x3a) {
      if (this.#parameters.length < PARAMETERS_MAX) this.#parameters.push(this.#parameter);
      this.#parameter = -1;
    } else if (byte >= 0x20 && byte < 0x40) {
      this.#private = byte;
    } else if (byte >= 0x40 && byte < 0x7f) {
      this.#state = GROUND;
      if (this.#parameters.length < PARAMETERS_MAX) this.#parameters.push(this.#parameter);
      this.#dispatch(byte, listener);
    } else if (byte === 0x1b) {
      this.#state = ESCAPE;
    } else if (byte < 0x20) {
      this.#control(byte, listener);
    }
  }

  /** Parameter `index`, or `otherwise` when it is not given. */
  #at(index: number, otherwise: number): number {
    const value = this.#parameters[index] ?? -1;
    return value < 0 ? otherwise : value;
  }

  #dispatch(final: number, listener: ScreenListener): void {
    if (this.#private !== 0) {
      if (this.#private === 0x3f && (final === 0x68 || final === 0x6c)) this.#mode(final === 0x68, listener);
      return;
    }
    if (final === 0x6d) return; // m: colours
    const count = Math.max(1, this.#at(0, 1));
    const columns = this.alternate ? 0 : this.#columns;
    this.#before(listener);
    switch (final) {
      case 0x41: // A, up; within a wrapped line while there is one
        if (columns > 0 && this.cursor - count * columns >= 0) this.cursor -= count * columns;
        else this.#toRow(this.row - count, listener);
        return;
      case 0x42: // B, down
        if (columns > 0 && this.cursor + count * columns <= this.length) this.cursor += count * columns;
        else this.#toRow(this.row + count, listener);
        return;
      case 0x43: // C, right
        this.#moveTo(this.cursor + count);
        return;
      case 0x44: // D, left
        this.#moveTo(Math.max(this.#rowStart(), this.cursor - count));
        return;
      case 0x45: // E, F: rows down and up, to their start
      case 0x46:
        this.#toRow(this.row + (final === 0x45 ? count : -count), listener);
        this.cursor = 0;
        return;
      case 0x47: // G, `
      case 0x60:
        this.#moveTo(this.#rowStart() + count - 1);
        return;
      case 0x48: // H, f
      case 0x66:
        this.#toRow(count, listener);
        this.#moveTo(Math.max(1, this.#at(1, 1)) - 1);
        return;
      case 0x64: // d
        this.#toRow(count, listener);
        return;
      case 0x4b: // K
      case 0x4a: // J
        this.#eraseLine(this.#at(0, 0));
        return;
      case 0x50: // P, delete
        this.#delete(count);
        return;
      case 0x40: // @, insert
        this.#insert(count);
        return;
      case 0x58: // X, blank
        this.cells.fill(
          SPACE,
          Math.min(this.cursor, this.length),
          Math.min(this.cursor + count, this.length),
        );
        return;
      case 0x73: // s
        this.#save();
        return;
      case 0x75: // u
        this.#restore(listener);
        return;
      default:
    }
  }

  #mode(on: boolean, listener: ScreenListener): void {
    for (const mode of this.#parameters) {
      if (mode !== 47 && mode !== 1047 && mode !== 1049) continue;
      if (on === this.alternate) continue;
      this.#before(listener);
      this.#screen(on);
    }
  }

  #screen(alternate: boolean): void {
    this.alternate = alternate;
    this.row = 1;
    this.#promptCells = undefined;
    this.#clear();
  }

  /** 0: from the cursor on, 1: up to it, 2: all. */
  #eraseLine(mode: number): void {
    if (mode === 0) this.length = Math.min(this.length, this.cursor);
    else if (mode === 1) this.cells.fill(SPACE, 0, Math.min(this.cursor + 1, this.length));
    else this.length = 0;
  }

  #delete(count: number): void {
    if (this.cursor >= this.length) return;
    const from = Math.min(this.cursor + count, this.length);
    this.cells.copyWithin(this.cursor, from, this.length);
    this.length -= from - this.cursor;
  }

  #insert(count: number): void {
    if (this.cursor >= this.length) return;
    const end = Math.min(this.length + count, CELLS_MAX);
    if (end > this.cells.length && !this.#grow(end)) return;
    const shift = end - this.length;
    this.cells.copyWithin(this.cursor + shift, this.cursor, this.length);
    this.cells.fill(SPACE, this.cursor, this.cursor + shift);
    this.length = end;
  }
}
