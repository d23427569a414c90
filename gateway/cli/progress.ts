/** A bar on standard error while something long runs; none where that is no terminal. */

/** How often it is drawn, ms. */
const APART_MS = 100;
/** What is done sooner needs none, ms. */
const PATIENCE_MS = 400;
const CELLS = 30;

export class Progress implements Disposable {
  readonly #text: (done: number, all: number) => string;
  #dueAt = performance.now() + PATIENCE_MS;
  #drawn = false;

  /** `text`: what stands behind the bar, in words for a person. */
  constructor(text: (done: number, all: number) => string) {
    this.#text = text;
  }

  /** For callbacks that tell how much is done of all, in any unit. */
  readonly show = (done: number, all: number): void => {
    const { stderr } = process;
    const now = performance.now();
    if (!stderr.isTTY || now < this.#dueAt) return;
    this.#dueAt = now + APART_MS;
    this.#drawn = true;
    const part = all === 0 ? 1 : Math.min(1, done / all);
    const bar = '#'.repeat(Math.floor(part * CELLS)).padEnd(CELLS, '.');
    const percent = String(Math.floor(part * 100)).padStart(3);
    stderr.write(`\r[${bar}] ${percent} %  ${this.#text(done, all)}\x1b[K`);
  };

  /** Writes a line on standard error, which takes the bar's place. */
  say(line: string): void {
    this.#wipe();
    process.stderr.write(`${line}\n`);
  }

  [Symbol.dispose](): void {
    this.#wipe();
  }

  #wipe(): void {
    if (this.#drawn) process.stderr.write('\r\x1b[K');
    this.#drawn = false;
  }
}

/** The chunks of what tells its progress, with a bar as long as they come. */
export async function* withProgress<Chunk>(
  text: (done: number, all: number) => string,
  start: (onProgress: (done: number, all: number) => void) => AsyncIterable<Chunk>,
): AsyncGenerator<Chunk, void, void> {
  using progress = new Progress(text);
  yield* start(progress.show);
}
