/**
 * Bounds the numbers in control sequences (ECMA-48 §5.4: CSI, parameters, final). An emulator does as often
 * as it is told: `ESC [ 2147483647 S` would scroll for hours, and 2147483647 b ask for 8 GiB of memory.
 */

/** Colours go up to 255, whatever the size of the terminal. */
const MAX_COLOUR = 255;
/** Of sequences with a private marker (`ESC [ ? 2004 h`), whose parameters are names, never counts. */
const MAX_PRIVATE = 9999;
/** No digits wait. */
const NONE = -1;

const ESCAPE = 0x1b;
const CANCEL = 0x18;
const SUBSTITUTE = 0x1a;
const OPENING_BRACKET = 0x5b;
/** CSI as one character. */
const CSI = 0x9b;
const DELETE = 0x7f;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const BEGINS_SEQUENCE = /[\x1b\x9b]/;

const State = {
  text: 0,
  /** Behind {@link ESCAPE}. */
  escape: 1,
  /** Among the parameters of a control sequence. */
  parameters: 2,
} as const;
type State = (typeof State)[keyof typeof State];

/** Follows one stream; sequences may be cut anywhere between its pieces. */
export class ParameterBound {
  /** Counts and places beyond it mean what it means. */
  #edge = 0;
  #state: State = State.text;
  /** The parameter whose digits come: they are passed on when it is known whole. */
  #parameter = NONE;
  #private = false;

  /** Sets the size of the terminal. */
  resize(columns: number, rows: number): void {
    this.#edge = Math.max(MAX_COLOUR, columns, rows);
  }

  /** `text` with smaller numbers where they were too large. */
  filter(text: string): string {
    if (this.#state === State.text && !BEGINS_SEQUENCE.test(text)) return text;
    let kept = '';
    /** Where what is passed on as it is begins. */
    let from = 0;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (this.#state === State.parameters && code >= 0x30 && code <= 0x39) {
        kept += text.slice(from, at);
        from = at + 1;
        const max = this.#private ? MAX_PRIVATE : this.#edge;
        this.#parameter = Math.min(max, Math.max(0, this.#parameter) * 10 + code - 0x30);
        continue;
      }
      if (this.#parameter !== NONE) {
        kept += this.#parameter;
        this.#parameter = NONE;
      }
      this.#follow(code);
    }
    return kept + text.slice(from);
  }

  #follow(code: number): void {
    if (code === ESCAPE) this.#state = State.escape;
    else if (code === CSI) this.#begin();
    else if (code === CANCEL || code === SUBSTITUTE) this.#state = State.text;
    else if (this.#state === State.text) return;
    // Controls are obeyed inside a sequence and do not end it.
    else if (code < 0x20 || code === DELETE) return;
    else if (this.#state === State.escape && code === OPENING_BRACKET) this.#begin();
    else if (this.#state === State.escape) this.#state = State.text;
    else if (code >= 0x3c && code <= 0x3f) this.#private = true;
    else if (code >= 0x40) this.#state = State.text;
  }

  #begin(): void {
    this.#state = State.parameters;
    this.#private = false;
  }
}
