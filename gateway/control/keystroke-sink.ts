/** Brings keystrokes into the store, and holds a bounded number of them while it is out of reach. */
import type { Logger } from 'pino';
import type { KeystrokeLine } from '../../workers/messages.ts';
import type { StoreTransaction } from '../store/port.ts';

/** Characters held while the store does not take them: minutes of typing on a full node. */
const MAX_HELD = 8 * 1024 * 1024;
/** Lines in one insert. */
const BATCH = 1000;

export class KeystrokeSink {
  readonly #store: StoreTransaction;
  readonly #log: Logger;
  #held: KeystrokeLine[] = [];
  #size = 0;
  #lost = 0;
  /** The last write failed: only the clockwork tries again. */
  #failing = false;
  #flushing: Promise<void> | undefined;

  constructor(options: { store: StoreTransaction; log: Logger }) {
    this.#store = options.store;
    this.#log = options.log;
  }

  add(lines: readonly KeystrokeLine[]): void {
    for (const line of lines) {
      if (this.#size + line.text.length > MAX_HELD) {
        if (this.#lost++ === 0) this.#log.error('keystrokes are lost: the store does not take them');
        continue;
      }
      this.#held.push(line);
      this.#size += line.text.length;
    }
    if (!this.#failing) void this.flush();
  }

  /** Writes what is held; what the store refuses stays for the next time. Never rejects. */
  flush(): Promise<void> {
    this.#flushing ??= this.#write().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #write(): Promise<void> {
    while (this.#held.length > 0) {
      const batch = this.#held.slice(0, BATCH);
      try {
        await this.#store.insertKeystrokes(batch);
      } catch (error) {
        // Said once per outage: tries come several times a second.
        if (!this.#failing) this.#log.error({ err: error }, 'keystrokes not written, trying again');
        this.#failing = true;
        return;
      }
      this.#failing = false;
      this.#held.splice(0, batch.length);
      for (const line of batch) this.#size -= line.text.length;
      if (this.#lost > 0) this.#log.error({ lines: this.#lost }, 'keystrokes were lost');
      this.#lost = 0;
    }
  }
}
