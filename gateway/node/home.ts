/**
 * Holds a data folder for one process, and gives the folder a name of its own. The lock is the kernel's,
 * on an SQLite file: it goes with the process, however that ends, so that who gets it knows that nobody
 * else uses the folder.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ConfigurationError } from '../config/problems.ts';

export interface Home {
  /** Of the folder, for ever. */
  readonly id: string;
  release(): void;
}

/** @throws ConfigurationError: another process holds the folder */
export function holdHome(dataDir: string): Home {
  const db = new DatabaseSync(join(dataDir, 'node.lock'));
  try {
    // Locked from the first write until the file is closed.
    db.exec('PRAGMA locking_mode = EXCLUSIVE');
    db.exec('BEGIN EXCLUSIVE');
    db.exec('CREATE TABLE IF NOT EXISTS home (id TEXT NOT NULL) STRICT');
    const own = 'INSERT INTO home SELECT ? WHERE NOT EXISTS (SELECT 1 FROM home)';
    db.prepare(own).run(randomUUID());
    db.exec('COMMIT');
    return { id: String(db.prepare('SELECT id FROM home').get()?.['id']), release: () => db.close() };
  } catch (error) {
    db.close();
    throw new ConfigurationError(
      'node.dataDir',
      [`${dataDir} is in use by a gateway that runs: stop it, or give this one a folder of its own`],
      { cause: error },
    );
  }
}
