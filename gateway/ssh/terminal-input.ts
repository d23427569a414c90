/**
 * What a person types at the gateway's own screens (target picker, line prompt), and how
 * foreign text is drawn on them. Pure: bytes in, keys out.
 */
export type TerminalKey =
  | { readonly key: 'text'; readonly text: string }
  | { readonly key: 'up' | 'down' | 'page-up' | 'page-down' | 'home' | 'end' }
  | { readonly key: 'enter' | 'backspace' | 'erase-word' | 'erase-line' | 'cancel' };

/** Final byte (with the parameter of `~`) of a CSI or SS3 sequence → key (ECMA-48, xterm's ctlseqs). */
const SEQUENCES: ReadonlyMap<string, TerminalKey> = new Map<string, TerminalKey>([
  ['A', { key: 'up' }],
  ['B', { key: 'down' }],
  ['H', { key: 'home' }],
  ['F', { key: 'end' }],
  ['1~', { key: 'home' }],
  ['7~', { key: 'home' }],
  ['4~', { key: 'end' }],
  ['8~', { key: 'end' }],
  ['5~', { key: 'page-up' }],
  ['6~', { key: 'page-down' }],
  ['M', { key: 'enter' }], // SS3 M, the keypad's Enter
]);

const CONTROLS: ReadonlyMap<number, TerminalKey> = new Map<number, TerminalKey>([
  [0x03, { key: 'cancel' }],
  [0x04, { key: 'cancel' }],
  [0x08, { key: 'backspace' }],
  [0x7f, { key: 'backspace' }],
  [0x0a, { key: 'enter' }],
  [0x0d, { key: 'enter' }],
  [0x0e, { key: 'down' }], // Ctrl-N and Ctrl-P, as in readline
  [0x10, { key: 'up' }],
  [0x15, { key: 'erase-line' }],
  [0x17, { key: 'erase-word' }],
]);

/** Longest control sequence that is waited for. */
const SEQUENCE_MAX = 32;

export class TerminalInput {
  readonly #decoder = new TextDecoder('utf-8');
  /** An unfinished CSI or SS3 sequence, without its escape. */
  #sequence: string | undefined;

  /** Reads the keys of one chunk. An escape that ends the chunk is the Esc key. */
  read(bytes: Uint8Array): TerminalKey[] {
    const keys: TerminalKey[] = [];
    let text = '';
    const flush = () => {
      if (text !== '') keys.push({ key: 'text', text });
      text = '';
    };
    const decoded = this.#decoder.decode(bytes, { stream: true });
    for (let at = 0; at < decoded.length; at++) {
      const code = decoded.charCodeAt(at);
      if (this.#sequence !== undefined) {
        const key = this.#continue(decoded.charAt(at));
        if (key !== undefined) keys.push(key);
      } else if (code === 0x1b) {
        flush();
        const next = decoded.charAt(at + 1);
        if (next === '[' || next === 'O') {
          this.#sequence = next;
          at++;
        } else if (next === '') {
          keys.push({ key: 'cancel' });
        } else {
          at++; // Alt with a key: nothing is bound to it
        }
      } else if (code < 0x20 || code === 0x7f) {
        flush();
        const key = CONTROLS.get(code);
        if (key !== undefined) keys.push(key);
      } else {
        text += decoded.charAt(at);
      }
    }
    flush();
    return keys;
  }

  #continue(char: string): TerminalKey | undefined {
    const sequence = (this.#sequence ?? '') + char;
    const code = char.charCodeAt(0);
    if (sequence.startsWith('[') && code >= 0x20 && code < 0x40 && sequence.length < SEQUENCE_MAX) {
      this.#sequence = sequence;
      return undefined;
    }
    this.#sequence = undefined;
    return SEQUENCES.get(sequence.slice(1));
  }
}

/** Controls, and what turns or hides the text around it: C0, C1, bidi marks, zero width, lone surrogates. */
const UNSAFE =
  /[\p{Cc}\p{Cs}\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** Text of foreign origin as a terminal may show it: what it could act upon stands escaped. */
export function visible(text: string): string {
  return text.replace(UNSAFE, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
const WIDE =
  /^[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{20000}-\u{3fffd}]/u;

/** Columns that `text` takes on a terminal; wide characters by the common ranges. */
export function columnsOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of segmenter.segment(text)) width += WIDE.test(segment) ? 2 : 1;
  return width;
}

/** The beginning of `text` that fits in `columns`, padded with blanks to exactly that width; `>` marks a cut. */
export function fit(text: string, columns: number): string {
  const width = columnsOf(text);
  if (width <= columns) return text + ' '.repeat(columns - width);
  let used = 0;
  let out = '';
  for (const { segment } of segmenter.segment(text)) {
    const step = WIDE.test(segment) ? 2 : 1;
    if (used + step > columns - 1) break;
    used += step;
    out += segment;
  }
  return columns < 1 ? '' : `${out}>${' '.repeat(columns - 1 - used)}`;
}
