/**
 * When a person had been shown how much, by the test's clock. Looked at again and again, so that each time is
 * that of a look: what is told of the age of bytes is never more than it was.
 */
const LOOK_MS = 20;

export class Sightings {
  readonly #size: () => number;
  /** Of each look that saw more than the one before: when it was, and when the one before was. */
  readonly #growth: { readonly at: number; readonly before: number; readonly bytes: number }[] = [];
  #last = performance.now();
  /** Looks that came late, and by how many milliseconds. */
  readonly #late: { readonly at: number; readonly ms: number }[] = [];
  readonly #timer: NodeJS.Timeout;

  /** `size`: bytes that the person was shown so far. */
  constructor(size: () => number) {
    this.#size = size;
    this.#look();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  /** Looks no more. */
  stop(): void {
    this.#look();
    clearInterval(this.#timer);
  }

  /** Bytes that had been shown at `at`, at least. */
  shownBy(at: number): number {
    return this.#growth.findLast((each) => each.at <= at)?.bytes ?? 0;
  }

  /**
   * Where only the first `kept` bytes are recorded: how many milliseconds of what was shown until `at` are lost, at
   * least. It ends with the last byte that was shown: of what stands still nothing grows older.
   */
  lostMs(kept: number, at: number): number {
    const first = this.#growth.find(({ bytes }) => bytes > kept);
    return first === undefined ? 0 : Math.max(0, this.#lastShown(at) - first.at);
  }

  /** Of those shown until `at`, bytes that had been shown `ms` before the last of them: they must be recorded. */
  dueAt(at: number, ms: number): number {
    return this.shownBy(this.#lastShown(at) - ms);
  }

  /** What had been shown before it stood still for `ms` the last time and then went on, and when that was. */
  beforeStanding(ms: number): { readonly at: number; readonly bytes: number } | undefined {
    return this.#growth.findLast((each, index) => (this.#growth[index + 1]?.before ?? 0) - each.at >= ms);
  }

  /** The longest that nothing new was shown for until `at`: how evenly this machine lets everybody work. */
  unevenMs(at: number): number {
    const seen = this.#growth.filter((each) => each.at <= at);
    return Math.max(0, ...seen.slice(1).map((each, index) => each.at - (seen[index]?.at ?? 0)));
  }

  /** How late this process itself was at most until `at`. */
  lateMs(at: number): number {
    return Math.max(0, ...this.#late.filter((each) => each.at <= at).map(({ ms }) => ms));
  }

  /** When the last bytes were shown that `at` had seen, at the earliest. */
  #lastShown(at: number): number {
    return this.#growth.findLast((each) => each.at <= at)?.before ?? 0;
  }

  #look(): void {
    const now = performance.now();
    const bytes = this.#size();
    if (bytes > (this.#growth.at(-1)?.bytes ?? 0)) this.#growth.push({ at: now, before: this.#last, bytes });
    if (now - this.#last > 2 * LOOK_MS) this.#late.push({ at: now, ms: now - this.#last - LOOK_MS });
    this.#last = now;
  }
}
