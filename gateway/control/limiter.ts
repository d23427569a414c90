/**
 * Slows down and stops whoever guesses at log-ons. Failures are counted three ways:
 *
 * - per name and source: too many block that name from that source;
 * - per source: too many block that source;
 * - per name over all sources: only ever delays, so that nobody can lock a person out
 *   from elsewhere.
 *
 * Whether a name exists plays no part. Time comes from the injected clock.
 */
import { sourceKey } from '../listener/source.ts';

const MINUTE = 60_000;

/** Failures are counted over this time, and a block lasts as long, from the failure that caused it. */
export const WINDOW_MS = 15 * MINUTE;
/** A person who mistypes stops well before; a guesser gets 40 tries an hour. */
export const MAX_FAILURES_PER_NAME_AND_SOURCE = 10;
/** Several people may share one address behind a translator or a jump host. */
export const MAX_FAILURES_PER_SOURCE = 30;
/** The first two failures are free: a typing error is not an attack. */
const FREE_FAILURES = 2;
const FIRST_DELAY_MS = 250;
/** Under the time that SSH clients and the log-on grace leave for one answer. */
const MAX_DELAY_MS = 8000;
/** Bound of each of the three tables, some 100 bytes an entry; the longest unused goes first. */
const MAX_ENTRIES = 10_000;

export type Verdict =
  | { readonly blocked: true }
  /** How long the answer to the next attempt must wait, in ms. */
  | { readonly blocked: false; readonly delayMs: number };

export class LoginLimiter {
  readonly #byNameAndSource: FailureTable;
  readonly #bySource: FailureTable;
  readonly #byName: FailureTable;

  /** @param now the clock, ms since the epoch */
  constructor(now: () => number) {
    this.#byNameAndSource = new FailureTable(now, MAX_FAILURES_PER_NAME_AND_SOURCE);
    this.#bySource = new FailureTable(now, MAX_FAILURES_PER_SOURCE);
    this.#byName = new FailureTable(now, Number.POSITIVE_INFINITY);
  }

  /** What the next attempt has to expect; counts nothing. */
  verdict(source: string, name: string): Verdict {
    const from = sourceKey(source);
    const pair = pairKey(from, name);
    if (this.#byNameAndSource.blocked(pair) || this.#bySource.blocked(from)) return { blocked: true };
    const failures = Math.max(
      this.#byNameAndSource.failures(pair),
      this.#bySource.failures(from),
      this.#byName.failures(name),
    );
    return { blocked: false, delayMs: delayAfter(failures) };
  }

  failed(source: string, name: string): void {
    const from = sourceKey(source);
    this.#byNameAndSource.add(pairKey(from, name));
    this.#bySource.add(from);
    this.#byName.add(name);
  }

  /**
   * Forgets the name's failures from this source. The source's own count stays: one known
   * log-on must not buy fresh tries at others.
   */
  succeeded(source: string, name: string): void {
    this.#byNameAndSource.delete(pairKey(sourceKey(source), name));
  }
}

function pairKey(from: string, name: string): string {
  return `${from} ${name}`;
}

function delayAfter(failures: number): number {
  if (failures < FREE_FAILURES) return 0;
  return Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - FREE_FAILURES));
}

interface Failures {
  count: number;
  /** When the first of `count` happened. */
  since: number;
  blockedUntil: number;
}

class FailureTable {
  readonly #now: () => number;
  readonly #limit: number;
  /** INVARIANT: in order of last failure, so that the first is the one to drop. */
  readonly #entries = new Map<string, Failures>();

  constructor(now: () => number, limit: number) {
    this.#now = now;
    this.#limit = limit;
  }

  blocked(key: string): boolean {
    const entry = this.#entries.get(key);
    return entry !== undefined && this.#now() < entry.blockedUntil;
  }

  failures(key: string): number {
    return this.#current(key)?.count ?? 0;
  }

  add(key: string): void {
    const now = this.#now();
    const entry = this.#current(key) ?? { count: 0, since: now, blockedUntil: 0 };
    entry.count++;
    if (entry.count >= this.#limit) entry.blockedUntil = now + WINDOW_MS;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size > MAX_ENTRIES) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  /** The entry, unless its window and its block are over. */
  #current(key: string): Failures | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const now = this.#now();
    return now < Math.max(entry.blockedUntil, entry.since + WINDOW_MS) ? entry : undefined;
  }
}
