import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { usesUp } from '../../../gateway/listener/turn.ts';

const BULK = 256 * 1024;

let over = false;

/** A socket that always has more to give. */
function bulk(turns: string[], name: string) {
  const read = (): void => {
    if (over) return;
    do turns.push(name);
    while (!usesUp(BULK, read));
  };
  return read;
}

test('bulk stops once the share of a turn is used up and goes on in order; keystrokes never stop', async () => {
  const turns: string[] = [];
  for (const name of ['a', 'b', 'c', 'd']) bulk(turns, name)();
  assert.equal(turns.join(''), 'aabcd', 'one uses the share up, each of the others reads once more');
  for (const more of ['aab', 'ccd', 'aab']) {
    turns.length = 0;
    assert.ok(!usesUp(36, () => assert.fail('a keystroke does not wait')));
    await turn();
    assert.equal(turns.join(''), more);
  }
  over = true;
});
