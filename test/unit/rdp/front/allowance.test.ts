import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Allowance } from '../../../../gateway/rdp/front/allowance.ts';

test('parts are taken until nothing is left, and each is given back once', () => {
  const allowance = new Allowance(10);
  const first = allowance.take(6);
  assert.ok(first !== undefined);
  assert.equal(allowance.take(5), undefined);
  assert.ok(allowance.take(4) !== undefined);
  first();
  first();
  assert.equal(allowance.take(7), undefined);
  assert.ok(allowance.take(6) !== undefined);
});
