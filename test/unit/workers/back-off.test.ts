/** Units that die again and again are replaced less and less often, and at once again when that is over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import { Supervisor, type UnitEvents } from '../../../workers/supervisor.ts';

const PORTS = { ssh: 4422, rdp: 4489 };
const listen = { ssh: { host: '127.0.0.1', port: 4422 }, rdp: { host: '127.0.0.1', port: 4489 } };

/** Over units that listen at once; `starts` is told of each before, and may throw. */
function supervise(starts: (events: UnitEvents) => void): Supervisor {
  return new Supervisor({
    kind: {
      name: 'worker',
      start(_number, _listen, events) {
        starts(events);
        queueMicrotask(() => events.listening(PORTS));
        return { send() {}, drain() {}, examine: async () => undefined, end: async () => undefined };
      },
    },
    listen,
    sealMs: 1_000,
    line: { heard() {}, died() {} },
    log: { warn() {}, error() {} },
  });
}

test('a unit that the system has no thread for is tried again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const started: UnitEvents[] = [];
  let threads = true;
  let refused = 0;
  const supervisor = supervise((events) => {
    if (!threads) {
      refused += 1;
      throw new Error('ERR_WORKER_INIT_FAILED');
    }
    started.push(events);
  });
  await supervisor.start(1);
  t.after(() => supervisor.stop());
  threads = false;
  started[0]?.ended({ reason: 'error' }, undefined);
  t.mock.timers.tick(100);
  for (let turn = 0; turn < 3; turn += 1) await settled();
  assert.equal(refused, 1);
  threads = true;
  t.mock.timers.tick(200);
  for (let turn = 0; turn < 3; turn += 1) await settled();
  assert.deepEqual([refused, started.length], [1, 2]);
});

test('each death within a minute doubles the wait for the next start, up to ten seconds', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const started: UnitEvents[] = [];
  const supervisor = supervise((events) => started.push(events));
  await supervisor.start(1);
  t.after(() => supervisor.stop());

  /** The one there is dies, at once. */
  const die = (): void => started.at(-1)?.ended({ reason: 'error' }, undefined);
  /** It dies and another is started after just so long. */
  const replacedAfter = async (ms: number): Promise<void> => {
    const before = started.length;
    die();
    t.mock.timers.tick(ms - 1);
    await settled();
    assert.equal(started.length, before, `not within ${ms} ms`);
    t.mock.timers.tick(1);
    await settled();
    assert.equal(started.length, before + 1, `after ${ms} ms`);
  };
  /** It beats, as one that is alive. */
  const live = (seconds: number): void => {
    for (let second = 0; second < seconds; second += 1) {
      t.mock.timers.tick(1_000);
      started.at(-1)?.beat();
    }
  };

  for (const ms of [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]) await replacedAfter(ms);
  live(61);
  await replacedAfter(100);
  live(30);
  await replacedAfter(200);
  // The first of the two is forgotten.
  live(30);
  await replacedAfter(200);
});
