/** When the one writer of a process commits, on a clock that stands still unless a test moves it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { StoreError } from '../../../gateway/store/errors.ts';
import { SqliteConnection } from '../../../gateway/store/sqlite-connection.ts';
import { SqliteWriter } from '../../../gateway/store/sqlite-writer.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-writer-'));
after(() => rmSync(folder, { recursive: true }));

/** Keeps count of its commits. */
class CountedConnection extends SqliteConnection {
  commits = 0;
  commitFails = false;
  closed = false;

  override run(...args: Parameters<SqliteConnection['run']>): number {
    if (args[0] !== 'COMMIT') return super.run(...args);
    if (this.commitFails) throw new StoreError('unavailable', 'the disk is full');
    const changes = super.run(...args);
    this.commits += 1;
    return changes;
  }

  override close(): void {
    super.close();
    this.closed = true;
  }
}

interface Bed {
  readonly db: CountedConnection;
  readonly writer: SqliteWriter;
  /** Writes a row; `ms` pass meanwhile. */
  write(value: string, ms?: number): Promise<void>;
  /** Time in which nothing comes, so that what is due is done. */
  pass(ms: number): Promise<void>;
  /** What another connection finds. */
  committed(): readonly unknown[];
}

let files = 0;

function bedFor(t: TestContext): Bed {
  let now = 1000;
  t.mock.method(performance, 'now', () => now);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const path = join(folder, `${files++}.db`);
  const db = new CountedConnection(path, 0);
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE t (value TEXT)');
  const writer = new SqliteWriter(db);
  const reader = new SqliteConnection(path, 0);
  t.after(async () => {
    if (!db.closed) await writer.close();
    reader.close();
  });
  return {
    db,
    writer,
    write: (value, ms = 0) =>
      writer.write(() => {
        db.run('INSERT INTO t VALUES (?)', value);
        now += ms;
      }),
    async pass(ms) {
      now += ms;
      t.mock.timers.tick(ms);
      for (let turn = 0; turn < 3; turn += 1) await nextTurn();
    },
    committed: () => reader.all('SELECT value FROM t ORDER BY rowid').map(({ value }) => value),
  };
}

/** One write per turn of the event loop. */
async function writeInTurns({ write }: Bed, values: readonly string[]): Promise<Promise<void>[]> {
  const writes: Promise<void>[] = [];
  for (const value of values) {
    writes.push(write(value));
    await nextTurn();
  }
  return writes;
}

const valuesOf = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `w${i}`);

describe('the sqlite writer', () => {
  it('rests after a group that took long: what comes one by one meanwhile shares a commit', async (t) => {
    const bed = bedFor(t);
    await bed.write('long', 5);
    await nextTurn();
    const writes = await writeInTurns(bed, valuesOf(20));
    await bed.pass(5);
    assert.equal(bed.db.commits, 1);
    assert.deepEqual(bed.committed(), ['long']);
    await bed.pass(5);
    assert.equal(bed.db.commits, 2, 'commits for 21 writes');
    await Promise.all(writes);
    assert.deepEqual(bed.committed(), ['long', ...valuesOf(20)]);
  });

  it('rests for 20 ms at most, however long a group took', async (t) => {
    const bed = bedFor(t);
    await bed.write('very long', 1000);
    await nextTurn();
    const write = bed.write('next');
    await bed.pass(19);
    assert.equal(bed.db.commits, 1);
    await bed.pass(1);
    assert.equal(bed.db.commits, 2);
    await write;
  });

  it('rests also where a caller writes again as soon as it is answered', async (t) => {
    const bed = bedFor(t);
    await bed.write('long', 5);
    const write = bed.write('next');
    await nextTurn();
    await bed.pass(9);
    assert.equal(bed.db.commits, 1);
    await bed.pass(1);
    assert.equal(bed.db.commits, 2);
    await write;
  });

  it('does not rest where there is little to write', async (t) => {
    const bed = bedFor(t);
    // No timer goes off: all are answered all the same.
    const writes = await writeInTurns(bed, valuesOf(5));
    assert.equal(bed.db.commits, 5);
    await Promise.all(writes);
  });

  it('puts what arrives in one turn into one commit, and answers after it', async (t) => {
    const bed = bedFor(t);
    const seen = valuesOf(3).map(async (value) => {
      await bed.write(value);
      return bed.committed().length;
    });
    assert.deepEqual(await Promise.all(seen), [3, 3, 3]);
    assert.equal(bed.db.commits, 1);
  });

  it('answers none of a group whose commit fails as written, and goes on with the next', async (t) => {
    const bed = bedFor(t);
    bed.db.commitFails = true;
    const outcomes = await Promise.allSettled(valuesOf(3).map((value) => bed.write(value)));
    assert.deepEqual(
      outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason.code),
      ['unavailable', 'unavailable', 'unavailable'],
    );
    bed.db.commitFails = false;
    await bed.write('after');
    assert.deepEqual(bed.committed(), ['after']);
  });

  it('commits all that waits when it is closed while it rests, be it several groups', async (t) => {
    const bed = bedFor(t);
    await bed.write('long', 10);
    await nextTurn();
    const writes = valuesOf(1001).map((value) => bed.write(value));
    await nextTurn();
    assert.equal(bed.db.commits, 1);
    await bed.writer.close();
    assert.equal(bed.db.commits, 4, 'groups of 500 at most');
    await Promise.all(writes);
    assert.equal(bed.committed().length, 1002);
    await assert.rejects(bed.write('late'), { code: 'closed' });
  });
});
