/**
 * Session workers in processes of their own: one is killed, crashes in native code or stands still, with a
 * crowd typing. It takes its own sessions along, is replaced, and nobody else notices.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import type { SessionRow } from '../../gateway/store/port.ts';
import {
  allType,
  assertUnnoticed,
  type EchoTarget,
  openCrowd,
  startEchoTarget,
  type Typist,
} from '../support/crowd.ts';
import { Evidence } from '../support/evidence.ts';
import { type ArchiveOf, assertProved } from '../support/faults.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { Knocking } from '../support/knocking.ts';
import { until } from '../support/process.ts';

const PROCESSES = 2;
const WORKERS = 4;
const PEOPLE = 60;

let target: EchoTarget;
let gateway: Gateway;
let evidence: Evidence;
let archive: ArchiveOf;
let crowd: Typist[] = [];

before(async () => {
  target = await startEchoTarget();
  gateway = await startGateway({
    config: { workers: { sessions: WORKERS, processes: PROCESSES } },
    document: target.document,
  });
  evidence = await Evidence.of(gateway);
  archive = { gateway, urls: [`file:${join(gateway.dataDir, 'archive')}`] };
  await allServe();
  crowd = await openCrowd(gateway, PEOPLE);
});
after(async () => {
  for (const typist of crowd) typist.end();
  target.close();
  await evidence?.close();
  await gateway?.stop();
});

/** Of the processes that have session workers. */
function processes(): readonly number[] {
  const children = readFileSync(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8');
  const pids = children.split(' ').filter((each) => each !== '');
  return pids
    .map(Number)
    .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('session-process'));
}

const died = async (): Promise<readonly SessionRow[]> =>
  (await evidence.sessions()).filter(({ endCode }) => endCode === 'worker-died');

/** Resolves when all workers take connections: who comes before is another one's. */
async function allServe(): Promise<void> {
  const url = `http://127.0.0.1:${gateway.healthPort}/metrics`;
  await until('all workers to serve', async () => {
    const text = await (await fetch(url)).text();
    return new RegExp(`^sallyport_workers(\\{.*\\})? ${WORKERS}$`, 'm').test(text) || undefined;
  });
}

async function loses(context: TestContext, signal: NodeJS.Signals, reason: string): Promise<void> {
  const earlier = new Set((await died()).map(({ id }) => id));
  const deaths = (await evidence.audit('worker.died')).length;
  for (const typist of crowd) typist.slowest();
  const knocking = new Knocking(gateway);
  context.after(() => knocking.stop());
  const [victim = assert.fail('there are no processes')] = processes();
  process.kill(victim, signal);

  const death = await until(
    'the death is told',
    async () => {
      const rows = await evidence.audit('worker.died');
      return rows.length > deaths ? rows[0] : undefined;
    },
    60_000,
  );
  const lost = await until('its sessions are closed, and sealed', async () => {
    const rows = (await died()).filter(({ id }) => !earlier.has(id));
    return rows.length > 0 && rows.every(({ sealed }) => sealed) ? rows : undefined;
  });
  await allServe();
  const gone = crowd.filter(({ closed }) => closed);
  crowd = crowd.filter(({ closed }) => !closed);
  assert.ok(crowd.length > 0, 'some are left');
  await allType(crowd);
  const slowest = assertUnnoticed(crowd);
  await knocking.stop();
  context.diagnostic(
    `${signal}: ${lost.length} sessions ended, ${crowd.length} went on, whose slowest key took ` +
      `${slowest.toFixed(0)} ms; connections meanwhile: ${JSON.stringify(knocking.counts)}`,
  );

  assert.equal(gone.length, lost.length, 'those whose connection closed are those whose session ended');
  assert.ok(!processes().includes(victim));
  // What waited to be accepted by the one that died is cut by the kernel; the port itself is always open.
  assert.equal(knocking.counts.refused, 0);
  assert.ok(knocking.counts.greeted > 0);
  assert.deepEqual([death.detail['reason'], death.detail['sessions']], [reason, lost.length]);
  const report = join(gateway.dataDir, 'crashes', String(death.detail['report']));
  const { sessions, workers } = JSON.parse(readFileSync(report, 'utf8')) as {
    readonly sessions: { readonly ids: readonly string[] };
    readonly workers: readonly unknown[];
  };
  assert.deepEqual([...sessions.ids].sort(), lost.map(({ id }) => id).sort());
  assert.equal(workers.length, WORKERS / PROCESSES);
  for (const row of lost.slice(0, 3)) await assertProved(archive, row);
  crowd.push(...(await openCrowd(gateway, PEOPLE - crowd.length)));
}

for (const [how, signal, reason] of [
  ['is killed', 'SIGKILL', 'signal'],
  ['crashes in native code', 'SIGSEGV', 'signal'],
  ['is stopped', 'SIGSTOP', 'blocked'],
] as const)
  test(`a process of workers that ${how} takes its own sessions along, and no others`, (context) =>
    loses(context, signal, reason));

test('where the main process is killed, nothing goes on', async () => {
  const pids = processes();
  await gateway.kill9();
  await until('its processes are gone', () => (pids.some(runs) ? undefined : true));
  await until('nobody is connected', () => (crowd.every(({ closed }) => closed) ? true : undefined));
  await gateway.start();
  await until('what they left is sealed', async () =>
    (await evidence.sessions()).every(({ state, sealed }) => state === 'ended' && sealed) ? true : undefined,
  );
});

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
