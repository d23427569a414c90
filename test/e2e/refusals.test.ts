/** What people see when something is not allowed or does not work, each in its client's own way. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before } from 'node:test';
import {
  type Bed,
  DIRECT,
  type Door,
  openssh,
  PASSWORD,
  ssh,
  sshTerminal,
  startBed,
} from '../support/bed.ts';
import { obstacle, PYTHON, testWith } from '../support/packages.ts';
import { freePort, run } from '../support/process.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
let bed: Bed;
let silent: Server;

/** User → what the policy of that user allows. */
const USERS = {
  shelly: ['shell'],
  exec: ['exec'],
  files: ['sftp', 'scp'],
  scponly: ['scp'],
  basic: ['shell', 'exec'],
} as const;

/** The door of a user to the account on web01 (or another target). */
function door(user: string, target?: string): Door {
  return bed.doorFor(target === undefined ? bed.targetLogin(user) : `${user}@${target}`, PASSWORD);
}

before(async () => {
  if (DIRECT || obstacle(NEEDS) !== undefined) return;
  const [downPort, silentPort] = [await freePort(), await freePort()];
  silent = createServer((socket) => socket.on('error', () => {}));
  await new Promise<void>((resolve) => silent.listen(silentPort, '127.0.0.1', resolve));
  bed = await startBed({
    config: { ssh: { connectTimeoutSeconds: 2 } },
    document: (sshd) => {
      const at = (name: string, port: number, hostKey = sshd.hostKey): Record<string, unknown> => ({
        name,
        protocol: 'ssh',
        host: sshd.host,
        port,
        hostKey,
      });
      const account = sshd.account.name;
      const { password } = sshd.account;
      return {
        users: [
          ...Object.keys(USERS).map((name) => ({ name, password: PASSWORD, role: 'requester' })),
          { name: 'reasoner', password: PASSWORD, role: 'requester' },
          { name: 'single', password: PASSWORD, role: 'requester' },
          { name: 'gone', password: PASSWORD, role: 'requester', disabled: true },
        ],
        systems: [
          at('down01', downPort),
          at('silent01', silentPort),
          // The public half of another key: what a machine in between would show.
          at('changed01', sshd.port, `ssh-ed25519 ${WRONG_KEY}`),
          at('wrongpass01', sshd.port),
          at('secret01', sshd.port),
        ],
        accounts: [
          ...['down01', 'silent01', 'changed01', 'secret01'].map((system) => ({
            name: account,
            system,
            password,
          })),
          { name: account, system: 'wrongpass01', password: 'not-the-password' },
        ],
        policies: [
          ...Object.entries(USERS).map(([user, allow]) => ({
            name: `only-${user}`,
            users: [user],
            accounts: ['*@web01'],
            allow,
            record: true,
          })),
          {
            name: 'broken-targets',
            users: ['alice'],
            accounts: ['*@down01', '*@silent01', '*@changed01', '*@wrongpass01'],
            allow: ['shell', 'exec', 'sftp'],
            record: true,
          },
          {
            name: 'with-reason',
            users: ['reasoner'],
            accounts: ['*@web01'],
            allow: ['shell', 'exec'],
            reasonRequired: true,
            record: true,
          },
          {
            name: 'one',
            users: ['single'],
            accounts: ['*@web01'],
            allow: ['exec'],
            maxSessions: 1,
            record: true,
          },
        ],
      };
    },
  });
});
after(async () => {
  silent?.close();
  await bed?.stop();
});

/** A valid Ed25519 public key that is no server's here. */
const WRONG_KEY = 'AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f';

/** Tests of what only the gateway does. */
function gatewayTest(name: string, body: () => Promise<void>): void {
  if (!DIRECT) testWith(NEEDS, name, body);
}

gatewayTest('a command that policy refuses says so and fails', async () => {
  const result = await ssh(door('shelly'), ['target', 'id']);
  assert.deepEqual([result.code, result.text], [1, '']);
  assert.equal(result.stderr.trim(), 'sallyport: policy only-shelly does not allow exec');
});

gatewayTest('a shell that policy refuses says so on the terminal', async () => {
  const terminal = sshTerminal(door('exec'), ['target']);
  await terminal.expect('sallyport: policy only-exec does not allow shell');
  assert.equal(await terminal.ended, 1);
  assert.equal((await ssh(door('exec'), ['target', 'echo fine'])).text, 'fine\n');
});

gatewayTest('sftp and scp that policy refuses say so and fail', async () => {
  const sftp = await openssh(door('basic'), 'sftp', ['target'], { input: 'ls\n' });
  assert.notEqual(sftp.code, 0);
  assert.match(sftp.stderr, /sallyport: policy only-basic does not allow sftp/);
  const scp = await openssh(door('basic'), 'scp', ['target:.bashrc', '/dev/null']);
  assert.notEqual(scp.code, 0);
  assert.match(scp.stderr, /sallyport: policy only-basic does not allow sftp/);
  const legacy = await openssh(door('basic'), 'scp', ['-O', 'target:.bashrc', '/dev/null']);
  assert.notEqual(legacy.code, 0);
  assert.match(legacy.stderr, /sallyport: policy only-basic does not allow scp/);
});

gatewayTest('a shell hidden behind scp is a command, and refused as one', async () => {
  for (const command of [
    'scp -t x; id',
    'scp -t $(id)',
    'scp -t `id`',
    'scp -t x && id',
    'scp -S id -t x',
    'scp -t x\nid',
  ]) {
    const result = await ssh(door('scponly'), ['target', command]);
    assert.deepEqual([result.code, result.text], [1, ''], command);
    assert.match(result.stderr, /policy only-scponly does not allow exec/, command);
  }
  const copied = await openssh(door('scponly'), 'scp', ['-O', 'target:.bashrc', join(bed.folder, 'copied')]);
  assert.equal(copied.code, 0, copied.stderr);
});

gatewayTest('rsync, git and other commands fail with the reason where only files are allowed', async () => {
  const shell = `ssh -F ${door('files').sshConfig}`;
  const { env } = bed.door;
  const result = await run('rsync', ['-e', shell, 'target:.bashrc', bed.folder], { env });
  assert.notEqual(result.code, 0);
  assert.match(result.stderr, /sallyport: policy only-files does not allow exec/);
  const listed = await openssh(door('files'), 'sftp', ['target'], { input: 'ls -a\n' });
  assert.match(listed.text, /\.bashrc/);
});

gatewayTest('forwarding that policy refuses is refused in the terms of the client', async () => {
  const port = await freePort();
  const basic = door('basic');
  const verbose = ['-o', 'LogLevel=INFO'];
  const local = await ssh(basic, [...verbose, '-W', `127.0.0.1:${bed.sshd.port}`, 'target'], { input: '' });
  assert.equal(local.code, 255);
  assert.match(local.stderr, /administratively prohibited: policy only-basic does not allow local-forward/);

  const strict = ['-o', 'ExitOnForwardFailure=yes'];
  const remote = await ssh(basic, [...strict, '-R', `127.0.0.1:${port}:127.0.0.1:1`, 'target', 'echo in']);
  assert.deepEqual([remote.code, remote.text], [255, '']);
  assert.match(remote.stderr, /remote port forwarding failed for listen port/);

  const lenient = await ssh(basic, ['-R', `127.0.0.1:${port}:127.0.0.1:1`, 'target', 'echo in']);
  assert.deepEqual([lenient.code, lenient.text], [0, 'in\n']);
});

gatewayTest('agent and X11 that policy refuses leave the session without them', async () => {
  const agent = await ssh(door('basic'), ['-A', 'target', 'echo "<$SSH_AUTH_SOCK>"'], {
    env: { SSH_AUTH_SOCK: join(bed.folder, 'no-agent') },
  });
  assert.equal(agent.text, '<>\n');
  const env = { DISPLAY: ':77' };
  const x11 = await ssh(door('basic'), ['-Y', '-o', 'LogLevel=INFO', 'target', 'echo "<$DISPLAY>"'], { env });
  assert.equal(x11.text, '<>\n');
  assert.match(x11.stderr, /X11 forwarding request failed on channel 0/);
  // The picker must answer before policy can: the person reads of it once it has.
  const picking = sshTerminal(bed.doorFor('basic', PASSWORD), ['-Y', 'target'], { env });
  await picking.expect('web01');
  picking.type('\r');
  await picking.expect('sallyport: policy only-basic does not allow x11');
  await picking.expect('$ ');
  picking.type('exit 5\r');
  assert.equal(await picking.ended, 5);
});

gatewayTest('a refusal on a shared connection leaves its other channels alone', async () => {
  const socket = join(bed.folder, 'mux');
  const shelly = door('basic');
  const options = ['-o', `ControlPath=${socket}`];
  await ssh(shelly, ['-M', '-N', '-f', ...options, 'target'], { outputFile: '/dev/null' });
  const long = ssh(shelly, [...options, 'target', 'cat'], { input: Buffer.alloc(2_000_000, 'x') });
  const refused = await openssh(shelly, 'sftp', [...options, 'target'], { input: 'ls\n' });
  assert.match(refused.stderr, /does not allow sftp/);
  assert.equal((await long).stdout.length, 2_000_000);
  await ssh(shelly, [...options, '-O', 'exit', 'target']);
});

gatewayTest('a wrong password, an unknown and a disabled user look the same', async () => {
  const outcomes = [];
  for (const [login, password] of [
    [bed.targetLogin('alice'), 'wrong'],
    [bed.targetLogin('nobody'), 'wrong'],
    [bed.targetLogin('gone'), PASSWORD],
  ] as const) {
    const result = await ssh(bed.doorFor(login, password), ['target', 'id']);
    outcomes.push([result.code, result.text, result.stderr.replace(login, 'LOGIN')]);
  }
  assert.equal(outcomes[0]?.[0], 255);
  assert.match(String(outcomes[0]?.[2]), /LOGIN@127\.0\.0\.1: Permission denied \(.*password.*\)/);
  assert.deepEqual(outcomes[1], outcomes[0]);
  assert.deepEqual(outcomes[2], outcomes[0]);
});

gatewayTest('a target that no policy covers and one that does not exist look the same', async () => {
  for (const target of [`${bed.sshd.account.name}@secret01`, 'root@nowhere', 'root@web01\u00e9']) {
    const result = await ssh(door('alice', target), ['target', 'id']);
    assert.deepEqual([result.code, result.text], [255, ''], target);
    assert.match(
      result.stderr,
      new RegExp(`sallyport: no policy allows you ${target.replace('\u00e9', '.*')}`),
    );
  }
});

for (const [system, words] of [
  ['down01', /cannot reach down01 \(127\.0\.0\.1:\d+\): connection refused/],
  ['silent01', /silent01 \(127\.0\.0\.1:\d+\).* within 2 s/],
  ['changed01', /the host key of changed01 \(127\.0\.0\.1:\d+\) is not the pinned one/],
  ['wrongpass01', /wrongpass01 \(127\.0\.0\.1:\d+\) does not accept the credential of/],
] as const) {
  gatewayTest(`${system}: command, shell and sftp say what is wrong with the target`, async () => {
    const there = door('alice', `${bed.sshd.account.name}@${system}`);
    const command = await ssh(there, ['target', 'id']);
    assert.deepEqual([command.code, command.text], [255, '']);
    assert.match(command.stderr, words);
    const terminal = sshTerminal(there, ['target']);
    await terminal.expect(words);
    assert.equal(await terminal.ended, 255);
    const sftp = await openssh(there, 'sftp', ['target'], { input: 'ls\n' });
    assert.notEqual(sftp.code, 0);
    assert.match(sftp.stderr, words);
    assert.ok(!`${command.stderr}${sftp.stderr}`.includes(bed.sshd.account.password));
  });
}

gatewayTest('a login without a target says how to name one', async () => {
  const result = await ssh(bed.doorFor('alice', PASSWORD), ['target', 'id']);
  assert.equal(result.code, 255);
  assert.match(result.stderr, /sallyport: no target is named: log on as alice@ACCOUNT@SYSTEM/);
});

gatewayTest('a login without a target but with a terminal gets a picker', async () => {
  const terminal = sshTerminal(bed.doorFor('alice', PASSWORD), ['target']);
  await terminal.expect('web01');
  terminal.type('web01');
  terminal.type('\r');
  await terminal.expect('$ ', 20_000);
  terminal.type('id -un; exit 4\r');
  await terminal.expect(`${bed.sshd.account.name}\r\n`);
  assert.equal(await terminal.ended, 4);

  const cancelled = sshTerminal(bed.doorFor('alice', PASSWORD), ['target']);
  await cancelled.expect('web01');
  cancelled.type('\x03');
  assert.equal(await cancelled.ended, 0);
});

gatewayTest('a client that wants signs of life gets them while its person thinks', async () => {
  const alive = ['-o', 'ServerAliveInterval=1', '-o', 'ServerAliveCountMax=3'];
  const door = bed.doorFor('alice', PASSWORD);
  // A forwarding that waits for the target: no later question may be answered before it.
  const forwarding = ['-R', `127.0.0.1:${await freePort()}:127.0.0.1:1`];
  const terminals = [[], forwarding].map((more) => sshTerminal(door, [...alive, ...more, 'target']));
  for (const terminal of terminals) await terminal.expect('web01');
  // The client leaves when four seconds have brought nothing.
  await new Promise((resolve) => void setTimeout(resolve, 6_000));
  for (const terminal of terminals) {
    terminal.type('web01\r');
    await terminal.expect('$ ', 20_000);
    terminal.type('exit 6\r');
    assert.equal(await terminal.ended, 6);
  }
});

gatewayTest('a reason is asked where policy wants one, and kept', async () => {
  const there = door('reasoner');
  const without = await ssh(there, ['target', 'id']);
  assert.equal(without.code, 255);
  assert.match(without.stderr, /a reason is required.*SALLYPORT_REASON/);
  const given = await ssh(there, ['-o', 'SetEnv=SALLYPORT_REASON=ticket-4711', 'target', 'echo in']);
  assert.deepEqual([given.code, given.text], [0, 'in\n'], given.stderr);
  const terminal = sshTerminal(there, ['target']);
  await terminal.expect('Reason for ');
  terminal.type('ticket 4712\r');
  await terminal.expect('$ ');
  terminal.type('exit\r');
  assert.equal(await terminal.ended, 0);
  const sessions = await bed.gateway.json<{ user: string; reason?: string }[]>(['sessions', 'ls', '--all']);
  const reasons = sessions.filter((session) => session.user === 'reasoner').map((session) => session.reason);
  assert.deepEqual(reasons, ['ticket 4712', 'ticket-4711']);
});

gatewayTest('a second session over the limit of a policy is refused until the first ends', async () => {
  const there = door('single');
  const first = sshTerminal(there, ['-tt', 'target', 'echo up; read -r line']);
  await first.expect('up');
  const second = await ssh(there, ['target', 'echo in']);
  assert.equal(second.code, 255);
  assert.match(second.stderr, /1 of 1 sessions under policy one are open/);
  first.type('\r');
  await first.ended;
  const third = await ssh(there, ['target', 'echo in']);
  assert.deepEqual([third.code, third.text], [0, 'in\n'], third.stderr);
});

gatewayTest('Paramiko sees a refusal as output and exit status', async () => {
  const script = [
    'import os, paramiko, sys',
    'client = paramiko.SSHClient()',
    'client.load_host_keys(sys.argv[1])',
    'client.connect(sys.argv[2], port=int(sys.argv[3]), username=sys.argv[4],',
    '    password=os.environ["SALLYPORT_TEST_PASSWORD"], allow_agent=False, look_for_keys=False)',
    '_, out, err = client.exec_command("id", timeout=10)',
    'print(out.channel.recv_exit_status(), err.read().decode().strip())',
  ].join('\n');
  const { login, knownHosts, host, port, env } = door('shelly');
  const result = await run(PYTHON, ['-W', 'ignore', '-c', script, knownHosts, host, String(port), login], {
    env,
  });
  assert.equal(result.text, '1 sallyport: policy only-shelly does not allow exec\n', result.stderr);
});

gatewayTest('the audit log has every refusal', async () => {
  const codes = new Set(
    (await bed.gateway.json<{ code: string }[]>(['audit', '--limit', '1000'])).map((row) => row.code),
  );
  for (const code of [
    'user.login.succeeded',
    'user.login.failed',
    'session.authorised',
    'session.denied',
    'session.started',
    'session.ended',
    'session.request.refused',
    'credential.checked_out',
    'credential.checked_in',
    'target.unreachable',
    'target.host_key.changed',
    'target.auth_failed',
    'admin.applied',
    'node.started',
  ])
    assert.ok(codes.has(code), `${code} is missing among ${[...codes].join(' ')}`);
});

gatewayTest('no secret is in the log or lies open in the data folder', async () => {
  const secrets = [PASSWORD, bed.sshd.account.password, 'not-the-password'];
  const files = readdirSync(bed.gateway.dataDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  assert.ok(files.length > 5);
  for (const secret of secrets) {
    assert.ok(!bed.gateway.log().includes(secret));
    for (const file of files) assert.ok(!readFileSync(file).includes(secret), file);
  }
});
