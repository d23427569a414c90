/** Says in sums what was turned away at the door: a flood must not become one of log lines. */
import type { Logger } from 'pino';

/** Between two lines. */
const SUM_MS = 60_000;

export class DoorLog {
  readonly #log: Logger;
  /** Since the last line, by reason. */
  readonly #sums = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** The first is told of at once, what follows every minute. `reason`: one of few. */
  turnedAway(reason: string, count: number): void {
    this.#sums.set(reason, (this.#sums.get(reason) ?? 0) + count);
    if (this.#timer !== undefined) return;
    this.#tell();
    this.#again();
  }

  /** Tells what was not told yet. */
  close(): void {
    clearTimeout(this.#timer);
    this.#tell();
  }

  #again(): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#sums.size === 0) return;
      this.#tell();
      this.#again();
    }, SUM_MS);
    this.#timer.unref();
  }

  #tell(): void {
    if (this.#sums.size > 0)
      this.#log.warn({ connections: Object.fromEntries(this.#sums) }, 'connections turned away');
    this.#sums.clear();
  }
}
