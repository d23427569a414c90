import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gate } from '../../../gateway/control/gate.ts';

function job() {
  const { promise, resolve } = Promise.withResolvers<string>();
  const it = {
    started: false,
    finish: resolve,
    work: () => {
      it.started = true;
      return promise;
    },
  };
  return it;
}

test('as many run as may, as many wait as may, the rest is refused', async () => {
  const gate = new Gate(2, 1);
  const [a, b, c, d] = [job(), job(), job(), job()];
  const first = gate.run(a.work);
  const second = gate.run(b.work);
  const third = gate.run(c.work);
  assert.equal(await gate.run(d.work), undefined);
  assert.deepEqual([a.started, b.started, c.started, d.started], [true, true, false, false]);
  a.finish('a');
  assert.deepEqual(await first, { value: 'a' });
  await Promise.resolve();
  assert.equal(c.started, true);
  b.finish('b');
  c.finish('c');
  assert.deepEqual(await Promise.all([second, third]), [{ value: 'b' }, { value: 'c' }]);
});

test('work that throws gives its turn back', async () => {
  const gate = new Gate(1, 0);
  const boom = new Error('boom');
  await assert.rejects(
    gate.run(() => Promise.reject(boom)),
    boom,
  );
  assert.deepEqual(await gate.run(async () => 1), { value: 1 });
});
