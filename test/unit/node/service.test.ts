/** What operators order of a node, and what it tells when it goes out of service. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { parseConfig } from '../../../gateway/config/config.ts';
import type { LiveSession } from '../../../gateway/control/session-registry.ts';
import { Service } from '../../../gateway/node/service.ts';
import type { CommandRow } from '../../../gateway/store/port.ts';
import { openSqliteStore } from '../../../gateway/store/sqlite.ts';
import { until } from '../../support/process.ts';
import { temporaryFolder } from '../../support/temp.ts';

const CONFIG = 'node: {name: n1}\ndrain: {seconds: 30, graceSeconds: 20}\narchive: {graceSeconds: 0}';

async function node(t: TestContext, watched = false) {
  const store = await openSqliteStore(join(temporaryFolder('service'), 'sallyport.db'));
  t.after(() => store.close());
  const sent: unknown[] = [];
  const sessions: Pick<LiveSession, 'id' | 'worker' | 'startedAt'>[] = [];
  const changes: string[] = [];
  const service: Service = new Service({
    parts: { config: parseConfig(CONFIG, undefined), store },
    log: pino({ level: 'silent' }),
    run: () => 'run-1',
    sessions: () => sessions as LiveSession[],
    send: (worker, notice) => {
      sent.push({ worker, ...notice });
      if (notice.type === 'stop') sessions.length = 0;
    },
    watched: () => watched,
    onChange: () => changes.push(service.phase),
  });
  const order = (verb: CommandRow['verb'], change: Partial<CommandRow> = {}): string =>
    service.obey({
      id: verb,
      node: 'n1',
      subject: 'run-1',
      verb,
      limitMs: undefined,
      by: 'carol',
      reason: undefined,
      createdAt: 0,
      doneAt: undefined,
      result: undefined,
      ...change,
    });
  return { service, order, sent, sessions, changes, store };
}

test('drain and resume, each once, and only of the run that they are for', async (t) => {
  const { service, order, changes, store } = await node(t);
  assert.equal(order('resume'), 'it is not draining');
  assert.equal(order('drain', { subject: 'run-0' }), 'this node has started again since');
  assert.equal(service.refusal, undefined);
  assert.equal(order('drain'), 'ok');
  assert.equal(service.phase, 'maintenance', 'nobody was there');
  assert.equal(order('drain'), 'it has drained already');
  assert.equal(order('resume'), 'ok');
  assert.equal(service.refusal, undefined);
  assert.deepEqual(changes, ['draining', 'maintenance', 'serving']);
  const codes = await until('the audit', async () => {
    const rows = await store.audit({}, { limit: 10 });
    return rows.length === 3 ? rows.map(({ code, node: name }) => `${name} ${code}`) : undefined;
  });
  assert.deepEqual(codes.toSorted(), ['n1 node.drained', 'n1 node.draining', 'n1 node.resumed']);
});

test('an order to stop is for who started the node; nothing is ordered of one that stops', async (t) => {
  const { service, order, sessions, sent } = await node(t);
  assert.equal(order('stop', { limitMs: 0 }), 'ok');
  assert.equal(await service.ordered, 0);
  sessions.push({ id: 's1', worker: 3, startedAt: 1 });
  const stopped = service.stop(await service.ordered);
  assert.equal(order('resume'), 'this node is being stopped');
  await stopped;
  assert.deepEqual(sent, [
    { worker: 3, type: 'stop', sessionId: 's1', reason: 'this gateway is being stopped' },
  ]);
  assert.equal(service.phase, 'draining', 'nobody resumes it');
  assert.ok(service.stopping);
});

test('people are still let in where a load balancer has to see first that the node drains', async (t) => {
  const { service, order } = await node(t, true);
  assert.equal(order('drain', { limitMs: 3_600_000 }), 'ok');
  assert.equal(service.phase, 'draining');
  assert.equal(service.refusal, undefined);
  assert.equal(order('resume'), 'ok');
});
