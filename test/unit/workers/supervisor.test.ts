/** Session workers that die: the port stays open, the owner is told, another one takes the place. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pino from 'pino';
import type { WorkerDeath } from '../../../workers/death.ts';
import type { ControlRequests } from '../../../workers/messages.ts';
import { answering, Supervisor } from '../../../workers/supervisor.ts';
import { threads } from '../../../workers/thread.ts';
import { until } from '../../support/process.ts';
import { temporaryFolder } from '../../support/temp.ts';
import { workerSettings } from './settings.ts';

const died: WorkerDeath[] = [];
/** Workers that beat. */
const alive = new Set<number>();
const log: string[] = [];
/** Workers that cannot be ended: until they do. */
const stuck: Promise<unknown>[] = [];
/** Nobody logs on here: a question would be a fault of the test. */
const control: ControlRequests = new Proxy({} as ControlRequests, {
  get: () => () => Promise.reject(new Error('nothing is to be asked')),
});
const logger = pino({}, { write: (line: string) => log.push(line) });
const settings = await workerSettings();
const supervisor = new Supervisor({
  // A heap that is soon full.
  kind: threads(settings, { script: new URL('./mortal-worker.ts', import.meta.url), heapMb: 96 }),
  listen: settings.listen,
  sealMs: 1_000,
  log: logger,
  onStuck: (ended) => stuck.push(ended),
  line: answering(
    {
      forWorker: () => control,
      notice: (worker, notice) => {
        if (notice.type === 'beat') alive.add(worker);
      },
      workersDied: async (death) => {
        died.push(death);
        for (const { worker } of death.workers) alive.delete(worker);
      },
    },
    logger,
  ),
});
const { ssh: port } = await supervisor.start(2);
after(() => supervisor.stop());

/** Resolves with whether an SSH server greets. */
function greeted(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', (chunk) => {
      resolve(chunk.toString('latin1').startsWith('SSH-2.0-Sallyport'));
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}

/** Two that beat. */
const bothAlive = (): Promise<readonly number[]> =>
  until('two workers beat', () => (alive.size === 2 ? [...alive] : undefined));

for (const [how, reason, exitCode] of [
  ['throw', 'error', 1],
  ['exit', 'exit', 3],
  ['hoard', 'out-of-memory', 1],
  ['block', 'blocked', 1],
] as const) {
  test(`a worker that is told to ${how} is told of and replaced, and the port never closes`, async () => {
    const [worker = assert.fail()] = await bothAlive();
    const before = died.length;
    supervisor.send(worker, { type: 'lock', sessionId: how, message: '' });
    const death = await until('the death is told', () => died[before]);
    assert.deepEqual([death.reason, death.exitCode], [reason, exitCode]);
    const [dead] = death.workers;
    assert.deepEqual([death.workers.length, dead?.worker], [1, worker]);
    assert.ok((dead?.lastBeat?.heapShare ?? 0) > 0, 'the last beat is known');
    for (let count = 0; count < 20; count += 1) assert.ok(await greeted(), `connection ${count}`);
    await bothAlive();
    assert.ok(await greeted());
    assert.equal(died.length, before + 1, 'nobody else died');
    if (how === 'throw') {
      assert.equal(death.error?.message, 'this worker was told to throw');
      assert.match(death.error.stack ?? '', /mortal-worker\.ts/);
    }
    if (how === 'block') {
      const { stack, heapBytes = 0, cpuMs = 0 } = death.blocked ?? assert.fail('nobody looked into it');
      assert.match(stack?.join('\n') ?? '', /^neverReturns \(file:.*mortal-worker\.ts:\d+:\d+\)/);
      assert.ok(heapBytes > 1e6 && cpuMs > 100);
      assert.ok((dead?.silentMs ?? 0) > 4_000);
    }
  });
}

test('a worker that is stuck in native code is replaced, and told of until it ends', async (t) => {
  const [worker = assert.fail()] = await bothAlive();
  const before = died.length;
  const pipe = join(temporaryFolder('stuck'), 'pipe');
  execFileSync('mkfifo', [pipe]);
  const free = (): void => closeSync(openSync(pipe, 'r+'));
  t.after(free);
  supervisor.send(worker, { type: 'lock', sessionId: 'stick', message: pipe });
  await until('it is known to be stuck', () => stuck.length > 0 || undefined);
  assert.deepEqual([died[before]?.reason, died[before]?.workers[0]?.worker], ['blocked', worker]);
  await bothAlive();
  assert.match(log.join(''), /a session worker is stuck in native code and cannot be ended/);
  const now = new Promise((resolve) => setImmediate(resolve, 'stuck'));
  assert.equal(await Promise.race([stuck[0], now]), 'stuck');
  free();
  await stuck[0];
  assert.equal(died.length, before + 1, 'it is told of once');
});

test('a supervisor that was stopped itself takes nobody for blocked', async () => {
  const before = died.length;
  await bothAlive();
  // As a machine that sleeps stops everything; longer than silence is borne.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 7_000);
  alive.clear();
  await bothAlive();
  assert.equal(died.length, before);
});

test('a death is logged with its cause, a replacement too', () => {
  assert.match(log.join(''), /a session worker failed/);
  assert.match(log.join(''), /this worker was told to throw/);
  assert.match(log.join(''), /a session worker is blocked and is ended/);
  assert.match(log.join(''), /a session worker is replaced/);
});
