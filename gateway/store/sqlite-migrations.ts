/** The schema of the embedded store, as numbered steps that only go forward. */
import { statSync } from 'node:fs';
import { StoreError } from './errors.ts';
import type { SqliteConnection } from './sqlite-connection.ts';

/** "SALP": tells this program's files from others (PRAGMA application_id). */
const APPLICATION_ID = 0x53414c50;
// A full read of a larger file would delay every start; damage then shows at the first
// statement that meets it.
const CHECKED_BYTES = 64 * 1024 * 1024;

// `seq` gives lists their order (newest first), whatever ids callers choose.
// Audit and keystrokes have no foreign keys: nothing may make the store refuse them.
const MIGRATIONS: readonly { readonly name: string; readonly sql: string }[] = [
  {
    name: 'users, systems, accounts, policies, sessions, commands, audit, keystrokes, settings',
    sql: `
CREATE TABLE users (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL, password_hash TEXT, ssh_keys TEXT NOT NULL, totp BLOB, disabled INTEGER NOT NULL
) STRICT;
CREATE TABLE systems (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE,
  protocol TEXT NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL, host_key TEXT,
  pinned_host_key TEXT, certificate TEXT, legacy_algorithms INTEGER NOT NULL
) STRICT;
CREATE TABLE accounts (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  system TEXT NOT NULL REFERENCES systems (name) ON UPDATE CASCADE,
  secret BLOB NOT NULL, secret_fingerprint TEXT NOT NULL, UNIQUE (name, system)
) STRICT;
CREATE INDEX accounts_by_system ON accounts (system);
CREATE TABLE policies (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE,
  users TEXT NOT NULL, accounts TEXT NOT NULL, allow TEXT NOT NULL, record INTEGER NOT NULL,
  keystrokes INTEGER NOT NULL, reason_required INTEGER NOT NULL, max_sessions INTEGER,
  max_duration INTEGER, idle_timeout INTEGER, schedule TEXT NOT NULL, not_before INTEGER,
  not_after INTEGER, exec_limit TEXT NOT NULL
) STRICT;
CREATE TABLE sessions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, node TEXT NOT NULL,
  protocol TEXT NOT NULL, user TEXT NOT NULL, account TEXT NOT NULL, system TEXT NOT NULL,
  policy TEXT NOT NULL, source TEXT NOT NULL, reason TEXT, state TEXT NOT NULL,
  opened_at INTEGER NOT NULL, started_at INTEGER, ended_at INTEGER, end_code TEXT, end_reason TEXT,
  bytes_from_client INTEGER NOT NULL, bytes_from_target INTEGER NOT NULL, recorded INTEGER NOT NULL,
  segments INTEGER, recorded_bytes INTEGER, head_hash TEXT, sealed INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_open ON sessions (user, policy) WHERE state <> 'ended';
CREATE INDEX sessions_by_state ON sessions (state);
CREATE INDEX sessions_by_node ON sessions (node);
CREATE TABLE commands (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, node TEXT NOT NULL,
  session_id TEXT NOT NULL, verb TEXT NOT NULL, "by" TEXT NOT NULL, reason TEXT,
  created_at INTEGER NOT NULL, done_at INTEGER, result TEXT
) STRICT;
CREATE INDEX commands_open ON commands (node) WHERE done_at IS NULL;
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL,
  node TEXT NOT NULL, code TEXT NOT NULL, actor TEXT NOT NULL, source TEXT, session_id TEXT,
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_code ON audit (code);
CREATE INDEX audit_by_actor ON audit (actor);
CREATE INDEX audit_by_session ON audit (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX audit_by_time ON audit (at);
CREATE TABLE keystrokes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, channel INTEGER NOT NULL,
  at INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL
) STRICT;
CREATE INDEX keystrokes_by_session ON keystrokes (session_id);
CREATE VIRTUAL TABLE keystrokes_text USING fts5 (text, content = 'keystrokes', content_rowid = 'seq');
CREATE TRIGGER keystrokes_indexed AFTER INSERT ON keystrokes BEGIN
  INSERT INTO keystrokes_text (rowid, text) VALUES (new.seq, new.text);
END;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
`,
  },
  {
    name: 'what was trusted on first use may be a certificate',
    sql: 'ALTER TABLE systems RENAME COLUMN pinned_host_key TO pinned',
  },
  {
    name: 'policies may mask what is typed on desktops',
    sql: 'ALTER TABLE policies ADD COLUMN mask_keystrokes INTEGER NOT NULL DEFAULT 0',
  },
  {
    name: 'launch credentials, and what NLA needs of users who want it',
    sql: `
ALTER TABLE users ADD COLUMN nt_hash BLOB;
CREATE TABLE launches (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, user TEXT NOT NULL,
  account TEXT NOT NULL, system TEXT NOT NULL, nt_hash BLOB NOT NULL, nla INTEGER NOT NULL, source TEXT,
  created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, used_at INTEGER
) STRICT;
CREATE INDEX launches_open ON launches (user, account, system) WHERE used_at IS NULL;
CREATE INDEX launches_by_expiry ON launches (expires_at);
`,
  },
  {
    // What ran before there were runs is taken for lost: its node had to stop for the upgrade.
    name: 'runs of nodes with their leases, and what is left to do for recordings',
    sql: `
CREATE TABLE nodes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, home TEXT NOT NULL,
  started_at INTEGER NOT NULL, renewals INTEGER NOT NULL, lease_ms INTEGER NOT NULL, state TEXT NOT NULL,
  heir TEXT
) STRICT;
CREATE UNIQUE INDEX nodes_running ON nodes (name) WHERE state = 'running';
ALTER TABLE sessions ADD COLUMN run TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN credential_lease TEXT;
ALTER TABLE sessions ADD COLUMN recovered_by TEXT;
ALTER TABLE sessions ADD COLUMN unsealable TEXT;
ALTER TABLE sessions ADD COLUMN compacted INTEGER NOT NULL DEFAULT 1;
UPDATE sessions SET run = 'before ' || node WHERE state <> 'ended' OR (recorded = 1 AND sealed = 0);
INSERT INTO nodes (id, name, home, started_at, renewals, lease_ms, state)
  SELECT DISTINCT run, node, '', 0, 0, 0, 'lost' FROM sessions WHERE run <> '';
CREATE INDEX sessions_unfinished ON sessions (run)
  WHERE state <> 'ended' OR credential_lease IS NOT NULL
    OR (recorded = 1 AND sealed = 0 AND unsealable IS NULL);
CREATE INDEX sessions_uncompacted ON sessions (seq) WHERE sealed = 1 AND compacted = 0;
`,
  },
  {
    // Deleted keystrokes are to be gone from the file, not only from what is found.
    name: 'how long recordings are kept, holds on them, and their end',
    sql: `
ALTER TABLE policies ADD COLUMN retention TEXT;
ALTER TABLE sessions ADD COLUMN retention TEXT;
ALTER TABLE sessions ADD COLUMN held_at INTEGER;
ALTER TABLE sessions ADD COLUMN held_by TEXT;
ALTER TABLE sessions ADD COLUMN hold_reason TEXT;
ALTER TABLE sessions ADD COLUMN pruned_by TEXT;
ALTER TABLE sessions ADD COLUMN prune_rule TEXT;
ALTER TABLE sessions ADD COLUMN pruned_at INTEGER;
CREATE INDEX sessions_kept ON sessions (seq) WHERE recorded = 1 AND pruned_at IS NULL;
INSERT INTO keystrokes_text (keystrokes_text, rank) VALUES ('secure-delete', 1);
CREATE TRIGGER keystrokes_forgotten AFTER DELETE ON keystrokes BEGIN
  INSERT INTO keystrokes_text (keystrokes_text, rowid, text) VALUES ('delete', old.seq, old.text);
END;
`,
  },
  {
    name: 'orders to nodes, and what nodes say of themselves',
    sql: `
ALTER TABLE commands RENAME COLUMN session_id TO subject;
ALTER TABLE commands ADD COLUMN limit_ms INTEGER;
ALTER TABLE nodes ADD COLUMN standing TEXT NOT NULL DEFAULT '';
ALTER TABLE nodes ADD COLUMN standing_at INTEGER NOT NULL DEFAULT 0;
`,
  },
  {
    name: 'limits of open sessions',
    sql: `
ALTER TABLE systems ADD COLUMN max_sessions INTEGER;
CREATE INDEX sessions_open_on_system ON sessions (system) WHERE state <> 'ended';
CREATE INDEX sessions_open_from_source ON sessions (source) WHERE state <> 'ended';
`,
  },
  {
    name: 'which node holds the end of a recording in its spool',
    sql: `
ALTER TABLE sessions ADD COLUMN spooled_on TEXT;
`,
  },
  {
    // A letter or two are no words to be found; to index each took half of what typing costs the store.
    name: 'of what is typed, lines and words are indexed',
    sql: `
DROP TRIGGER keystrokes_indexed;
DROP TRIGGER keystrokes_forgotten;
INSERT INTO keystrokes_text (keystrokes_text) VALUES ('delete-all');
INSERT INTO keystrokes_text (rowid, text) SELECT seq, text FROM keystrokes
  WHERE kind = 'command' OR length(text) > 3;
CREATE TRIGGER keystrokes_indexed AFTER INSERT ON keystrokes
WHEN new.kind = 'command' OR length(new.text) > 3 BEGIN
  INSERT INTO keystrokes_text (rowid, text) VALUES (new.seq, new.text);
END;
CREATE TRIGGER keystrokes_forgotten AFTER DELETE ON keystrokes
WHEN old.kind = 'command' OR length(old.text) > 3 BEGIN
  INSERT INTO keystrokes_text (keystrokes_text, rowid, text) VALUES ('delete', old.seq, old.text);
END;
`,
  },
];

/**
 * Makes an empty file ours, checks that a file with content is, and brings it up to date.
 * Several processes may start at once: one migrates, the others wait and find it done.
 *
 * @throws StoreError `unusable` naming the file and what to do
 */
export function migrate(db: SqliteConnection): void {
  const unusable = (why: string) => new StoreError('unusable', `database ${db.path}: ${why}`);
  const id = pragma(db, 'application_id');
  const tables = db.get("SELECT count(*) AS n FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")?.['n'];
  if (id !== APPLICATION_ID && (id !== 0 || tables !== 0)) {
    throw unusable("is another program's database; point store.url to another file");
  }
  if (statSync(db.path).size <= CHECKED_BYTES) {
    const verdict = db.get('PRAGMA quick_check(1)')?.['quick_check'];
    if (verdict !== 'ok') {
      throw unusable('is damaged; stop every node that uses it and restore the file from a backup');
    }
  }
  // WAL: readers never wait for a writer. NORMAL: a commit survives the death of the
  // process, kill -9 included; only a power cut may take the last commits with it.
  db.exec('PRAGMA journal_mode = WAL');
  db.exec('PRAGMA synchronous = NORMAL');

  // No lock for the commonest case, so that the CLI never waits for a busy node.
  if (id === APPLICATION_ID && schemaOf(db) === MIGRATIONS.length) return;
  db.exec('BEGIN IMMEDIATE');
  try {
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    db.exec(
      'CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, at INTEGER NOT NULL) STRICT',
    );
    const done = schemaOf(db);
    if (done > MIGRATIONS.length) {
      throw unusable(`is at schema ${done}, this version knows ${MIGRATIONS.length}; upgrade this node`);
    }
    for (const [index, { name, sql }] of MIGRATIONS.entries()) {
      if (index < done) continue;
      db.exec(sql);
      db.run('INSERT INTO migrations (number, name, at) VALUES (?, ?, ?)', index + 1, name, Date.now());
    }
    db.exec('COMMIT');
  } catch (error) {
    if (db.inTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

function schemaOf(db: SqliteConnection): number {
  return Number(db.get('SELECT coalesce(max(number), 0) AS n FROM migrations')?.['n']);
}

function pragma(db: SqliteConnection, name: string): unknown {
  return db.get(`PRAGMA ${name}`)?.[name];
}
