/**
 * The embedded store: one SQLite file that the node and the CLI's processes share.
 *
 * Two connections. Reads go to one that never writes, so they see committed rows only and
 * wait for nobody. Writes and transactions take turns on the other (SqliteWriter), each
 * under BEGIN IMMEDIATE, so that transactions are serialisable, across processes too.
 */

import { StoreError } from './errors.ts';
import type { Store, StoreTransaction } from './port.ts';
import { SqliteConnection } from './sqlite-connection.ts';
import { migrate } from './sqlite-migrations.ts';
import { SqliteTables } from './sqlite-tables.ts';
import { SqliteWriter } from './sqlite-writer.ts';

/** A read waits only while another process recovers or closes the file's log. */
const READ_BUSY_MS = 2000;

/**
 * Opens the file, creates it if it is not there, and brings its schema up to date.
 *
 * @throws StoreError naming the file and what to do
 */
export async function openSqliteStore(path: string): Promise<Store> {
  const reader = new SqliteConnection(path, READ_BUSY_MS);
  try {
    migrate(reader);
    reader.exec('PRAGMA query_only = ON');
    const writer = new SqliteConnection(path, 0);
    writer.exec('PRAGMA synchronous = NORMAL');
    // What is deleted, such as keystrokes whose time is over, is overwritten.
    writer.exec('PRAGMA secure_delete = ON');
    return new SqliteStore(reader, writer);
  } catch (error) {
    reader.close();
    throw error;
  }
}

class SqliteStore extends SqliteTables implements Store {
  readonly #reader: SqliteConnection;
  readonly #connection: SqliteConnection;
  readonly #writer: SqliteWriter;
  #closing: Promise<void> | undefined;

  constructor(reader: SqliteConnection, connection: SqliteConnection) {
    const writer = new SqliteWriter(connection);
    super({
      read: async (run) => {
        if (this.#closing !== undefined) throw new StoreError('closed', 'the store is closed');
        return run(reader);
      },
      write: (run) => writer.write(run),
    });
    this.#reader = reader;
    this.#connection = connection;
    this.#writer = writer;
  }

  /**
   * INVARIANT: `work` awaits the store through `tx` only. A write through the store itself
   * would wait for the end of this very transaction.
   */
  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T> {
    return this.#writer.transaction(async () => {
      let open = true;
      const run = async <R>(step: (db: SqliteConnection) => R): Promise<R> => {
        if (!open) throw new StoreError('closed', 'the transaction has ended');
        return step(this.#connection);
      };
      try {
        return await work(new SqliteTables({ read: run, write: run }));
      } finally {
        open = false;
      }
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#writer.close().then(() => this.#reader.close());
    return this.#closing;
  }
}
