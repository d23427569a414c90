/**
 * The one writer of a process. Writes and transactions that arrive together share one
 * commit, so that hundreds of sessions a second cost few; each is answered after it.
 * The more there is to write, the longer it is gathered: commits leave most of the thread's time to others.
 * Waiting for another process never blocks the thread.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreError } from './errors.ts';
import type { SqliteConnection } from './sqlite-connection.ts';

/** How long the write lock of another process is waited for: longer than any `apply` takes. */
const BUSY_MS = 10_000;
/** Pause between two tries for the lock. */
const RETRY_MS = 5;
/** Writes in one commit: about 10 ms of this thread. */
const GROUP = 500;
/** After a group the writer rests for so many times what it took, at most for `REST_MAX_MS`. */
const REST = 2;
const REST_MAX_MS = 20;
/** Writes that may wait: some 10 s of work. Beyond, the store is out of reach: refuse. */
const MAX_WAITING = 100_000;

interface Job {
  /** A single write; a promise: a transaction, taken back as a whole when it rejects. */
  readonly run: () => unknown;
  readonly transaction: boolean;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class SqliteWriter {
  readonly #db: SqliteConnection;
  #waiting: Job[] = [];
  #scheduled = false;
  #closed = false;
  /** By performance.now(). */
  #restsUntil = 0;
  /** Ends when the group that was begun last has ended. Never rejects. */
  #tail: Promise<void> = Promise.resolve();

  /** @param db a connection of its own, with no busy timeout */
  constructor(db: SqliteConnection) {
    this.#db = db;
  }

  /** Runs `run` in the next group. The promise settles after the commit. */
  write<T>(run: (db: SqliteConnection) => T): Promise<T> {
    return this.#enqueue(() => run(this.#db), false);
  }

  /** Runs `work` in the next group, nothing else until it has settled; what a rejection leaves is taken back. */
  transaction<T>(work: () => Promise<T>): Promise<T> {
    return this.#enqueue(work, true);
  }

  #enqueue<T>(run: () => T | Promise<T>, transaction: boolean): Promise<T> {
    if (this.#closed) return Promise.reject(closed());
    if (this.#waiting.length >= MAX_WAITING) {
      return Promise.reject(
        new StoreError('busy', `database ${this.#db.path}: ${MAX_WAITING} writes wait already`),
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting.push({ run, transaction, resolve: (value) => resolve(value as T), reject });
    this.#schedule();
    return promise;
  }

  /** Commits what waits, then closes the connection. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#waiting.length > 0) {
      this.#tail = this.#tail.then(() => this.#group());
      await this.#tail;
    }
    await this.#tail;
    this.#db.close();
  }

  /** At most one group per turn of the event loop: what arrives in the same turn shares it. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const begin = (): void => {
      this.#tail = this.#tail.then(async () => {
        const began = performance.now();
        await this.#group();
        const now = performance.now();
        this.#restsUntil = now + Math.min(REST_MAX_MS, REST * (now - began));
        // Only now, so that what comes meanwhile, and from whom it has answered, waits for the rest to be over.
        this.#scheduled = false;
        if (this.#waiting.length > 0 && !this.#closed) this.#schedule();
      });
    };
    const rest = this.#restsUntil - performance.now();
    if (rest < 1) setImmediate(begin);
    else setTimeout(begin, rest);
  }

  async #group(): Promise<void> {
    const jobs = this.#waiting.splice(0, GROUP);
    if (jobs.length === 0) return;
    const settle: (() => void)[] = [];
    try {
      await this.#begin();
      for (const job of jobs) settle.push(job.transaction ? await this.#runWhole(job) : this.#runOne(job));
      this.#db.run('COMMIT');
    } catch (error) {
      this.#rollback();
      for (const job of jobs) job.reject(error);
      return;
    }
    for (const done of settle) done();
  }

  /** A refused row takes only itself out of the group; anything worse, the whole group. */
  #runOne(job: Job): () => void {
    try {
      const value = job.run();
      return () => job.resolve(value);
    } catch (error) {
      if (!this.#db.inTransaction || (error instanceof StoreError && error.code !== 'conflict')) throw error;
      return () => job.reject(error);
    }
  }

  /** A transaction that rejects takes itself out of the group, whole. */
  async #runWhole(job: Job): Promise<() => void> {
    this.#db.run('SAVEPOINT whole');
    try {
      const value = await job.run();
      this.#db.run('RELEASE whole');
      return () => job.resolve(value);
    } catch (error) {
      if (!this.#db.inTransaction) throw error;
      this.#db.run('ROLLBACK TO whole');
      this.#db.run('RELEASE whole');
      return () => job.reject(error);
    }
  }

  async #begin(): Promise<void> {
    const deadline = performance.now() + BUSY_MS;
    for (;;) {
      try {
        this.#db.run('BEGIN IMMEDIATE');
        return;
      } catch (error) {
        const busy = error instanceof StoreError && error.code === 'busy';
        if (!busy || performance.now() > deadline) throw error;
      }
      await sleep(RETRY_MS);
    }
  }

  /** Some errors (disk full, I/O) have rolled back by themselves. */
  #rollback(): void {
    if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
  }
}

const closed = (): StoreError => new StoreError('closed', 'the store is closed');
