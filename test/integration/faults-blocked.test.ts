/** A session worker is blocked on purpose, with a hundred people typing: it is replaced, and the others never notice. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  allType,
  assertUnnoticed,
  type EchoTarget,
  openCrowd,
  startEchoTarget,
  type Typist,
} from '../support/crowd.ts';
import { Evidence } from '../support/evidence.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { INSPECTED, openInspector } from '../support/inspector.ts';
import { Knocking } from '../support/knocking.ts';
import { until } from '../support/process.ts';
import { temporaryFolder } from '../support/temp.ts';

const WORKERS = 3;
const PEOPLE = 100;
/** From a timer: a thread that is blocked within the inspector could not be looked into by it. */
const BLOCKING = 'setTimeout(function blocksOnPurpose() { for (;;); }, 1000) && undefined';

let target: EchoTarget;
let gateway: Gateway;
let evidence: Evidence;
let crowd: Typist[] = [];

before(async () => {
  target = await startEchoTarget();
  gateway = await startGateway({
    config: { workers: { sessions: WORKERS }, drain: { seconds: 10, graceSeconds: 1 } },
    document: target.document,
    env: INSPECTED,
  });
  evidence = await Evidence.of(gateway);
  crowd = await openCrowd(gateway, PEOPLE);
});
after(async () => {
  for (const typist of crowd) typist.end();
  target.close();
  await evidence?.close();
  await gateway?.stop();
});

test('a worker that is blocked is replaced, with a report of where it was; the others never notice', async (t) => {
  const inspector = await openInspector(gateway, WORKERS);
  const [victim = assert.fail()] = inspector.workers;
  await victim.evaluate(BLOCKING);
  inspector.close();
  for (const typist of crowd) typist.slowest();
  const knocking = new Knocking(gateway);
  t.after(() => knocking.stop());
  const death = await evidence.event('worker.died');
  const lost = await until('its sessions are closed, and sealed', async () => {
    const rows = (await evidence.sessions()).filter(({ endCode }) => endCode === 'worker-died');
    return rows.length > 0 && rows.every(({ sealed }) => sealed) ? rows : undefined;
  });
  await until('it is replaced', () => /a session worker is replaced/.test(gateway.log()) || undefined);
  const left = crowd.filter(({ closed }) => !closed);
  await allType(left);
  const slowest = assertUnnoticed(left);
  await knocking.stop();
  const counts = JSON.stringify(knocking.counts);
  t.diagnostic(
    `${lost.length} sessions ended; the slowest key of ${left.length} others: ${slowest.toFixed(0)} ms`,
  );
  t.diagnostic(`connections meanwhile: ${counts}`);

  assert.equal(left.length + lost.length, PEOPLE, 'nobody else was cut off');
  assert.equal(knocking.counts.refused, 0);
  assert.deepEqual([death.detail['reason'], death.detail['sessions']], ['blocked', lost.length]);
  const report = join(gateway.dataDir, 'crashes', String(death.detail['report']));
  const { blocked } = JSON.parse(readFileSync(report, 'utf8')) as {
    readonly blocked: { readonly stack?: readonly string[] };
  };
  assert.match(blocked.stack?.[0] ?? '', /^blocksOnPurpose /);
  const { text } = await gateway.sallyport(['check']);
  assert.match(text, /crashes +advice +session workers died in the last 7 days/);
});

test('a worker that is stuck in native code takes the node out of service, and a stop ends it all the same', async () => {
  for (const typist of crowd) typist.end();
  const pipe = join(temporaryFolder('stuck'), 'pipe');
  execFileSync('mkfifo', [pipe]);
  const inspector = await openInspector(gateway, WORKERS);
  // No thread ends that opens a pipe which nobody writes to.
  const reads = `process.getBuiltinModule('node:fs').openSync(${JSON.stringify(pipe)})`;
  await inspector.workers[0]?.evaluate(`setTimeout(() => ${reads}, 1000) && undefined`);
  inspector.close();
  await until('the node says so', async () => {
    const answer = await fetch(`http://127.0.0.1:${gateway.healthPort}/readyz`);
    const { reasons } = (await answer.json()) as { readonly reasons: readonly { readonly code: string }[] };
    return reasons.some(({ code }) => code === 'worker-stuck') && answer.status === 503 ? true : undefined;
  });
  assert.equal(await gateway.stop(), 0);
  assert.match(gateway.log(), /node stopped/);
});
