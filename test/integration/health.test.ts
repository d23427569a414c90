/** A node behind a real HAProxy: what its checks see while the node is full, drains, is out of service and comes back. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Bed, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { Evidence } from '../support/evidence.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { startHaproxy } from '../support/peers.ts';
import { freePort, until } from '../support/process.ts';
import { temporaryFolder } from '../support/temp.ts';

const NEEDS = ['openssh-server', 'openssh-client', 'haproxy'] as const;
const MAX_SESSIONS = 4;
const archive = join(temporaryFolder('health'), 'archive');
let bed: Bed;
let evidence: Evidence;

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  mkdirSync(archive);
  bed = await startBed({
    config: {
      listen: { proxyProtocol: { from: ['127.0.0.2/32'] } },
      capacity: { maxSessions: MAX_SESSIONS },
      archive: { url: `file:${archive}` },
      drain: { seconds: 30, graceSeconds: 1 },
    },
  });
  evidence = await Evidence.of(bed.gateway);
});
after(async () => {
  await evidence?.close();
  await bed?.stop();
});

interface Readiness {
  readonly ready: boolean;
  readonly state: string;
  readonly weight: number;
  readonly reasons: readonly { readonly code: string; readonly message: string }[];
}

async function readyz(): Promise<{ status: number; body: Readiness }> {
  const answer = await fetch(`http://127.0.0.1:${bed.gateway.healthPort}/readyz`);
  return { status: answer.status, body: (await answer.json()) as Readiness };
}

/** `/readyz` once its codes are these; without one, once the node is ready. */
const becomes = (...codes: readonly string[]) =>
  until(`the node is ${codes.join(', ') || 'ready'}`, async () => {
    const { status, body } = await readyz();
    assert.equal(status, body.ready ? 200 : 503);
    return body.reasons.map(({ code }) => code).join() === codes.join() ? body : undefined;
  });

const DEFAULTS = [
  'defaults',
  '  mode tcp',
  ...['connect', 'client', 'server'].map((of) => `  timeout ${of} 30s`),
];

/** HAProxy before this node, as it sees it. */
async function balancer(server: string) {
  const [port, stats] = [await freePort(), await freePort()];
  const lines = [
    ...DEFAULTS,
    'listen nodes',
    `  bind 127.0.0.1:${port}`,
    ...server.split('\n').map((line) => `  ${line}`),
    'listen stats',
    '  mode http',
    `  bind 127.0.0.1:${stats}`,
    '  stats enable',
    '  stats uri /',
  ];
  const haproxy = await startHaproxy(`${lines.join('\n')}\n`, stats);
  return {
    /** Once the server's status is so, and its weight as free as this, less a little where the machine is busy. */
    async sees(status: RegExp, weight?: number): Promise<void> {
      let last = '';
      await until(`HAProxy sees ${status}, weight ${weight}`, async () => {
        const csv = await (await fetch(`http://127.0.0.1:${stats}/;csv`)).text();
        const [head = '', ...rows] = csv.split('\n');
        const names = head.split(',');
        const cells = rows.find((row) => row.startsWith('nodes,one,'))?.split(',') ?? [];
        const of = (name: string): string => cells[names.indexOf(name)] ?? '';
        last = `${of('status')}, weight ${of('weight')}, agent ${of('agent_status')} ${of('last_agt')}`;
        const fits =
          weight === undefined || (Number(of('weight')) <= weight && Number(of('weight')) > weight - 20);
        return status.test(of('status')) && fits ? true : undefined;
      }).catch((error: unknown) => assert.fail(`${String(error)}: ${last}`));
    },
    stop: () => haproxy.stop(),
  };
}

const agentChecked = () => {
  const { sshPort, agentCheckPort } = bed.gateway;
  return balancer(
    `server one 127.0.0.1:${sshPort} weight 100 check inter 1s agent-check agent-port ${agentCheckPort} agent-inter 200ms`,
  );
};

async function probes(): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${bed.gateway.healthPort}/metrics`)).text();
  return Number(/^sallyport_probes_total(?:\{.*\})? (\d+)$/m.exec(text)?.[1] ?? 0);
}

/** Connects and leaves without a word. */
function knock(port: number, localAddress: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress }, () => socket.end());
    socket.resume();
    socket.once('error', reject).once('close', () => resolve());
  });
}

// HAProxy's own TCP check without a header resets the connection before it is accepted: it is never seen.
for (const protocol of ['ssh', 'rdp'] as const)
  testWith(NEEDS, `TCP probes of ${protocol} are counted, not logged and not audited`, async () => {
    const port = protocol === 'ssh' ? bed.gateway.sshPort : bed.gateway.rdpPort;
    const [log, audit, before] = [bed.gateway.log(), await evidence.audit(), await probes()];
    for (const from of ['127.0.0.1', '127.0.0.2']) for (let n = 0; n < 5; n += 1) await knock(port, from);
    await until('ten probes are counted', async () => ((await probes()) >= before + 10 ? true : undefined));
    assert.equal(await probes(), before + 10);
    for (const header of ['send-proxy', 'send-proxy-v2']) {
      const first = await probes();
      const haproxy = await balancer(
        `server one 127.0.0.1:${port} check inter 50ms check-send-proxy ${header} source 127.0.0.2`,
      );
      await haproxy.sees(/^UP/);
      await until('checks are counted', async () => ((await probes()) >= first + 5 ? true : undefined));
      await haproxy.stop();
    }
    assert.equal(bed.gateway.log(), log);
    assert.deepEqual(await evidence.audit(), audit);
  });

testWith(NEEDS, 'the weight is the free capacity; a full node is drained until somebody leaves', async () => {
  const haproxy = await agentChecked();
  await haproxy.sees(/^UP/, 100);
  const terminals = [];
  for (let count = 1; count <= MAX_SESSIONS; count += 1) {
    const terminal = sshTerminal(bed.door, ['target']);
    await terminal.expect('$ ');
    terminals.push(terminal);
    if (count < MAX_SESSIONS) await haproxy.sees(/^UP/, 100 - (100 * count) / MAX_SESSIONS);
  }
  const full = await becomes('full');
  assert.equal(full.weight, 0);
  await haproxy.sees(/^DRAIN/);
  const refused = await ssh(bed.door, ['target', 'id']);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /this node is full, 4 of 4 sessions are open: try again later/);
  for (const terminal of terminals) terminal.type('exit\r');
  for (const terminal of terminals) await terminal.ended;
  await becomes();
  // Whoever a balancer sends now is let in.
  assert.equal((await ssh(bed.door, ['target', 'echo in'])).text, 'in\n');
  await haproxy.sees(/^UP/, 100);
  await haproxy.stop();
});

interface Listed {
  readonly name: string;
  readonly standing: string;
  readonly sessions: number;
}

testWith(NEEDS, 'a drain by command: people are told, new ones refused in words, until resume', async () => {
  const haproxy = await agentChecked();
  await haproxy.sees(/^UP/);
  const terminal = sshTerminal(bed.door, ['target']);
  await terminal.expect('$ ');
  const { id } = await evidence.session('alice', 'active');
  // It says so when it renews its lease.
  await until('the node is listed as ready', async () => {
    const [node, more] = await bed.gateway.json<Listed[]>(['node', 'ls']);
    assert.deepEqual([node?.name, node?.sessions, more], ['test-node', 1, undefined]);
    return node?.standing === 'ready' ? true : undefined;
  });

  const drained = await bed.gateway.sallyport(['node', 'drain', '--for', '10m']);
  assert.deepEqual(
    [drained.code, drained.text],
    [0, 'test-node: draining, 1 sessions open\n'],
    drained.stderr,
  );
  await haproxy.sees(/^DRAIN/);
  await terminal.expect('This gateway is being stopped: your session ends in 10 min.');
  const refused = await until('new sessions are refused', async () => {
    const result = await ssh(bed.door, ['target', 'echo in']);
    return result.code === 0 ? undefined : result;
  });
  assert.match(refused.stderr, /this gateway is being stopped: connect again in a moment/);
  terminal.type('echo still $((6*7))\r');
  await terminal.expect('still 42');

  // A last minute instead: people hear of it, and the one that stays is ended.
  const waiting = bed.gateway.sallyport(['node', 'drain', '--for', '3s', '--wait', '--name', 'test-node']);
  await terminal.expect('your session ends in 3 s.');
  await terminal.expect('sallyport: this gateway is being stopped');
  assert.deepEqual((await waiting).text, 'test-node: maintenance, 0 sessions open\n');
  const row = await evidence.sealed(id);
  assert.equal(row.endCode, 'node-stopping');
  await becomes('maintenance');
  await haproxy.sees(/^MAINT/);
  const out = await ssh(bed.door, ['target', 'id']);
  assert.match(out.stderr, /this gateway is out of service: connect to another one/);
  const checked = await bed.gateway.json<{ id: string; state: string; text: string }[]>(['check']);
  const health = checked.find((finding) => finding.id === 'health');
  assert.equal(health?.state, 'advice');
  assert.match(health.text, /told to send nobody: maintenance \(/);

  // Whoever only looks whether the port is open is not refused anything.
  const [probed, turnedAway] = [await probes(), await evidence.audit('session.refused')];
  for (const port of [bed.gateway.sshPort, bed.gateway.rdpPort]) await knock(port, '127.0.0.1');
  await until('both probes are counted', async () => ((await probes()) >= probed + 2 ? true : undefined));
  assert.deepEqual(await evidence.audit('session.refused'), turnedAway);
  const again = await bed.gateway.sallyport(['node', 'drain']);
  assert.match(again.stderr, /cannot drain node test-node: it has drained already/);

  const resumed = await bed.gateway.sallyport(['node', 'resume']);
  assert.equal(resumed.text, 'test-node: ready, 0 sessions open\n');
  await becomes();
  await haproxy.sees(/^UP/, 100);
  await haproxy.stop();
  assert.equal((await ssh(bed.door, ['target', 'echo in'])).text, 'in\n');
  for (const code of ['node.draining', 'node.drained', 'node.resumed'])
    assert.equal((await evidence.audit(code)).length, 1, code);
  const orders = (await evidence.audit('admin.command')).map(({ detail }) => detail['verb']);
  assert.deepEqual(orders, ['resume', 'drain', 'drain', 'drain']);
});

testWith(NEEDS, 'orders that make no sense are refused in words', async () => {
  const orders = [
    [['node', 'drain', '--name', 'elsewhere'], /no node elsewhere runs: --name may be one of test-node/],
    [['node', 'drain', '--for', 'soon'], /--for: wants a duration such as 10m or 90s, not soon/],
    [['node', 'resume'], /cannot resume node test-node: it is not draining/],
  ] as const;
  await Promise.all(
    orders.map(async ([args, words]) => {
      const { code, stderr } = await bed.gateway.sallyport(args);
      assert.equal(code, 1);
      assert.match(stderr, words);
    }),
  );
});

testWith(NEEDS, 'an archive that is away takes the node out, and back when it is there', async () => {
  const { sshPort, healthPort } = bed.gateway;
  const haproxy = await balancer(
    `option httpchk GET /readyz\nserver one 127.0.0.1:${sshPort} check port ${healthPort} inter 200ms`,
  );
  await haproxy.sees(/^UP/);
  renameSync(archive, `${archive}.away`);
  const refused = await ssh(bed.door, ['target', 'id']);
  assert.match(refused.stderr, /the session cannot be recorded, so it is not opened/);
  await becomes('archive-down');
  await haproxy.sees(/^DOWN/);
  renameSync(`${archive}.away`, archive);
  await becomes();
  await haproxy.sees(/^UP/);
  await haproxy.stop();
});

testWith(NEEDS, 'a node that is ordered to stop ends with exit code 0 once it has drained', async () => {
  const terminal = sshTerminal(bed.door, ['target']);
  await terminal.expect('$ ');
  const stopped = await bed.gateway.sallyport(['node', 'drain', '--stop', '--wait', '--for', '3s']);
  assert.equal(stopped.text, 'test-node: stopped, 0 sessions open\n', stopped.stderr);
  await terminal.ended;
  await until('the process is gone', () => (existsSync(`/proc/${bed.gateway.pid}`) ? undefined : true));
  assert.equal(await bed.gateway.stop(), 0);
  const none = await bed.gateway.sallyport(['node', 'ls']);
  assert.equal(none.text, 'no node runs\n');
  await bed.gateway.start();
  await becomes();
});

testWith(NEEDS, 'a second signal ends a drain at once', async () => {
  const terminal = sshTerminal(bed.door, ['target']);
  await terminal.expect('$ ');
  // What comes twice at once is the same signal, by way of npm or a terminal.
  for (let copy = 0; copy < 2; copy += 1) process.kill(bed.gateway.pid, 'SIGTERM');
  await terminal.expect('This gateway is being stopped: your session ends in');
  // Longer than it takes for a second signal to be one of its own.
  await sleep(1_500);
  terminal.type('echo still $((6*7))\r');
  await terminal.expect('still 42');
  assert.equal(await bed.gateway.stop(), 1);
  await terminal.ended;
  await bed.gateway.start();
  await becomes();
});
