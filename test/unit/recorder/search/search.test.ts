import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  EventKind,
  type Found,
  generateIdentity,
  type SearchOptions,
  searchRecordings,
} from '../../../../recorder/index.ts';
import { type Bed, collect, initOf, makeBed, Signals, STARTED_AT, text } from '../bed.ts';

async function record(bed: Bed, id: string, lines: readonly string[], user = 'alice'): Promise<void> {
  const init = { ...initOf(id), user, startedAt: STARTED_AT + Number(id.slice(1)) * 60_000 };
  const recording = await bed.recorder.open(init, new Signals());
  for (const line of lines) {
    recording.write(EventKind.output, 0, text(`${line}\n`));
    await bed.clock.advance(1000);
  }
  await recording.seal('done');
}

/** Session, ms since the recording's start, and text. */
async function search(
  bed: Bed,
  words: string,
  options: Partial<SearchOptions> = {},
): Promise<[string, number, string][]> {
  const { identity } = bed.identity;
  const found: Found[] = await collect(
    searchRecordings(bed.archive, words, { opener: [identity], limit: 100, keep: true, ...options }),
  );
  return found.flatMap(({ header, hits }) =>
    hits.map(({ at, text }): [string, number, string] => [header.sessionId, Math.round(at / 1000), text]),
  );
}

/** Lists newest first, as archives do. */
async function threeRecordings(): Promise<Bed> {
  const bed = await makeBed();
  await record(bed, 's3', ['nothing here']);
  await record(bed, 's2', ['a needle', 'hay', 'another needle'], 'bob');
  await record(bed, 's1', ['needle one', ...Array.from({ length: 9 }, (_, i) => `needle ${i}`)]);
  return bed;
}

test('hits come with their recording and moment, newest first', async () => {
  const bed = await threeRecordings();
  const progress: string[] = [];
  const onProgress = (done: number, all: number): void => void progress.push(`${done}/${all}`);
  assert.deepEqual(await search(bed, 'another need', { onProgress }), [['s2', 2000, 'another needle']]);
  assert.deepEqual(progress, ['0/3', '1/3', '2/3', '3/3']);
  assert.deepEqual(await search(bed, 'needle', { limit: 2 }), [
    ['s2', 2000, 'another needle'],
    ['s2', 0, 'a needle'],
    ['s1', 9000, 'needle 8'],
    ['s1', 8000, 'needle 7'],
  ]);
});

test('recordings and times can be chosen', async () => {
  const bed = await threeRecordings();
  assert.deepEqual(await search(bed, 'needle', { wanted: ({ user }) => user === 'bob', limit: 1 }), [
    ['s2', 2000, 'another needle'],
  ]);
  const since = STARTED_AT + 60_000 + 4000;
  const until = STARTED_AT + 120_000 + 1;
  assert.deepEqual(await search(bed, 'needle', { since, until, limit: 3 }), [
    ['s2', 0, 'a needle'],
    ['s1', 9000, 'needle 8'],
    ['s1', 8000, 'needle 7'],
    ['s1', 7000, 'needle 6'],
  ]);
});

test('a recording that cannot be read is told, and the others are searched', async () => {
  const bed = await threeRecordings();
  const bytes = bed.archive.bytes('s2');
  const altered = bytes.subarray(0, bytes.length);
  altered[700] = (altered[700] ?? 0) ^ 1;
  const skipped: string[] = [];
  const onSkipped: SearchOptions['onSkipped'] = (id, error) => void skipped.push(`${id} ${error.name}`);
  assert.equal((await search(bed, 'needle', { onSkipped })).length, 10);
  assert.deepEqual(skipped, ['s2 ContainerError']);

  skipped.length = 0;
  const { identity } = await generateIdentity();
  assert.deepEqual(await search(bed, 'needle', { onSkipped, opener: [identity] }), []);
  assert.equal(skipped.length, 3);
});

test('who has enough leaves nothing open', async () => {
  const bed = await makeBed();
  let open = 0;
  const openOne = bed.archive.open.bind(bed.archive);
  bed.archive.open = async (id) => {
    const reader = await openOne(id);
    open += 1;
    const close = async (): Promise<void> => {
      open -= 1;
    };
    return { ...reader, close };
  };
  for (let i = 40; i > 0; i -= 1) await record(bed, `s${i}`, ['needle']);
  let found = 0;
  for await (const { header } of searchRecordings(bed.archive, 'needle', {
    opener: [bed.identity.identity],
    limit: 1,
    keep: false,
  })) {
    assert.equal(header.sessionId, `s${40 - found}`);
    assert.ok(open <= 9, `${open} are open`);
    found += 1;
    if (found === 20) break;
  }
  assert.equal(found, 20);
  assert.equal(open, 0);
});
