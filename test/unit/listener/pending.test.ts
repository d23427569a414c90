import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { MAX_PENDING, MAX_PENDING_PER_SOURCE, Pending } from '../../../gateway/listener/pending.ts';

function crowd(pending: Pending, source: string, count: number): Socket[] {
  return Array.from({ length: count }, () => {
    const socket = new Socket();
    assert.ok('evicted' in pending.enter(socket, source), source);
    return socket;
  });
}

test('one source has so many places, by subscriber, and one that leaves makes room', () => {
  const pending = new Pending();
  const [first] = crowd(pending, '2001:db8::1', MAX_PENDING_PER_SOURCE);
  const next = () => pending.enter(new Socket(), '2001:db8::ffff:2');
  assert.deepEqual(next(), { refused: 'source-limit' });
  assert.ok(first !== undefined);
  pending.leave(first);
  pending.leave(first);
  assert.deepEqual(next(), { evicted: undefined });
  assert.deepEqual(next(), { refused: 'source-limit' });
  crowd(pending, '2001:db8:0:1::1', 1);
});

test('where all places are taken, the oldest of who holds most makes room for who holds fewer', () => {
  const pending = new Pending();
  const flood = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'];
  for (const source of flood) crowd(pending, source, 199);
  const [oldest] = crowd(pending, '192.0.2.5', 200);
  crowd(pending, '198.51.100.1', MAX_PENDING - 4 * 199 - 200);
  const late = pending.enter(new Socket(), '198.51.100.2');
  assert.deepEqual(late, { evicted: { socket: oldest, source: '192.0.2.5' } });
  assert.deepEqual(pending.enter(new Socket(), '192.0.2.1'), { refused: 'limit' });
  assert.ok('evicted' in pending.enter(new Socket(), '198.51.100.1'));
});

test('who sends more than anyone needs to log on is found', () => {
  const pending = new Pending();
  const [modest, greedy] = crowd(pending, '192.0.2.1', 2);
  assert.ok(modest !== undefined && greedy !== undefined);
  Object.defineProperty(modest, 'bytesRead', { value: 1024 ** 2 });
  Object.defineProperty(greedy, 'bytesRead', { value: 5 * 1024 ** 2 });
  assert.deepEqual([...pending.greedy()], [{ socket: greedy, source: '192.0.2.1' }]);
  pending.leave(greedy);
  assert.deepEqual([...pending.greedy()], []);
});
