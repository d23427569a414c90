/** One line of a screen as cells, with its cursor. */
import { widthOf } from './utf8.ts';

/** Longest line that is followed; what is longer stays cut. */
export const CELLS_MAX = 8192;
/** Cells kept when a line is done; longer lines give their memory back. */
const CELLS_KEPT = 256;
/** Right half of a wide character. */
const WIDE_REST = 0xffffffff;
const SPACE = 0x20;
const COLON = 0x3a;

export class Cells {
  /** INVARIANT: cells from `length` on are meaningless. */
  #cells = new Uint32Array(128);
  length = 0;
  cursor = 0;

  /** The text from cell `start` to `end`. */
  text(start: number, end: number): string {
    let text = '';
    const stop = Math.min(end, this.length);
    for (let i = start; i < stop; i++) {
      const point = this.#cells[i] ?? SPACE;
      if (point !== WIDE_REST) text += String.fromCodePoint(point);
    }
    return text;
  }

  /** Whether the cells from `start` to `end` hold the beginning of `points`, and whole characters. */
  holds(points: readonly number[], start: number, end: number): boolean {
    let at = start;
    for (let i = 0; i < points.length && at < end; i++) {
      const point = points[i] ?? 0;
      const width = widthOf(point);
      if (width === 0) continue;
      if (at >= this.length || this.#cells[at] !== point) return false;
      at += width;
    }
    return at === end;
  }

  /** Whether a colon, with a blank behind it or none, is what stands before the cursor. */
  get endsWithColon(): boolean {
    const last =
      this.cursor > 0 && this.#cells[this.cursor - 1] === SPACE ? this.cursor - 2 : this.cursor - 1;
    return last >= 0 && last < this.length && this.#cells[last] === COLON;
  }

  /** Writes a character of 1 or 2 columns at the cursor; false: the line is full. */
  put(point: number, width: number): boolean {
    const end = this.cursor + width;
    if (!this.#reach(end)) return false;
    const cells = this.#cells;
    cells[this.cursor] = point;
    if (width === 2) cells[this.cursor + 1] = WIDE_REST;
    this.cursor = end;
    if (end > this.length) this.length = end;
    return true;
  }

  /** Writes the printable ASCII bytes from `start` to `end`, as far as the line goes. */
  putAscii(bytes: Uint8Array, start: number, end: number): void {
    const size = Math.min(end - start, CELLS_MAX - this.cursor);
    if (size <= 0 || !this.#reach(this.cursor + size)) return;
    const cells = this.#cells;
    let cursor = this.cursor;
    for (let i = start; i < start + size; i++) cells[cursor++] = bytes[i] ?? SPACE;
    this.cursor = cursor;
    if (cursor > this.length) this.length = cursor;
  }

  clear(): void {
    this.length = 0;
    this.cursor = 0;
    if (this.#cells.length > CELLS_KEPT) this.#cells = new Uint32Array(CELLS_KEPT);
  }

  copy(): Uint32Array {
    return this.#cells.slice(0, this.length);
  }

  /** Replaces the text; the cursor stays. */
  load(cells: Uint32Array): void {
    this.length = 0;
    if (cells.length > this.#cells.length && !this.#grow(cells.length)) return;
    this.#cells.set(cells);
    this.length = cells.length;
  }

  moveTo(column: number): void {
    this.cursor = Math.max(0, Math.min(column, CELLS_MAX));
  }

  /** Blanks from cell `start` to `end`. */
  blank(start: number, end: number): void {
    this.#cells.fill(SPACE, Math.min(start, this.length), Math.min(end, this.length));
  }

  /** Takes `count` cells out at the cursor; the rest moves up. */
  delete(count: number): void {
    if (this.cursor >= this.length) return;
    const from = Math.min(this.cursor + count, this.length);
    this.#cells.copyWithin(this.cursor, from, this.length);
    this.length -= from - this.cursor;
  }

  /** Puts `count` blanks in at the cursor; the rest moves on. */
  insert(count: number): void {
    if (this.cursor >= this.length) return;
    const end = Math.min(this.length + count, CELLS_MAX);
    if (end > this.#cells.length && !this.#grow(end)) return;
    const shift = end - this.length;
    this.#cells.copyWithin(this.cursor + shift, this.cursor, this.length);
    this.#cells.fill(SPACE, this.cursor, this.cursor + shift);
    this.length = end;
  }

  /** Room up to `end`, blanks between the text and the cursor. */
  #reach(end: number): boolean {
    if (end > this.#cells.length && !this.#grow(end)) return false;
    if (this.cursor > this.length) this.#cells.fill(SPACE, this.length, this.cursor);
    return true;
  }

  #grow(needed: number): boolean {
    if (needed > CELLS_MAX) return false;
    const bigger = new Uint32Array(Math.min(CELLS_MAX, Math.max(needed, this.#cells.length * 2)));
    bigger.set(this.#cells.subarray(0, this.length));
    this.#cells = bigger;
    return true;
  }
}
