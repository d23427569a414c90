/**
 * What peers are told of this node's spool, in the rows of sessions: none seals a recording without the end of
 * it that is spooled here. A mark is written again and again until the store has it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';

/** Writes the mark of a session into the store; rejects as the store does. */
export type WriteMark = (sessionId: string, spooled: boolean) => Promise<void>;

const RETRY_MS = 250;

interface Mark {
  /** As it is to be told. */
  spooled: boolean;
  written: Promise<void>;
}

export class SpoolMarks {
  readonly #write: WriteMark;
  readonly #log: Logger;
  /** INVARIANT: of these the store does not have the last word. */
  readonly #open = new Map<string, Mark>();
  #stopped = false;

  constructor(write: WriteMark, log: Logger) {
    this.#write = write;
    this.#log = log;
  }

  set(sessionId: string, spooled: boolean): void {
    const open = this.#open.get(sessionId);
    if (open !== undefined) {
      open.spooled = spooled;
      return;
    }
    const mark: Mark = { spooled, written: Promise.resolve() };
    this.#open.set(sessionId, mark);
    mark.written = this.#bring(sessionId, mark);
    // Who does not wait is not told.
    mark.written.catch(() => {});
  }

  /** Resolves when the store has what was set last of this session; rejects when this is stopped before. */
  async written(sessionId: string): Promise<void> {
    await this.#open.get(sessionId)?.written;
  }

  stop(): void {
    this.#stopped = true;
  }

  async #bring(sessionId: string, mark: Mark): Promise<void> {
    for (let failing = false; ; ) {
      if (this.#stopped) throw new Error('the node stops: what it has spooled is not marked');
      const { spooled } = mark;
      try {
        await this.#write(sessionId, spooled);
        if (mark.spooled !== spooled) continue;
        this.#open.delete(sessionId);
        return;
      } catch (error) {
        if (!failing)
          this.#log.error({ err: error, session: sessionId }, 'spool mark not written, trying again');
        failing = true;
      }
      await sleep(RETRY_MS, undefined, { ref: false });
    }
  }
}
