/**
 * Has sealed recordings compacted, where the archive keeps them as many small objects while they are
 * written: those of this node, and those of nodes that do not run.
 */
import type { Logger } from 'pino';
import { ArchiveError, ContainerError } from '../../recorder/index.ts';
import type { SessionRow, Store } from '../store/port.ts';

export interface CompactionOptions {
  readonly store: Store;
  /** `node.name` */
  readonly node: string;
  readonly compact: (sessionId: string) => Promise<void>;
  readonly monotonic: () => number;
  readonly log: Logger;
}

/** Looked at in one turn. */
const PAGE = 200;
/** How long one that failed is left alone, ms. */
const RETRY_MS = 60_000;

export class Compaction {
  readonly #options: CompactionOptions;
  /** When those that failed may be tried again. INVARIANT: no more than a few pages. */
  readonly #failed = new Map<string, number>();
  #working: Promise<void> | undefined;
  #stopped = false;

  constructor(options: CompactionOptions) {
    this.#options = options;
  }

  /** Begins to compact what is there, unless that is still going on. */
  turn(): void {
    if (this.#stopped) return;
    this.#working ??= this.#work()
      .catch((error: unknown) =>
        this.#options.log.warn({ err: error }, 'recordings are not compacted, trying again'),
      )
      .finally(() => {
        this.#working = undefined;
      });
  }

  /** Resolves when nothing is being compacted. */
  async idle(): Promise<void> {
    await this.#working;
  }

  /** Begins no other, and waits for the one that is being compacted; its owner may cancel that. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.idle();
  }

  async #work(): Promise<void> {
    const { store, node, monotonic } = this.#options;
    const nodes = await store.nodes();
    const others = new Set(nodes.filter(({ state }) => state === 'running').map(({ name }) => name));
    others.delete(node);
    const now = monotonic();
    for (const [id, at] of this.#failed) if (at <= now) this.#failed.delete(id);
    for (let before: string | undefined; !this.#stopped; ) {
      const page = { limit: PAGE, ...(before === undefined ? {} : { before }) };
      const rows = await store.sessions({ uncompacted: true, state: ['ended'] }, page);
      before = rows.at(-1)?.id;
      if (before === undefined || this.#failed.size > PAGE) return;
      for (const row of rows) {
        if (others.has(row.node) || this.#failed.has(row.id)) continue;
        if (this.#stopped) return;
        await this.#compact(row);
      }
    }
  }

  async #compact({ id }: SessionRow): Promise<void> {
    const { store, compact, monotonic, log } = this.#options;
    try {
      await compact(id);
    } catch (error) {
      if (this.#stopped) return;
      const missing = error instanceof ArchiveError && error.code === 'recording-missing';
      if (!missing && !(error instanceof ContainerError)) {
        log.warn({ err: error, session: id }, 'a recording is not compacted, trying again');
        this.#failed.set(id, monotonic() + RETRY_MS);
        return;
      }
      // It stays as it is: what is damaged is for people to look at, what was pruned is gone.
      log.warn({ err: error, session: id }, 'a recording cannot be compacted');
    }
    await store.updateSession(id, { compacted: true });
  }
}
