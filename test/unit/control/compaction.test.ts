import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { Compaction } from '../../../gateway/control/compaction.ts';
import { ArchiveError, ContainerError } from '../../../recorder/index.ts';
import { node, session } from '../store/contract.ts';
import { Peers } from './peers.ts';

/** Node `a`, whose archive compacts what `failures` does not name. */
async function compacting(t: TestContext, begun = (): unknown => undefined) {
  const { store, time } = await Peers.open(t);
  const compacted: string[] = [];
  const failures = new Map<string, Error>();
  const compaction = new Compaction({
    store,
    node: 'a',
    compact: async (id) => {
      begun();
      const failure = failures.get(id);
      if (failure !== undefined) throw failure;
      compacted.push(id);
    },
    monotonic: () => time.at,
    log: pino({ level: 'silent' }),
  });
  const turn = async (): Promise<string[]> => {
    compaction.turn();
    await compaction.idle();
    return compacted.splice(0).toSorted();
  };
  const put = (id: string, change = {}) =>
    store.insertSession(session(id, { state: 'ended', sealed: true, ...change }));
  return { store, time, compaction, failures, turn, put };
}

test('what is sealed is compacted once: of this node, and of nodes that do not run', async (t) => {
  const { store, turn, put } = await compacting(t);
  await store.insertNode(node('run-a'));
  await store.insertNode(node('run-b', { name: 'b' }));
  await store.insertNode(node('run-c', { name: 'c', state: 'lost' }));
  await put('own');
  await put('running', { state: 'active', sealed: false });
  await put('unsealed', { sealed: false });
  await put('done', { compacted: true });
  await put('of-b', { node: 'b' });
  await put('of-c', { node: 'c' });
  await put('of-nobody', { node: 'd' });
  assert.deepEqual(await turn(), ['of-c', 'of-nobody', 'own']);
  assert.deepEqual(await turn(), []);
  assert.equal((await store.session('of-b'))?.compacted, false);
});

test('one that fails is left alone for a while, one that is damaged or gone for good', async (t) => {
  const { store, time, failures, turn, put } = await compacting(t);
  for (const id of ['away', 'damaged', 'gone', 'open', 'fine']) await put(id);
  failures.set('away', new ArchiveError('archive-io', 'the archive is away'));
  failures.set('damaged', new ContainerError('broken-chain', 'it was altered'));
  failures.set('gone', new ArchiveError('recording-missing', 'it was pruned'));
  failures.set('open', new ArchiveError('recording-unsealed', 'no copy of it is sealed yet'));
  assert.deepEqual(await turn(), ['fine']);
  failures.clear();
  assert.deepEqual(await turn(), [], 'not so soon');
  time.at += 60_000;
  assert.deepEqual(await turn(), ['away', 'open']);
  assert.equal((await store.session('damaged'))?.compacted, true);
});

test('there may be many', async (t) => {
  const { turn, put } = await compacting(t);
  for (let i = 0; i < 450; i += 1) await put(`s${i}`);
  assert.equal((await turn()).length, 450);
});

test('a node that stops begins no other', async (t) => {
  const { compaction, turn, put } = await compacting(t);
  await put('own');
  await compaction.stop();
  assert.deepEqual(await turn(), []);
});

test('one that is given up because the node stops is left to its next run', async (t) => {
  let stop = (): unknown => undefined;
  const { store, compaction, failures, turn, put } = await compacting(t, () => stop());
  stop = () => compaction.stop();
  await put('begun');
  failures.set('begun', new ArchiveError('recording-missing', 'it was given up'));
  await turn();
  assert.equal((await store.session('begun'))?.compacted, false);
});
