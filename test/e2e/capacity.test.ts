/** What people see who come when there is no room: at once, in their own client. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { type Bed, type Door, PASSWORD, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { Evidence } from '../support/evidence.ts';
import { exitWord, runXfreerdp, xfreerdp } from '../support/freerdp.ts';
import type { ApplyDocument } from '../support/gateway.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';
import type { Sshd } from '../support/sshd.ts';
import type { Terminal } from '../support/terminal.ts';
import { colours, type Display, screenshot, startDisplay } from '../support/x11.ts';

const NEEDS = ['openssh-server', 'openssh-client', 'freerdp2-x11', 'xvfb', 'xdotool'] as const;
let small: Bed;
let poor: Bed;
let display: Display;

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  // Beside web01 another system, for who finds no room on it.
  const document = ({ host, port, hostKey, account }: Sshd): ApplyDocument => ({
    users: ['bob', 'carol'].map((name) => ({ name, password: PASSWORD, role: 'requester' })),
    systems: [{ name: 'web02', protocol: 'ssh', host, port, hostKey }],
    accounts: [{ name: account.name, system: 'web02', password: account.password }],
    policies: [{ name: 'both', users: ['bob', 'carol'], accounts: ['*'], allow: ['shell'] }],
  });
  const capacity = { maxSessions: 3, perUser: 1, perSource: 2, perSystem: 2 };
  [small, poor, display] = await Promise.all([
    startBed({ config: { capacity }, document }),
    // Any session is one too many for so little memory, but the first.
    startBed({ config: { capacity: { maxMemory: '16MiB' } } }),
    startDisplay(640, 480),
  ]);
});
after(async () => {
  await Promise.all([small?.stop(), poor?.stop(), display?.stop()]);
});

/** A session that stays. */
async function stay(door: Door, source = '127.0.0.1'): Promise<Terminal> {
  const terminal = sshTerminal(door, ['-b', source, 'target']);
  await terminal.expect('$ ', 30_000);
  return terminal;
}

/** Tries until the door of every worker is shut, which it is soon after the session that filled the node. */
async function refusedAtTheDoor(door: Door, words: RegExp): Promise<string> {
  return await until('a shut door', async () => {
    const { code, stderr } = await ssh(door, ['target', 'echo in']);
    return code === 255 && words.test(stderr) ? stderr : undefined;
  });
}

/** Is told in the session that there is no room for it, and why. */
async function refusedInside(door: Door, source: string, words: string): Promise<void> {
  const { code, text, stderr } = await ssh(door, ['-b', source, 'target', 'echo in']);
  assert.deepEqual([code, text, stderr.trim()], [255, '', `sallyport: ${words}`]);
}

testWith(
  NEEDS,
  'limits of a person, an address and a system are told in sessions, a full node before',
  async (t) => {
    const [here, elsewhere] = ['127.0.0.1', '127.0.0.7'];
    const alice = await stay(small.door);
    await refusedInside(small.door, here, '1 of 1 sessions of yours are open: end one of them first');
    const bob = await stay(small.doorFor(small.targetLogin('bob'), PASSWORD));
    const door = small.doorFor(small.targetLogin('carol'), PASSWORD);
    await refusedInside(door, here, `2 of 2 sessions from ${here} are open: end one of them first`);
    const onSystem = '2 of 2 sessions on web01 are open: try again when one of them has ended';
    await refusedInside(door, elsewhere, onSystem);
    const other = small.targetLogin('carol').replace('web01', 'web02');
    const carol = await stay(small.doorFor(other, PASSWORD), elsewhere);
    // Whoever comes before the workers have heard of it is told inside.
    const atTheDoor =
      /Received disconnect from 127\.0\.0\.1 port \d+:12: this node is full, 3 of 3 sessions are open/;
    t.diagnostic((await refusedAtTheDoor(small.door, atTheDoor)).trim());

    const client = xfreerdp({ port: small.gateway.rdpPort, user: 'alice', password: PASSWORD, display });
    const window = await client.window();
    await until('words on its screen', async () =>
      colours(await screenshot(display, window)) > 8 ? true : undefined,
    );
    await client.stop();

    alice.type('exit\r');
    await alice.ended;
    await until('a place', async () =>
      (await ssh(small.door, ['target', 'echo in'])).text === 'in\n' ? true : undefined,
    );
    for (const { type, ended } of [bob, carol]) {
      type('exit\r');
      await ended;
    }
    const codes = (await (await Evidence.of(small.gateway)).audit('session.refused')).map(
      ({ detail }) => detail['code'],
    );
    for (const each of ['user-full', 'source-full', 'system-full', 'full'])
      assert.ok(codes.includes(each), codes.join());
  },
);

testWith(NEEDS, 'a node that is short of memory takes nobody new, and says so', async (t) => {
  const alice = await stay(poor.door);
  const said = await refusedAtTheDoor(poor.door, /short of memory/);
  t.diagnostic(said.trim());
  const { code, stderr } = await runXfreerdp({
    port: poor.gateway.rdpPort,
    user: 'alice',
    password: PASSWORD,
    display,
  });
  t.diagnostic(`xfreerdp: ${code} (${exitWord(code)}), ${stderr.match(/ERRINFO_\w+ \[0x\w+\]/)?.[0]}`);
  assert.notEqual(code, 0);
  assert.match(stderr, /ERRINFO_SERVER_DENIED_CONNECTION/);
  alice.type('echo $((6*7))\r');
  await alice.expect('42', 30_000);
  alice.type('exit\r');
  await alice.ended;
});
