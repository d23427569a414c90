import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turnstile } from '../../../gateway/listener/turnstile.ts';

/** Takes `ms` of CPU. */
function busy(ms: number): void {
  const began = process.threadCpuUsage();
  for (;;) {
    const { user, system } = process.threadCpuUsage(began);
    if (user + system > ms * 1_000) return;
  }
}

test('what is within the share is done at once', () => {
  const turnstile = new Turnstile();
  let done = 0;
  for (let i = 0; i < 3; i += 1) turnstile.pass('a', () => done++);
  assert.equal(done, 3);
});

test('what is beyond waits, and sources take turns', async () => {
  const turnstile = new Turnstile();
  const order: string[] = [];
  turnstile.pass('a', () => busy(5));
  assert.ok(!turnstile.free);
  const last = new Promise<void>((resolve) => {
    for (const name of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2'])
      turnstile.pass(name.slice(0, 1), () => {
        order.push(name);
        if (name === 'a3') resolve();
      });
  });
  assert.deepEqual(order, []);
  await last;
  assert.deepEqual(order, ['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  assert.ok(turnstile.free);
});

test('the event loop turns between stretches of work, however much waits', async () => {
  const turnstile = new Turnstile();
  let done = 0;
  let turns = 0;
  const count = (): void => {
    turns += 1;
    if (done < 20) setTimeout(count, 0);
  };
  setTimeout(count, 0);
  await new Promise<void>((resolve) => {
    for (let i = 0; i < 20; i += 1)
      turnstile.pass('a', () => {
        busy(5);
        done += 1;
        if (done === 20) resolve();
      });
  });
  assert.ok(turns >= 19, `${turns}`);
});

test('what is done later counts as what it is said to cost', async () => {
  const turnstile = new Turnstile();
  await turnstile.turn('a', 3);
  assert.ok(turnstile.free);
  await turnstile.turn('a', 5);
  assert.ok(!turnstile.free);
});
