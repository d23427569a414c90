import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { readerInTurn } from '../../../gateway/listener/turn.ts';

const SHARE = 512 * 1024;

/** Sockets that always have more to give, of so many bytes at a time; each read is written down. */
async function busy(bytes: number, names: readonly string[], during: (turns: string[]) => Promise<void>) {
  const turns: string[] = [];
  let over = false;
  for (const name of names) {
    const stops = readerInTurn(() => read());
    const read = (): void => {
      if (over) return;
      do turns.push(name);
      while (!stops(bytes) && turns.length < 10_000);
    };
    read();
  }
  await during(turns);
  over = true;
  await turn();
  await turn();
}

test('bulk stops once the share of a turn is used up and goes on in order; keystrokes never stop', () =>
  busy(256 * 1024, ['a', 'b', 'c', 'd'], async (turns) => {
    assert.equal(turns.join(''), 'aabcd', 'one uses the share up, each of the others reads once more');
    const keys = readerInTurn(() => assert.fail('a keystroke does not wait'));
    for (const more of ['aab', 'ccd', 'aab']) {
      turns.length = 0;
      assert.ok(!keys(36));
      assert.ok(!keys(36), 'nor do some at once');
      await turn();
      assert.equal(turns.join(''), more);
    }
  }));

for (const [bytes, name] of [
  [8 * 1024, 'of 8 KiB'],
  [100, 'as small as a key'],
] as const)
  test(`a socket whose reads are records ${name} stops as well`, () =>
    busy(bytes, ['a', 'b'], async (turns) => {
      const [a, b] = ['a', 'b'].map((each) => turns.filter((one) => one === each).length);
      assert.ok(a !== undefined && a * bytes <= SHARE && a <= 256, `${a} reads in one turn`);
      assert.ok(b !== undefined && b < 20, `${b} reads once the share was used up`);
    }));

test('many who read little each are never stopped', async () => {
  for (let left = 2_000; left > 0; left -= 1)
    assert.ok(!readerInTurn(() => assert.fail('who reads little does not wait'))(1_400));
  await turn();
});
