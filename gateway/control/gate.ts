/** Runs work a few at a time, and refuses more than may wait. */

export class Gate {
  readonly #limit: number;
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** @param limit how many run at once; @param maxWaiting how many more may wait for their turn */
  constructor(limit: number, maxWaiting: number) {
    this.#limit = limit;
    this.#maxWaiting = maxWaiting;
  }

  /** The result of `work`, or undefined when too many wait already. */
  async run<T>(work: () => Promise<T>): Promise<{ readonly value: T } | undefined> {
    if (this.#running < this.#limit) {
      this.#running++;
    } else {
      if (this.#waiting.length >= this.#maxWaiting) return undefined;
      // Whoever finishes hands over its turn, so `#running` stays as it is.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return { value: await work() };
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
