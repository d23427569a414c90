/** Where a session may go that its target sends on. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { RedirectionOutcome } from '../../../workers/messages.ts';
import { NOON, type Node, openNode, putAccount, putPolicy, putSystem, putUser, SOURCE } from './node.ts';

const PIN = `sha256:${'ab'.repeat(32)}`;
const OTHER_PIN = `sha256:${'cd'.repeat(32)}`;

/** Alice's session on admin@farm, 10.0.0.5:3389; win02 is 10.0.0.7 and covered, win03 10.0.0.8 and not. */
async function session(t: TestContext) {
  const node = await openNode(t);
  await putUser(node, 'alice');
  const rdp = { protocol: 'rdp', hostKey: undefined, port: 3389 } as const;
  await putSystem(node, 'farm', { ...rdp, certificate: PIN });
  await putSystem(node, 'win02', { ...rdp, host: '10.0.0.7', certificate: OTHER_PIN });
  await putSystem(node, 'win03', { ...rdp, host: 'Win03.corp.example', certificate: PIN });
  await putSystem(node, 'unix', { host: '10.0.0.9' });
  for (const system of ['farm', 'win02', 'win03', 'unix']) await putAccount(node, 'CORP\\admin', system);
  const policy = { users: ['alice'], allow: ['desktop'] } as const;
  await putPolicy(node, 'farm', { ...policy, accounts: ['*@farm', '*@win02'], maxSessions: 1 });
  await putPolicy(node, 'wider', { ...policy, accounts: ['*@win03'] });
  const connection = 'c';
  const factor = { kind: 'password', password: "alice's password" } as const;
  await node.desk.authenticate({ connection, protocol: 'rdp', login: 'alice', source: SOURCE, factor });
  const target = { account: 'CORP\\admin', system: 'farm' };
  const opened = await node.desk.authorise({ connection, protocol: 'rdp', target, reason: undefined });
  assert.ok(opened.granted);
  const { sessionId } = opened.authorization;
  const redirect = (hosts: string[], userName?: string): Promise<RedirectionOutcome> =>
    node.desk.redirect({ sessionId, hosts, userName });
  return { node, sessionId, redirect };
}

async function told(node: Node, code: string) {
  return (await node.audit()).filter((row) => row.code === code).map(({ detail }) => detail);
}

test('the same address, and the host of the same system, are free to go to', async (t) => {
  const { node, redirect } = await session(t);
  const farm = { name: 'farm', host: '10.0.0.5', port: 3389, identity: PIN, legacyAlgorithms: false };
  assert.deepEqual(await redirect([]), { granted: true, system: farm });
  assert.deepEqual(await redirect(['nowhere', '10.0.0.5']), { granted: true, system: farm });
  assert.deepEqual(await told(node, 'session.redirected'), [
    { from: 'farm', system: 'farm', host: '10.0.0.5', hosts: '', account: 'CORP\\admin', policy: 'farm' },
    {
      from: 'farm',
      system: 'farm',
      host: '10.0.0.5',
      hosts: 'nowhere 10.0.0.5',
      account: 'CORP\\admin',
      policy: 'farm',
    },
  ]);
});

test('another system must be one that the policy of the session allows for the same account', async (t) => {
  const { node, redirect } = await session(t);
  const granted = await redirect(['10.0.0.7'], 'ADMIN');
  assert.ok(granted.granted);
  assert.deepEqual([granted.system.name, granted.system.identity], ['win02', OTHER_PIN]);
  for (const [host, cause] of [
    ['win03.corp.example.', 'no-policy'],
    ['10.0.0.9', 'no-system'],
    ['192.0.2.77', 'no-system'],
  ] as const) {
    const refused = await redirect([host]);
    assert.ok(!refused.granted);
    assert.match(
      refused.message,
      /^win02 sends the session on to .*, which is no system that policy farm allows/,
    );
    const rows = await told(node, 'session.redirect.refused');
    assert.deepEqual(
      [rows.at(-1)?.['code'], rows.at(-1)?.['from'], rows.at(-1)?.['hosts']],
      [cause, 'win02', host],
    );
  }
});

test('it is decided anew: account, person, certificate and hours as they are now', async (t) => {
  const { node, redirect } = await session(t);
  const refusal = async (): Promise<string> => {
    const outcome = await redirect(['10.0.0.7']);
    assert.ok(!outcome.granted);
    return outcome.message;
  };
  await putPolicy(node, 'farm', {
    users: ['alice'],
    allow: ['desktop'],
    accounts: ['*@farm', '*@win02'],
    notAfter: NOON,
  });
  assert.match(await refusal(), /policy farm allowed .* only until/);
  await putPolicy(node, 'farm', { users: ['alice'], allow: ['desktop'], accounts: ['*@farm', '*@win02'] });
  assert.ok((await redirect(['10.0.0.7'])).granted);
  assert.ok((await redirect(['10.0.0.5'])).granted);
  await putUser(node, 'alice', { disabled: true });
  assert.match(await refusal(), /no system that policy farm allows/);
  await putUser(node, 'alice');
  await putSystem(node, 'win02', { protocol: 'rdp', host: '10.0.0.7', port: 3389 });
  assert.match(await refusal(), /win02 has no certificate pinned/);
});

test('nobody is logged on as someone else', async (t) => {
  const { node, redirect } = await session(t);
  for (const name of ['admin', 'CORP\\Admin', 'admin@corp.example'])
    assert.ok((await redirect([], name)).granted, name);
  const refused = await redirect([], 'root');
  assert.ok(!refused.granted);
  assert.match(refused.message, /farm sends the session on as root, who is not CORP\\admin/);
  assert.equal((await told(node, 'session.redirect.refused'))[0]?.['code'], 'other-account');
});

test('what is pinned from then on is the new system', async (t) => {
  const { node, sessionId, redirect } = await session(t);
  await putSystem(node, 'win02', {
    protocol: 'rdp',
    hostKey: undefined,
    host: '10.0.0.7',
    port: 3390,
    certificate: 'trust-on-first-use',
  });
  const granted = await redirect(['10.0.0.7']);
  assert.ok(granted.granted && granted.system.identity === undefined && granted.system.port === 3390);
  await node.desk.pin({ sessionId, shown: OTHER_PIN });
  assert.equal((await node.store.system('win02'))?.pinned, OTHER_PIN);
  assert.equal((await node.store.system('farm'))?.pinned, undefined);
});

test('a worker redirects its own sessions only', async (t) => {
  const { node, sessionId } = await session(t);
  const other = node.control.forWorker(1);
  await assert.rejects(other.redirect({ sessionId, hosts: [], userName: undefined }), /no such session/);
});
