/** The course of a drain over a clock of its own: who is told when, when sessions are refused, when they end. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { LiveSession } from '../../../gateway/control/session-registry.ts';
import { Drain } from '../../../gateway/node/drain.ts';

const SEAL_MS = 35_000;

beforeEach(() => mock.timers.enable({ apis: ['setInterval', 'Date'], now: 1_000_000 }));
afterEach(() => mock.timers.reset());

function node() {
  const open = new Map<string, LiveSession>();
  const happened: string[] = [];
  const hands = {
    sessions: () => [...open.values()],
    notify: ({ id }: LiveSession, message: string) => void happened.push(`${id}: ${message}`),
    end: ({ id }: LiveSession) => void happened.push(`${id} ends`),
    moved: (phase: string) => void happened.push(phase),
    now: () => Date.now(),
    monotonic: () => Date.now(),
  };
  const drain = new Drain(hands, SEAL_MS);
  return {
    drain,
    open: (id: string, startedAt = Date.now() - 60_000) => open.set(id, { id, startedAt } as LiveSession),
    opening: (id: string) => open.set(id, { id, startedAt: undefined } as LiveSession),
    close: (id: string) => open.delete(id),
    /** What happened since the last call. */
    happened: () => happened.splice(0),
    pass: (ms: number) => mock.timers.tick(ms),
  };
}

const told = (id: string, left: string) =>
  `${id}: This gateway is being stopped: your session ends in ${left}.`;

test('people are told at once and a minute before the end, then what is left is ended', async () => {
  const { drain, open, close, happened, pass } = node();
  open('a');
  open('b');
  const done = drain.begin(600_000, 0);
  assert.equal(drain.phase, 'draining');
  assert.deepEqual(happened(), ['draining', told('a', '10 min'), told('b', '10 min')]);
  close('b');
  pass(539_000);
  assert.deepEqual(happened(), []);
  pass(1_000);
  assert.deepEqual(happened(), [told('a', '60 s')]);
  pass(59_750);
  assert.deepEqual(happened(), []);
  pass(250);
  assert.deepEqual(happened(), ['a ends']);
  close('a');
  pass(250);
  assert.deepEqual(happened(), ['maintenance']);
  assert.equal(await done, true);
  assert.match(drain.refusal ?? '', /out of service/);
});

test('new sessions are opened for the grace, told once they have a screen, and refused after it', async () => {
  const { drain, open, opening, close, happened, pass } = node();
  assert.equal(drain.refusal, undefined);
  const done = drain.begin(600_000, 10_000);
  assert.equal(drain.refusal, undefined);
  opening('late');
  pass(1_000);
  open('late', Date.now());
  pass(1_750);
  assert.deepEqual(happened(), ['draining']);
  pass(250);
  assert.deepEqual(happened(), [told('late', '10 min')]);
  pass(6_750);
  assert.equal(drain.refusal, undefined);
  pass(250);
  assert.match(drain.refusal ?? '', /being stopped: connect again/);
  close('late');
  pass(250);
  assert.equal(await done, true);
});

test('without sessions a drain is over after the grace, at once where there is none', async () => {
  const { drain, happened, pass } = node();
  const done = drain.begin(600_000, 5_000);
  pass(4_750);
  assert.equal(drain.phase, 'draining');
  pass(250);
  assert.equal(await done, true);
  assert.equal(await node().drain.begin(600_000, 0), true);
  assert.deepEqual(happened(), ['draining', 'maintenance']);
});

test('no limit at all ends sessions without a word of when, and none that cannot be sealed is waited for', async () => {
  const { drain, open, happened, pass } = node();
  open('stuck');
  const done = drain.begin(0, 10_000);
  assert.deepEqual(happened(), ['draining', 'stuck ends']);
  assert.notEqual(drain.refusal, undefined, 'a grace is no longer than the limit');
  pass(SEAL_MS - 250);
  assert.equal(drain.phase, 'draining');
  pass(250);
  assert.equal(await done, true);
  assert.equal(drain.phase, 'maintenance');
});

test('asked again it goes on under the new limit, and says so', async () => {
  const { drain, open, happened, pass } = node();
  open('a');
  const first = drain.begin(600_000, 0);
  happened();
  const second = drain.begin(300_000, 10_000);
  assert.deepEqual(happened(), [told('a', '5 min')]);
  assert.notEqual(drain.refusal, undefined, 'the grace is over once');
  pass(300_000);
  assert.ok(happened().includes('a ends'));
  pass(SEAL_MS);
  assert.deepEqual(await Promise.all([first, second]), [true, true]);
});

test('resume takes sessions again, from a drain and from maintenance', async () => {
  const { drain, open, happened, pass } = node();
  assert.equal(drain.resume(), false);
  open('a');
  const done = drain.begin(600_000, 0);
  assert.equal(drain.resume(), true);
  assert.equal(await done, false);
  assert.equal(drain.refusal, undefined);
  happened();
  pass(600_000);
  assert.deepEqual(happened(), [], 'nobody is ended any more');
  const again = drain.begin(0, 0);
  pass(SEAL_MS);
  assert.equal(await again, true);
  assert.equal(drain.resume(), true);
  assert.equal(drain.phase, 'serving');
});
