/** Which session workers answer, and how late they are: from what they tell every second. */

/** A worker that has been silent for longer is not counted on. */
const SILENCE_MS = 5_000;
/** Weight of a new figure: a single long turn is not a load. */
const SMOOTHING = 0.2;

export class Beats {
  readonly #workers = new Map<number, { at: number; lagMs: number }>();
  readonly #now: () => number;

  /** @param now monotonic ms */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** `lagMs`: longest turn of its event loop since its last beat. */
  heard(worker: number, lagMs: number): void {
    const before = this.#workers.get(worker)?.lagMs ?? lagMs;
    this.#workers.set(worker, { at: this.#now(), lagMs: before + SMOOTHING * (lagMs - before) });
  }

  gone(worker: number): void {
    this.#workers.delete(worker);
  }

  /** How many workers answer. */
  get beating(): number {
    return this.#alive().length;
  }

  /** Mean over the workers that answer, ms. */
  get lagMs(): number {
    const alive = this.#alive();
    return alive.reduce((sum, { lagMs }) => sum + lagMs, 0) / Math.max(1, alive.length);
  }

  #alive(): { lagMs: number }[] {
    const since = this.#now() - SILENCE_MS;
    return [...this.#workers.values()].filter(({ at }) => at >= since);
  }
}
