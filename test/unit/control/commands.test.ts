import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { CommandRow } from '../../../gateway/store/port.ts';
import { furnish, NOON, type Node, openNode } from './node.ts';

async function withSession(t: TestContext): Promise<{ node: Node; sessionId: string }> {
  const node = await openNode(t);
  await furnish(node);
  await node.present('alice', { kind: 'password', password: "alice's password" }, 'c');
  const target = { account: 'root', system: 'web01' };
  const outcome = await node.desk.authorise({ connection: 'c', protocol: 'ssh', target, reason: undefined });
  assert.ok(outcome.granted);
  return { node, sessionId: outcome.authorization.sessionId };
}

let commands = 0;
async function order(
  node: Node,
  sessionId: string,
  verb: CommandRow['verb'],
  change: Partial<CommandRow> = {},
) {
  const id = `command-${commands++}`;
  const given = {
    by: 'carol',
    limitMs: undefined,
    reason: undefined,
    createdAt: NOON,
    doneAt: undefined,
    result: undefined,
  };
  await node.store.insertCommand({ id, node: 'node1', subject: sessionId, verb, ...given, ...change });
  return async () => (await node.store.command(id))?.result;
}

test('lock, unlock and terminate reach the worker, the row and the audit trail', async (t) => {
  const { node, sessionId } = await withSession(t);
  await node.desk.sessionStarted({ sessionId });
  const state = async () => (await node.store.session(sessionId))?.state;

  const locked = await order(node, sessionId, 'lock');
  await node.control.tick();
  assert.equal(await locked(), 'ok');
  assert.equal(await state(), 'locked');
  const unlocked = await order(node, sessionId, 'unlock');
  await node.control.tick();
  assert.equal(await unlocked(), 'ok');
  assert.equal(await state(), 'active');
  const terminated = await order(node, sessionId, 'terminate', { reason: 'policy breach' });
  const again = await order(node, sessionId, 'terminate');
  await node.control.tick();
  assert.equal(await terminated(), 'ok');
  assert.equal(await again(), 'ok');

  assert.deepEqual(node.sent, [
    {
      worker: 0,
      notice: {
        type: 'lock',
        sessionId,
        message: 'Your session has been locked. Please contact your administrator.',
      },
    },
    { worker: 0, notice: { type: 'unlock', sessionId, message: 'Your session has been unlocked.' } },
    { worker: 0, notice: { type: 'terminate', sessionId, reason: 'policy breach' } },
    { worker: 0, notice: { type: 'terminate', sessionId, reason: 'terminated by carol' } },
  ]);
  const rows = (await node.audit()).filter(({ actor }) => actor === 'carol');
  assert.deepEqual(
    rows.map(({ code, detail }) => [code, detail]),
    [
      ['session.locked', { user: 'alice', account: 'root', system: 'web01' }],
      ['session.unlocked', { user: 'alice', account: 'root', system: 'web01' }],
      ['session.terminated', { user: 'alice', account: 'root', system: 'web01', reason: 'policy breach' }],
      ['session.terminated', { user: 'alice', account: 'root', system: 'web01' }],
    ],
  );
});

test('orders are carried out in the order in which they were given', async (t) => {
  const { node, sessionId } = await withSession(t);
  await order(node, sessionId, 'unlock', { createdAt: NOON + 2 });
  await order(node, sessionId, 'lock', { createdAt: NOON + 1 });
  await node.control.tick();
  assert.deepEqual(
    node.sent.map(({ notice }) => notice.type),
    ['lock', 'unlock'],
  );
});

test('a session locked before it started stays locked when it starts', async (t) => {
  const { node, sessionId } = await withSession(t);
  await order(node, sessionId, 'lock');
  await node.control.tick();
  await node.desk.sessionStarted({ sessionId });
  assert.equal((await node.store.session(sessionId))?.state, 'locked');
  await order(node, sessionId, 'unlock');
  await node.control.tick();
  assert.equal((await node.store.session(sessionId))?.state, 'active');
});

test('an order for a session that is not here is answered so, and others are left alone', async (t) => {
  const { node, sessionId } = await withSession(t);
  const unknown = await order(node, 'gone', 'lock');
  const foreign = await order(node, sessionId, 'lock', { node: 'node2' });
  await node.control.tick();
  assert.equal(await unknown(), 'no such session on this node');
  assert.equal(await foreign(), undefined);
  assert.deepEqual(node.sent, []);
});

test('a second lock or unlock is refused in words, and nobody is told twice', async (t) => {
  const { node, sessionId } = await withSession(t);
  const results: (string | undefined)[] = [];
  for (const verb of ['unlock', 'lock', 'lock', 'unlock', 'unlock'] as const) {
    const result = await order(node, sessionId, verb);
    await node.control.tick();
    results.push(await result());
  }
  assert.deepEqual(results, ['is not locked', 'ok', 'is locked already', 'ok', 'is not locked']);
  assert.deepEqual(
    node.sent.map(({ notice }) => notice.type),
    ['lock', 'unlock'],
  );
});

test('a lock that failed half-way is carried out again, not refused as a second one', async (t) => {
  const { node, sessionId } = await withSession(t);
  const finish = t.mock.method(node.store, 'finishCommand');
  finish.mock.mockImplementationOnce(() => Promise.reject(new Error('the database is away')));
  const locked = await order(node, sessionId, 'lock');
  await node.control.tick().catch(() => {});
  assert.equal(await locked(), undefined);
  await node.control.tick();
  assert.equal(await locked(), 'ok');
});

test('a session that ends while it is locked stays ended', async (t) => {
  const { node, sessionId } = await withSession(t);
  const sums = { bytesFromClient: 0, bytesFromTarget: 0, recording: undefined };
  node.onSent.run = () => {
    void node.desk.sessionEnded({ sessionId, code: 'client-closed', reason: 'the client closed', ...sums });
  };
  await order(node, sessionId, 'lock');
  await node.control.tick();
  assert.equal((await node.store.session(sessionId))?.state, 'ended');
});

test('orders of the node itself are handed on once, even where their end cannot be written at first', async (t) => {
  const node = await openNode(t);
  const finish = t.mock.method(node.store, 'finishCommand');
  finish.mock.mockImplementationOnce(() => Promise.reject(new Error('the database is away')));
  const drained = await order(node, 'run-of-node1', 'drain', { limitMs: 600_000 });
  await node.control.tick();
  assert.equal(node.control.storeDown, true);
  await node.control.tick();
  assert.equal(node.control.storeDown, false);
  assert.equal(await drained(), 'ok');
  const resumed = await order(node, 'run-of-node1', 'resume');
  await node.control.tick();
  assert.equal(await resumed(), 'ok');
  assert.deepEqual(
    node.obeyed.map(({ verb, subject, limitMs }) => [verb, subject, limitMs]),
    [
      ['drain', 'run-of-node1', 600_000],
      ['resume', 'run-of-node1', undefined],
    ],
  );
});
