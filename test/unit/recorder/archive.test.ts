/** What is of folders only; what every archive does: archive.contract.ts. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { SIDES } from '../../../recorder/archive/port.ts';
import { ArchiveError, openArchive, openArchives } from '../../../recorder/index.ts';
import { until } from '../../support/process.ts';
import { temporaryFolder } from '../../support/temp.ts';
import { DAY } from './archive.contract.ts';
import { collect, text } from './bed.ts';

const root = temporaryFolder('archive');

function freshRoot(name: string): string {
  const folder = join(root, name);
  mkdirSync(folder);
  return folder;
}

test('a recording is a file of its day, private, and grows by appends', async () => {
  const folder = freshRoot('grow');
  const appender = await openArchive(`file:${folder}`).create('s1', DAY, text('head '));
  const path = join(folder, '2026/01/02/s1.slr');
  assert.equal(readFileSync(path, 'utf8'), 'head ');
  await appender.append(text('one '));
  await appender.append(text('two'));
  assert.equal(readFileSync(path, 'utf8'), 'head one two');
  await appender.close();
  assert.equal(statSync(path).mode & 0o777, 0o600);
  for (const level of ['2026', '2026/01', '2026/01/02']) {
    assert.equal(statSync(join(folder, level)).mode & 0o777, 0o700, level);
  }
});

test('a side file stands beside its recording, private, and leaves nothing half', async () => {
  const folder = freshRoot('index');
  const archive = openArchive(`file:${folder}`);
  await (await archive.create('s1', DAY, text('recording'))).close();
  async function* bytes(fails: boolean): AsyncGenerator<Uint8Array, void, void> {
    yield text('one ');
    if (fails) throw new RangeError('altered');
    yield text('two');
  }
  await archive.putSide('s1', DAY, 'index', bytes(false));
  await assert.rejects(archive.putSide('s1', DAY, 'index', bytes(true)), RangeError);
  const path = join(folder, '2026/01/02/s1.index');
  assert.equal(readFileSync(path, 'utf8'), 'one two');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(join(folder, '2026/01/02')).sort(), ['s1.index', 's1.slr']);
});

test('files that are no recordings are not listed', async () => {
  const folder = freshRoot('list');
  const archive = openArchive(`file:${folder}`);
  await (await archive.create('s1', DAY, text('recording'))).close();
  for (const name of ['2026/01/02/notes.txt', '2026/notes.txt', 'notes.slr'])
    writeFileSync(join(folder, name), 'not a recording');
  assert.deepEqual(await collect(archive.list()), [{ sessionId: 's1', bytes: 9 }]);
});

test('what is deleted while recordings are listed is left out', async () => {
  const folder = freshRoot('list-pruned');
  const archive = openArchive(`file:${folder}`);
  for (const id of ['s1', 's2', 's3']) await (await archive.create(id, DAY, text('recording'))).close();
  const listed: string[] = [];
  for await (const { sessionId } of archive.list()) {
    if (listed.length === 0) await archive.remove('s2', DAY);
    listed.push(sessionId);
  }
  assert.deepEqual(listed, ['s3', 's1']);
  // An archive that goes away is no empty one.
  const going = archive.list()[Symbol.asyncIterator]();
  assert.equal((await going.next()).done, false);
  rmSync(folder, { recursive: true });
  await assert.rejects(async () => await going.next(), { code: 'archive-missing' });
});

test('what a killed run was putting in place goes when that run is finished', async () => {
  const folder = freshRoot('tidy');
  const urls = [`file:${folder}`];
  const [gone, alive] = ['gone', 'still.gone'].map((writer) => openArchives({ urls, writer }));
  assert(gone !== undefined && alive !== undefined);
  const day = join(folder, '2026/01/02');
  await (await gone.create('s1', DAY, text('recording'))).close();
  const parts: string[] = [];
  for (const archive of [gone, alive]) {
    const before = new Set(readdirSync(day));
    // As a kill does: begun, and never ended.
    const { promise } = Promise.withResolvers<void>();
    async function* never(): AsyncGenerator<Uint8Array, void, void> {
      yield text('half');
      await promise;
    }
    void archive.putSide('s1', DAY, 'index', never());
    parts.push(
      ...(await until('a part', () => {
        const more = readdirSync(day).filter((name) => !before.has(name));
        return more.length > 0 ? more : undefined;
      })),
    );
  }
  const [ofGone = '', ofAlive = ''] = parts;
  // A copy of a whole recording, as a seal makes it.
  writeFileSync(join(day, ofGone.replace('.index.', '.slr.')), 'recording');
  await alive.tidy('nobody');
  assert.equal(readdirSync(day).length, 4);
  await alive.tidy('gone');
  assert.deepEqual(readdirSync(day).sort(), ['s1.slr', ofAlive].sort());
});

test('a missing archive folder is told, not made', async () => {
  const folder = join(root, 'not-mounted');
  const archive = openArchive(`file:${folder}`);
  const missing = {
    code: 'archive-missing',
    message: `archive folder ${folder} is missing: create it or mount it (ENOENT)`,
  };
  await assert.rejects(archive.check(), missing);
  await assert.rejects(archive.create('s1', DAY, text('x')), missing);
  await assert.rejects(archive.open('s1'), missing);
  await assert.rejects(collect(archive.list()), missing);
  assert.equal(existsSync(folder), false);
});

test('an archive folder that is a file, or has one in its path, is told', async () => {
  const file = join(root, 'file');
  writeFileSync(file, '');
  await assert.rejects(openArchive(`file:${file}`).check(), { code: 'archive-missing' });
  await assert.rejects(openArchive(`file:${file}/below`).check(), { code: 'archive-missing' });
});

test('a day folder taken by a file is told and leaves nothing', async () => {
  const folder = freshRoot('taken');
  writeFileSync(join(folder, '2026'), '');
  await assert.rejects(openArchive(`file:${folder}`).create('s1', DAY, text('x')), {
    code: 'archive-missing',
  });
});

test('an archive that went away while it is written to is told by its code', async () => {
  const folder = freshRoot('gone');
  const archive = openArchive(`file:${folder}`);
  rmSync(folder, { recursive: true });
  await assert.rejects(archive.create('s1', DAY, text('x')), (error) => {
    return error instanceof ArchiveError && error.code === 'archive-missing' && error.cause instanceof Error;
  });
});

test('the url names a folder, absolute or from the working directory', async () => {
  const folder = freshRoot('url');
  for (const url of [`file:${folder}`, `file://${folder}`, `file:${relative(process.cwd(), folder)}`]) {
    assert.equal(openArchive(url).description, `file:${folder}`);
  }
  chmodSync(folder, 0o700);
  await openArchive(`file:${folder}`).check();
});

for (const url of ['', '/var/archive', 's3://', 'gs://bucket/x', 'file:', 'file://host/x', 'http://x/']) {
  test(`the url ${JSON.stringify(url)} is refused`, () => {
    assert.throws(() => openArchive(url), {
      name: 'ArchiveError',
      code: 'archive-url',
      message: /^archive\.url: /,
    });
  });
}

test('a recording is removed with all that stands beside it', async () => {
  const folder = freshRoot('remove');
  const archive = openArchive(`file:${folder}`);
  await (await archive.create('s1', DAY, text('head '))).close();
  await (await archive.create('s2', DAY, text('head '))).close();
  await archive.seal('s1', DAY, 5, text('<end>'));
  async function* side(): AsyncGenerator<Uint8Array, void, void> {
    yield text('side');
  }
  for (const name of SIDES) await archive.putSide('s1', DAY, name, side());
  // What a seal leaves that was killed: a copy.
  writeFileSync(join(folder, '2026/01/02/s1.slr.0123.part'), 'head ');
  await archive.remove('s1', DAY);
  assert.deepEqual(readdirSync(join(folder, '2026/01/02')), ['s2.slr']);
  await archive.remove('s1', DAY);
});
