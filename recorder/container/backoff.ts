/**
 * Pauses between tries of the same thing: each of a random length up to a bound that doubles, so that all that
 * an outage has stopped at the same moment do not come back at the same moments too.
 */
export class Backoff {
  readonly #firstMs: number;
  readonly #mostMs: number;
  readonly #random: () => number;
  #bound: number;

  /** `random`: from 0 to below 1. */
  constructor(firstMs: number, mostMs: number, random: () => number = Math.random) {
    this.#firstMs = firstMs;
    this.#mostMs = mostMs;
    this.#random = random;
    this.#bound = firstMs;
  }

  /** How long to wait before the next try, ms. */
  next(): number {
    const bound = this.#bound;
    this.#bound = Math.min(bound * 2, this.#mostMs);
    return bound * this.#random();
  }

  /** A try went well. */
  reset(): void {
    this.#bound = this.#firstMs;
  }
}
