/** Two nodes on one database and one archive, behind HAProxy as deploy/haproxy.cfg sets it up. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import type { SessionRow } from '../../gateway/store/port.ts';
import { type Door, openDoor, PASSWORD, ssh, sshTerminal } from '../support/bed.ts';
import { type ArchiveOf, assertProved, lostOf, MIB, readRecorded, reportFault } from '../support/faults.ts';
import { xfreerdp } from '../support/freerdp.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { BALANCER, type Balancer, type Server, startBalancer } from '../support/haproxy.ts';
import { recordedInFull, runOutput, startTyping } from '../support/load.ts';
import { testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';
import { useRdpBed } from '../support/rdp-bed.ts';
import { temporaryFolder } from '../support/temp.ts';
import type { Terminal } from '../support/terminal.ts';

const NEEDS = [
  ...(['openssh-server', 'openssh-client', 'haproxy', 'xrdp', 'xorgxrdp', 'freerdp2-x11'] as const),
  ...(['xvfb', 'xauth', 'x11-utils', 'xdotool', 'xterm'] as const),
] as const;
/** Another address of loopback than the balancer's. */
const PERSON = '127.0.0.7';
const WINDOW = 4 * MIB;
/** Long for a machine that is busy, short for who waits for it to run out. */
const LEASE_SECONDS = 6;
/** Sessions that the second node takes: more than its share of the last test's, and few to fill it with. */
const ROOM = 6;
/** Alice for what comes and goes; of the others each has one session at a time. */
const PEOPLE = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank'] as const;
/** A node that is gone is to be left out within this; deploy/haproxy.cfg looks each second, and again at once. */
const LEFT_OUT_MS = 2_000;
const folder = temporaryFolder('haproxy');
const archiveFolder = join(folder, 'archive');
mkdirSync(archiveFolder);
/** Where a node finds the archive: a mount of its own, which can be away for it alone. */
const mountOf = (name: string): string => join(folder, `mount-of-${name}`);
const mount = (name: string): void => symlinkSync(archiveFolder, mountOf(name));

const configOf = (name: string, maxSessions: number) => ({
  node: { name, dataDir: 'data', demo: false, leaseSeconds: LEASE_SECONDS },
  archive: { url: `file:${mountOf(name)}`, window: { bytes: WINDOW } },
  listen: { proxyProtocol: { from: [`${BALANCER}/32`] } },
  capacity: { maxSessions },
  drain: { seconds: 10, graceSeconds: 1 },
});

let second: Gateway;
let balancer: Balancer;
const archive = (): ArchiveOf => ({ gateway: bed.gateway, urls: [`file:${archiveFolder}`] });
/** To each person's door at the balancer. */
const doors = new Map<string, Door>();
const doorOf = (user: string): Door => doors.get(user) ?? assert.fail(`no door for ${user}`);

const bed = useRdpBed(NEEDS, {
  ssh: true,
  gateway: async () => {
    mount('node-a');
    return { config: configOf('node-a', 20) };
  },
  document: () => ({
    users: PEOPLE.slice(1).map((name) => ({ name, password: PASSWORD, role: 'requester' })),
    policies: [
      ...PEOPLE.slice(1).map(recordedInFull),
      { name: 'desktops', users: ['alice'], accounts: ['*@win01'], allow: ['desktop'], record: true },
    ],
  }),
  async prepare() {
    second = await startSecond(join(bed.gateway.dataDir, 'keys'));
    balancer = await startBalancer([bed.gateway, second]);
    for (const user of PEOPLE) {
      const login = bed.ssh.targetLogin(user);
      const entrance = { host: '127.0.0.1', port: balancer.sshPort, login, password: PASSWORD };
      doors.set(user, await openDoor(temporaryFolder('door'), entrance));
    }
  },
});
after(async () => {
  await balancer?.stop();
  await second?.stop();
});

/** A peer of the first node, with the same host keys and certificate: to people they are one gateway. */
async function startSecond(keys: string): Promise<Gateway> {
  mount('node-b');
  const config = configOf('node-b', ROOM);
  const dataDir = join(folder, 'node-b');
  mkdirSync(join(dataDir, 'keys'), { recursive: true, mode: 0o700 });
  for (const name of readdirSync(keys).filter((each) => /^(ssh_host_\w+|tls\.\w+)$/.test(each)))
    cpSync(join(keys, name), join(dataDir, 'keys', name));
  return await startGateway({
    config: {
      ...config,
      node: { ...config.node, dataDir },
      store: { url: `sqlite:${join(keys, '../sallyport.db')}` },
      vault: { masterKey: `file:${join(keys, 'master.key')}` },
    },
  });
}

/** A shell of alice; resolves with its session when it has a prompt. */
async function openShell(door = doorOf('alice')): Promise<{ terminal: Terminal; row: SessionRow }> {
  const terminal = sshTerminal(door, ['-b', PERSON, 'target']);
  await terminal.expect('$ ', 30_000);
  return { terminal, row: await bed.evidence.session('alice', 'active') };
}

/** Opens shells through the balancer until there is one on each node: it goes by weights that go by load. */
async function openOnBoth(): Promise<readonly Awaited<ReturnType<typeof openShell>>[]> {
  const shells = [];
  do shells.push(await openShell());
  while (new Set(shells.map(({ row }) => row.node)).size < 2 && shells.length < 15);
  assert.deepEqual(new Set(shells.map(({ row }) => row.node)), new Set(['node-a', 'node-b']));
  return shells;
}

async function close(shells: readonly { readonly terminal: Terminal }[]): Promise<void> {
  for (const { terminal } of shells) terminal.type('exit\r');
  await Promise.all(shells.map(({ terminal }) => terminal.ended));
}

/** Runs a command through the balancer, as a new session. */
async function landsOn(user: string): Promise<string> {
  const result = await ssh(doorOf(user), ['-b', PERSON, 'target', 'echo in']);
  assert.deepEqual([result.code, result.text], [0, 'in\n'], result.stderr);
  return (await bed.evidence.sessions()).find((row) => row.user === user)?.node ?? assert.fail('no row');
}

/** What the balancer thinks of a node, once that `fits` for both protocols. */
async function once(what: string, node: number, fits: (server: Server) => boolean): Promise<Server> {
  return await until(what, async () => {
    const servers = await Promise.all([
      balancer.server('ssh-nodes', node),
      balancer.server('rdp-nodes', node),
    ]);
    return servers.every(fits) ? servers[0] : undefined;
  });
}
const UP = ({ status }: Server): boolean => status === 'UP';
const OUT = ({ status }: Server): boolean => status !== 'UP';

testWith(NEEDS, 'people reach both nodes, and their own addresses are in the audit', async () => {
  const shells = await openOnBoth();
  const client = bed.open(xfreerdp, { port: balancer.rdpPort });
  await client.window();
  const rows = (await bed.evidence.sessions()).filter(({ state }) => state === 'active');
  assert.equal(rows.length, shells.length + 1);
  const started = await bed.evidence.audit('session.started');
  for (const { id, protocol } of rows) {
    const { source } = started.find(({ sessionId }) => sessionId === id) ?? assert.fail('no audit row');
    assert.equal(source, protocol === 'ssh' ? PERSON : '127.0.0.1', `${protocol}, not ${BALANCER}`);
  }
  assert.deepEqual([...new Set(rows.map(({ protocol }) => protocol))].sort(), ['rdp', 'ssh']);
  await close(shells);
});

testWith(NEEDS, 'the weight of a node falls as it fills, and one that is full is left out', async (t) => {
  // The event loops of a busy machine lower it as well.
  const free = ({ status, weight }: Server): boolean => status === 'UP' && weight > 50;
  const { weight: before } = await once('room', 1, free);
  const login = bed.ssh.targetLogin('alice');
  const entrance = { host: second.host, port: second.sshPort, login, password: PASSWORD };
  const door = await openDoor(temporaryFolder('second'), entrance);
  const shells = [await openShell(door)];
  while (shells.length < ROOM / 2) shells.push(await openShell(door));
  const { weight } = await once('half of it', 1, (server) => server.weight <= 50);
  t.diagnostic(`weight ${before} of 100 without sessions, ${weight} with ${shells.length} of ${ROOM}`);
  while (shells.length < ROOM) shells.push(await openShell(door));
  await once('full', 1, OUT);
  for (let i = 0; i < 3; i += 1) assert.equal(await landsOn('alice'), 'node-a');
  await close(shells);
  await once('room again', 1, free);
});

testWith(
  NEEDS,
  'nodes without their archive are left out, say so where nobody else is left, and come back',
  async () => {
    for (const name of ['node-a', 'node-b']) unlinkSync(mountOf(name));
    await Promise.all([0, 1].map((node) => once('the archive is missed', node, OUT)));
    const refused = await ssh(doorOf('alice'), ['-b', PERSON, 'target', 'echo in']);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /archive/);
    mount('node-a');
    await once('the first node is back', 0, UP);
    for (let i = 0; i < 3; i += 1) assert.equal(await landsOn('alice'), 'node-a');
    mount('node-b');
    await once('the second node is back', 1, UP);
  },
);

testWith(
  NEEDS,
  'a node that drains gets no new sessions, tells its people, lets them go on, and ends',
  async () => {
    const node = async (...args: string[]): Promise<string> => {
      const { code, text, stderr } = await bed.gateway.sallyport(['node', ...args, '--name', 'node-b']);
      assert.equal(code, 0, stderr);
      return text;
    };
    const shells = await openOnBoth();
    const there = shells.filter(({ row }) => row.node === 'node-b');
    const { terminal } = there[0] ?? assert.fail('none on the second node');

    await node('drain', '--for', '1m');
    await once('it drains', 1, OUT);
    await terminal.expect(/This gateway is being stopped: your session ends in \d+ s/);
    for (let i = 0; i < 3; i += 1) assert.equal(await landsOn('alice'), 'node-a');
    terminal.type('echo $((6*7))-still\r');
    await terminal.expect('42-still');
    assert.match(await node('drain', '--for', '1s', '--wait'), /^node-b: maintenance, 0 sessions open/);
    assert.notEqual(await terminal.ended, 0);
    assert.match(terminal.screen.toString(), /this gateway is being stopped/);
    assert.ok(OUT(await balancer.server('ssh-nodes', 1)));

    await node('resume');
    await once('it is back', 1, UP);
    // Who is on the other node noticed nothing.
    await close(shells.filter(({ row }) => row.node === 'node-a'));
  },
);

testWith(
  NEEDS,
  'a node that is killed under load: its sessions end, new ones land on the other, and recordings are whole within the window',
  async (t) => {
    const typing = await Promise.all(
      ['dave', 'erin', 'frank'].map(async (user) => {
        const terminal = await startTyping(doorOf(user));
        const shown = (): Buffer => terminal.screen;
        return { user, ended: terminal.ended, shown, size: () => shown().length, stop: terminal.kill };
      }),
    );
    const outputs = await Promise.all(
      ['bob', 'carol'].map(async (user) => ({
        user,
        ...(await runOutput(doorOf(user), join(folder, user))),
      })),
    );
    await until('some output', () => (outputs.every(({ size }) => size() > 2 * WINDOW) ? true : undefined));
    const sessions = (await bed.evidence.sessions()).filter(({ state }) => state === 'active');
    const clientOf = ({ user }: SessionRow) =>
      [...outputs, ...typing].find((each) => each.user === user) ?? assert.fail(`no client of ${user}`);
    const [lost, kept] = ['node-a', 'node-b'].map((name) => sessions.filter(({ node }) => node === name));
    assert.ok(lost?.[0] !== undefined && kept?.[0] !== undefined, 'both nodes have some');

    const took = async (work: () => Promise<unknown>): Promise<number> => {
      const began = performance.now();
      await work();
      return Math.round(performance.now() - began);
    };
    // What a session takes under this load on this machine.
    const usual = Math.max(await took(() => landsOn('alice')), await took(() => landsOn('alice')));
    await bed.gateway.kill9();
    const first = await took(async () => assert.equal(await landsOn('alice'), 'node-b'));
    t.diagnostic(
      `a new session ran on the other node ${first} ms after the kill, before that in ${usual} ms`,
    );
    assert.ok(first < LEFT_OUT_MS + 3 * usual, `${first} ms, and ${usual} ms before the kill`);
    await bed.open(xfreerdp, { port: balancer.rdpPort }).window();
    assert.equal((await bed.evidence.session('alice', 'active')).node, 'node-b');
    // Nobody on the other node noticed.
    for (const row of kept) {
      const client = clientOf(row);
      const size = client.size();
      await until('the session goes on', () => (client.size() > size ? true : undefined));
      client.stop();
    }

    for (const { id } of lost) {
      const row = await until(
        'a recording is sealed by the peer',
        async () => (await bed.evidence.sessions()).find((each) => each.id === id && each.sealed),
        60_000,
      );
      const client = clientOf(row);
      assert.notEqual(await client.ended, 0);
      assert.deepEqual([row.recoveredBy, row.endCode], ['node-b', 'worker-died']);
      await assertProved(archive(), row);
      const recorded = await readRecorded(archive(), id);
      reportFault(t, {
        fault: 'a node killed behind HAProxy',
        sink: 'file',
        what: outputs.some(({ user }) => user === row.user) ? 'output' : 'typing',
        declared: WINDOW,
        lost: lostOf(client.shown(), recorded.output),
        recorded: recorded.bytes,
      });
    }
  },
  { timeout: 240_000 },
);
