/** The port's calls as SQL, over whatever runs the reads and writes of a caller. */

import type {
  AccountRow,
  AuditRow,
  CommandRow,
  KeystrokeRow,
  LaunchRow,
  NodeRow,
  Page,
  PolicyRow,
  RecordedHead,
  SessionRow,
  StoreTransaction,
  SystemRow,
  UserRow,
} from './port.ts';
import {
  ACCOUNTS,
  AUDIT,
  COMMANDS,
  KEYSTROKES,
  LAUNCHES,
  NODES,
  POLICIES,
  SESSIONS,
  SYSTEMS,
  USERS,
} from './sqlite-columns.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import type { Table } from './sqlite-rows.ts';

/** Rows of one page at most, whatever the caller asks for. */
const MAX_PAGE = 10_000;

/** Runs what a call does on a connection, now or in its turn. */
export interface Access {
  read<T>(run: (db: SqliteConnection) => T): Promise<T>;
  write<T>(run: (db: SqliteConnection) => T): Promise<T>;
}

type Condition = readonly [sql: string, ...values: (string | number)[]];

export class SqliteTables implements StoreTransaction {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  users = () => this.#list(USERS);
  user = (name: string) => this.#one(USERS, ['name = ?', name]);
  putUser = (user: UserRow) => this.#put(USERS, user);
  systems = () => this.#list(SYSTEMS);
  system = (name: string) => this.#one(SYSTEMS, ['name = ?', name]);
  putSystem = (system: SystemRow) => this.#put(SYSTEMS, system);
  accounts = () => this.#list(ACCOUNTS);
  account = (name: string, system: string) => this.#one(ACCOUNTS, ['name = ? AND system = ?', name, system]);
  putAccount = (account: AccountRow) => this.#put(ACCOUNTS, account);
  policies = () => this.#list(POLICIES);
  putPolicy = (policy: PolicyRow) => this.#put(POLICIES, policy);

  insertSession = (session: SessionRow) => this.#insert(SESSIONS, [session]);
  session = (id: string) => this.#one(SESSIONS, ['id = ?', id]);

  updateSession(id: string, change: Partial<Omit<SessionRow, 'id'>>): Promise<boolean> {
    return this.#access.write((db) => {
      const set = SESSIONS.change(change);
      if (set === undefined) return db.get('SELECT 1 FROM sessions WHERE id = ?', id) !== undefined;
      return db.run(`UPDATE sessions SET ${set.set} WHERE id = ?`, ...set.values, id) > 0;
    });
  }

  sessions: StoreTransaction['sessions'] = (
    { idPart, state, node, recorded, run, unfinished, uncompacted, kept },
    page,
  ) => {
    const where: Condition[] = [];
    if (idPart !== undefined) {
      const length = [...idPart].length;
      // An end is in no order: the ids alone are read, from their index.
      const ids = 'SELECT id FROM sessions WHERE substr(id, 1, ?) = ? OR substr(id, -?) = ?';
      where.push([`id IN (${ids})`, length, idPart, length, idPart]);
    }
    if (state !== undefined) where.push([`state IN (${state.map(() => '?').join(', ')})`, ...state]);
    if (node !== undefined) where.push(['node = ?', node]);
    if (recorded !== undefined) where.push(['recorded = ?', recorded ? 1 : 0]);
    if (run !== undefined) where.push(['run = ?', run]);
    // In the words of their indexes.
    if (unfinished)
      where.push([
        "state <> 'ended' OR credential_lease IS NOT NULL " +
          'OR (recorded = 1 AND sealed = 0 AND unsealable IS NULL)',
      ]);
    if (uncompacted) where.push(['sealed = 1 AND compacted = 0']);
    if (kept) where.push(['recorded = 1 AND pruned_at IS NULL']);
    return this.#page(SESSIONS, where, page);
  };

  recordHeads(run: string, heads: readonly RecordedHead[]): Promise<void> {
    const sql =
      'UPDATE sessions SET segments = ?, recorded_bytes = ?, head_hash = ? ' +
      "WHERE id = ? AND run = ? AND state <> 'ended'";
    return this.#access.write((db) => {
      for (const { sessionId, segments, bytes, head } of heads)
        db.run(sql, segments, bytes, head, sessionId, run);
    });
  }

  countOpenSessions: StoreTransaction['countOpenSessions'] = (of) => {
    const fits = SESSIONS.condition(of);
    const where = ["state <> 'ended'", ...fits.map(([sql]) => sql)].join(' AND ');
    const values = fits.flatMap(([, ...bound]) => bound);
    const sql = `SELECT count(*) AS n FROM sessions WHERE ${where}`;
    return this.#access.read((db) => Number(db.get(sql, ...values)?.['n']));
  };

  openSessionSources: StoreTransaction['openSessionSources'] = () => {
    const sql = "SELECT source, count(*) AS n FROM sessions WHERE state <> 'ended' GROUP BY source";
    return this.#access.read((db) =>
      db.all(sql).map(({ source, n }) => ({ source: String(source), count: Number(n) })),
    );
  };

  insertNode = (node: NodeRow) => this.#insert(NODES, [node]);
  node = (id: string) => this.#one(NODES, ['id = ?', id]);
  nodes = () => this.#list(NODES);

  updateNode: StoreTransaction['updateNode'] = (id, expected, change) => {
    const is = NODES.condition(expected);
    const set = NODES.change(change);
    return this.#access.write((db) => {
      const where = [...is.map(([sql]) => sql), 'id = ?'].join(' AND ');
      const values = [...is.flatMap(([, ...bound]) => bound), id];
      if (set === undefined) return db.get(`SELECT 1 FROM nodes WHERE ${where}`, ...values) !== undefined;
      return db.run(`UPDATE nodes SET ${set.set} WHERE ${where}`, ...set.values, ...values) > 0;
    });
  };

  deleteNode(id: string): Promise<void> {
    return this.#access.write((db) => {
      db.run('DELETE FROM nodes WHERE id = ?', id);
    });
  }

  insertCommand = (command: CommandRow) => this.#insert(COMMANDS, [command]);
  command = (id: string) => this.#one(COMMANDS, ['id = ?', id]);
  openCommands = (node: string) => this.#list(COMMANDS, [['done_at IS NULL'], ['node = ?', node]]);

  finishCommand(id: string, doneAt: number, result: string): Promise<void> {
    return this.#access.write((db) => {
      db.run('UPDATE commands SET done_at = ?, result = ? WHERE id = ?', doneAt, result, id);
    });
  }

  insertLaunch = (launch: LaunchRow) => this.#insert(LAUNCHES, [launch]);
  launch = (id: string) => this.#one(LAUNCHES, ['id = ?', id]);
  openLaunches = (user: string, account: string, system: string, now: number) =>
    this.#list(LAUNCHES, [
      ['user = ?', user],
      ['account = ?', account],
      ['system = ?', system],
      ['expires_at > ?', now],
      ['used_at IS NULL'],
    ]);

  useLaunch(id: string, usedAt: number): Promise<boolean> {
    const sql = 'UPDATE launches SET used_at = ? WHERE id = ? AND used_at IS NULL';
    return this.#access.write((db) => db.run(sql, usedAt, id) > 0);
  }

  deleteLaunches(time: number): Promise<void> {
    return this.#access.write((db) => {
      db.run('DELETE FROM launches WHERE expires_at < ?', time);
    });
  }

  insertAudit = (row: AuditRow) => this.#insert(AUDIT, [row]);
  audit: StoreTransaction['audit'] = ({ code, actor, sessionId, since }, page) => {
    const where: Condition[] = [];
    if (code !== undefined) where.push(['code = ?', code]);
    if (actor !== undefined) where.push(['actor = ?', actor]);
    if (sessionId !== undefined) where.push(['session_id = ?', sessionId]);
    if (since !== undefined) where.push(['at >= ?', since]);
    return this.#page(AUDIT, where, page);
  };

  insertKeystrokes = (rows: readonly KeystrokeRow[]) => this.#insert(KEYSTROKES, rows);

  deleteKeystrokes(sessionId: string, limit: number): Promise<number> {
    const sql =
      'DELETE FROM keystrokes WHERE seq IN (SELECT seq FROM keystrokes WHERE session_id = ? LIMIT ?)';
    return this.#access.write((db) => db.run(sql, sessionId, limit));
  }

  keystrokes(sessionId: string, kind?: 'keys' | 'command'): Promise<readonly KeystrokeRow[]> {
    const where: Condition[] = [['session_id = ?', sessionId]];
    if (kind !== undefined) where.push(['kind = ?', kind]);
    return this.#list(KEYSTROKES, where);
  }

  /** Every word of `text` must begin a word of the row. `page.before`: `at` of a row, ms, as text. */
  searchKeystrokes(text: string, page: Page): Promise<readonly KeystrokeRow[]> {
    const words = text.match(/[\p{L}\p{N}]+/gu) ?? [];
    if (words.length === 0) return Promise.resolve([]);
    const query = words.map((word) => `"${word}"*`).join(' ');
    const before = page.before === undefined ? Number.MAX_SAFE_INTEGER : Number(page.before);
    if (!Number.isSafeInteger(before)) return Promise.resolve([]);
    const sql =
      `SELECT ${KEYSTROKES.columns} FROM keystrokes WHERE at < ? AND seq IN ` +
      '(SELECT rowid FROM keystrokes_text WHERE keystrokes_text MATCH ?) ORDER BY at DESC, seq DESC LIMIT ?';
    return this.#access.read((db) =>
      db.all(sql, before, query, limitOf(page)).map((raw) => KEYSTROKES.read(raw)),
    );
  }

  setting(name: string): Promise<string | undefined> {
    return this.#access.read((db) => {
      const value = db.get('SELECT value FROM settings WHERE name = ?', name)?.['value'];
      return typeof value === 'string' ? value : undefined;
    });
  }

  settings: StoreTransaction['settings'] = (prefix) => {
    const sql = 'SELECT name, value FROM settings WHERE substr(name, 1, ?) = ? ORDER BY name';
    return this.#access.read((db) =>
      db.all(sql, [...prefix].length, prefix).map(({ name, value }) => ({
        name: String(name),
        value: String(value),
      })),
    );
  };

  putSetting(name: string, value: string): Promise<void> {
    const sql =
      'INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value';
    return this.#access.write((db) => {
      db.run(sql, name, value);
    });
  }

  #one<Row extends object>(table: Table<Row>, [where, ...values]: Condition): Promise<Row | undefined> {
    return this.#access.read((db) => {
      const raw = db.get(`SELECT ${table.columns} FROM ${table.name} WHERE ${where}`, ...values);
      return raw === undefined ? undefined : table.read(raw);
    });
  }

  /** Newest first, all of them. */
  #list<Row extends object>(table: Table<Row>, where: readonly Condition[] = []): Promise<readonly Row[]> {
    const sql = `SELECT ${table.columns} FROM ${table.name}${clause(where)} ORDER BY seq DESC`;
    const values = where.flatMap(([, ...bound]) => bound);
    return this.#access.read((db) => db.all(sql, ...values).map((raw) => table.read(raw)));
  }

  /** Newest first, one page; a `before` that no row has gives an empty page. */
  #page<Row extends object>(
    table: Table<Row>,
    given: readonly Condition[],
    page: Page,
  ): Promise<readonly Row[]> {
    const where = [...given];
    if (page.before !== undefined)
      where.push([`seq < (SELECT seq FROM ${table.name} WHERE id = ?)`, page.before]);
    const sql = `SELECT ${table.columns} FROM ${table.name}${clause(where)} ORDER BY seq DESC LIMIT ?`;
    const values = where.flatMap(([, ...bound]) => bound);
    return this.#access.read((db) => db.all(sql, ...values, limitOf(page)).map((raw) => table.read(raw)));
  }

  #put<Row extends object>(table: Table<Row>, row: Row): Promise<void> {
    return this.#access.write((db) => {
      db.run(table.upsertSql, ...table.values(row));
    });
  }

  #insert<Row extends object>(table: Table<Row>, rows: readonly Row[]): Promise<void> {
    return this.#access.write((db) => {
      for (const row of rows) db.run(table.insertSql, ...table.values(row));
    });
  }
}

function clause(where: readonly Condition[]): string {
  return where.length === 0 ? '' : ` WHERE ${where.map(([sql]) => `(${sql})`).join(' AND ')}`;
}

function limitOf(page: Page): number {
  return Math.min(MAX_PAGE, Math.max(1, Math.trunc(page.limit)));
}
