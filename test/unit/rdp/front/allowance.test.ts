import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Allowance } from '../../../../gateway/rdp/front/allowance.ts';

test('parts are taken until nothing is left, and each is given back once', () => {
  const allowance = new Allowance(10, 10);
  const first = allowance.take('a', 6);
  assert.ok(first !== undefined);
  assert.equal(allowance.take('a', 5), undefined);
  assert.ok(allowance.take('b', 4) !== undefined);
  first();
  first();
  assert.equal(allowance.take('a', 7), undefined);
  assert.ok(allowance.take('a', 6) !== undefined);
});

test('nobody takes more than a share, and what is given back is theirs again', () => {
  const allowance = new Allowance(10, 4);
  const first = allowance.take('a', 3);
  assert.equal(allowance.take('a', 2), undefined);
  assert.ok(allowance.take('b', 4) !== undefined);
  first?.();
  assert.ok(allowance.take('a', 4) !== undefined);
});
