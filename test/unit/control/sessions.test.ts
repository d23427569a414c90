import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { WorkerDesk } from '../../../gateway/control/control-plane.ts';
import type { PolicyRow } from '../../../gateway/store/port.ts';
import { EmbeddedVault } from '../../../vault-client/index.ts';
import type { AuthorisationOutcome, SessionEnd, TargetAuthorization } from '../../../workers/messages.ts';
import {
  furnish,
  HOST_KEY,
  NOON,
  type Node,
  OTHER_KEY,
  openNode,
  putAccount,
  putPolicy,
  putSystem,
  putUser,
  SOURCE,
} from './node.ts';

const WEB01 = { account: 'root', system: 'web01' };

async function furnished(t: TestContext, change: Parameters<typeof openNode>[1] = {}): Promise<Node> {
  const node = await openNode(t, change);
  await furnish(node);
  return node;
}

interface How {
  readonly user?: string;
  readonly reason?: string;
  readonly desk?: WorkerDesk;
  readonly source?: string;
}

/** Logs a person on, alice if nobody else is named, on a connection of their own. */
async function logOn(node: Node, how: How = {}): Promise<string> {
  const { user = 'alice', desk = node.desk, source = SOURCE } = how;
  const connection = `connection-${Math.random()}`;
  const factor = { kind: 'password', password: `${user}'s password` } as const;
  await desk.authenticate({ connection, protocol: 'ssh', login: user, source, factor });
  return connection;
}

/** Logs on and asks for a target. */
async function ask(node: Node, target = WEB01, how: How = {}): Promise<AuthorisationOutcome> {
  const connection = await logOn(node, how);
  return (how.desk ?? node.desk).authorise({ connection, protocol: 'ssh', target, reason: how.reason });
}

/** That many people who logged on before ask for a target in the same moment. */
async function askAtOnce(node: Node, times: number): Promise<AuthorisationOutcome[]> {
  const connections = await Promise.all(Array.from({ length: times }, () => logOn(node)));
  const rest = { protocol: 'ssh', target: WEB01, reason: undefined } as const;
  return Promise.all(connections.map((connection) => node.desk.authorise({ connection, ...rest })));
}

async function open(node: Node, ...rest: [target?: typeof WEB01, how?: How]) {
  const outcome = await ask(node, ...rest);
  assert.ok(outcome.granted, JSON.stringify(outcome));
  return outcome.authorization;
}

function endOf({ sessionId }: TargetAuthorization, change: Partial<SessionEnd> = {}): SessionEnd {
  const recording = { segments: 3, bytes: 4096, head: 'ab'.repeat(32), sealed: true };
  const sums = { bytesFromClient: 10, bytesFromTarget: 20, recording };
  return { sessionId, code: 'client-closed', reason: 'the client closed', ...sums, ...change };
}

test('a session from decision to end: its row and its audit trail', async (t) => {
  const node = await furnished(t);
  const authorization = await open(node, WEB01, { reason: ' fix\nthe \u001b[31mdisk ' });
  assert.deepEqual(authorization, {
    sessionId: authorization.sessionId,
    user: 'alice',
    account: 'root',
    system: { name: 'web01', host: '10.0.0.5', port: 22, identity: HOST_KEY, legacyAlgorithms: false },
    policy: 'ops',
    allow: ['shell', 'exec'],
    record: true,
    keystrokes: true,
    maskKeystrokes: false,
    execLimit: 'full',
    maxDuration: 8 * 3_600_000,
    idleTimeout: 900_000,
    notAfter: undefined,
  });
  const { sessionId } = authorization;
  const row = () => node.store.session(sessionId);
  const opening = await row();
  assert.equal(opening?.state, 'opening');
  assert.equal(opening?.reason, 'fix the  [31mdisk');
  assert.equal(opening?.node, 'node1');
  assert.equal(opening?.retention, 90 * 86_400_000, 'what the configuration says');
  assert.equal(opening?.source, SOURCE);

  assert.deepEqual(await node.desk.checkOut({ sessionId }), {
    username: 'root',
    password: 'secret of root',
    privateKey: undefined,
    passphrase: undefined,
  });
  assert.match((await row())?.credentialLease ?? '', /^[0-9a-f-]{36}$/);
  assert.equal((await row())?.run, 'run-of-node1');
  node.clock.at += 1000;
  await node.desk.sessionStarted({ sessionId });
  assert.equal((await row())?.state, 'active');
  assert.equal((await row())?.startedAt, NOON + 1000);

  node.clock.at += 1000;
  await node.desk.sessionEnded(endOf(authorization));
  assert.deepEqual(await row(), {
    ...opening,
    state: 'ended',
    startedAt: NOON + 1000,
    endedAt: NOON + 2000,
    endCode: 'client-closed',
    endReason: 'the client closed',
    bytesFromClient: 10,
    bytesFromTarget: 20,
    segments: 3,
    recordedBytes: 4096,
    headHash: 'ab'.repeat(32),
    sealed: true,
  });
  const rows = (await node.audit()).filter((event) => event.sessionId === sessionId);
  assert.deepEqual(
    rows.map(({ code, actor, source, node: at }) => [code, actor, source, at].join(' ')),
    [
      'session.authorised',
      'credential.checked_out',
      'session.started',
      'session.ended',
      'credential.checked_in',
    ].map((code) => `${code} alice ${SOURCE} node1`),
  );
  assert.ok(!JSON.stringify(await node.audit()).includes('secret of root'));
});

test('a session that is told to have ended twice ends once', async (t) => {
  const node = await furnished(t);
  const authorization = await open(node);
  await node.desk.sessionEnded(endOf(authorization));
  await node.desk.sessionEnded(endOf(authorization, { code: 'terminated' }));
  assert.equal((await node.store.session(authorization.sessionId))?.endCode, 'client-closed');
  assert.equal((await node.codes()).filter((code) => code === 'session.ended').length, 1);
});

test('an end that overtakes the start is still the end', async (t) => {
  const node = await furnished(t);
  const authorization = await open(node);
  const started = node.desk.sessionStarted(authorization);
  const ended = node.desk.sessionEnded(endOf(authorization));
  await Promise.all([started, ended]);
  await node.store.transaction(async () => {});
  assert.equal((await node.store.session(authorization.sessionId))?.state, 'ended');
});

test('what does not exist, is disabled or is covered by no policy is denied in one sentence', async (t) => {
  const node = await furnished(t);
  await putSystem(node, 'db01');
  await putAccount(node, 'root', 'db01');
  await putPolicy(node, 'everything', { users: ['alice'], accounts: ['*@nowhere', 'ghost@*'] });
  const causes: [target: typeof WEB01, cause: string][] = [
    [{ account: 'root', system: 'db01' }, 'no-policy'],
    [{ account: 'root', system: 'unknown' }, 'no-policy'],
    [{ account: 'root', system: 'nowhere' }, 'no-system'],
    [{ account: 'ghost', system: 'web01' }, 'no-account'],
  ];
  for (const [target, cause] of causes) {
    const message = `no policy allows you ${target.account}@${target.system}`;
    assert.deepEqual(await ask(node, target), {
      granted: false,
      code: 'no-policy',
      message,
      reasonRequired: false,
    });
    const denied = (await node.audit()).filter(({ code }) => code === 'session.denied').at(-1);
    assert.equal(denied?.detail['code'], cause);
    assert.equal(denied?.actor, 'alice');
  }
});

test('a person who was disabled after the log-on opens nothing', async (t) => {
  const node = await furnished(t);
  const factor = { kind: 'password', password: "alice's password" } as const;
  await node.present('alice', factor, 'c');
  await putUser(node, 'alice', { disabled: true });
  assert.deepEqual(await node.desk.targets({ connection: 'c', protocol: 'ssh' }), []);
  const outcome = await node.desk.authorise({
    connection: 'c',
    protocol: 'ssh',
    target: WEB01,
    reason: undefined,
  });
  assert.ok(!outcome.granted && outcome.code === 'no-policy');
});

test('the rule that denies is told', async (t) => {
  const node = await furnished(t);
  const schedule = [{ days: [6], from: 480, to: 1080, timeZone: 'Europe/Berlin' }];
  const rows: [change: Partial<PolicyRow>, code: string, message: RegExp, reasonRequired: boolean][] = [
    [
      { schedule },
      'outside-schedule',
      /^policy ops allows root@web01 only sat 08:00–18:00 \(Europe\/Berlin\)$/,
      false,
    ],
    [{ reasonRequired: true }, 'reason-required', /^a reason is required: policy ops/, true],
    [{ maxSessions: 0 }, 'too-many-sessions', /^0 of 0 sessions under policy ops are open/, false],
  ];
  for (const [change, code, message, reasonRequired] of rows) {
    await putPolicy(node, 'ops', change);
    const outcome = await ask(node);
    assert.ok(!outcome.granted && outcome.code === code && outcome.reasonRequired === reasonRequired);
    assert.match(outcome.message, message);
  }
  await putPolicy(node, 'ops', { reasonRequired: true });
  await open(node, WEB01, { reason: 'CHG-1' });
});

test('a system of another protocol, or without a host key, is not dialled', async (t) => {
  const node = await furnished(t);
  await putSystem(node, 'web01', { protocol: 'rdp' });
  const rdp = await ask(node);
  assert.ok(!rdp.granted && rdp.code === 'wrong-protocol');
  assert.equal(rdp.message, 'web01 is reached over rdp, not ssh');
  await putSystem(node, 'web01', { hostKey: undefined });
  const unpinned = await ask(node);
  assert.ok(!unpinned.granted && unpinned.code === 'no-host-key');
});

test('as many sessions as the policy allows, however many ask at once', async (t) => {
  const node = await furnished(t);
  await putPolicy(node, 'ops', { maxSessions: 3 });
  const outcomes = await askAtOnce(node, 8);
  const granted = outcomes.flatMap((outcome) => (outcome.granted ? [outcome.authorization] : []));
  assert.equal(granted.length, 3);
  const full = await ask(node);
  assert.ok(
    !full.granted && full.message === '3 of 3 sessions under policy ops are open: end one of them first',
  );
  const [first] = granted;
  assert.ok(first !== undefined);
  await node.desk.sessionEnded(endOf(first));
  await open(node);
  await putUser(node, 'bob');
  await open(node, WEB01, { user: 'bob' });
});

test('a session keeps how long its recording was promised to last when it began', async (t) => {
  const node = await furnished(t);
  const retention = async () => {
    const { sessionId } = await open(node);
    return (await node.store.session(sessionId))?.retention;
  };
  await putPolicy(node, 'ops', { retention: 'forever' });
  assert.equal(await retention(), 'forever');
  await putPolicy(node, 'ops', { retention: 1000 });
  assert.equal(await retention(), 1000);
  await putPolicy(node, 'ops', { record: false });
  assert.equal(await retention(), undefined);
});

test('as many sessions as the node holds, however many ask at once', async (t) => {
  const node = await furnished(t, { maxSessions: 2 });
  const outcomes = await askAtOnce(node, 5);
  assert.equal(outcomes.filter(({ granted }) => granted).length, 2);
  const full = await ask(node);
  assert.ok(!full.granted && full.code === 'node-full');
  assert.equal(full.message, 'this node is full, 2 of 2 sessions are open: try again later');
});

test('limits of people, addresses and systems hold however many ask at once', async (t) => {
  const rows = [
    [{ perUser: 3 }, undefined, 'user-full', '3 of 3 sessions of yours are open: end one of them first'],
    [
      { perSource: 2 },
      undefined,
      'source-full',
      `2 of 2 sessions from ${SOURCE} are open: end one of them first`,
    ],
    [
      { perSystem: 4 },
      undefined,
      'system-full',
      '4 of 4 sessions on web01 are open: try again when one of them has ended',
    ],
    [
      { perSystem: 4 },
      1,
      'system-full',
      '1 of 1 sessions on web01 are open: try again when one of them has ended',
    ],
  ] as const;
  for (const [limits, maxSessions, code, message] of rows) {
    const node = await furnished(t, { limits });
    await putSystem(node, 'web01', { maxSessions });
    const outcomes = await askAtOnce(node, 6);
    assert.equal(outcomes.filter(({ granted }) => granted).length, Number(message[0]));
    const full = await ask(node);
    assert.ok(!full.granted && full.code === code && full.message === message, JSON.stringify(full));
    const told = (await node.audit()).filter((row) => row.code === 'session.refused');
    assert.equal(told[0]?.detail['code'], code);
  }
});

test('addresses that one subscriber of IPv6 holds are one source', async (t) => {
  const node = await furnished(t, { limits: { perSource: 2 } });
  await open(node, WEB01, { source: '2001:db8:0:7::1' });
  await open(node, WEB01, { source: '2001:db8:0:7:1234:5678:9abc:def0' });
  const full = await ask(node, WEB01, { source: '2001:db8:0:7::2' });
  assert.ok(!full.granted && full.code === 'source-full', JSON.stringify(full));
  assert.match(full.message, /^2 of 2 sessions from 2001:db8:0:7::\/64 are open/);
  await open(node, WEB01, { source: '2001:db8:0:8::1' });
  await open(node, WEB01, { source: '192.0.2.9' });
});

test('a limit of its own tells nobody of a system that they may not open', async (t) => {
  const node = await furnished(t, { limits: { perSystem: 1 } });
  await open(node);
  await putPolicy(node, 'ops', { users: ['alice'] });
  await putUser(node, 'bob');
  const refused = await ask(node, WEB01, { user: 'bob' });
  assert.ok(!refused.granted && refused.code !== 'system-full', JSON.stringify(refused));
});

test('workers are told to shut their doors while the node is full, once, and to open them again', async (t) => {
  const node = await furnished(t, { maxSessions: 1 });
  const doors = () =>
    node.sent.flatMap(({ worker, notice }) =>
      notice.type === 'door' ? [`${worker} ${notice.closed?.code ?? 'open'}`] : [],
    );
  const calm = { lagMs: 0, heapShare: 0, pid: 1, rssBytes: 1 };
  node.desk.beat(calm);
  node.control.forWorker(1).beat(calm);
  await node.control.tick();
  assert.deepEqual(doors(), []);
  const opened = await open(node);
  await node.control.tick();
  await node.control.tick();
  assert.deepEqual(doors(), ['0 full', '1 full']);
  await node.desk.sessionEnded(endOf(opened));
  await node.control.tick();
  assert.deepEqual(doors().slice(2), ['0 open', '1 open']);
});

test('a node that drains shuts the doors at once, and refuses who is in already', async (t) => {
  const node = await furnished(t);
  node.desk.beat({ lagMs: 0, heapShare: 0, pid: 1, rssBytes: 1 });
  node.lease.refusal = 'this gateway is being stopped';
  node.control.tellDoors();
  node.lease.refusal = undefined;
  node.control.tellDoors();
  assert.deepEqual(
    node.sent.map(({ notice }) => notice),
    [
      { type: 'door', closed: { code: 'draining', message: 'this gateway is being stopped' } },
      { type: 'door', closed: undefined },
    ],
  );
  node.lease.refusal = 'this gateway is being stopped';
  const refused = await ask(node, WEB01);
  assert.ok(!refused.granted && refused.code === 'node-draining', JSON.stringify(refused));
  assert.equal(refused.message, 'this gateway is being stopped');
});

test('who is turned away at the door is a row, and then a count', async (t) => {
  const node = await furnished(t);
  const flood = { protocol: 'ssh', reason: 'source-limit', source: '198.51.100.9' } as const;
  for (const count of [4000, 1000]) node.desk.turnedAway({ ...flood, count });
  const told = (await node.audit()).filter(({ code }) => code === 'session.refused');
  assert.deepEqual(
    told.map(({ source, detail }) => [source, detail['code'], detail['count']]),
    [
      ['198.51.100.9', 'source-limit', undefined],
      ['198.51.100.9', 'source-limit', 4999],
    ],
  );
});

test('a client that leaves while its session is decided leaves no session behind', async (t) => {
  const node = await furnished(t);
  await node.present('alice', { kind: 'password', password: "alice's password" }, 'c');
  const deciding = node.desk.authorise({
    connection: 'c',
    protocol: 'ssh',
    target: WEB01,
    reason: undefined,
  });
  node.desk.connectionClosed('c');
  const outcome = await deciding;
  assert.ok(!outcome.granted && outcome.code === 'client-closed');
  const [row] = await node.store.sessions({}, { limit: 10 });
  assert.equal(row?.state, 'ended');
});

test('the picker lists what the person may open now', async (t) => {
  const node = await furnished(t);
  await putSystem(node, 'app01');
  await putSystem(node, 'win01', { protocol: 'rdp' });
  await putSystem(node, 'new01', { hostKey: undefined });
  for (const system of ['app01', 'win01', 'new01', 'web01']) await putAccount(node, 'deploy', system);
  const night = [{ days: [], from: 0, to: 60, timeZone: 'UTC' }];
  await putPolicy(node, 'apps', { accounts: ['*@app01', '*@win01', '*@new01'], reasonRequired: true });
  await putPolicy(node, 'ops', { accounts: ['root@web01'] });
  await putPolicy(node, 'night', { accounts: ['deploy@web01'], schedule: night });
  await putPolicy(node, 'others', { users: ['bob'], accounts: ['*'] });
  await node.present('alice', { kind: 'password', password: "alice's password" }, 'c');
  const rest = { protocol: 'ssh' } as const;
  assert.deepEqual(await node.desk.targets({ connection: 'c', ...rest }), [
    { account: 'deploy', system: 'app01', policy: 'apps', reasonRequired: true, ...rest },
    { account: 'root', system: 'web01', policy: 'ops', reasonRequired: false, ...rest },
  ]);
  assert.deepEqual(await node.desk.targets({ connection: 'unknown', ...rest }), []);
});

test('a credential is checked out once, for the worker that holds the session', async (t) => {
  const node = await furnished(t);
  const { sessionId } = await open(node);
  await assert.rejects(node.control.forWorker(1).checkOut({ sessionId }), /no such session is open here/);
  await assert.rejects(node.desk.checkOut({ sessionId: 'other' }), /no such session is open here/);
  await node.desk.checkOut({ sessionId });
  await assert.rejects(node.desk.checkOut({ sessionId }), /checked out before/);
});

test('a credential that cannot be read is told, without a secret, and leaves nothing to check in', async (t) => {
  const node = await furnished(t);
  await putAccount(node, 'root', 'web01', { secret: node.masterKey.seal('{}', 'elsewhere') });
  const authorization = await open(node);
  await assert.rejects(node.desk.checkOut(authorization), { name: 'VaultError' });
  await node.desk.sessionEnded(endOf(authorization, { code: 'target-auth-failed', recording: undefined }));
  const codes = (await node.codes()).filter((code) => code.startsWith('credential.'));
  assert.deepEqual(codes, ['credential.check_out_failed']);
});

/** A vault that takes nothing back for a while. */
class Stubborn extends EmbeddedVault {
  failures = 2;
  returned: string[] = [];
  override async checkIn(...[lease]: [lease?: string]): Promise<void> {
    if (this.failures-- > 0) throw new Error('the vault is away');
    this.returned.push(lease ?? '');
  }
}

test('a check-in that fails is tried again, and does not keep the row open', async (t) => {
  const source = await openNode(t);
  const vault = new Stubborn(source.store, source.masterKey);
  await furnish(source);
  const node = await furnished(t, { vault });
  const authorization = await open(node);
  await node.desk.checkOut(authorization);
  await node.desk.sessionEnded(endOf(authorization));
  assert.equal((await node.store.session(authorization.sessionId))?.state, 'ended');
  await node.control.tick();
  assert.equal(vault.failures, 1, 'left alone for a while');
  for (let i = 0; i < 3; i++) {
    node.clock.at += 5000;
    await node.control.tick();
  }
  assert.equal(vault.returned.length, 1);
  assert.equal((await node.codes()).filter((code) => code === 'credential.checked_in').length, 1);
});

/** A vault that is far away. */
class Distant extends EmbeddedVault {
  readonly arrival = Promise.withResolvers<void>();
  override async checkIn(): Promise<void> {
    await this.arrival.promise;
  }
}

test('a row is closed without waiting for the vault', async (t) => {
  const source = await openNode(t);
  const vault = new Distant(source.store, source.masterKey);
  await furnish(source);
  const node = await furnished(t, { vault });
  const authorization = await open(node);
  await node.desk.checkOut(authorization);
  const ended = node.desk.sessionEnded(endOf(authorization));
  const isClosed = async () => (await node.store.session(authorization.sessionId))?.state === 'ended';
  while (!(await isClosed())) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(!(await node.codes()).includes('credential.checked_in'));
  vault.arrival.resolve();
  await ended;
  assert.ok((await node.codes()).includes('credential.checked_in'));
});

test('the first host key is pinned, and no other after it', async (t) => {
  const node = await furnished(t);
  await putSystem(node, 'web01', { hostKey: 'trust-on-first-use' });
  const first = await open(node);
  const second = await open(node);
  assert.equal(first.system.identity, undefined);
  const pin = ({ sessionId }: TargetAuthorization, hostKey: string) =>
    node.desk.pin({ sessionId, shown: hostKey });
  await assert.rejects(pin(first, 'ssh-ed25519 AAAA'), /showed no host key/);
  await pin(first, `${HOST_KEY} root@web01`);
  await pin(second, HOST_KEY);
  await assert.rejects(pin(second, OTHER_KEY), /another host key was pinned meanwhile/);
  assert.equal((await open(node)).system.identity, HOST_KEY);
  const pinned = (await node.audit()).filter(({ code }) => code === 'target.host_key.pinned');
  assert.deepEqual(
    pinned.map(({ detail }) => detail),
    [{ system: 'web01', hostKey: HOST_KEY }],
  );
});

test('a key is pinned only where that is allowed, and for the address that showed it', async (t) => {
  const node = await furnished(t);
  const fixed = await open(node);
  const pin = (sessionId: string) => node.desk.pin({ sessionId, shown: OTHER_KEY });
  await assert.rejects(pin(fixed.sessionId), /does not trust on first use/);
  await putSystem(node, 'web01', { hostKey: 'trust-on-first-use' });
  const moved = await open(node);
  await putSystem(node, 'web01', { hostKey: 'trust-on-first-use', host: '10.0.0.6' });
  await assert.rejects(pin(moved.sessionId), /moved to another address/);
  assert.equal((await node.store.system('web01'))?.pinned, undefined);
});

test("a dead worker's sessions end, and only its own", async (t) => {
  const node = await furnished(t);
  const mine = await open(node);
  const other = node.control.forWorker(1);
  const theirs = await open(node, WEB01, { desk: other });
  await node.desk.checkOut(mine);
  assert.deepEqual(
    node.control.sessionsOf(0).map(({ id }) => id),
    [mine.sessionId],
  );
  await node.control.workerDied(0);
  assert.deepEqual(node.control.sessionsOf(0), []);
  const row = await node.store.session(mine.sessionId);
  assert.deepEqual([row?.state, row?.endCode, row?.sealed], ['ended', 'worker-died', false]);
  assert.equal((await node.store.session(theirs.sessionId))?.state, 'opening');
  assert.ok((await node.codes()).includes('credential.checked_in'));
});

test('a node without its lease opens nothing', async (t) => {
  const node = await furnished(t);
  node.lease.held = false;
  const refused = await ask(node);
  assert.ok(!refused.granted && refused.code === 'lease-lost');
  assert.equal(refused.message, 'this node is cut off from its peers and opens no sessions: try again later');
  node.lease.held = true;
  await open(node);
});

test('what a peer has said of the end of a session stands', async (t) => {
  const node = await furnished(t);
  const authorization = await open(node);
  const { sessionId } = authorization;
  await node.desk.checkOut(authorization);
  const change = {
    state: 'ended',
    endCode: 'worker-died',
    credentialLease: undefined,
    sealed: true,
  } as const;
  await node.store.updateSession(sessionId, change);
  await node.desk.sessionEnded(endOf(authorization, { code: 'lease-lost' }));
  const row = await node.store.session(sessionId);
  assert.deepEqual([row?.endCode, row?.sealed, row?.headHash], ['worker-died', true, undefined]);
  const codes = await node.codes();
  assert.ok(!codes.includes('session.ended') && !codes.includes('credential.checked_in'), codes.join());
});

test('how far recordings are is written for the sessions of the worker that says so, until they end', async (t) => {
  const node = await furnished(t);
  const mine = await open(node);
  const other = node.control.forWorker(1);
  const theirs = await open(node, WEB01, { desk: other });
  const head = ({ sessionId }: { sessionId: string }, segments: number) => ({
    sessionId,
    segments,
    bytes: segments * 100,
    head: 'cd'.repeat(32),
  });
  node.desk.heads([head(mine, 3), head(theirs, 9), head({ sessionId: 'none' }, 1)]);
  await node.control.tick();
  const row = await node.store.session(mine.sessionId);
  assert.deepEqual([row?.segments, row?.recordedBytes, row?.headHash], [3, 300, 'cd'.repeat(32)]);
  assert.equal((await node.store.session(theirs.sessionId))?.segments, undefined);

  // A worker that dies says no more: what it told last stays known.
  await node.control.workerDied(0);
  const dead = await node.store.session(mine.sessionId);
  assert.deepEqual([dead?.segments, dead?.sealed, dead?.endCode], [3, false, 'worker-died']);
  await other.sessionEnded(endOf(theirs));
  other.heads([head(theirs, 9)]);
  await node.control.tick();
  assert.equal((await node.store.session(theirs.sessionId))?.segments, 3);
});

test('keystrokes reach the store', async (t) => {
  const node = await furnished(t);
  const { sessionId } = await open(node);
  const lines = ['l', 's', '<Enter>'].map(
    (text) => ({ sessionId, channel: 0, at: NOON, kind: 'keys', text }) as const,
  );
  node.desk.keystrokes(lines);
  await node.control.tick();
  assert.deepEqual(await node.store.keystrokes(sessionId), lines.toReversed());
});

test("a worker's audit events get their user, and cannot flood the store", async (t) => {
  const node = await furnished(t);
  const { sessionId } = await open(node);
  const refused = { sessionId, connection: undefined, source: undefined, detail: { request: 'x11' } };
  for (let i = 0; i < 500; i++) node.desk.audit({ ...refused, code: 'session.request.refused' });
  node.desk.audit({ ...refused, code: 'no.such.code' });
  const rows = (await node.audit()).filter(({ code }) => code === 'session.request.refused');
  assert.equal(rows.length, 51);
  assert.ok(rows.every(({ actor, source }) => actor === 'alice' && source === SOURCE));
  assert.equal(rows.at(-1)?.detail['count'], 450);
  assert.ok(!(await node.codes()).includes('no.such.code'));
});
