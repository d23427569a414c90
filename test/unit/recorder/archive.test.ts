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
import { type Archive, ArchiveError, openArchive } from '../../../recorder/index.ts';
import { temporaryFolder } from '../../support/temp.ts';
import { collect, text } from './bed.ts';

const DAY = Date.UTC(2026, 0, 2, 23, 59, 59);
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

test('a side file stands beside its recording, private, and is replaced by a whole one only', async () => {
  const folder = freshRoot('index');
  const archive = openArchive(`file:${folder}`);
  const contents = async (): Promise<string | undefined> => {
    const reader = await archive.openSide('s1', DAY, 'index');
    if (reader === undefined) return undefined;
    const bytes = await reader.read(0, reader.size);
    await reader.close();
    return Buffer.from(bytes).toString();
  };
  await (await archive.create('s1', DAY, text('recording'))).close();
  assert.equal(await contents(), undefined);

  const { promise: written, resolve: release } = Promise.withResolvers<void>();
  async function* slowly(): AsyncGenerator<Uint8Array, void, void> {
    yield text('one ');
    await written;
    yield text('two');
  }
  const put = archive.putSide('s1', DAY, 'index', slowly());
  assert.equal(await contents(), undefined);
  release();
  await put;
  assert.equal(await contents(), 'one two');
  assert.equal(statSync(join(folder, '2026/01/02/s1.index')).mode & 0o777, 0o600);

  async function* failing(): AsyncGenerator<Uint8Array, void, void> {
    yield text('three');
    throw new RangeError('altered');
  }
  await assert.rejects(archive.putSide('s1', DAY, 'index', failing()), RangeError);
  assert.equal(await contents(), 'one two');
  assert.deepEqual(readdirSync(join(folder, '2026/01/02')).sort(), ['s1.index', 's1.slr']);
  assert.deepEqual(await collect(archive.list()), [{ sessionId: 's1', bytes: 9 }]);
  for (const id of ['../x', 'a/b'])
    await assert.rejects(archive.putSide(id, DAY, 'index', failing()), { code: 'recording-id' }, id);
});

test('a recording is never written over', async () => {
  const folder = freshRoot('once');
  const archive = openArchive(`file:${folder}`);
  await (await archive.create('s1', DAY, text('first'))).close();
  await assert.rejects(archive.create('s1', DAY, text('second')), {
    name: 'ArchiveError',
    code: 'recording-exists',
  });
  assert.equal(readFileSync(join(folder, '2026/01/02/s1.slr'), 'utf8'), 'first');
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

test('a session id cannot leave the archive', async () => {
  const archive = openArchive(`file:${freshRoot('ids')}`);
  for (const id of ['../x', 'a/b', '', '.hidden', 'x'.repeat(65), 'a\0b']) {
    await assert.rejects(archive.create(id, DAY, text('x')), { code: 'recording-id' }, id);
    await assert.rejects(archive.open(id), { code: 'recording-id' }, id);
  }
});

test('recordings are found by id and listed newest first', async () => {
  const folder = freshRoot('list');
  const archive = openArchive(`file:${folder}`);
  // 0198…: a UUIDv7 of 2025-07-22; the third is filed under a day that its id does not tell.
  const uuid = '01983000-0000-7000-8000-000000000001';
  const files: readonly [id: string, at: number][] = [
    ['a', Date.UTC(2025, 0, 1)],
    [uuid, 0x01983000 * 65_536],
    ['01983000-0000-7000-8000-000000000002', Date.UTC(2026, 1, 1)],
    ['b', Date.UTC(2026, 1, 1)],
  ];
  for (const [id, at] of files) await (await archive.create(id, at, text(`of ${id}`))).close();
  writeFileSync(join(folder, '2026/02/01/notes.txt'), 'not a recording');
  const listed = await collect(archive.list());
  assert.deepEqual(
    listed.map(({ sessionId }) => sessionId),
    ['b', '01983000-0000-7000-8000-000000000002', uuid, 'a'],
  );
  assert.deepEqual(listed[3], { sessionId: 'a', bytes: 4 });
  for (const [id] of files) {
    const reader = await archive.open(id);
    assert.equal(reader.size, 3 + id.length);
    assert.equal(Buffer.from(await reader.read(3, 1000)).toString(), id);
    assert.equal((await reader.read(5000, 10)).length, 0);
    await reader.close();
  }
  await assert.rejects(archive.open('nobody'), { code: 'recording-missing' });
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

for (const url of ['', '/var/archive', 's3://bucket/x', 'file:', 'file://host/x', 'http://x/']) {
  test(`the url ${JSON.stringify(url)} is refused`, () => {
    assert.throws(() => openArchive(url), {
      name: 'ArchiveError',
      code: 'archive-url',
      message: /^archive\.url: /,
    });
  });
}

async function contentsOf(archive: Archive, sessionId: string): Promise<string> {
  const reader = await archive.open(sessionId);
  const bytes = await reader.read(0, reader.size);
  await reader.close();
  return Buffer.from(bytes).toString();
}

test('a recording goes on behind a place, and what stood behind it is given up', async () => {
  const archive = openArchive(`file:${freshRoot('resume')}`);
  const first = await archive.create('s1', DAY, text('head '));
  await first.append(text('one torn'));
  await first.close();
  const second = await archive.resume('s1', DAY, 'head one '.length);
  await second.append(text('two'));
  await second.close();
  assert.equal(await contentsOf(archive, 's1'), 'head one two');
  await assert.rejects(archive.resume('s2', DAY, 0), { code: 'recording-missing' });
});

test('of several that seal a recording at once one wins, and all are told which', async () => {
  const archive = openArchive(`file:${freshRoot('seal')}`);
  const appender = await archive.create('s1', DAY, text('head '));
  await appender.append(text('one torn'));
  await appender.close();
  const end = 'head one '.length;
  const manifests = ['a', 'long b', 'c'].map((name) => archive.seal('s1', DAY, end, text(`<${name}>`)));
  const won = new Set((await Promise.all(manifests)).map((bytes) => Buffer.from(bytes).toString()));
  assert.equal(won.size, 1);
  assert.equal(await contentsOf(archive, 's1'), `head one ${[...won][0]}`);
  // A latecomer changes nothing.
  const late = await archive.seal('s1', DAY, end, text('<late>'));
  assert.ok(won.has(Buffer.from(late).toString()));
  assert.equal(await contentsOf(archive, 's1'), `head one ${[...won][0]}`);
});

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
  await archive.remove('s1', DAY);
  assert.deepEqual(readdirSync(join(folder, '2026/01/02')), ['s2.slr']);
  await archive.remove('s1', DAY);
});
