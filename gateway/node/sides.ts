/** Has made what stands beside a recording, for who looks for a moment of it or searches it later. */
import type { Logger } from 'pino';
import type { ArchiveSettings, BackgroundPool } from '../../recorder/index.ts';

export class Sides {
  readonly #background: BackgroundPool;
  readonly #archive: () => ArchiveSettings;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #givenUp = 0;

  constructor(background: BackgroundPool, archive: () => ArchiveSettings, log: Logger) {
    this.#background = background;
    this.#archive = archive;
    this.#log = log;
  }

  /** Of a recording that is sealed; `key`: its own. Never rejects: a recording is whole without. */
  async put(sessionId: string, key: Uint8Array): Promise<void> {
    try {
      const source = { archive: this.#archive(), sessionId, opener: { key } };
      await this.#background.putSides(source, this.#stopping.signal);
    } catch (error) {
      if (this.#stopping.signal.aborted) this.#givenUp += 1;
      else
        this.#log.warn(
          { session: sessionId, err: error },
          'a recording has no index or text beside it: recordings index makes them',
        );
    }
  }

  /** Gives up what waits and what runs: the node stops. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Says in one line what was given up; the pool is closed. */
  close(): void {
    if (this.#givenUp > 0)
      this.#log.warn(
        { recordings: this.#givenUp },
        'recordings have no index or text beside them: recordings index makes them',
      );
  }
}
