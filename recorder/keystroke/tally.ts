/** What was decided, until it is taken: pieces of text, and the masked bytes beside them. */

export interface KeystrokePiece {
  /** Time of `now()` at the first key of it. */
  readonly at: number;
  /** `keys`: what was typed, masked; `command`: the line that Enter sent, as the screen showed it. */
  readonly kind: 'keys' | 'command';
  readonly text: string;
}

/** A piece of keys is closed at this size. */
const PIECE_MAX = 4096;

export class Tally {
  #pieces: KeystrokePiece[] = [];
  #keys = '';
  #keysAt = 0;
  #bytes: number[] = [];

  get empty(): boolean {
    return this.#keys === '' && this.#pieces.length === 0 && this.#bytes.length === 0;
  }

  /** Keys as text, and the bytes that they were. */
  keys(at: number, text: string, raw: ArrayLike<number>): void {
    if (this.#keys === '') this.#keysAt = at;
    this.#keys += text;
    for (let i = 0; i < raw.length; i++) this.#bytes.push(raw[i] ?? 0);
    if (this.#keys.length >= PIECE_MAX) this.closePiece();
  }

  command(at: number, text: string): void {
    this.closePiece();
    this.#pieces.push({ at, kind: 'command', text });
  }

  /** What comes next is another piece. */
  closePiece(): void {
    if (this.#keys === '') return;
    this.#pieces.push({ at: this.#keysAt, kind: 'keys', text: this.#keys });
    this.#keys = '';
  }

  takePieces(): KeystrokePiece[] {
    this.closePiece();
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }

  takeBytes(): Uint8Array[] {
    if (this.#bytes.length === 0) return [];
    const bytes = Uint8Array.from(this.#bytes);
    this.#bytes = [];
    return [bytes];
  }
}
