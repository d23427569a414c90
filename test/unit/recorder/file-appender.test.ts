/** Appends to a file of which two are under way, on a disk that fails now and then. */
import assert from 'node:assert/strict';
import * as namespace from 'node:fs';
import fs, { closeSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FileAppender as Appender } from '../../../recorder/archive/file-io.ts';
import { ArchiveError } from '../../../recorder/archive/port.ts';
import { randomFrom } from '../../support/random.ts';
import { temporaryFolder } from '../../support/temp.ts';

/** What becomes of the next call: nothing, or an error before it, or one behind the half of what it writes. */
type Fate = 'done' | 'refused' | 'half';
let fateOf: (call: 'write' | 'flush') => Fate = () => 'done';

const real = { write: fs.write, fdatasync: fs.fdatasync };
const failure = (): NodeJS.ErrnoException => Object.assign(new Error('the disk says no'), { code: 'ENOSPC' });
Object.assign(fs, {
  write(
    fd: number,
    bytes: Buffer,
    from: number,
    length: number,
    at: number,
    then: (...end: unknown[]) => void,
  ) {
    const fate = fateOf('write');
    if (fate === 'refused') return void setTimeout(then, 1, failure());
    if (fate === 'half')
      return real.write(fd, bytes, from, length >> 1, at, () => void setTimeout(then, 1, failure()));
    return real.write(fd, bytes, from, length, at, then);
  },
  fdatasync(fd: number, then: (error: Error | null) => void) {
    const fate = fateOf('flush');
    setTimeout(() => (fate === 'done' ? real.fdatasync(fd, then) : then(failure())), 2);
  },
});
syncBuiltinESMExports();
assert.equal(namespace.fdatasync, fs.fdatasync);
const { FileAppender } = await import('../../../recorder/archive/file-io.ts');

const explain = (error: unknown): ArchiveError =>
  error instanceof ArchiveError ? error : new ArchiveError('archive-full', String(error), error);
const LARGE = 256 * 1024;

/** What belongs at a place of every file here: never zero, as a hole would be. */
const contents = (from: number, length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => 1 + ((from + i) % 251)));

function begin(): { readonly file: string; readonly appender: Appender } {
  const file = join(temporaryFolder('appender'), 'recording');
  const fd = openSync(file, fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_DSYNC, 0o600);
  return { file, appender: new FileAppender(fd, explain) };
}

test('a file has no hole, whatever fails, and ends with what is durable', async () => {
  const all = contents(0, 16 * 2 ** 20);
  for (let seed = 0; seed < 12; seed += 1) {
    const random = randomFrom(seed);
    fateOf = () => (random(3) > 0 ? 'done' : random(2) === 0 ? 'refused' : 'half');
    const { file, appender } = begin();
    let [end, acknowledged, flights] = [0, 0, 0];
    let landed: Promise<void> = Promise.resolve();
    const launch = (length: number): void => {
      const at = end;
      const before = landed;
      end += length;
      flights += 1;
      const { promise, resolve } = Promise.withResolvers<void>();
      landed = promise;
      const land = async (): Promise<void> => {
        // As the outbox does: the same bytes at the same place until they are taken.
        while (!(await appender.append(all.subarray(at, at + length), at).then(() => true, isRefusal)))
          await sleep(random(4));
        await before;
        flights -= 1;
        acknowledged = at + length;
        resolve();
      };
      void land();
    };
    for (let i = 0; i < 40; i += 1) {
      launch(random(2) === 0 ? LARGE + random(LARGE) : 1 + random(2000));
      while (flights === appender.atOnce) await sleep(1);
      const found = readFileSync(file);
      assert.ok(found.length >= acknowledged);
      assert.ok(found.equals(all.subarray(0, found.length)), `seed ${seed}: a hole before ${found.length}`);
    }
    await landed;
    // An append that nobody repeats leaves nothing behind.
    fateOf = (call) => (call === 'write' ? 'half' : 'done');
    await assert.rejects(appender.append(all.subarray(end, end + LARGE), end), ArchiveError);
    await appender.close();
    assert.ok(readFileSync(file).equals(all.subarray(0, end)), `seed ${seed}`);
  }
});

const isRefusal = (error: unknown): boolean => {
  assert.ok(error instanceof ArchiveError);
  return false;
};

test('where a flush fails all that was written until then comes again', async () => {
  const { file, appender } = begin();
  let flushes = 0;
  fateOf = (call) => (call === 'flush' && ++flushes === 1 ? 'refused' : 'done');
  const first = appender.append(contents(0, LARGE), 0);
  const second = appender.append(contents(LARGE, LARGE), LARGE);
  await assert.rejects(first, ArchiveError);
  // Its page may be the one that was lost, and its own flush would not be told again.
  await assert.rejects(second, ArchiveError);
  const third = contents(2 * LARGE, 10);
  await assert.rejects(appender.append(third, 2 * LARGE), ArchiveError);
  assert.equal(flushes, 1);
  await appender.append(contents(0, LARGE), 0);
  await appender.append(contents(LARGE, LARGE), LARGE);
  await appender.append(third, 2 * LARGE);
  await appender.close();
  assert.ok(readFileSync(file).equals(contents(0, 2 * LARGE + 10)));
});

test('a small append that is durable sooner than the large one before it waits for that', async () => {
  const { appender } = begin();
  fateOf = (call) => (call === 'flush' ? 'refused' : 'done');
  const first = appender.append(contents(0, LARGE), 0);
  const second = appender.append(contents(LARGE, 10), LARGE);
  await assert.rejects(second, ArchiveError);
  await assert.rejects(first, ArchiveError);
  await appender.close();
});

test('an append behind one that failed is refused until that one is there', async () => {
  const { file, appender } = begin();
  let writes = 0;
  fateOf = (call) => (call === 'write' && ++writes === 1 ? 'refused' : 'done');
  const first = appender.append(contents(0, 10), 0);
  const second = appender.append(contents(10, 10), 10);
  await assert.rejects(first, ArchiveError);
  await assert.rejects(second, ArchiveError);
  await assert.rejects(appender.append(contents(10, 10), 10), ArchiveError);
  await appender.append(contents(0, 10), 0);
  await appender.append(contents(10, 10), 10);
  await appender.close();
  assert.ok(readFileSync(file).equals(contents(0, 20)));
});

test('one is written while another is flushed, and both descriptors are closed at the end', async () => {
  const { file, appender } = begin();
  const calls: string[] = [];
  fateOf = (call) => {
    calls.push(call);
    return 'done';
  };
  await Promise.all([0, 1].map((i) => appender.append(contents(i * LARGE, LARGE), i * LARGE)));
  assert.deepEqual(calls.slice(0, 3), ['write', 'flush', 'write']);
  const opened = (): number =>
    fs.readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === file;
      } catch {
        return false;
      }
    }).length;
  assert.equal(opened(), 2);
  await appender.close();
  assert.equal(opened(), 0);
});

test('a descriptor that is lost is replaced once nothing is flushed to it', async () => {
  const file = join(temporaryFolder('appender'), 'recording');
  closeSync(openSync(file, 'w', 0o600));
  const told: number[] = [];
  const lost = (error: unknown): ArchiveError => new ArchiveError('archive-stale', String(error), error);
  const appender = new FileAppender(openSync(file, 'r+'), lost, async (durable) => {
    told.push(durable);
    return openSync(file, 'r+');
  });
  let flushes = 0;
  fateOf = (call) => (call === 'flush' && ++flushes === 1 ? 'refused' : 'done');
  const first = appender.append(contents(0, LARGE), 0);
  const second = appender.append(contents(LARGE, LARGE), LARGE);
  await assert.rejects(first, ArchiveError);
  await assert.rejects(second, ArchiveError);
  await appender.append(contents(0, LARGE), 0);
  assert.deepEqual(told, [0]);
  await appender.append(contents(LARGE, LARGE), LARGE);
  await appender.close();
  assert.ok(readFileSync(file).equals(contents(0, 2 * LARGE)));
});
