/** Lines of a stream that no terminal drew: a program's output, what was typed. */
import { hasWords, MAX_LINE } from './entry.ts';

/** Control sequences and strings (ECMA-48 §5.4, §5.6) and other escapes. */
const SEQUENCES =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)|[ -/]*[0-~])/g;
const LINE_END = /\r\n|[\r\n]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const ERASED = /[\x08\x7f]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\x00-\x1f\x7f-\x9f]+/g;
/** Anything that is no plain ASCII. */
const OTHERS = /[^ -~]/;
/** A line of which more than this part is no UTF-8 is no text. */
const MAX_BROKEN = 1 / 8;
/** Output of at least so many bytes at once is no text where more than this part of it is NUL. */
const MIN_BINARY_BYTES = 4096;
const MAX_NUL = 1 / 1024;
/** The same line counts again after this (µs): some programs repeat one for ever. */
const AGAIN = 1_000_000;

export class StreamText {
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #found: (at: number, text: string) => void;
  #rest = '';
  #at = 0;
  #last = '';
  #lastAt = 0;

  constructor(found: (at: number, text: string) => void) {
    this.#found = found;
  }

  /** `at`: µs, never less than before. */
  write(at: number, bytes: Uint8Array): void {
    this.#at = at;
    // To look for lines in an archive or a video would take many times as long as it took to record it.
    if (isBinary(bytes)) {
      // Half a character before it is none of what comes behind.
      this.#decoder.decode();
      return this.end();
    }
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split(LINE_END);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#line(line);
    if (this.#rest.length >= MAX_LINE) this.end();
  }

  /** Takes a line that was never ended. */
  end(): void {
    const line = this.#rest;
    this.#rest = '';
    this.#line(line);
  }

  #line(raw: string): void {
    for (let from = 0; from < raw.length; from += MAX_LINE) {
      const text = cleaned(raw.slice(from, from + MAX_LINE));
      if (text === '' || (text === this.#last && this.#at - this.#lastAt < AGAIN)) continue;
      this.#last = text;
      this.#lastAt = this.#at;
      this.#found(this.#at, text);
    }
  }
}

function isBinary(bytes: Uint8Array): boolean {
  if (bytes.length < MIN_BINARY_BYTES) return false;
  let left = bytes.length * MAX_NUL;
  for (let at = bytes.indexOf(0); at >= 0 && left >= 0; at = bytes.indexOf(0, at + 1)) left -= 1;
  return left < 0;
}

/** Text as it reads: without sequences and what was erased. Empty where it is none. */
export function cleaned(raw: string): string {
  if (raw.includes('\0')) return '';
  let text = raw.includes('\x1b') ? raw.replace(SEQUENCES, '') : raw;
  if (ERASED.test(text)) text = erased(text);
  if (OTHERS.test(text)) text = text.replace(CONTROLS, ' ').normalize('NFC');
  text = text.trim();
  const broken = text.includes('\ufffd') ? text.split('\ufffd').length - 1 : 0;
  return broken > text.length * MAX_BROKEN || !hasWords(text) ? '' : text;
}

/** Takes back what backspace and delete took back. */
function erased(text: string): string {
  const kept: string[] = [];
  for (const character of text) {
    if (ERASED.test(character)) kept.pop();
    else kept.push(character);
  }
  return kept.join('');
}
