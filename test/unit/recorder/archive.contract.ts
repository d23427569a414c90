/**
 * What every archive must do, as one list of tests that runs over each sink: recordings are streams that
 * only grow, are found and listed, gone on with, sealed by one of several, compacted, removed.
 */
import assert from 'node:assert/strict';
import { SIDES, type Side } from '../../../recorder/archive/port.ts';
import type { Archive, ArchiveReader } from '../../../recorder/index.ts';
import { collect, text } from './bed.ts';

/** The last second of a day, so that what follows is of another. */
export const DAY = Date.UTC(2026, 0, 2, 23, 59, 59);

export interface ArchiveContract {
  /** A new, empty place; each call of what it resolves with is another node on it. */
  readonly place: () => Promise<(writer: string) => Archive>;
  /** As `test` of node:test. */
  readonly test: (name: string, body: () => Promise<void>) => void;
}

/** The first `length` bytes of a recording, as a person would see them. */
export async function contentsOf(archive: Archive, sessionId: string): Promise<string> {
  const reader = await archive.open(sessionId);
  const read = await wholeOf(reader);
  await reader.close();
  return read;
}

async function wholeOf(reader: ArchiveReader): Promise<string> {
  return Buffer.from(await reader.read(0, reader.size)).toString();
}

/** Writes a recording of some appends and closes it. */
async function record(archive: Archive, sessionId: string, ...parts: readonly string[]): Promise<void> {
  const [first = '', ...more] = parts;
  const appender = await archive.create(sessionId, DAY, text(first));
  for (const part of more) await appender.append(text(part));
  await appender.close();
}

async function* chunks(...parts: readonly string[]): AsyncGenerator<Uint8Array, void, void> {
  for (const part of parts) yield text(part);
}

async function sideOf(archive: Archive, sessionId: string, side: Side): Promise<string | undefined> {
  const reader = await archive.openSide(sessionId, DAY, side);
  if (reader === undefined) return undefined;
  const read = await wholeOf(reader);
  await reader.close();
  return read;
}

/** Defines the tests of `name`. */
export function archiveContract(name: string, { place, test }: ArchiveContract): void {
  const contractTest = (what: string, body: (node: (writer: string) => Archive) => Promise<void>): void =>
    test(`${name}: ${what}`, async () => await body(await place()));

  contractTest('a recording grows by appends and is read in ranges over all of them', async (node) => {
    const archive = node('n1');
    await archive.check();
    const parts = Array.from({ length: 12 }, (_, i) => `<${i}>`.repeat(3 * i + 1));
    await record(archive, 's1', 'head', ...parts);
    const expected = ['head', ...parts].join('');
    const reader = await node('n2').open('s1');
    assert.equal(reader.size, expected.length);
    assert.equal(await wholeOf(reader), expected);
    const range = async (offset: number, length: number): Promise<string> =>
      Buffer.from(await reader.read(offset, length)).toString();
    for (const [offset, length] of [
      [0, 1],
      [3, 5],
      [4, 3],
      [100, 300],
      [reader.size - 2, 2],
      [0, 0],
    ] as const)
      assert.equal(await range(offset, length), expected.slice(offset, offset + length), `${offset}`);
    assert.equal(await range(reader.size - 2, 1000), expected.slice(-2));
    assert.equal((await reader.read(reader.size, 10)).length, 0);
    assert.equal((await reader.read(reader.size + 5000, 10)).length, 0);
    await reader.close();
  });

  contractTest('a large append comes back whole', async (node) => {
    const archive = node('n1');
    const large = Buffer.alloc(6 * 1024 * 1024 + 17, 'large ');
    const appender = await archive.create('s1', DAY, text('head'));
    await appender.append(large);
    await appender.append(text('tail'));
    await appender.close();
    const reader = await archive.open('s1');
    const read = await reader.read(4, large.length);
    assert.ok(Buffer.from(read).equals(large));
    assert.equal(
      Buffer.from(await reader.read(reader.size - 5, 5)).toString(),
      `${large.toString().at(-1)}tail`,
    );
    await reader.close();
  });

  contractTest('what is durable is read while the recording goes on', async (node) => {
    const archive = node('n1');
    const appender = await archive.create('s1', DAY, text('head '));
    assert.equal(await contentsOf(node('n2'), 's1'), 'head ');
    await appender.append(text('one '));
    const early = await node('n2').open('s1');
    await appender.append(text('two'));
    assert.equal(await contentsOf(node('n2'), 's1'), 'head one two');
    assert.equal(early.size, 'head one '.length);
    assert.equal(await wholeOf(early), 'head one ');
    assert.equal(Buffer.from(await early.read(5, 100)).toString(), 'one ');
    await early.close();
    await appender.close();
  });

  contractTest('a recording is never written over', async (node) => {
    await record(node('n1'), 's1', 'first');
    for (const writer of ['n1', 'n2'])
      await assert.rejects(node(writer).create('s1', DAY, text('second')), {
        name: 'ArchiveError',
        code: 'recording-exists',
      });
    assert.equal(await contentsOf(node('n1'), 's1'), 'first');
  });

  contractTest('a session id cannot leave the archive', async (node) => {
    const archive = node('n1');
    for (const id of ['../x', 'a/b', '', '.hidden', 'x'.repeat(65), 'a\0b']) {
      const refused = { name: 'ArchiveError', code: 'recording-id' };
      await assert.rejects(archive.create(id, DAY, text('x')), refused, id);
      await assert.rejects(archive.open(id), refused, id);
      await assert.rejects(archive.resume(id, DAY, 0), refused, id);
      await assert.rejects(archive.seal(id, DAY, 0, text('x')), refused, id);
      await assert.rejects(archive.remove(id, DAY), refused, id);
      await assert.rejects(archive.putSide(id, DAY, 'index', chunks('x')), refused, id);
      await assert.rejects(archive.openSide(id, DAY, 'index'), refused, id);
    }
  });

  contractTest('recordings are found by id and listed newest first', async (node) => {
    const archive = node('n1');
    assert.deepEqual(await collect(archive.list()), []);
    // 0198…: a UUIDv7 of 2025-07-22; the third is filed under a day that its id does not tell.
    const uuid = '01983000-0000-7000-8000-000000000001';
    const recordings: readonly [id: string, at: number][] = [
      ['a', Date.UTC(2025, 0, 1)],
      [uuid, 0x01983000 * 65_536],
      ['01983000-0000-7000-8000-000000000002', Date.UTC(2026, 1, 1)],
      ['b', Date.UTC(2026, 1, 1)],
    ];
    for (const [id, at] of recordings) {
      const appender = await archive.create(id, at, text('of '));
      await appender.append(text(id));
      await appender.close();
    }
    const listed = await collect(node('n2').list());
    assert.deepEqual(
      listed.map(({ sessionId }) => sessionId),
      ['b', '01983000-0000-7000-8000-000000000002', uuid, 'a'],
    );
    assert.deepEqual(listed[3], { sessionId: 'a', bytes: 4 });
    for (const [id] of recordings) assert.equal(await contentsOf(node('n2'), id), `of ${id}`);
    await assert.rejects(archive.open('nobody'), { name: 'ArchiveError', code: 'recording-missing' });
    // The beginning of another's name is no name.
    await assert.rejects(archive.open(uuid.slice(0, -1)), { code: 'recording-missing' });
  });

  contractTest('a recording goes on behind a place, and what stood behind it is given up', async (node) => {
    for (const [id, end] of [
      ['between', 'head one '.length],
      ['within', 'head on'.length],
      ['whole', 'head one torn'.length],
      ['start', 'head '.length],
    ] as const) {
      await record(node('n1'), id, 'head ', 'one ', 'torn');
      const appender = await node('n2').resume(id, DAY, end);
      assert.equal(await contentsOf(node('n3'), id), 'head one torn'.slice(0, end), id);
      await appender.append(text('two '));
      await appender.append(text('three'));
      await appender.close();
      assert.equal(await contentsOf(node('n3'), id), `${'head one torn'.slice(0, end)}two three`, id);
    }
    await assert.rejects(node('n2').resume('nobody', DAY, 0), { code: 'recording-missing' });
  });

  contractTest('of several that seal a recording at once one wins, and all are told which', async (node) => {
    await record(node('n1'), 's1', 'head ', 'one ', 'torn');
    const end = 'head one '.length;
    const sealed = ['n2', 'n3', 'n4'].map((writer) =>
      node(writer).seal('s1', DAY, end, text(`<by ${writer}>`)),
    );
    const won = new Set((await Promise.all(sealed)).map((bytes) => Buffer.from(bytes).toString()));
    assert.equal(won.size, 1, [...won].join());
    const [winner = ''] = won;
    assert.match(winner, /^<by n[234]>$/);
    assert.equal(await contentsOf(node('n1'), 's1'), `head one ${winner}`);
    // A latecomer changes nothing.
    const late = await node('n5').seal('s1', DAY, end, text('<late, and longer>'));
    assert.equal(Buffer.from(late).toString(), winner);
    assert.equal(await contentsOf(node('n1'), 's1'), `head one ${winner}`);
    assert.deepEqual(await collect(node('n1').list()), [{ sessionId: 's1', bytes: end + winner.length }]);
  });

  contractTest(
    'a writer that goes on after another has sealed its recording changes nothing of it',
    async (node) => {
      const writer = await node('n1').create('s1', DAY, text('head '));
      await writer.append(text('one '));
      await node('n2').seal('s1', DAY, 'head one '.length, text('<end>'));
      // Whether it is told or not: what it sends is given up.
      const late = [text('two'), text('three '.repeat(100_000))];
      for (const bytes of late) await writer.append(bytes).catch(() => {});
      await writer.close().catch(() => {});
      assert.equal(await contentsOf(node('n3'), 's1'), 'head one <end>');
      // Another that seals has seen more, and seals the same.
      const won = await node('n3').seal('s1', DAY, 'head one two'.length, text('<late>'));
      assert.equal(Buffer.from(won).toString(), '<end>');
      assert.equal(await contentsOf(node('n3'), 's1'), 'head one <end>');
    },
  );

  contractTest('a recording that went on after its node died is sealed like any other', async (node) => {
    await record(node('n1'), 's1', 'head ', 'one ', 'torn');
    const second = await node('n2').resume('s1', DAY, 'head one '.length);
    await second.append(text('two '));
    await second.append(text('lost'));
    await second.close();
    const end = 'head one two '.length;
    await node('n3').seal('s1', DAY, end, text('<end>'));
    assert.equal(await contentsOf(node('n1'), 's1'), 'head one two <end>');
  });

  contractTest('compaction changes nothing that is read, however often and by whom', async (node) => {
    const parts = ['head ', ...Array.from({ length: 20 }, (_, i) => `part ${i} `), '<end>'];
    await record(node('n1'), 's1', ...parts);
    await record(node('n1'), 's2', 'another');
    const expected = parts.join('');
    const early = await node('n2').open('s1');
    assert.equal(Buffer.from(await early.read(0, 5)).toString(), 'head ');

    // One who finds something else keeps it from being put in place.
    const wrong = new RangeError('another recording');
    let asked = 0;
    await node('n2')
      .compact('s1', DAY, async (reader) => {
        asked += 1;
        assert.equal(await wholeOf(reader), expected);
        throw wrong;
      })
      .catch((error: unknown) => assert.equal(error, wrong));
    assert.equal(await contentsOf(node('n3'), 's1'), expected);

    const check = async (reader: ArchiveReader): Promise<void> => {
      assert.equal(reader.size, expected.length);
      assert.equal(await wholeOf(reader), expected);
    };
    const during: string[] = [];
    await Promise.all([
      node('n2').compact('s1', DAY, check),
      node('n3').compact('s1', DAY, check),
      (async () => {
        for (let i = 0; i < 5; i += 1) during.push(await contentsOf(node('n4'), 's1'));
      })(),
    ]);
    assert.ok(during.every((read) => read === expected));
    // Who had it open reads on.
    assert.equal(await wholeOf(early), expected);
    await early.close();
    assert.equal(await contentsOf(node('n4'), 's1'), expected);
    assert.equal(await contentsOf(node('n4'), 's2'), 'another');
    const listed = new Map(
      (await collect(node('n4').list())).map(({ sessionId, bytes }) => [sessionId, bytes]),
    );
    assert.deepEqual([listed.get('s1'), listed.get('s2'), listed.size], [expected.length, 7, 2]);

    // What is compact already is left alone, where anything was to be done at all.
    asked = 0;
    await node('n5').compact('s1', DAY, async () => {
      asked += 1;
    });
    assert.equal(asked, 0);
  });

  contractTest('a recording that another sealed can be compacted', async (node) => {
    await record(node('n1'), 's1', 'head ', 'one ', 'torn');
    await node('n2').seal('s1', DAY, 'head one '.length, text('<end>'));
    await node('n3').compact('s1', DAY, async (reader) => {
      assert.equal(await wholeOf(reader), 'head one <end>');
    });
    assert.equal(await contentsOf(node('n3'), 's1'), 'head one <end>');
    const late = await node('n4').seal('s1', DAY, 'head one '.length, text('<late>'));
    assert.equal(Buffer.from(late).toString(), '<end>');
    assert.equal(await contentsOf(node('n3'), 's1'), 'head one <end>');
  });

  contractTest('what stands beside a recording is whole or not there, and replaced', async (node) => {
    const archive = node('n1');
    await record(archive, 's1', 'recording');
    for (const side of SIDES) assert.equal(await sideOf(archive, 's1', side), undefined);

    const { promise: written, resolve: release } = Promise.withResolvers<void>();
    async function* slowly(): AsyncGenerator<Uint8Array, void, void> {
      yield text('one ');
      await written;
      yield text('two');
    }
    const put = archive.putSide('s1', DAY, 'index', slowly());
    assert.equal(await sideOf(node('n2'), 's1', 'index'), undefined);
    release();
    await put;
    assert.equal(await sideOf(node('n2'), 's1', 'index'), 'one two');
    await node('n2').putSide('s1', DAY, 'index', chunks('three'));
    assert.equal(await sideOf(archive, 's1', 'index'), 'three');
    assert.equal(await sideOf(archive, 's1', 'text'), undefined);

    async function* failing(): AsyncGenerator<Uint8Array, void, void> {
      yield text('four');
      throw new RangeError('altered');
    }
    await assert.rejects(archive.putSide('s1', DAY, 'index', failing()), RangeError);
    assert.equal(await sideOf(archive, 's1', 'index'), 'three');
    assert.deepEqual(await collect(archive.list()), [{ sessionId: 's1', bytes: 9 }]);
    assert.equal(await contentsOf(archive, 's1'), 'recording');
  });

  contractTest('a recording is removed with all that stands beside it, and nothing else', async (node) => {
    const archive = node('n1');
    await record(archive, 's1', 'head ', 'one', 'torn');
    await record(archive, 's2', 'another');
    await archive.seal('s1', DAY, 5, text('<end>'));
    for (const side of SIDES) await archive.putSide('s1', DAY, side, chunks('beside'));
    await node('n2').remove('s1', DAY);
    await assert.rejects(archive.open('s1'), { code: 'recording-missing' });
    for (const side of SIDES) assert.equal(await sideOf(archive, 's1', side), undefined);
    assert.deepEqual(await collect(archive.list()), [{ sessionId: 's2', bytes: 7 }]);
    await archive.remove('s1', DAY);
    assert.equal(await contentsOf(archive, 's2'), 'another');
  });

  contractTest('tidying up behind a writer leaves all recordings', async (node) => {
    await record(node('n1'), 's1', 'head ', 'one', '<end>');
    await record(node('n1'), 's2', 'head ', 'torn');
    await node('n2').seal('s2', DAY, 5, text('<end>'));
    await record(node('n2'), 's3', 'head ', 'one');
    await node('n3').tidy('n1');
    await node('n3').tidy('nobody');
    assert.equal(await contentsOf(node('n3'), 's1'), 'head one<end>');
    assert.equal(await contentsOf(node('n3'), 's2'), 'head <end>');
    assert.equal(await contentsOf(node('n3'), 's3'), 'head one');
    await node('n3').tidy('n1');
  });
}
