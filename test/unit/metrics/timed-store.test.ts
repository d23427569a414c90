/** A store whose calls are timed is the same store. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { timedStore } from '../../../gateway/metrics/timed-store.ts';
import { openStoreAt } from '../../../gateway/store/open.ts';
import { temporaryFolder } from '../../support/temp.ts';

test('every call is told of once it is answered, with its error; a transaction is one', async () => {
  const calls: string[] = [];
  const store = timedStore(
    await openStoreAt(`sqlite:${temporaryFolder('timed')}/store.db`),
    (operation, seconds, error) => {
      assert.ok(seconds >= 0 && seconds < 30);
      calls.push(error === undefined ? operation : `${operation}: ${(error as Error).message}`);
    },
  );
  assert.equal(await store.user('alice'), undefined);
  assert.equal(store.user, store.user, 'a method is wrapped once');
  const answer = await store.transaction(async (tx) => {
    await tx.policies();
    return 42;
  });
  assert.equal(answer, 42);
  const failure = store.transaction(() => Promise.reject(new Error('no')));
  await assert.rejects(failure, { message: 'no' });
  await store.close();
  await assert.rejects(store.user('alice'), { message: 'the store is closed' });
  const all = ['user', 'transaction', 'transaction: no', 'close', 'user: the store is closed'];
  assert.deepEqual(calls, all);
});
