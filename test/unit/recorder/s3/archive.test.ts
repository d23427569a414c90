import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newEra } from '../../../../recorder/archive/s3/names.ts';
import type { ArchiveReader } from '../../../../recorder/index.ts';
import { randomFrom } from '../../../support/random.ts';
import { collect, text, until } from '../bed.ts';
import { contentsOf, DAY, FOLDER, insist, JOURNAL, MemoryStore, nodeOn, PREFIX, wholeOf } from './bed.ts';

const WHOLE = `${PREFIX}2026/01/02/s1.slr`;

async function accept(): Promise<void> {}

test('small appends of many recordings go into one object, and into parts at their ends', async () => {
  const store = new MemoryStore();
  const archive = nodeOn(store);
  const ids = Array.from({ length: 50 }, (_, i) => `s${i}`);
  const appenders = await Promise.all(ids.map((id) => archive.create(id, DAY, text(`${id}:`))));
  for (let round = 0; round < 3; round += 1) {
    await Promise.all(appenders.map((appender, i) => appender.append(text(`${i},`))));
  }
  assert.equal(store.keys(JOURNAL).length, 3);
  assert.equal(store.keys().length, 53);
  for (const [i, id] of ids.entries()) assert.equal(await contentsOf(store, id), `${id}:${i},${i},${i},`);

  await Promise.all(appenders.map((appender) => appender.close()));
  // Nothing is needed of the journal any more.
  assert.deepEqual(store.keys(JOURNAL), []);
  assert.equal(store.keys().length, 100);
  for (const [i, id] of ids.entries()) assert.equal(await contentsOf(store, id), `${id}:${i},${i},${i},`);
});

test('large appends are parts of their own, with what was small before them', async () => {
  const store = new MemoryStore();
  const appender = await nodeOn(store).create('s1', DAY, text('head '));
  await appender.append(text('small '));
  await appender.append(Buffer.alloc(100_000, 'x'));
  assert.deepEqual(
    store.keys(FOLDER).map((key) => key.slice(FOLDER.length, FOLDER.length + 31)),
    ['000000000000000-000000000000005', '000000000000005-000000000100011'],
  );
  await appender.append(Buffer.alloc(100_000, 'y'));
  assert.equal(await contentsOf(store, 's1'), `head small ${'x'.repeat(100_000)}${'y'.repeat(100_000)}`);
  await appender.close();
  assert.deepEqual(store.keys(JOURNAL), []);
});

test('a group that was refused and is there all the same is deleted', async () => {
  const store = new MemoryStore();
  const appender = await nodeOn(store).create('s1', DAY, text('head '));
  store.fate = () => 'unheard';
  await assert.rejects(appender.append(text('one')), { code: 'archive-io' });
  assert.equal(store.keys(JOURNAL).length, 1);
  store.fate = () => 'done';
  await appender.append(text('one'));
  await appender.close();
  assert.deepEqual(store.keys(JOURNAL), []);
  assert.equal(await contentsOf(store, 's1'), 'head one');
});

test('what is kept in memory becomes a part when it is much, or old', async (t) => {
  const store = new MemoryStore();
  const appender = await nodeOn(store).create('s1', DAY, text('head '));
  for (let i = 0; i < 5; i += 1) await appender.append(Buffer.alloc(60_000, 'x'));
  await until(() => store.keys(FOLDER).length === 2);

  t.mock.timers.enable({ apis: ['setInterval'] });
  const old = await nodeOn(store).create('old', DAY, text('head '));
  await old.append(text('typed'));
  const folder = `${PREFIX}2026/01/02/old/`;
  const real = performance.now.bind(performance);
  t.mock.timers.tick(1000);
  assert.equal(store.keys(folder).length, 1);
  t.mock.method(performance, 'now', () => real() + 61_000);
  t.mock.timers.tick(1000);
  await until(() => store.keys(folder).length === 2);
  assert.equal(await contentsOf(store, 'old'), 'head typed');
});

test('a node that dies at any moment leaves all that was acknowledged, in order', async () => {
  const seeds = Array.from({ length: 24 }, (_, seed) => seed);
  await Promise.all(
    seeds.map(async (seed) => {
      const random = randomFrom(seed);
      const store = new MemoryStore();
      store.fate = () => (random(5) > 0 ? 'done' : random(2) === 0 ? 'lost' : 'unheard');
      // Parts take long, so that much happens meanwhile.
      store.before = async (key) => {
        const most = key.startsWith(JOURNAL) ? 20 : 500;
        await new Promise((resolve) => void setTimeout(resolve, random(most)));
      };
      const archive = nodeOn(store);
      const writing = ['a', 'b', 'c'].map(async (id) => {
        let taken = id;
        // Some of parts of their own, some of parts that are made beside the appends.
        const sizes = random(2) === 0 ? 60_000 : 30_000;
        const appender = await insist(() => archive.create(id, DAY, text(id)));
        for (let i = 0; i < 25; i += 1) {
          const bytes = `${i}.`.repeat(1 + random(random(2) === 0 ? sizes : 40));
          const acknowledged = taken;
          taken += bytes;
          await insist(() => appender.append(text(bytes)));
          if (random(6) > 0) continue;
          // As another node finds it when this one dies now.
          const found = await contentsOf(store.copy(), id);
          assert.ok(found === taken, `seed ${seed}: ${id} after ${acknowledged.length} bytes`);
        }
        await appender.close();
        assert.equal(await contentsOf(store.copy(), id), taken, `seed ${seed}`);
      });
      await Promise.all(writing);
    }),
  );
});

test('a refused beginning leaves nothing behind', async () => {
  const store = new MemoryStore();
  const archive = nodeOn(store);
  store.fate = () => 'unheard';
  await assert.rejects(archive.create('s1', DAY, text('head')), { code: 'archive-io' });
  store.fate = () => 'done';
  await until(() => store.keys().length === 0);
  await (await archive.create('s1', DAY, text('again'))).close();
  assert.equal(await contentsOf(store, 's1'), 'again');
});

test('a beginning that arrives after it was given up ends nothing of what was written since', async () => {
  for (let round = 0; round < 20; round += 1) {
    const store = new MemoryStore();
    const first = await nodeOn(store, 'n1').create('s1', DAY, text('head '));
    await first.append(text('one '));
    /** Fails what `begin` asks to be written, which then is there after all. */
    const arrivesLate = async (begin: () => Promise<unknown>): Promise<() => void> => {
      let late: string | undefined;
      store.fate = (key) => {
        // What the journal had becomes a part before: only the era's first part, which is empty, is late.
        if (!/\/(\d{15})-\1\./.test(key)) return 'done';
        late = key;
        return 'lost';
      };
      await assert.rejects(begin(), { code: 'archive-io' });
      store.fate = () => 'done';
      return () => store.objects.set(late ?? assert.fail(), Buffer.alloc(0));
    };
    const from = 'head one '.length;
    // Whoever tries again may have opened the archive anew.
    const arrive = await arrivesLate(() => nodeOn(store, 'n2').resume('s1', DAY, from));
    const second = await nodeOn(store, 'n2').resume('s1', DAY, from);
    await second.append(text('two '));
    arrive();
    assert.equal(await contentsOf(store, 's1'), 'head one two ');
    await second.close();
    assert.equal(await contentsOf(store, 's1'), 'head one two ');
  }
});

test('what a writer that was given up still writes does not come back', async () => {
  const store = new MemoryStore();
  const first = await nodeOn(store, 'n1').create('s1', DAY, text('head '));
  await first.append(text('one '));
  await first.append(text('lost '));
  const second = await nodeOn(store, 'n2').resume('s1', DAY, 'head one '.length);
  await first.append(text('late '));
  assert.equal(await contentsOf(store, 's1'), 'head one ');
  await second.append(text('two '));
  await first.append(Buffer.alloc(100_000, 'x'));
  await first.close();
  assert.equal(await contentsOf(store, 's1'), 'head one two ');
  await second.close();
  assert.equal(await contentsOf(store, 's1'), 'head one two ');
});

test('what is written behind a seal is not read, and nothing can be put behind it', async () => {
  const store = new MemoryStore();
  const archive = nodeOn(store, 'n1');
  const appender = await archive.create('s1', DAY, text('head '));
  await appender.append(text('one '));
  await nodeOn(store, 'n2').seal('s1', DAY, 9, text('<end>'));
  await appender.append(text('late '));
  await appender.append(Buffer.alloc(100_000, 'x'));
  await appender.close();
  assert.equal(await contentsOf(store, 's1'), 'head one <end>');
  await assert.rejects(archive.resume('s1', DAY, 9), { code: 'recording-exists' });
  await nodeOn(store).compact('s1', DAY, async (reader) => {
    assert.equal(await wholeOf(reader), 'head one <end>');
  });
  await assert.rejects(archive.resume('s1', DAY, 9), { code: 'recording-exists' });
  await assert.rejects(archive.seal('s1', DAY, 99, text('<end>')), { code: 'recording-exists' });
  assert.deepEqual(store.keys(FOLDER), []);
});

test('a place that is not in the archive can neither be sealed nor gone on with', async () => {
  const store = new MemoryStore();
  await (await nodeOn(store).create('s1', DAY, text('head'))).close();
  const words = { code: 'archive-io', message: /holds 4 of the first 5 bytes/ };
  await assert.rejects(nodeOn(store).seal('s1', DAY, 5, text('<end>')), words);
  await assert.rejects(nodeOn(store).resume('s1', DAY, 5), words);
  await assert.rejects(nodeOn(store).seal('s2', DAY, 5, text('<end>')), { code: 'recording-missing' });
});

test('one of several seals wins where the store writes what it should refuse', async () => {
  const store = new MemoryStore();
  store.careless = true;
  const random = randomFrom(1);
  store.before = async () => await new Promise((resolve) => void setTimeout(resolve, random(50)));
  await (await nodeOn(store).create('s1', DAY, text('head '))).close();
  const seals = ['n1', 'n2', 'n3', 'n4'].map((writer) =>
    nodeOn(store, writer).seal('s1', DAY, 5, text(writer)),
  );
  const won = new Set((await Promise.all(seals)).map((bytes) => Buffer.from(bytes).toString()));
  assert.equal(won.size, 1);
  assert.equal(await contentsOf(store, 's1'), `head ${[...won].join()}`);
});

test('a reader goes on where the journal becomes parts, and these one object', async () => {
  const store = new MemoryStore();
  const archive = nodeOn(store);
  const appender = await archive.create('s1', DAY, text('head '));
  await appender.append(text('one '));
  const inJournal = await nodeOn(store).open('s1');
  await appender.append(text('two '));
  await appender.close();
  const inParts = await nodeOn(store).open('s1');
  await archive.compact('s1', DAY, accept);
  assert.deepEqual(store.keys(), [WHOLE]);
  assert.equal(await wholeOf(inJournal), 'head one ');
  assert.equal(await wholeOf(inParts), 'head one two ');
  await archive.remove('s1', DAY);
  await assert.rejects(wholeOf(inParts), { code: 'recording-missing' });
});

test('bytes that move from the journal into a part while a recording is opened are not missed', async () => {
  const store = new MemoryStore();
  const appender = await nodeOn(store).create('s1', DAY, text('head '));
  for (const bytes of ['one ', 'two ', 'three ']) await appender.append(text(bytes));
  const again = nodeOn(store, 'reader');
  // The parts are listed; then all that is in the journal becomes a part, and the journal is deleted.
  store.listed = async (prefix) => {
    if (!prefix.startsWith(FOLDER)) return;
    store.listed = accept;
    await appender.close();
    assert.deepEqual(store.keys(JOURNAL), []);
  };
  assert.equal(await wholeOf(await again.open('s1')), 'head one two three ');

  // The same between the journal's list and its groups.
  const other = await nodeOn(store).create('s2', DAY, text('head '));
  await other.append(text('one '));
  store.listed = async (prefix) => {
    if (!prefix.startsWith(JOURNAL)) return;
    store.listed = accept;
    await other.close();
  };
  assert.equal(await contentsOf(store, 's2'), 'head one ');
});

test('compaction that died after its upload is finished by another without another upload', async () => {
  const store = new MemoryStore();
  const archive = nodeOn(store);
  const appender = await archive.create('s1', DAY, text('head '));
  await appender.append(text('one'));
  await appender.close();
  await assert.rejects(
    archive.compact('s1', DAY, async () => {
      throw new Error('died');
    }),
    /died/,
  );
  assert.equal(store.keys(FOLDER).length, 2, 'nothing is deleted');
  assert.equal(await contentsOf(store, 's1'), 'head one');
  store.written.length = 0;
  await nodeOn(store, 'n2').compact('s1', DAY, accept);
  assert.deepEqual([store.written, store.keys()], [[], [WHOLE]]);
  assert.deepEqual(store.abandoned, [WHOLE], 'uploads that were begun and not ended');
});

test('parts are what is true until they are gone, whatever object stands beside them', async () => {
  const store = new MemoryStore();
  const archive = nodeOn(store);
  const appender = await archive.create('s1', DAY, text('head '));
  await appender.append(text('one'));
  await appender.close();
  store.objects.set(WHOLE, Buffer.from('something else, and longer'));
  assert.equal(await contentsOf(store, 's1'), 'head one');
  await archive.compact('s1', DAY, async (reader: ArchiveReader) => {
    if ((await wholeOf(reader)) !== 'head one') throw new Error('another recording');
  });
  assert.deepEqual(store.keys(), [WHOLE]);
  assert.equal(await contentsOf(store, 's1'), 'head one');
});

test('a compaction whose deletions were cut short is finished after another check', async () => {
  const store = new MemoryStore();
  const archive = nodeOn(store);
  const appender = await archive.create('s1', DAY, text('head '));
  await appender.append(text('one'));
  await appender.close();
  const [first = '', second = ''] = store.keys(FOLDER);
  store.removals = 1;
  await assert.rejects(archive.compact('s1', DAY, accept), { code: 'archive-io' });
  store.removals = Number.POSITIVE_INFINITY;
  assert.deepEqual([store.objects.has(first), store.objects.has(second)], [false, true]);
  assert.equal(await contentsOf(store, 's1'), 'head one');
  await assert.rejects(
    archive.compact('s1', DAY, async () => {
      throw new Error('altered');
    }),
    /altered/,
  );
  assert.deepEqual(store.keys(FOLDER), [second]);
  assert.deepEqual(store.abandoned, []);
  await archive.compact('s1', DAY, accept);
  assert.deepEqual(store.keys(), [WHOLE]);
  assert.deepEqual(store.abandoned, [WHOLE]);
});

test('tidying deletes what no recording needs, and leaves what only the journal holds', async () => {
  const store = new MemoryStore();
  const gone = nodeOn(store, 'gone');
  const [sealed, compacted, live] = await Promise.all(
    ['sealed', 'compacted', 'live'].map((id) => gone.create(id, DAY, text('head '))),
  );
  for (const appender of [sealed, compacted, live]) await appender?.append(text('one '));
  await live?.append(text('two '));
  const groups = store.keys(JOURNAL);
  assert.equal(groups.length, 4);
  await nodeOn(store, 'n2').seal('sealed', DAY, 9, text('<end>'));
  await nodeOn(store, 'n2').seal('compacted', DAY, 9, text('<end>'));
  await nodeOn(store, 'n2').compact('compacted', DAY, accept);
  // Another of the same name, which lives; and what cannot be read stays.
  const other = await nodeOn(store, 'gone').create('other', DAY, text('head '));
  await other.append(text('one '));
  store.objects.set(`${JOURNAL}gone/strange`, Buffer.from('strange'));

  await nodeOn(store, 'n2').tidy('gone');
  assert.equal(store.keys(`${JOURNAL}gone/strange`).length, 1);
  assert.deepEqual(
    groups.map((key) => store.objects.has(key)),
    [false, false, true, true],
  );
  for (const [id, bytes] of Object.entries({
    sealed: 'head one <end>',
    compacted: 'head one <end>',
    live: 'head one two ',
    other: 'head one ',
  }))
    assert.equal(await contentsOf(store, id), bytes, id);
  await nodeOn(store, 'n2').seal('live', DAY, 13, text('<end>'));
  await nodeOn(store, 'n2').tidy('gone');
  assert.equal(store.keys(`${JOURNAL}gone/`).length, 2);
});

test('a list tells how long recordings are, wherever their bytes stand', async () => {
  const store = new MemoryStore();
  const archive = nodeOn(store);
  const [, closed, sealed, compacted] = await Promise.all(
    ['live', 'closed', 'sealed', 'compacted'].map(async (id) => {
      const appender = await archive.create(id, DAY, text('head '));
      await appender.append(text('one '));
      return appender;
    }),
  );
  await closed?.close();
  await compacted?.close();
  await archive.compact('compacted', DAY, accept);
  await archive.seal('sealed', DAY, 5, text('<end>'));
  await sealed?.close();
  await archive.putSide('closed', DAY, 'index', collectable('beside'));
  store.objects.set(`${PREFIX}2026/01/02/stray`, Buffer.from('stray'));
  assert.deepEqual(await collect(archive.list()), [
    { sessionId: 'sealed', bytes: 10 },
    { sessionId: 'live', bytes: 9 },
    { sessionId: 'compacted', bytes: 9 },
    { sessionId: 'closed', bytes: 9 },
  ]);
});

async function* collectable(...parts: readonly string[]): AsyncGenerator<Uint8Array, void, void> {
  for (const part of parts) yield text(part);
}

test('an archive is checked by what recordings do', async () => {
  const store = new MemoryStore();
  const archive = nodeOn(store);
  await archive.check();
  assert.deepEqual(store.keys(), []);
  store.fate = () => 'lost';
  await assert.rejects(archive.check(), { code: 'archive-io' });
});

test('eras sort in the order in which they are begun, however often that is tried', () => {
  const first = newEra();
  const second = newEra(first);
  assert.match(first, /^0000[0-9a-f]{8}$/);
  assert.match(second, /^0001[0-9a-f]{8}$/);
  let doubtful = first;
  for (let tries = 0; tries < 100_000; tries += 1) {
    const next = newEra(undefined, doubtful);
    assert.ok(next > doubtful && next.length === first.length);
    doubtful = next;
  }
  assert.equal(newEra(undefined, '0000ffffffff'), '000100000000');
  assert.match(newEra(second, doubtful), /^0002/, 'the latest of both counts');
  assert.throws(() => newEra(undefined, 'ffffffffffff'), { code: 'archive-io' });
});
