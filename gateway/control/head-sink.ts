/** Brings into the store how far the archive has each recording, so that a cut end shows (`verify`). */
import type { Logger } from 'pino';
import type { RecordedHead, StoreTransaction } from '../store/port.ts';

export class HeadSink {
  readonly #store: StoreTransaction;
  readonly #run: () => string;
  readonly #log: Logger;
  /** The last of each session that is not written yet; the store takes none of a session that has ended. */
  readonly #held = new Map<string, RecordedHead>();
  #flushing: Promise<void> | undefined;
  #failing = false;

  constructor(options: { store: StoreTransaction; run: () => string; log: Logger }) {
    this.#store = options.store;
    this.#run = options.run;
    this.#log = options.log;
  }

  add(heads: readonly RecordedHead[]): void {
    for (const head of heads) this.#held.set(head.sessionId, head);
    if (!this.#failing) void this.flush();
  }

  /** Writes what is held, all of it in one write; what the store refuses stays. Never rejects. */
  flush(): Promise<void> {
    this.#flushing ??= this.#write().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #write(): Promise<void> {
    while (this.#held.size > 0) {
      const heads = [...this.#held.values()];
      try {
        await this.#store.recordHeads(this.#run(), heads);
      } catch (error) {
        if (!this.#failing) this.#log.error({ err: error }, 'heads of recordings not written, trying again');
        this.#failing = true;
        return;
      }
      this.#failing = false;
      // What came meanwhile is newer, and stays.
      for (const head of heads)
        if (this.#held.get(head.sessionId) === head) this.#held.delete(head.sessionId);
    }
  }
}
