/** Somebody who types lines into a shell on a terminal, and looks whether each key is echoed. */

/** Letters of a line, before Enter. */
export const LETTERS = 20;

const ENTER = 0x0d;
/** A prompt at the start of a line: the last three bytes of what was shown. */
const PROMPT_TAIL = 0x0a_24_20;
const LINE_FEED = 0x0a;

export interface TypistOptions {
  readonly send: (bytes: Uint8Array) => void;
  /** ms of any clock that only goes forward. */
  readonly now: () => number;
  /** ms from a key to its echo. */
  readonly answered: (ms: number) => void;
  /** Called once: something was shown that no key explains. */
  readonly failed: (why: string) => void;
}

export class Typist {
  readonly #options: TypistOptions;
  /** Keys that were not echoed yet, and when they were pressed. */
  readonly #keys: { readonly byte: number; readonly at: number }[] = [];
  /** Letters in the line. */
  #typed = 0;
  /** Enter was pressed, or nothing yet: the prompt is waited for. */
  #waits = true;
  /** What is shown is a command's output: what comes before the next prompt answers no key. */
  #printing = true;
  #tail = LINE_FEED;
  #failed = false;

  constructor(options: TypistOptions) {
    this.#options = options;
  }

  /** The shell has shown its first prompt, or another since the last line. */
  get ready(): boolean {
    return !this.#waits;
  }

  /** Keys without an echo so far. */
  get unanswered(): number {
    return this.#keys.length;
  }

  /** Presses the next key; nothing while a command prints: people wait for the prompt. */
  press(): void {
    if (this.#waits) return;
    const enter = this.#typed === LETTERS;
    const byte = enter ? ENTER : 0x61 + (this.#typed % 26);
    this.#typed = enter ? 0 : this.#typed + 1;
    this.#waits = enter;
    this.#keys.push({ byte, at: this.#options.now() });
    this.#options.send(Uint8Array.of(byte));
  }

  /** @param bytes what the terminal was sent */
  take(bytes: Uint8Array): void {
    if (this.#failed) return;
    const now = this.#options.now();
    for (const byte of bytes) {
      if (this.#printing) {
        this.#tail = ((this.#tail << 8) | byte) & 0xff_ff_ff;
        if (this.#tail !== PROMPT_TAIL) continue;
        this.#printing = false;
        this.#waits = false;
        continue;
      }
      const key = this.#keys.shift();
      if (key?.byte !== byte) {
        this.#failed = true;
        this.#options.failed(`byte ${byte} is not the echo of ${key === undefined ? 'a key' : key.byte}`);
        return;
      }
      this.#options.answered(now - key.at);
      if (byte !== ENTER) continue;
      this.#printing = true;
      this.#tail = 0;
    }
  }
}
