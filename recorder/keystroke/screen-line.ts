/**
 * The one line of the screen that the cursor stands on, from what a program writes to
 * its terminal (ECMA-48, xterm's ctlseqs): text, cursor, and whether the alternate
 * screen shows. Lines that wrap are one line when the size is known.
 */
import { Cells } from './cells.ts';
import { CUT, MORE, REPLACEMENT, Utf8, widthOf } from './utf8.ts';

export interface ScreenListener {
  /** The cursor is about to move, or cells to change, other than by text (only while {@link ScreenLine.watched}). */
  beforeControl(): void;
  /** The line is about to be left for another; it still holds its text. Not on the alternate screen. */
  beforeNewline(): void;
}

const SPACE = 0x20;
const PARAMETERS_MAX = 8;

const GROUND = 0;
const ESCAPE = 1;
const CSI = 2;
const STRING = 3;
const STRING_ESCAPE = 4;
const CHARSET = 5;

export class ScreenLine {
  readonly cells = new Cells();
  /** Counts lines: changes when the line is another one. */
  serial = 0;
  alternate = false;
  watched = false;
  /** Nothing is held and no command is awaited: what scrolls by need not be read. */
  idle = false;
  /** Changes when anything but blanks is written. */
  printed = 0;
  /** The first such character since it was set to 0, and where it was written. */
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

  feed(bytes: Uint8Array, listener: ScreenListener): void {
    let start = 0;
    if (this.idle && this.#state === GROUND && !this.alternate && !this.#utf8.open) start = this.#skip(bytes);
    const size = bytes.length;
    for (let i = start; i < size; i++) {
      const byte = bytes[i] ?? 0;
      if (this.#state !== GROUND) {
        this.#sequence(byte, listener);
      } else if (this.#utf8.open || byte >= 0x80) {
        this.#multibyte(byte, listener);
      } else if (byte >= 0x20 && byte < 0x7f) {
        let end = i + 1;
        for (; end < size; end++) {
          const next = bytes[end] ?? 0;
          if (next < 0x20 || next >= 0x7f) break;
        }
        this.#ascii(bytes, i, end);
        i = end - 1;
      } else {
        this.#control(byte, listener);
      }
    }
  }

  /**
   * Where the last line of a chunk begins, when nothing before it matters: nobody waits
   * for an echo or a command, and no escape sequence stands there.
   */
  #skip(bytes: Uint8Array): number {
    const last = bytes.lastIndexOf(0x0a) + 1;
    if (last === 0) return 0;
    const sequence = bytes.indexOf(0x1b);
    if (sequence >= 0 && sequence < last) return 0;
    // Which row of the screen that is, nobody knows.
    this.row = 0;
    this.#clear();
    return last;
  }

  #ascii(bytes: Uint8Array, start: number, end: number): void {
    for (let i = start; i < end; i++) {
      if (bytes[i] === SPACE) continue;
      this.#wrote(bytes[i] ?? 0, this.cells.cursor + i - start);
      break;
    }
    this.cells.putAscii(bytes, start, end);
  }

  #put(point: number, width: number): void {
    const at = this.cells.cursor;
    if (this.cells.put(point, width)) this.#wrote(point, at);
  }

  #wrote(point: number, column: number): void {
    this.printed = (this.printed + 1) | 0;
    if (this.firstPoint !== 0) return;
    this.firstPoint = point;
    this.firstColumn = column;
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
        this.cells.cursor = this.#rowStart();
        return;
      case 0x08:
        this.#before(listener);
        if (this.cells.cursor > this.#rowStart()) this.cells.cursor--;
        return;
      case 0x09:
        this.#before(listener);
        this.cells.moveTo((this.cells.cursor | 7) + 1);
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
    const row = Math.floor(this.cells.cursor / columns);
    const waits =
      this.cells.cursor > 0 && this.cells.cursor % columns === 0 && this.cells.cursor === this.cells.length;
    return (waits ? row - 1 : row) * columns;
  }

  #lineFeed(listener: ScreenListener): void {
    this.#before(listener);
    if (this.alternate) {
      this.#toRow(this.#rows > 0 ? Math.min(this.row + 1, this.#rows) : this.row + 1, listener, true);
      return;
    }
    const columns = this.#columns;
    if (columns > 0 && this.#rowStart() + columns < this.cells.length) {
      this.cells.cursor += columns;
      return;
    }
    listener.beforeNewline();
    this.row++;
    this.#clear();
  }

  /** Another line, empty, the cursor at its start. */
  #clear(): void {
    this.serial = (this.serial + 1) | 0;
    this.cells.clear();
  }

  /** Moves to another row of the screen, its text unknown, or known when it was kept as a prompt. */
  #toRow(row: number, listener: ScreenListener, scrolls = false): void {
    if (row === this.row && !scrolls) return;
    if (this.alternate && this.cells.endsWithColon) {
      this.#promptCells = this.cells.copy();
      this.#promptRow = this.row;
    }
    const column = this.cells.cursor;
    if (this.alternate) {
      this.cells.length = 0;
    } else {
      listener.beforeNewline();
      this.#clear();
    }
    this.row = Math.max(1, row);
    if (this.alternate && this.row === this.#promptRow && this.#promptCells !== undefined) {
      this.cells.load(this.#promptCells);
    }
    this.cells.cursor = column;
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
    this.#savedCursor = this.cells.cursor;
    this.#savedRow = this.row;
  }

  #restore(listener: ScreenListener): void {
    this.#toRow(this.#savedRow, listener);
    this.cells.moveTo(this.#savedCursor);
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
        if (columns > 0 && this.cells.cursor - count * columns >= 0) this.cells.cursor -= count * columns;
        else this.#toRow(this.row - count, listener);
        return;
      case 0x42: // B, down
        if (columns > 0 && this.cells.cursor + count * columns <= this.cells.length)
          this.cells.cursor += count * columns;
        else this.#toRow(this.row + count, listener);
        return;
      case 0x43: // C, right
        this.cells.moveTo(this.cells.cursor + count);
        return;
      case 0x44: // D, left
        this.cells.moveTo(Math.max(this.#rowStart(), this.cells.cursor - count));
        return;
      case 0x45: // E, F: rows down and up, to their start
      case 0x46:
        this.#toRow(this.row + (final === 0x45 ? count : -count), listener);
        this.cells.cursor = 0;
        return;
      case 0x47: // G, `
      case 0x60:
        this.cells.moveTo(this.#rowStart() + count - 1);
        return;
      case 0x48: // H, f
      case 0x66:
        this.#toRow(count, listener);
        this.cells.moveTo(Math.max(1, this.#at(1, 1)) - 1);
        return;
      case 0x64: // d
        this.#toRow(count, listener);
        return;
      case 0x4b: // K
      case 0x4a: // J
        this.#eraseLine(this.#at(0, 0));
        return;
      case 0x50: // P, delete
        this.cells.delete(count);
        return;
      case 0x40: // @, insert
        this.cells.insert(count);
        return;
      case 0x58: // X, blank
        this.cells.blank(this.cells.cursor, this.cells.cursor + count);
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
    if (mode === 0) this.cells.length = Math.min(this.cells.length, this.cells.cursor);
    else if (mode === 1) this.cells.blank(0, this.cells.cursor + 1);
    else this.cells.length = 0;
  }
}
