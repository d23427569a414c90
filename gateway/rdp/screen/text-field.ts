/** One line of text that is being edited. */

/** Longest text of a field, in code points: what a Client Info PDU carries at most (2.2.1.11.1.1). */
export const FIELD_MAX = 255;
const DOT = '●';

export class TextField {
  /** Each character is shown as a dot. */
  readonly dots: boolean;
  /** Code points, so that a secret can be overwritten: strings cannot be. */
  readonly #points = new Uint32Array(FIELD_MAX);
  #length = 0;
  /** INVARIANT: 0 ≤ `#caret` ≤ `#length`. */
  #caret = 0;
  /** First character that shows. */
  #scroll = 0;

  constructor(dots: boolean, text = '') {
    this.dots = dots;
    this.insert(text);
  }

  get text(): string {
    let text = '';
    for (const point of this.#points.subarray(0, this.#length)) text += String.fromCodePoint(point);
    return text;
  }

  get empty(): boolean {
    return this.#length === 0;
  }

  /** At the caret; control characters, lone surrogates and what is too long are left out. */
  insert(text: string): void {
    for (const character of text) {
      const point = character.codePointAt(0) ?? 0;
      if (this.#length === FIELD_MAX) return;
      if (point < 0x20 || (point >= 0x7f && point < 0xa0) || (point >= 0xd800 && point < 0xe000)) continue;
      this.#points.copyWithin(this.#caret + 1, this.#caret, this.#length);
      this.#points[this.#caret] = point;
      this.#caret++;
      this.#length++;
    }
  }

  /** Takes away `count` characters from the one at `from`. */
  #cut(from: number, count: number): void {
    this.#points.copyWithin(from, from + count, this.#length);
    this.#points.fill(0, this.#length - count, this.#length);
    this.#length -= count;
    this.#caret = from;
  }

  /** @param all everything before the caret, not one character */
  backspace(all: boolean): void {
    if (this.#caret === 0) return;
    if (all) this.#cut(0, this.#caret);
    else this.#cut(this.#caret - 1, 1);
  }

  delete(): void {
    if (this.#caret < this.#length) this.#cut(this.#caret, 1);
  }

  /** Moves the caret to before the character `at`, or as near as there are characters. */
  moveTo(at: number): void {
    this.#caret = Math.max(0, Math.min(at, this.#length));
  }

  moveBy(characters: number): void {
    this.moveTo(this.#caret + characters);
  }

  /** Moves the caret to the cell of the field that was clicked. */
  moveToCell(cell: number): void {
    this.moveTo(this.#scroll + cell);
  }

  /** Overwrites the text. */
  wipe(): void {
    this.#points.fill(0);
    this.#length = this.#caret = this.#scroll = 0;
  }

  /** What `cells` of the field show; the caret, before the cell `caret`, is among them. */
  show(cells: number): { text: string; caret: number } {
    // The caret behind the last character takes a cell too.
    const room = Math.max(1, cells);
    this.#scroll = Math.max(0, Math.min(this.#scroll, this.#caret, this.#length + 1 - room));
    if (this.#caret >= this.#scroll + room) this.#scroll = this.#caret - room + 1;
    let text = '';
    for (const point of this.#points.subarray(this.#scroll, Math.min(this.#scroll + room, this.#length)))
      text += this.dots ? DOT : String.fromCodePoint(point);
    return { text, caret: this.#caret - this.#scroll };
  }
}
