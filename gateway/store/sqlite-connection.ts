/** One SQLite connection: opening, statements kept for reuse, errors in the house's words. */
import { closeSync, existsSync, openSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { StoreError } from './errors.ts';

/** Primary result codes of SQLite (https://sqlite.org/rescode.html) that are told apart. */
const BUSY = 5;
const CORRUPT = 11;
const FULL = 13;
const CONSTRAINT = 19;
const NOT_A_DATABASE = 26;

export class SqliteConnection {
  readonly path: string;
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /**
   * @param busyMs how long a statement may block this thread for another process's lock
   */
  constructor(path: string, busyMs: number) {
    this.path = path;
    try {
      // SQLite would create the file for all to read; its -wal and -shm take over the mode. Only where
      // there is none: who closes a descriptor of a file gives up the locks that any connection of this
      // process has on it (fcntl(2)), and the next process to leave would take the log along.
      if (!existsSync(path)) closeSync(openSync(path, 'a', 0o600));
      this.#db = new DatabaseSync(path, { timeout: busyMs, enableForeignKeyConstraints: true });
      // What a transaction that is taken back would restore: in files it would lie outside of the node's folder.
      this.#db.exec('PRAGMA temp_store = MEMORY');
    } catch (cause) {
      const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error';
      throw new StoreError('unavailable', `database ${path}: cannot be opened (${why}); check store.url`, {
        cause,
      });
    }
  }

  get inTransaction(): boolean {
    return this.#db.isTransaction;
  }

  /** Runs statements that have no parameters and no result. */
  exec(sql: string): void {
    this.#guard(() => this.#db.exec(sql));
  }

  /** @returns the number of changed rows */
  run(sql: string, ...values: (string | number | null | Uint8Array)[]): number {
    return this.#guard(() => Number(this.#statement(sql).run(...values).changes));
  }

  get(sql: string, ...values: (string | number | null | Uint8Array)[]): Record<string, unknown> | undefined {
    return this.#guard(() => this.#statement(sql).get(...values));
  }

  all(sql: string, ...values: (string | number | null | Uint8Array)[]): Record<string, unknown>[] {
    return this.#guard(() => this.#statement(sql).all(...values));
  }

  close(): void {
    this.#statements.clear();
    this.#db.close();
  }

  /** INVARIANT: SQL texts are a bounded set; values are always bound, never part of the text. */
  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      throw this.#explained(cause);
    }
  }

  #explained(cause: unknown): unknown {
    const code = resultCode(cause);
    if (code === undefined || !(cause instanceof Error)) return cause;
    const error = (kind: ConstructorParameters<typeof StoreError>[0], why: string) =>
      new StoreError(kind, `database ${this.path}: ${why}`, { cause });
    switch (code) {
      case BUSY:
        return error('busy', 'another process holds the write lock');
      case CORRUPT:
        return error(
          'unusable',
          'is damaged; stop every node that uses it and restore the file from a backup',
        );
      case NOT_A_DATABASE:
        return error(
          'unusable',
          'is not an SQLite database; point store.url to the right file or move this one away',
        );
      case FULL:
        return error('unavailable', 'the disk is full; free some space');
      case CONSTRAINT:
        return error('conflict', conflict(cause.message));
      default:
        return error('unavailable', cause.message);
    }
  }
}

/** The primary result code of an SQLite error; the extended code has it in its low byte. */
function resultCode(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('errcode' in error)) return undefined;
  return typeof error.errcode === 'number' ? error.errcode & 0xff : undefined;
}

/** `UNIQUE constraint failed: users.name` → words. */
function conflict(message: string): string {
  const unique = /^UNIQUE constraint failed: (.+)$/.exec(message);
  if (unique !== null) return `another row has this ${unique[1]}`;
  if (message.startsWith('FOREIGN KEY')) return 'the row names another row that does not exist';
  return message;
}
