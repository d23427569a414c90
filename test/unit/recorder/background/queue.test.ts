import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  JOB_KINDS,
  type JobKind,
  JobQueue,
  type Queued,
  QueueFullError,
} from '../../../../recorder/background/queue.ts';

interface Entry extends Queued {
  readonly name: string;
}

const entry = (kind: JobKind, name: string = kind, since = 0): Entry => ({
  kind,
  name,
  since,
  startedAt: undefined,
});

/** Runs what there is one by one. */
function order(queue: JobQueue<Entry>): string[] {
  const names: string[] = [];
  for (let next = queue.next(0); next !== undefined; next = queue.next(0)) {
    names.push(next.name);
    queue.ended(next, 'done', 0);
  }
  return names;
}

test('the most urgent kind runs first, and within a kind who came first', () => {
  const queue = new JobQueue<Entry>(1, 0);
  for (const n of [1, 2]) for (const kind of JOB_KINDS.toReversed()) queue.push(entry(kind, `${kind}${n}`));
  assert.deepEqual(
    order(queue),
    JOB_KINDS.flatMap((kind) => [`${kind}1`, `${kind}2`]),
  );
});

test('no more run than there are places, and one that ends makes room', () => {
  const queue = new JobQueue<Entry>(2, 0);
  for (const name of ['a', 'b', 'c']) queue.push(entry('sides', name));
  const first = queue.next(0);
  assert.equal(queue.next(0)?.name, 'b');
  assert.equal(queue.next(0), undefined);
  assert(first !== undefined);
  queue.ended(first, 'failed', 0);
  assert.equal(queue.next(0)?.name, 'c');
});

test('the spare place is taken neither by renderings alone nor by what may wait longest', () => {
  const queue = new JobQueue<Entry>(3, 1);
  for (const kind of ['verify', 'sides', 'compact'] as const) queue.push(entry(kind));
  assert.equal(queue.next(0)?.name, 'compact');
  assert.equal(queue.next(0)?.name, 'sides');
  assert.equal(queue.next(0), undefined, 'verify takes the spare one');
  queue.push(entry('seal'));
  assert.equal(queue.next(0)?.name, 'seal');

  const renders = new JobQueue<Entry>(3, 1);
  for (const n of [1, 2, 3]) renders.push(entry('render', `${n}`));
  assert.equal(renders.next(0)?.name, '1');
  assert.equal(renders.next(0)?.name, '2');
  assert.equal(renders.next(0), undefined, 'renderings have all places');
  renders.push(entry('sides'));
  assert.equal(renders.next(0)?.name, 'sides');
});

test('a kind of which too many wait is refused, and that alone', () => {
  const queue = new JobQueue<Entry>(1, 0);
  const taken = Array.from({ length: 32 }, () => entry('render'));
  for (const each of taken) queue.push(each);
  assert.throws(() => queue.push(entry('render')), {
    name: 'QueueFullError',
    message: /32 jobs of kind render wait already, try again later/,
  });
  queue.push(entry('seal'));
  const [gone] = taken;
  assert(gone !== undefined);
  queue.ended(gone, 'cancelled', 0);
  queue.push(entry('render'));
  assert.throws(() => queue.push(entry('render')), QueueFullError);
  assert.deepEqual(queue.figures().render, {
    queued: 32,
    running: 0,
    done: 0,
    failed: 0,
    cancelled: 1,
    refused: 2,
    waitedMs: 0,
    ranMs: 0,
  });
});

test('figures say how long jobs waited and ran, and how they ended', () => {
  const queue = new JobQueue<Entry>(2, 0);
  const [done, failed, given] = [
    entry('compact', 'a', 10),
    entry('compact', 'b', 20),
    entry('compact', 'c', 30),
  ];
  for (const each of [done, failed, given]) queue.push(each);
  queue.next(110);
  queue.next(120);
  assert.deepEqual({ ...queue.figures().compact }, { ...ZERO, queued: 1, running: 2, waitedMs: 200 });
  queue.ended(done, 'done', 1000);
  queue.ended(failed, 'failed', 2000);
  queue.ended(given, 'cancelled', 100);
  assert.deepEqual(queue.figures().compact, {
    ...ZERO,
    done: 1,
    failed: 1,
    cancelled: 1,
    waitedMs: 270,
    ranMs: 890 + 1880,
  });
  assert.deepEqual(queue.figures().seal, ZERO);
});

const ZERO = { queued: 0, running: 0, done: 0, failed: 0, cancelled: 0, refused: 0, waitedMs: 0, ranMs: 0 };
