/** What several archives at once do that one does not; the rest: archive.contract.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MirrorArchive } from '../../../recorder/archive/mirror.ts';
import { ArchiveError, openArchives } from '../../../recorder/index.ts';
import { contentsOf, DAY } from './archive.contract.ts';
import { collect, MemoryArchive, settle, text } from './bed.ts';

const FULL = new ArchiveError('archive-full', 'the second archive is full');
const AWAY = new ArchiveError('archive-missing', 'the first archive is away');

/** An archive that cannot be read while it is `away`. */
class FlakyArchive extends MemoryArchive {
  away = false;

  override async open(sessionId: string): ReturnType<MemoryArchive['open']> {
    if (this.away) throw AWAY;
    return await super.open(sessionId);
  }

  override async *list(): ReturnType<MemoryArchive['list']> {
    if (this.away) throw AWAY;
    yield* super.list();
  }

  override async openSide(
    ...args: Parameters<MemoryArchive['openSide']>
  ): ReturnType<MemoryArchive['openSide']> {
    if (this.away) throw AWAY;
    return await super.openSide(...args);
  }
}

function pair(): { first: FlakyArchive; second: FlakyArchive; both: MirrorArchive } {
  const first = new FlakyArchive();
  const second = new FlakyArchive();
  return { first, second, both: new MirrorArchive(first, [second]) };
}

test('an append is acknowledged when every archive has it', async () => {
  const { first, second, both } = pair();
  const appender = await both.create('s1', DAY, text('head '));
  second.held = true;
  let acknowledged = false;
  const appended = appender.append(text('one ')).then(() => {
    acknowledged = true;
  });
  await settle();
  assert.equal(first.bytes('s1').toString(), 'head one ');
  assert.equal(acknowledged, false);
  second.release();
  await appended;
  assert.equal(second.bytes('s1').toString(), 'head one ');
});

test('what one archive refused comes again to that one only', async () => {
  const { first, second, both } = pair();
  const appender = await both.create('s1', DAY, text('head '));
  second.failure = FULL;
  for (let tries = 0; tries < 3; tries += 1)
    await assert.rejects(appender.append(text('one ')), { code: 'archive-full' });
  second.failure = undefined;
  await appender.append(text('one '));
  await appender.append(text('two'));
  for (const archive of [first, second]) assert.equal(archive.bytes('s1').toString(), 'head one two');
});

test('a recording that one archive refuses is begun in none', async () => {
  const { first, second, both } = pair();
  second.failure = FULL;
  await assert.rejects(both.create('s1', DAY, text('head ')), { code: 'archive-full' });
  assert.deepEqual([first.recordings.size, second.recordings.size], [0, 0]);
  await assert.rejects(both.check(), { code: 'archive-full' });
  second.failure = undefined;
  await both.check();
  await (await both.create('s1', DAY, text('head '))).close();
  assert.equal(await contentsOf(both, 's1'), 'head ');
});

test('an archive that has less than another is brought up to it before a recording is sealed', async () => {
  for (const [inFirst, inSecond] of [
    ['head one torn', 'head one '],
    ['head ', 'head one torn'],
    ['head one ', undefined],
    [undefined, 'head one torn'],
  ]) {
    const { first, second, both } = pair();
    if (inFirst !== undefined) first.recordings.set('s1', Buffer.from(inFirst));
    if (inSecond !== undefined) second.recordings.set('s1', Buffer.from(inSecond));
    const won = await both.seal('s1', DAY, 'head one '.length, text('<end>'));
    assert.equal(Buffer.from(won).toString(), '<end>');
    for (const archive of [first, second]) assert.equal(archive.bytes('s1').toString(), 'head one <end>');
  }
});

test('a long recording is brought over in parts', async () => {
  const { first, second, both } = pair();
  const long = Buffer.alloc(3 * 1024 * 1024 + 5, 'long ');
  first.recordings.set('s1', long);
  await (await both.resume('s1', DAY, long.length - 1)).append(text('!'));
  for (const archive of [first, second])
    assert.ok(archive.bytes('s1').equals(Buffer.concat([long.subarray(0, -1), text('!')])));
});

test('where no archive has as much as is to be sealed, none is changed', async () => {
  const { first, second, both } = pair();
  first.recordings.set('s1', Buffer.from('head '));
  await assert.rejects(both.seal('s1', DAY, 9, text('<end>')), { code: 'recording-missing' });
  assert.equal(first.bytes('s1').toString(), 'head ');
  assert.equal(second.recordings.size, 0);
});

test('the first archive decides who sealed, and the others take its word', async () => {
  const { first, second, both } = pair();
  for (const archive of [first, second]) archive.recordings.set('s1', Buffer.from('head '));
  first.seal = async () => text('<of another>');
  const won = await both.seal('s1', DAY, 5, text('<mine>'));
  assert.equal(Buffer.from(won).toString(), '<of another>');
  assert.equal(second.bytes('s1').toString(), 'head <of another>');
});

test('what the first archive cannot give is read from the second', async () => {
  const { first, second, both } = pair();
  await (await both.create('s1', DAY, text('head '))).close();
  async function* side(): AsyncGenerator<Uint8Array, void, void> {
    yield text('si');
    yield text('de');
  }
  await both.putSide('s1', DAY, 'index', side());
  assert.equal(second.sides.get('s1.index')?.toString(), 'side');
  first.away = true;
  assert.equal(await contentsOf(both, 's1'), 'head ');
  assert.deepEqual(await collect(both.list()), [{ sessionId: 's1', bytes: 5 }]);
  assert.equal((await both.openSide('s1', DAY, 'index'))?.size, 4);
  // It may be in the one that is away: it is not called missing.
  await assert.rejects(both.open('s2'), { code: 'archive-missing' });
  assert.equal(first.away, true);
  first.away = false;
  await assert.rejects(both.open('s2'), { code: 'recording-missing' });
  first.recordings.clear();
  assert.equal(await contentsOf(both, 's1'), 'head ');
  first.away = true;
  second.away = true;
  await assert.rejects(collect(both.list()), { code: 'archive-missing' });
});

test('at least one archive is needed', () => {
  assert.throws(() => openArchives({ urls: [] }), { name: 'ArchiveError', code: 'archive-url' });
  const { description } = openArchives({ urls: ['file:/a', 'file:/b'] });
  assert.equal(description, 'file:/a and file:/b');
});
