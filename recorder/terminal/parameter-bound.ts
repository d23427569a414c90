/**
 * Bounds the numbers in control sequences (ECMA-48 §5.4: CSI, parameters, final). An emulator does as often
 * as it is told: `ESC [ 2147483647 S` would scroll for hours, and 2147483647 b ask for 8 GiB of memory.
 */

/** More than a terminal has columns; counts and places beyond its edge mean the edge. */
const MAX_PARAMETER = 999;
/** Of sequences with a private marker (`ESC [ ? 2004 h`), whose parameters are names, never counts. */
const MAX_PRIVATE_PARAMETER = 9999;

const ESCAPE = 0x1b;
const CANCEL = 0x18;
const SUBSTITUTE = 0x1a;
const OPENING_BRACKET = 0x5b;
/** CSI as one character, U+009B, is C2 9B in UTF-8. */
const C1_LEAD = 0xc2;
const C1_CSI = 0x9b;
const DELETE = 0x7f;

const State = {
  text: 0,
  /** Behind {@link C1_LEAD}. */
  lead: 1,
  /** Behind {@link ESCAPE}. */
  escape: 2,
  /** Among the parameters of a control sequence. */
  parameters: 3,
} as const;
type State = (typeof State)[keyof typeof State];

/** Follows one stream; sequences may be cut anywhere between its pieces. */
export class ParameterBound {
  #state: State = State.text;
  #parameter = 0;
  #max = MAX_PARAMETER;

  /** `bytes` without the digits that would make a parameter too large: themselves, where there are none. */
  filter(bytes: Uint8Array): Uint8Array {
    let kept: Uint8Array | undefined;
    let length = 0;
    for (let at = 0; at < bytes.length; at++) {
      // Text is by far the most: look for what ends it.
      if (this.#state === State.text) {
        const begin = at;
        while (at < bytes.length && bytes[at] !== ESCAPE && bytes[at] !== C1_LEAD) at++;
        kept?.set(bytes.subarray(begin, at), length);
        length += at - begin;
        if (at === bytes.length) break;
      }
      const byte = bytes[at] ?? 0;
      if (this.#keeps(byte)) {
        if (kept !== undefined) kept[length] = byte;
        length++;
      } else kept ??= Uint8Array.from(bytes);
    }
    return kept?.subarray(0, length) ?? bytes;
  }

  #keeps(byte: number): boolean {
    if (byte === ESCAPE) this.#state = State.escape;
    else if (byte === CANCEL || byte === SUBSTITUTE) this.#state = State.text;
    else if (this.#state === State.text) this.#state = byte === C1_LEAD ? State.lead : State.text;
    else if (this.#state === State.lead) this.#begin(byte === C1_CSI);
    else if (this.#state === State.escape) {
      // Controls are obeyed inside a sequence and do not end it.
      if (byte >= 0x20 && byte !== DELETE) this.#begin(byte === OPENING_BRACKET);
    } else return this.#keepsParameter(byte);
    return true;
  }

  #begin(sequence: boolean): void {
    this.#state = sequence ? State.parameters : State.text;
    this.#parameter = 0;
    this.#max = MAX_PARAMETER;
  }

  #keepsParameter(byte: number): boolean {
    if (byte >= 0x30 && byte <= 0x39) {
      const next = this.#parameter * 10 + byte - 0x30;
      if (next > this.#max) return false;
      this.#parameter = next;
    } else if (byte >= 0x3c && byte <= 0x3f) this.#max = MAX_PRIVATE_PARAMETER;
    else if (byte === 0x3a || byte === 0x3b) this.#parameter = 0;
    else if (byte === C1_LEAD) this.#state = State.lead;
    else if (byte >= 0x40 && byte !== DELETE) this.#state = State.text;
    return true;
  }
}
