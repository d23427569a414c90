/** A bar on standard error while something long runs; none where that is no terminal. */

/** How often it is drawn, ms. */
const APART_MS = 100;
/** What is done sooner needs none, ms. */
const PATIENCE_MS = 400;
const CELLS = 30;

type Out = Pick<NodeJS.WriteStream, 'write' | 'isTTY'>;

export class Progress implements Disposable {
  readonly #out: Out;
  readonly #shown: boolean;
  readonly #text: (done: number, all: number) => string;
  #dueAt = performance.now() + PATIENCE_MS;
  #drawn = false;

  /** `text`: what stands behind the bar, in words for a person; `json`: who reads is none. */
  constructor(
    options: { readonly json?: boolean | undefined },
    text: (done: number, all: number) => string,
    out: Out = process.stderr,
  ) {
    this.#out = out;
    this.#shown = options.json !== true && out.isTTY === true;
    this.#text = text;
  }

  /** For callbacks that tell how much is done of all, in any unit. */
  readonly show = (done: number, all: number): void => {
    if (!this.#shown) return;
    const now = performance.now();
    if (now < this.#dueAt) return;
    this.#dueAt = now + APART_MS;
    this.#drawn = true;
    const part = all === 0 ? 1 : Math.min(1, done / all);
    const bar = '#'.repeat(Math.floor(part * CELLS)).padEnd(CELLS, '.');
    const percent = String(Math.floor(part * 100)).padStart(3);
    this.#out.write(`\r[${bar}] ${percent} %  ${this.#text(done, all)}\x1b[K`);
  };

  /** Writes a line on standard error, which takes the bar's place. */
  say(line: string): void {
    this.#wipe();
    this.#out.write(`${line}\n`);
  }

  [Symbol.dispose](): void {
    this.#wipe();
  }

  #wipe(): void {
    if (this.#drawn) this.#out.write('\r\x1b[K');
    this.#drawn = false;
  }
}
