import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { openStoreAt } from '../../../gateway/store/open.ts';
import { openSqliteStore } from '../../../gateway/store/sqlite.ts';
import { audit, runStoreContract, session } from './contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-store-'));
after(() => rmSync(folder, { recursive: true }));

runStoreContract('sqlite', () => openStoreAt(`sqlite:${join(folder, 'contract.db')}`));

/** A program of its own on the same file; `store` is open, `audit` makes rows. */
function otherProcess(path: string, program: string): Promise<{ stdout: string }> {
  const at = (file: string) => JSON.stringify(join(import.meta.dirname, file));
  const source = `
    import { openSqliteStore } from ${at('../../../gateway/store/sqlite.ts')};
    import { audit } from ${at('contract.ts')};
    const store = await openSqliteStore(${JSON.stringify(path)});
    ${program}`;
  return promisify(execFile)(process.execPath, ['--input-type=module', '-e', source]);
}

describe('the sqlite store', () => {
  it('keeps its file from other users', async () => {
    const path = join(folder, 'mode.db');
    const store = await openSqliteStore(path);
    await store.putSetting('a', 'b');
    for (const file of [path, `${path}-wal`]) assert.equal(statSync(file).mode & 0o777, 0o600, file);
    await store.close();
  });

  it('is found again after it was closed, and refuses calls then', async () => {
    const path = join(folder, 'again.db');
    const store = await openSqliteStore(path);
    const pending = store.putSetting('a', 'b');
    await store.close();
    await pending;
    await assert.rejects(store.putSetting('a', 'c'), { code: 'closed' });
    await assert.rejects(store.setting('a'), { code: 'closed' });
    await assert.rejects(
      store.transaction(async () => 1),
      { code: 'closed' },
    );
    const second = await openSqliteStore(path);
    assert.equal(await second.setting('a'), 'b');
    await second.close();
  });

  it('writes to no file but its own, however much one transaction changes', async () => {
    const store = await openSqliteStore(join(folder, 'alone.db'));
    for (let i = 0; i < 2000; i += 1) void store.insertSession(session(`s${i}`));
    const open = await store.transaction(async (tx) => {
      for (let i = 0; i < 2000; i += 1) await tx.updateSession(`s${i}`, { state: 'active' });
      return readdirSync('/proc/self/fd').flatMap((fd) => {
        try {
          return [readlinkSync(`/proc/self/fd/${fd}`)];
        } catch {
          return [];
        }
      });
    });
    await store.close();
    assert.ok(open.some((path) => path.endsWith('alone.db')));
    assert.deepEqual(
      open.filter((path) => path.includes('etilqs')),
      [],
    );
  });

  it('leaves nothing of deleted keystrokes in its file', async () => {
    const path = join(folder, 'forgotten.db');
    const store = await openSqliteStore(path);
    const typed = (sessionId: string, text: string) => ({
      sessionId,
      channel: 0,
      at: 1,
      kind: 'command' as const,
      text,
    });
    const rows = Array.from({ length: 300 }, (_, i) =>
      typed(`s${i % 3}`, `word${i} ${i % 3 === 0 ? 'zebrafish' : 'trout'}`),
    );
    await store.insertKeystrokes(rows);
    assert.equal(await store.deleteKeystrokes('s0', 1000), 100);
    assert.equal((await store.searchKeystrokes('trout', { limit: 300 })).length, 200);
    // The log is written back when the last one closes.
    await store.close();
    const bytes = readFileSync(path);
    assert(bytes.includes('trout'));
    assert(!bytes.includes('zebrafish'));
  });

  it('loses nothing acknowledged when its process is killed', async () => {
    const path = join(folder, 'killed.db');
    const work = `
      for (let i = 0; i < 20; i++) await store.insertAudit(audit('k' + i));
      process.kill(process.pid, 'SIGKILL');`;
    await assert.rejects(otherProcess(path, work), { signal: 'SIGKILL' });
    const store = await openSqliteStore(path);
    assert.equal((await store.audit({}, { limit: 100 })).length, 20);
    await store.close();
  });

  it('shares its file with writers and transactions of other processes', async () => {
    const path = join(folder, 'shared.db');
    const work = (name: string) => `
      for (let i = 0; i < 25; i++) {
        await store.insertAudit(audit('${name}' + i));
        await store.transaction(async (tx) => {
          const n = Number((await tx.setting('n')) ?? '0');
          await new Promise((done) => setImmediate(done));
          await tx.putSetting('n', String(n + 1));
        });
      }
      await store.close();`;
    // All three create and migrate the file at the same time, too.
    await Promise.all(['p', 'q', 'r'].map((name) => otherProcess(path, work(name))));
    const store = await openSqliteStore(path);
    assert.equal((await store.audit({}, { limit: 100 })).length, 75);
    assert.equal(await store.setting('n'), '75');
    await store.close();
  });

  it('waits for the lock of another process without blocking the thread', async () => {
    const path = join(folder, 'locked.db');
    const store = await openSqliteStore(path);
    const other = new DatabaseSync(path);
    other.exec('BEGIN IMMEDIATE');
    let written = false;
    const write = store.putSetting('a', 'b').then(() => {
      written = true;
    });
    // Timers run and reads answer while the write waits.
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(await store.setting('a'), undefined);
    assert.equal(written, false);
    other.exec('COMMIT');
    other.close();
    await write;
    assert.equal(await store.setting('a'), 'b');
    await store.close();
  });

  const unusable: readonly [what: string, name: string, make: (path: string) => void, message: RegExp][] = [
    [
      'text',
      'text.db',
      (path) => writeFileSync(path, 'hello '.repeat(1000)),
      /is not an SQLite database; point/,
    ],
    [
      'another program',
      'other.db',
      (path) => {
        const db = new DatabaseSync(path);
        db.exec('CREATE TABLE t (a)');
        db.close();
      },
      /is another program's database; point store.url/,
    ],
  ];
  for (const [what, name, make, message] of unusable) {
    it(`refuses a file of ${what}, naming it, and leaves it alone`, async () => {
      const path = join(folder, name);
      make(path);
      const before = readFileSync(path);
      await assert.rejects(openSqliteStore(path), (error: Error) => {
        assert.match(error.message, message);
        assert(error.message.includes(path));
        return true;
      });
      assert.deepEqual(readFileSync(path), before);
    });
  }

  it('holds its lock on the file, so that no program that leaves takes the log along', async () => {
    const path = join(folder, 'shared.db');
    const store = await openSqliteStore(path);
    await store.putSetting('a', 'b');
    // number: POSIX ADVISORY READ pid device:device:inode from to
    const locks = readFileSync('/proc/locks', 'utf8').split('\n');
    const own = locks.filter((line) => line.includes(` ${process.pid} `));
    assert.ok(
      own.some((line) => line.includes(`:${statSync(path).ino} `)),
      own.join('\n'),
    );
    await store.close();
  });

  it('refuses a damaged file', async () => {
    const path = join(folder, 'damaged.db');
    const store = await openSqliteStore(path);
    for (let i = 0; i < 2000; i++) await store.insertSession(session(`s${i}`));
    await store.close();
    const content = readFileSync(path);
    content.fill(0xa5, 4096, content.length - 4096);
    writeFileSync(path, content);
    await assert.rejects(openSqliteStore(path), {
      code: 'unusable',
      message: /damaged.db: is damaged; stop every/,
    });
  });

  it('refuses a file of a newer version', async () => {
    const path = join(folder, 'newer.db');
    await (await openSqliteStore(path)).close();
    const db = new DatabaseSync(path);
    db.exec("INSERT INTO migrations VALUES (999, 'later', 0)");
    db.close();
    await assert.rejects(openSqliteStore(path), {
      code: 'unusable',
      message: /is at schema 999.*upgrade this node/,
    });
  });

  it('says when the folder does not exist, or when no store has that scheme', async () => {
    const path = join(folder, 'no/such/folder.db');
    await assert.rejects(openSqliteStore(path), {
      code: 'unavailable',
      message: /cannot be opened \(ENOENT\)/,
    });
    await assert.rejects(openStoreAt('mssql://u:p@h/db'), (error: Error) => {
      assert.match(error.message, /mssql is not supported/);
      assert.doesNotMatch(error.message, /u:p/);
      return true;
    });
  });

  it('never mixes up a row that another program changed', async () => {
    const path = join(folder, 'odd.db');
    const store = await openSqliteStore(path);
    await store.insertAudit(audit('a1'));
    const db = new DatabaseSync(path);
    db.exec("UPDATE audit SET detail = '{'");
    db.close();
    await assert.rejects(store.audit({}, { limit: 1 }), { code: 'unusable', message: /audit\.detail/ });
    await store.close();
  });
});
