/** What people see who come when there is no room: at once, in their own client. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { type Bed, type Door, PASSWORD, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { Evidence } from '../support/evidence.ts';
import { exitWord, runXfreerdp, xfreerdp } from '../support/freerdp.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';
import type { Terminal } from '../support/terminal.ts';
import { colours, type Display, screenshot, startDisplay } from '../support/x11.ts';

const NEEDS = ['openssh-server', 'openssh-client', 'freerdp2-x11', 'xvfb', 'xdotool'] as const;
let small: Bed;
let poor: Bed;
let display: Display;

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  const document = () => ({ users: [{ name: 'bob', password: PASSWORD, role: 'requester' }] });
  [small, poor, display] = await Promise.all([
    startBed({ config: { capacity: { maxSessions: 2, perUser: 1 } }, document }),
    // Any session is one too many for so little memory, but the first.
    startBed({ config: { capacity: { maxMemory: '16MiB' } } }),
    startDisplay(640, 480),
  ]);
});
after(async () => {
  await Promise.all([small?.stop(), poor?.stop(), display?.stop()]);
});

/** A session that stays. */
async function stay(door: Door): Promise<Terminal> {
  const terminal = sshTerminal(door, ['target']);
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

testWith(NEEDS, 'a limit of a person is told in their session, a full node before they log on', async (t) => {
  const alice = await stay(small.door);
  const second = await ssh(small.door, ['target', 'echo in']);
  assert.deepEqual(
    [second.code, second.text, second.stderr.trim()],
    [255, '', 'sallyport: 1 of 1 sessions of yours are open: end one of them first'],
  );
  await small.gateway.apply({
    policies: [{ name: 'both', users: ['bob'], accounts: ['*'], allow: ['shell'] }],
  });
  const bob = await stay(small.doorFor(small.targetLogin('bob'), PASSWORD));
  const said = await refusedAtTheDoor(small.door, /this node is full/);
  t.diagnostic(said.trim());
  assert.match(
    said,
    /Received disconnect from 127\.0\.0\.1 port \d+:12: this node is full, 2 of 2 sessions are open/,
  );

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
  bob.type('exit\r');
  await bob.ended;
  const codes = (await (await Evidence.of(small.gateway)).audit('session.refused')).map(
    ({ detail }) => detail['code'],
  );
  for (const each of ['user-full', 'full']) assert.ok(codes.includes(each), codes.join());
});

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
