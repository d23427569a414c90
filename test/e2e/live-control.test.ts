/** Operators and limits acting on sessions that run: what the person sees, what the lists say. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Bed, DIRECT, PASSWORD, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { Evidence } from '../support/evidence.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { run, until } from '../support/process.ts';
import type { Terminal } from '../support/terminal.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
let bed: Bed;
before(async () => {
  if (DIRECT || obstacle(NEEDS) !== undefined) return;
  bed = await startBed({
    document: () => ({
      users: ['brief', 'idle'].map((name) => ({ name, password: PASSWORD, role: 'requester' })),
      policies: [
        {
          name: 'brief',
          users: ['brief'],
          accounts: ['*@web01'],
          allow: ['shell', 'exec'],
          maxDuration: '3s',
          record: true,
        },
        {
          name: 'idle',
          users: ['idle'],
          accounts: ['*@web01'],
          allow: ['shell', 'exec'],
          idleTimeout: '3s',
          record: true,
        },
      ],
    }),
  });
});
after(() => bed?.stop());

function gatewayTest(name: string, body: () => Promise<void>): void {
  if (!DIRECT) testWith(NEEDS, name, body);
}

interface Session {
  readonly id: string;
  readonly user: string;
  readonly account: string;
  readonly system: string;
  readonly state: string;
  readonly source: string;
  readonly endCode?: string;
  readonly endReason?: string;
}

function show(id: string): Promise<Session> {
  return bed.gateway.json<Session>(['sessions', 'show', id]);
}

function ended(id: string): Promise<Session> {
  return until(`session ${id} has ended`, async () => {
    const session = await show(id);
    return session.state === 'ended' ? session : undefined;
  });
}

/** A shell with its prompt shown. */
async function openTerminalOf(user: string): Promise<Terminal> {
  const terminal = sshTerminal(bed.doorFor(bed.targetLogin(user), PASSWORD), ['target']);
  await terminal.expect('$ ');
  return terminal;
}

/** A shell of alice's with its prompt shown, and its session. */
async function openShell(): Promise<{ terminal: Terminal; id: string }> {
  const terminal = await openTerminalOf('alice');
  const [newest] = await bed.gateway.json<Session[]>(['sessions', 'ls']);
  assert.deepEqual(
    [newest?.user, newest?.account, newest?.system, newest?.state],
    ['alice', bed.sshd.account.name, 'web01', 'active'],
  );
  return { terminal, id: newest?.id ?? '' };
}

/** The code with which the newest session of a user ended. */
function endCodeOf(user: string): Promise<string> {
  return until(`the session of ${user} has ended`, async () => {
    const sessions = await bed.gateway.json<Session[]>(['sessions', 'ls', '--all']);
    return sessions.find((session) => session.user === user)?.endCode;
  });
}

async function order(verb: 'lock' | 'unlock' | 'terminate', id: string, ...more: string[]): Promise<void> {
  const result = await bed.gateway.sallyport(['sessions', verb, id, ...more]);
  assert.equal(result.code, 0, result.stderr + result.text);
}

gatewayTest('a session is listed while it runs and after, newest first', async () => {
  const { terminal, id } = await openShell();
  assert.match((await show(id)).source, /^127\.0\.0\.1/);
  const second = await openShell();
  const ids = (await bed.gateway.json<Session[]>(['sessions', 'ls'])).map((session) => session.id);
  assert.deepEqual(ids.slice(0, 2), [second.id, id]);
  for (const each of [terminal, second.terminal]) {
    each.type('exit\r');
    assert.equal(await each.ended, 0);
  }
  const end = await ended(id);
  assert.match(end.endCode ?? '', /^(client|target)-closed$/);
  const open = await bed.gateway.json<Session[]>(['sessions', 'ls']);
  assert.ok(!open.some((session) => session.id === id));
  const table = await bed.gateway.sallyport(['sessions', 'ls', '--all']);
  assert.ok(table.text.includes(id) && table.text.includes('alice'), table.text);
});

gatewayTest('what is typed is in the store while the session runs, before and after Enter', async () => {
  const { terminal, id } = await openShell();
  const evidence = await Evidence.of(bed.gateway);
  const stored = (wanted: string): Promise<true> =>
    until(`the store has ${wanted}`, async () =>
      (await evidence.keystrokes(id)).includes(wanted) ? true : undefined,
    );
  terminal.type('echo typed-$((20+3))');
  await stored('echo typed-$((20+3))');
  terminal.type('\r');
  await terminal.expect('typed-23');
  await until('the store has the command', async () =>
    (await evidence.commands(id)).includes('echo typed-$((20+3))') ? true : undefined,
  );
  assert.equal((await evidence.session('alice', 'active')).id, id);
  await evidence.close();
  terminal.type('exit\r');
  await terminal.ended;
});

gatewayTest('a locked session says so and takes no input until it is unlocked', async () => {
  const { terminal, id } = await openShell();
  await order('lock', id);
  await terminal.expect('Your session has been locked. Please contact your administrator.');
  assert.equal((await show(id)).state, 'locked');
  terminal.type('touch locked-input; echo typed-$((20+3))-locked\r');
  await order('unlock', id);
  await terminal.expect(/unlocked/i);
  assert.equal((await show(id)).state, 'active');
  terminal.type('echo after-$((20+3)); ls locked-input\r');
  await terminal.expect('after-23');
  await terminal.expect('No such file or directory');
  assert.ok(!terminal.screen.includes('typed-23-locked'));
  terminal.type('exit\r');
  await terminal.ended;
  const codes = (await bed.gateway.json<{ code: string; sessionId?: string }[]>(['audit', '--limit', '1000']))
    .filter((row) => row.sessionId === id)
    .map((row) => row.code);
  for (const code of ['session.locked', 'session.unlocked', 'session.ended'])
    assert.ok(codes.includes(code), `${code} is missing among ${codes.join(' ')}`);
});

gatewayTest('output goes on while a session is locked', async () => {
  const { terminal, id } = await openShell();
  terminal.type('while [ ! -e go ]; do sleep 0.1; done; echo still-$((1+1))-shown\r');
  await terminal.expect('done; echo');
  await order('lock', id);
  await terminal.expect('has been locked');
  await ssh(bed.door, ['target', 'touch go']);
  await terminal.expect('still-2-shown');
  await order('terminate', id);
  await terminal.ended;
});

gatewayTest('a terminated session tells the person why and ends at once', async () => {
  const { terminal, id } = await openShell();
  await order('terminate', id, '--reason', 'maintenance at noon');
  await terminal.expect('maintenance at noon');
  assert.notEqual(await terminal.ended, 0);
  const end = await ended(id);
  assert.equal(end.endCode, 'terminated');
  assert.match(end.endReason ?? '', /maintenance at noon/);
  const codes = (await bed.gateway.json<{ code: string; sessionId?: string }[]>(['audit', '--limit', '1000']))
    .filter((row) => row.sessionId === id)
    .map((row) => row.code);
  assert.ok(codes.includes('session.terminated'));
});

gatewayTest('a person whose screen is slow reads why the session was terminated, too', async () => {
  const SCREEN = 300_000;
  const command = `head -c ${SCREEN} /dev/zero | tr '\\0' x; sleep 60`;
  // Nothing is shown for seconds after the session's end.
  const shown = run(
    'sh',
    ['-c', 'ssh -F "$1" -q -tt target "$2" | (sleep 8; cat)', 'sh', bed.door.sshConfig, command],
    {
      env: bed.door.env,
    },
  );
  const id = await until('all is on its way to the screen', async () => {
    const [newest] = await bed.gateway.json<Session[]>(['sessions', 'ls']);
    return newest?.state === 'active' ? newest.id : undefined;
  });
  await delay(1_500);
  await order('terminate', id, '--reason', 'read in the end');
  const { text } = await shown;
  assert.ok(text.startsWith('x'.repeat(SCREEN)), `${text.length} characters`);
  assert.match(text, /read in the end/);
});

gatewayTest('terminating ends a command without a terminal too', async () => {
  const running = ssh(bed.door, ['target', 'echo up; sleep 60']);
  const id = await until('the command is listed', async () => {
    const [newest] = await bed.gateway.json<Session[]>(['sessions', 'ls']);
    return newest?.state === 'active' ? newest.id : undefined;
  });
  await order('terminate', id, '--reason', 'no longer needed');
  const result = await running;
  assert.notEqual(result.code, 0);
  assert.match(result.stderr, /no longer needed/);
});

gatewayTest('orders for a session that has ended or never was fail with words', async () => {
  const { terminal, id } = await openShell();
  terminal.type('exit\r');
  await terminal.ended;
  await ended(id);
  for (const session of [id, '00000000-0000-7000-8000-000000000000']) {
    const result = await bed.gateway.sallyport(['sessions', 'lock', session]);
    assert.notEqual(result.code, 0, session);
    assert.match(result.stderr, /session/);
  }
});

gatewayTest('a session ends at its maximum duration with the reason', async () => {
  const terminal = await openTerminalOf('brief');
  await terminal.expect('policy brief ends sessions after 3 s');
  assert.notEqual(await terminal.ended, 0);
  assert.equal(await endCodeOf('brief'), 'max-duration');
});

gatewayTest('a session ends when it is idle, and only then', async () => {
  const terminal = await openTerminalOf('idle');
  // Longer than the limit in all, never idle for as long as it.
  for (let round = 0; round < 8; round += 1) {
    terminal.type(`echo round-$((${round}+1))\r`);
    await terminal.expect(`round-${round + 1}\r\n`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  await terminal.expect('policy idle ends sessions idle for 3 s');
  assert.notEqual(await terminal.ended, 0);
  assert.equal(await endCodeOf('idle'), 'idle-timeout');
});

gatewayTest('a stopped node says goodbye, closes its sessions and starts again', async () => {
  const { terminal, id } = await openShell();
  const stopped = bed.gateway.stop();
  await terminal.expect(/sallyport|gateway/i);
  assert.notEqual(await terminal.ended, 0);
  assert.equal(await stopped, 0);
  await bed.gateway.start();
  assert.equal((await show(id)).endCode, 'node-stopping');
  assert.equal((await ssh(bed.door, ['target', 'echo in'])).text, 'in\n');
});
