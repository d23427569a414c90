/**
 * What connections cost that have not logged on, key exchanges above all, bounded to half of a
 * thread's time and to a few milliseconds at a time: whoever opens connections as fast as they
 * can makes others wait to log on, and keystrokes of sessions for milliseconds only. Who waits has
 * its turn with the other sources, not behind all that one of them has sent.
 */

/** A stretch of work, in CPU; a key exchange takes 1 to 3 ms. The rest after it is as long as it was. */
const WORK_MS = 4;

export class Turnstile {
  /** Work that waits, by source; the source whose turn is next is the first. */
  readonly #waiting = new Map<string, (() => void)[]>();
  #since = 0;
  #spent = 0;
  #resting = false;

  /** Work would be done at once. */
  get free(): boolean {
    return !this.#resting && this.#waiting.size === 0;
  }

  /** Does `work` now where this is {@link free}, else in its turn. */
  pass(source: string, work: () => void): void {
    if (this.free) {
      this.#do(work);
      return;
    }
    const own = this.#waiting.get(source);
    if (own === undefined) this.#waiting.set(source, [work]);
    else own.push(work);
  }

  /**
   * Resolves when it is the turn of what cannot be timed, because it is done later.
   * @param costMs what it is taken to cost
   */
  turn(source: string, costMs: number): Promise<void> {
    return new Promise((resolve) =>
      this.pass(source, () => {
        this.#spent += costMs;
        resolve();
      }),
    );
  }

  #do(work: () => void): void {
    // What was done a while ago no longer counts.
    const now = performance.now();
    if (now - this.#since > 2 * WORK_MS) {
      this.#since = now;
      this.#spent = 0;
    }
    const began = cpuMs();
    try {
      work();
    } finally {
      this.#spent += cpuMs() - began;
      if (this.#spent >= WORK_MS) {
        this.#resting = true;
        setTimeout(() => this.#wake(), this.#spent);
      }
    }
  }

  #wake(): void {
    this.#resting = false;
    this.#since = 0;
    for (const [source, works] of this.#waiting) {
      if (this.#resting) return;
      this.#waiting.delete(source);
      const work = works.shift();
      if (works.length > 0) this.#waiting.set(source, works);
      if (work !== undefined) this.#do(work);
    }
  }
}

/** Of this thread: time for which others had the core is no work of its own. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/** Of this thread, as its time is one. */
export const turnstile = new Turnstile();
