/** What a terminal shows of the bytes that it was sent: the package @xterm/headless, held in bounds. */
import xterm, { type IBufferCell, type IBufferLine, type Terminal } from '@xterm/headless';
import { ParameterBound } from './parameter-bound.ts';
import { joining, widthOf } from './width.ts';

/** Smallest that the emulator can have; largest that fits any screen and a video (4096 × 3072 pixels). */
const MIN_COLUMNS = 2;
const MAX_COLUMNS = 512;
const MAX_ROWS = 192;

/** Of what scrolled off: as much as comes back into view when a window becomes higher again. */
const KEPT_ROWS = MAX_ROWS;

/** A cell with no character of its own yet. */
const SPACE = 0x20;
const SHOW_CURSOR_MODE = 25;
const HYPERLINK = 8;
/** Alternate screen buffer (xterm's ctlseqs). */
const SWAP_MODES = [47, 1047, 1049];
/** Of ED, ECMA-48 §8.3.39; 3 wipes what scrolled off. 0 is all below the cursor, also in its line. */
const ERASE_ABOVE = 1;
const ERASE_ALL = 2;
const ERASE_SCROLLED = 3;

export type CursorShape = 'block' | 'underline' | 'bar';

export interface Cursor {
  /** From 0. INVARIANT: inside the screen. */
  readonly column: number;
  readonly row: number;
  readonly shape: CursorShape;
}

/** Told while bytes are taken, so that what a screen loses can be read before. */
export interface ScreenWatch {
  /** A line feed came: the line that the cursor left is the one above {@link Emulator.row}. */
  lineFed(): void;
  /** The rows from `from` to `to` (excluded) are about to be wiped, or to give way to another screen. */
  beforeWipe(from: number, to: number): void;
}

export class Emulator {
  readonly #terminal: Terminal;
  /** Decoded here, so that the emulator reads the very characters that were bounded. */
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #bound = new ParameterBound();
  #cursorShown = true;
  #cursorShape: CursorShape = 'block';

  /** The size becomes one {@link sizeWithin} the bounds, here and in {@link resize}. */
  constructor(columns: number, rows: number, watch?: ScreenWatch) {
    const size = sizeWithin(columns, rows);
    const terminal = new xterm.Terminal({
      cols: size.columns,
      rows: size.rows,
      scrollback: KEPT_ROWS,
      logLevel: 'off',
      // What the emulator calls proposed: reading its cells, widths and handlers.
      allowProposedApi: true,
    });
    this.#terminal = terminal;
    this.#bound.resize(size.columns, size.rows);
    terminal.unicode.register({ version: 'today', wcwidth: widthOf, charProperties: joining });
    terminal.unicode.activeVersion = 'today';
    const { parser } = terminal;
    // Links are not drawn, and the emulator would keep each as long as its line stands.
    parser.registerOscHandler(HYPERLINK, () => true);
    // The emulator obeys these too, but does not tell.
    parser.registerCsiHandler({ prefix: '?', final: 'h' }, (modes) => this.#showCursor(modes, true));
    parser.registerCsiHandler({ prefix: '?', final: 'l' }, (modes) => this.#showCursor(modes, false));
    parser.registerCsiHandler({ intermediates: '!', final: 'p' }, () => this.#resetCursor());
    parser.registerEscHandler({ final: 'c' }, () => this.#resetCursor());
    parser.registerCsiHandler({ intermediates: ' ', final: 'q' }, ([style]) => this.#shapeCursor(style));
    if (watch !== undefined) this.#tell(watch);
  }

  #tell(watch: ScreenWatch): void {
    const all = (): false => {
      watch.beforeWipe(0, this.rows);
      return false;
    };
    const swap = (modes: readonly (number | number[])[]): boolean =>
      SWAP_MODES.some((mode) => modes.includes(mode)) && all();
    const erase = ([part]: readonly (number | number[])[]): false => {
      if (part === ERASE_ABOVE) watch.beforeWipe(0, this.row);
      else if (part === ERASE_ALL) all();
      else if (part !== ERASE_SCROLLED) watch.beforeWipe(this.row + 1, this.rows);
      return false;
    };
    this.#terminal.onLineFeed(() => watch.lineFed());
    const { parser } = this.#terminal;
    parser.registerCsiHandler({ final: 'J' }, erase);
    parser.registerCsiHandler({ prefix: '?', final: 'J' }, erase);
    parser.registerCsiHandler({ prefix: '?', final: 'h' }, swap);
    parser.registerCsiHandler({ prefix: '?', final: 'l' }, swap);
    parser.registerEscHandler({ final: 'c' }, all);
  }

  get columns(): number {
    return this.#terminal.cols;
  }

  get rows(): number {
    return this.#terminal.rows;
  }

  /** Undefined where it is hidden. */
  get cursor(): Cursor | undefined {
    if (!this.#cursorShown) return undefined;
    const { cursorX, cursorY } = this.#terminal.buffer.active;
    // Behind the last column it waits for the next character.
    return { column: Math.min(cursorX, this.columns - 1), row: cursorY, shape: this.#cursorShape };
  }

  /** That the cursor is on. */
  get row(): number {
    return this.#terminal.buffer.active.cursorY;
  }

  /** Whether a full-screen program has the alternate screen. */
  get alternate(): boolean {
    return this.#terminal.buffer.active.type === 'alternate';
  }

  /** Whether a row goes on with the text of the one above it. Rows that scrolled off are negative. */
  wraps(row: number): boolean {
    return this.#line(row)?.isWrapped === true;
  }

  /** The text of a row, with the blanks behind it unless it is to be `trimmed`. */
  text(row: number, trimmed: boolean): string {
    return this.#line(row)?.translateToString(trimmed) ?? '';
  }

  resize(columns: number, rows: number): void {
    const size = sizeWithin(columns, rows);
    this.#terminal.resize(size.columns, size.rows);
    this.#bound.resize(size.columns, size.rows);
  }

  /** Takes all of `bytes` before it returns. */
  write(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    let taken = false;
    // Directly after input the emulator obeys at once; else it would when it is idle.
    this.#terminal.input('');
    this.#terminal.write(this.#bound.filter(text), () => {
      taken = true;
    });
    if (!taken) throw new Error('the terminal emulator did not take its bytes at once');
  }

  /** Calls `see` for each character of a row, from the left; the cell is valid during the call. */
  readRow(row: number, see: (column: number, codePoint: number, cell: IBufferCell) => void): void {
    const line = this.#line(row);
    if (line === undefined) return;
    const cell = this.#terminal.buffer.active.getNullCell();
    for (let column = 0; column < this.columns; ) {
      line.getCell(column, cell);
      see(column, characterOf(cell), cell);
      column += Math.max(1, cell.getWidth());
    }
  }

  #line(row: number): IBufferLine | undefined {
    const { active } = this.#terminal.buffer;
    return active.getLine(active.baseY + row);
  }

  #showCursor(modes: readonly (number | number[])[], shown: boolean): boolean {
    if (modes.includes(SHOW_CURSOR_MODE)) this.#cursorShown = shown;
    return false;
  }

  #resetCursor(): boolean {
    this.#cursorShown = true;
    this.#cursorShape = 'block';
    return false;
  }

  /** DECSCUSR: 0 to 2 a block, 3 and 4 an underline, 5 and 6 a bar; odd ones blink. */
  #shapeCursor(style: number | number[] | undefined): boolean {
    if (style === 3 || style === 4) this.#cursorShape = 'underline';
    else if (style === 5 || style === 6) this.#cursorShape = 'bar';
    else this.#cursorShape = 'block';
    return false;
  }
}

/** The size that a terminal is given which should have `columns` × `rows`. */
export function sizeWithin(
  columns: number,
  rows: number,
): { readonly columns: number; readonly rows: number } {
  return {
    columns: Math.max(MIN_COLUMNS, Math.min(MAX_COLUMNS, columns)),
    rows: Math.max(1, Math.min(MAX_ROWS, rows)),
  };
}

/** The character of a cell with its marks as one code point, where Unicode has one; else without them. */
function characterOf(cell: IBufferCell): number {
  const characters = cell.getChars();
  if (characters.length <= 1) return cell.getCode() || SPACE;
  return characters.normalize('NFC').codePointAt(0) ?? SPACE;
}
