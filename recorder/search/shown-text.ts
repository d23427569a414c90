/**
 * What could be read on a terminal, as lines with the moment at which each stood there. An emulator draws the
 * screen. A line is taken when a line feed ends it; what programs place anywhere on the screen is taken when
 * it has stood for a while, or is about to be wiped. Nothing is taken twice while it stands.
 */
import { Emulator, type ScreenWatch } from '../terminal/index.ts';
import { hasWords, MAX_LINE } from './entry.ts';
import { cleaned } from './stream-text.ts';

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

/** Bytes from which on lines that only scroll by are read without drawing them, which takes ten times as long. */
const BULK_BYTES = 8 * 1024;
const LINE_FEED = 0x0a;
/** Any sequence but those of colours, of the cursor's line, of titles and of modes that draw nothing. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const DRAWS = /[\x80-\x9f]|\x1b(?!\]|\[(?:[0-9;:]*[mCDGKPX@]|\?(?:1|7|12|25|2004)[hl]))/;
/** Anything but whole lines of text and colours. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const NOT_PLAIN = /[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]|\r(?!\n)|\x1b(?!\[[0-9;:]*m)/;

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
  /** Whether more may have changed since the screen was read than the cursor's line, and lines that were ended. */
  #drawn = false;

  constructor(columns: number, rows: number, found: (at: number, text: string) => void) {
    this.#terminal = new Emulator(columns, rows, this);
    this.#found = found;
  }

  /** `at`: µs, never less than before. */
  write(at: number, bytes: Uint8Array): void {
    const stood = at - this.#at;
    const finished = stood >= CURSOR_STANDS;
    if (this.#drawn && (stood >= STANDS || this.#at - this.#readAt >= READ_APART))
      this.#readScreen(finished ? undefined : this.#terminal.row);
    else if (finished) this.#takeCursorLine();
    this.#drawn ||= DRAWS.test(textOf(bytes));
    this.#stoodAt = this.#at;
    this.#at = at;
    const { from, to } = this.#passing(bytes);
    this.#terminal.write(bytes.subarray(0, from));
    if (to > from) this.#pass(bytes.subarray(from, to));
    this.#terminal.write(bytes.subarray(to));
  }

  resize(columns: number, rows: number): void {
    this.beforeWipe(0, this.#terminal.rows);
    this.#terminal.resize(columns, rows);
  }

  /** Takes what still stands. */
  end(): void {
    if (this.#drawn) this.#readScreen(undefined);
    else this.#takeCursorLine();
  }

  lineFed(): void {
    this.#ended(this.#lineEndingAt(this.#terminal.row - 1), this.#terminal.alternate);
  }

  #lineEndingAt(row: number): string {
    return this.#join(this.#beginning(row), row);
  }

  /** The row in which the line of a row begins, which may have scrolled off. */
  #beginning(row: number): number {
    const { columns } = this.#terminal;
    let first = row;
    while ((row - first) * columns < MAX_LINE && this.#terminal.wraps(first)) first -= 1;
    return first;
  }

  /** The part of `bytes` that scrolls out of the screen in lines that nothing is drawn over; where it is small, none. */
  #passing(bytes: Uint8Array): { readonly from: number; readonly to: number } {
    const none = { from: bytes.length, to: bytes.length };
    if (bytes.length < BULK_BYTES || this.#terminal.alternate) return none;
    const from = bytes.indexOf(LINE_FEED) + 1;
    let to = bytes.length;
    for (let row = 0; row <= this.#terminal.rows && to > from; row += 1)
      to = bytes.lastIndexOf(LINE_FEED, to - 2) + 1;
    return to - from < BULK_BYTES / 2 || NOT_PLAIN.test(textOf(bytes.subarray(from, to)))
      ? none
      : { from, to };
  }

  #pass(lines: Uint8Array): void {
    for (const line of textOf(lines).split('\n'))
      for (let at = 0; at < line.length; at += MAX_LINE)
        this.#ended(cleaned(line.slice(at, at + MAX_LINE)), false);
  }

  /** A line that stays where it is. */
  #ended(text: string, alternate: boolean): void {
    if (text === '') return;
    const seen = this.#standing;
    const before = seen.get(text);
    if (before !== undefined && (alternate || this.#at - before < AGAIN)) return;
    this.#find(this.#at, text);
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
    this.#drawn = false;
    const standing = new Map<string, number>();
    for (const text of this.#lines(0, this.#terminal.rows, unfinished))
      standing.set(text, this.#take(text, this.#at));
    if (this.#terminal.alternate) this.#seenOver = standing;
    else {
      this.#seen = standing;
      this.#seenOver.clear();
    }
  }

  #takeCursorLine(): void {
    this.#take(this.#lineEndingAt(this.#terminal.row), this.#at);
  }

  /** When it was found, which may be `now`. */
  #take(text: string, now: number): number {
    const before = text === '' ? now : this.#standing.get(text);
    if (before !== undefined) return before;
    this.#find(now, text);
    this.#standing.set(text, now);
    return now;
  }

  #find(at: number, text: string): void {
    if (hasWords(text)) this.#found(at, text.normalize('NFC'));
  }

  /** The lines of these rows; one that wraps is one. */
  *#lines(from: number, to: number, unfinished: number | undefined): Generator<string, void, void> {
    for (let first = this.#beginning(from); first < to; ) {
      let last = Math.max(first, from);
      while (last + 1 < to && this.#terminal.wraps(last + 1)) last += 1;
      const left = unfinished !== undefined && unfinished >= first && unfinished <= last;
      const text = left ? '' : this.#join(first, last);
      if (text !== '') yield text;
      first = last + 1;
    }
  }

  #join(first: number, last: number): string {
    let text = '';
    for (let row = first; row <= last && text.length < MAX_LINE; row += 1)
      text += this.#terminal.text(row, row === last);
    return text.slice(0, MAX_LINE).trim();
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
}
