/**
 * Knows whether the archive takes recordings, without asking it for every probe: it is looked at in the
 * background, one look at a time, because a look at a share that hangs keeps a thread of the process.
 */
export interface ArchiveWatchOptions {
  /** Rejects when the archive cannot take recordings; may hang. */
  readonly check: () => Promise<void>;
  /** The archive is down, or is back; `error` only where it is down. */
  readonly onChange: (error: Error | undefined) => void;
  /** How often it is looked at. */
  readonly everyMs: number;
  /** How often while it is down; default 2 s. */
  readonly downEveryMs?: number;
  /** Without an answer for this long it is down; default 5 s. */
  readonly patienceMs?: number;
}

/** So many failed looks in a row mean that it is down: one may be an accident of the network. */
const FAILURES = 2;

export class ArchiveWatch {
  readonly #options: Required<ArchiveWatchOptions>;
  #failures = 0;
  #down = false;
  #looking = false;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ArchiveWatchOptions) {
    this.#options = { downEveryMs: 2_000, patienceMs: 5_000, ...options };
  }

  get down(): boolean {
    return this.#down;
  }

  /** Looks now, unless a look is under way; also begins the watch. */
  look(): void {
    if (this.#looking || this.#stopped) return;
    clearTimeout(this.#timer);
    this.#looking = true;
    const { check, patienceMs } = this.#options;
    const tooLate = (): void => {
      this.#failures = FAILURES;
      this.#tell(new Error(`no answer within ${patienceMs} ms`));
    };
    // In two halves: where this thread itself had no time, the answer is heard in the second.
    let late = setTimeout(() => {
      late = setTimeout(tooLate, patienceMs / 2);
    }, patienceMs / 2);
    void check()
      .then(
        () => {
          this.#failures = 0;
          this.#tell(undefined);
        },
        (error: unknown) => {
          this.#failures += 1;
          this.#tell(error instanceof Error ? error : new Error(String(error)));
        },
      )
      .finally(() => {
        clearTimeout(late);
        this.#looking = false;
        this.#again();
      });
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #again(): void {
    if (this.#stopped) return;
    const { everyMs, downEveryMs } = this.#options;
    this.#timer = setTimeout(() => this.look(), this.#failures > 0 ? downEveryMs : everyMs);
    this.#timer.unref();
  }

  #tell(error: Error | undefined): void {
    const down = this.#failures >= FAILURES;
    if (down === this.#down || this.#stopped) return;
    this.#down = down;
    this.#options.onChange(down ? error : undefined);
  }
}
