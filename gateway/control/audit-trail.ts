/**
 * Writes audit rows. What an attacker can cause at will is written through
 * {@link AuditTrail.bounded}, which caps the rows per cause and counts the rest, so that
 * neither the store nor this memory can be filled.
 */
import type { Logger } from 'pino';
import { type AuditFact, auditRow } from '../audit/events.ts';
import type { StoreTransaction } from '../store/port.ts';
import type { Clock } from './clock.ts';

/** What happened; the trail adds node and time. */
export type Fact = Omit<AuditFact, 'node'>;

/** How many rows one key may write within a window; more are counted into one row at its end. */
export interface Bound {
  readonly rows: number;
  readonly windowMs: number;
}

/** Keys counted at once, some 500 bytes each; beyond that, facts of one code share a key. */
const MAX_KEYS = 10_000;

interface Tally {
  readonly bound: Bound;
  readonly since: number;
  written: number;
  /** Facts that no row tells of yet, and the last of them. */
  counted: number;
  last: Fact;
}

export class AuditTrail {
  readonly #store: StoreTransaction;
  readonly #node: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #heard: ((fact: Fact, times: number) => void) | undefined;
  readonly #tallies = new Map<string, Tally>();
  readonly #writing = new Set<Promise<void>>();

  /** @param options `heard` is told of every fact, also of those that are only counted */
  constructor(options: {
    store: StoreTransaction;
    node: string;
    clock: Clock;
    log: Logger;
    heard?: (fact: Fact, times: number) => void;
  }) {
    this.#store = options.store;
    this.#node = options.node;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#heard = options.heard;
  }

  /** Writes one row, in the given transaction where there is one; resolves when it is kept. */
  async write(fact: Fact, store: StoreTransaction = this.#store): Promise<void> {
    this.#heard?.(fact, 1);
    await this.#insert(fact, store);
  }

  async #insert(fact: Fact, store: StoreTransaction): Promise<void> {
    await store.insertAudit(auditRow({ ...fact, node: this.#node }, this.#clock.now()));
  }

  /**
   * Writes the fact now or counts it, in the background; a row's `count` says how many it tells of.
   * @param times how often it happened
   * @returns whether it has a row of its own
   */
  bounded(key: string, bound: Bound, fact: Fact, times = 1): boolean {
    this.#heard?.(fact, times);
    const tally = this.#tally(key, bound, fact);
    let left = times;
    if (tally.written < bound.rows) {
      tally.written++;
      this.#writeSoon(fact);
      left -= 1;
    }
    if (left > 0) {
      tally.last = tally.counted === 0 || tally.last.actor === fact.actor ? fact : withoutNames(fact);
      tally.counted += left;
    }
    return left < times;
  }

  /** Writes what was counted in windows that are over; called regularly. */
  sweep(): void {
    const now = this.#clock.now();
    for (const [key, tally] of this.#tallies) {
      if (now >= tally.since + tally.bound.windowMs) this.#close(key, tally);
    }
  }

  /** Writes all that was counted, and waits for every row under way. */
  async flush(): Promise<void> {
    for (const [key, tally] of this.#tallies) this.#close(key, tally);
    while (this.#writing.size > 0) await Promise.all(this.#writing);
  }

  #tally(key: string, bound: Bound, fact: Fact): Tally {
    const found = this.#tallies.get(key);
    const now = this.#clock.now();
    if (found !== undefined && now < found.since + bound.windowMs) return found;
    if (found !== undefined) this.#close(key, found);
    if (this.#tallies.size >= MAX_KEYS && key !== fact.code) return this.#tally(fact.code, bound, fact);
    const tally: Tally = { bound, since: now, written: 0, counted: 0, last: fact };
    this.#tallies.set(key, tally);
    return tally;
  }

  #close(key: string, tally: Tally): void {
    this.#tallies.delete(key);
    if (tally.counted === 0) return;
    this.#writeSoon({ ...tally.last, detail: { ...tally.last.detail, count: tally.counted } });
  }

  #writeSoon(fact: Fact): void {
    const writing = this.#insert(fact, this.#store)
      .catch((error: unknown) => {
        const { code, sessionId: session } = fact;
        this.#log.error({ err: error, code, session }, 'audit row not written');
      })
      .finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  }
}

/** What facts about several people have in common. */
function withoutNames(fact: Fact): Fact {
  return { ...fact, actor: undefined, detail: {} };
}
