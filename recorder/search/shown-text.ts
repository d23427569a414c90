/**
 * What could be read on a terminal, as lines with the moment at which each stood there. An emulator draws the
 * screen. A line is taken when a line feed ends it; what programs place anywhere on the screen is taken when
 * it has stood for a while, or is about to be wiped. Nothing is taken twice while it stands.
 */
import { Emulator, type ScreenWatch } from '../terminal/index.ts';
import { hasWords, MAX_LINE } from './entry.ts';

/** What stood for so long was seen (µs). */
const STANDS = 300_000;
/** The line that the cursor is on is still being written, unless it stands for this long. */
const CURSOR_STANDS = 2_000_000;
/** While output comes without pause, the screen is read this often. */
const READ_APART = 1_000_000;
/** What was wiped sooner was seen by nobody; so a program that wipes all the time costs little. */
const WIPES_APART = 50_000;
/** The same line, ended again so long after, counts again. */
const AGAIN = 1_000_000;
/** Bounds what a burst of lines keeps until the screen is read. */
const MAX_SEEN = 4096;

export class ShownText implements ScreenWatch {
  readonly #terminal: Emulator;
  readonly #found: (at: number, text: string) => void;
  /** Lines that stand, or were ended since the screen was read; when each was found. */
  #seen = new Map<string, number>();
  /** The same of the alternate screen. */
  #seenOver = new Map<string, number>();
  /** Of the bytes that are taken, or were last. */
  #at = 0;
  /** Of the bytes before them. */
  #stoodAt = 0;
  #readAt = 0;

  constructor(columns: number, rows: number, found: (at: number, text: string) => void) {
    this.#terminal = new Emulator(columns, rows, this);
    this.#found = found;
  }

  /** `at`: µs, never less than before. */
  write(at: number, bytes: Uint8Array): void {
    const stood = at - this.#at;
    if (stood >= CURSOR_STANDS) this.#readScreen(undefined);
    else if (stood >= STANDS || this.#at - this.#readAt >= READ_APART) this.#readScreen(this.#terminal.row);
    this.#stoodAt = this.#at;
    this.#at = at;
    this.#terminal.write(bytes);
  }

  resize(columns: number, rows: number): void {
    this.beforeWipe(0, this.#terminal.rows);
    this.#terminal.resize(columns, rows);
  }

  /** Takes what still stands. */
  end(): void {
    this.#readScreen(undefined);
  }

  lineFed(): void {
    const { row: below, alternate, columns } = this.#terminal;
    const row = below - 1;
    let first = row;
    while ((row - first) * columns < MAX_LINE && this.#terminal.wraps(first)) first -= 1;
    const text = this.#join(first, row);
    if (text === '') return;
    const seen = this.#standing;
    const before = seen.get(text);
    if (before !== undefined && (alternate || this.#at - before < AGAIN)) return;
    this.#found(this.#at, text);
    if (seen.size >= MAX_SEEN) seen.clear();
    seen.set(text, this.#at);
  }

  beforeWipe(from: number, to: number): void {
    if (this.#at - this.#readAt < WIPES_APART) return;
    this.#readAt = this.#at;
    // What came with the bytes that wipe it was never seen: it stood before them.
    for (const text of this.#lines(from, to, undefined)) this.#take(text, this.#stoodAt);
  }

  get #standing(): Map<string, number> {
    return this.#terminal.alternate ? this.#seenOver : this.#seen;
  }

  /** `unfinished`: the row of a line that is left for later. */
  #readScreen(unfinished: number | undefined): void {
    this.#readAt = this.#at;
    const standing = new Map<string, number>();
    for (const text of this.#lines(0, this.#terminal.rows, unfinished))
      standing.set(text, this.#take(text, this.#at));
    if (this.#terminal.alternate) this.#seenOver = standing;
    else {
      this.#seen = standing;
      this.#seenOver.clear();
    }
  }

  /** When it was found, which may be `now`. */
  #take(text: string, now: number): number {
    const before = this.#standing.get(text);
    if (before !== undefined) return before;
    this.#found(now, text);
    this.#standing.set(text, now);
    return now;
  }

  /** The lines of these rows; one that wraps is one. */
  *#lines(from: number, to: number, unfinished: number | undefined): Generator<string, void, void> {
    for (let first = from; first < to; ) {
      let last = first;
      while (last + 1 < to && this.#terminal.wraps(last + 1)) last += 1;
      const left = unfinished !== undefined && unfinished >= first && unfinished <= last;
      const text = left ? '' : this.#join(first, last);
      if (text !== '') yield text;
      first = last + 1;
    }
  }

  /** Empty where nobody could look for it. */
  #join(first: number, last: number): string {
    let text = '';
    for (let row = first; row <= last && text.length < MAX_LINE; row += 1)
      text += this.#terminal.text(row, row === last);
    text = text.slice(0, MAX_LINE).normalize('NFC').trim();
    return hasWords(text) ? text : '';
  }
}
