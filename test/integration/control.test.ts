/** Operators and limits acting on what runs: shells and transfers, locked, unlocked, ended. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream, existsSync, readFileSync, statSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { after, before } from 'node:test';
import {
  ALL_CAPABILITIES,
  type Bed,
  type Door,
  PASSWORD,
  ssh,
  sshTerminal,
  startBed,
} from '../support/bed.ts';
import { Evidence, stillServes } from '../support/evidence.ts';
import { type FaultyTarget, startTcpTarget } from '../support/faulty-targets.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { runOk, until } from '../support/process.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
const MIB = 1024 ** 2;
const LOCKED = 'Your session has been locked. Please contact your administrator.';
let bed: Bed;
let evidence: Evidence;
/** Accepts connections and says nothing. */
let silent: FaultyTarget;
const dialled: Socket[] = [];
before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  silent = await startTcpTarget((socket) => dialled.push(socket.resume()));
  bed = await startBed({
    config: { ssh: { connectTimeoutSeconds: 120 } },
    document: ({ account, host, hostKey }) => {
      const users = ['worker', 'idle', 'brief'];
      const policy = (user: string, rest: object = {}) => ({
        name: user,
        users: [user],
        accounts: ['*@web01'],
        allow: ALL_CAPABILITIES,
        keystrokes: true,
        ...rest,
      });
      return {
        users: users.map((name) => ({ name, password: PASSWORD, role: 'requester' })),
        systems: [{ name: 'silent', protocol: 'ssh', host, port: silent.port, hostKey }],
        accounts: [{ name: account.name, system: 'silent', password: account.password }],
        policies: [
          policy('worker', { accounts: ['*'] }),
          policy('idle', { idleTimeout: '3s' }),
          policy('brief', { maxDuration: '4s' }),
        ],
      };
    },
  });
  evidence = await Evidence.of(bed.gateway);
});
after(async () => {
  await evidence?.close();
  await bed?.stop();
  await silent?.stop();
});

function door(user: string): Door {
  return bed.doorFor(bed.targetLogin(user), PASSWORD);
}

async function order(verb: 'lock' | 'unlock' | 'terminate', id: string, ...more: string[]): Promise<void> {
  const result = await bed.gateway.sallyport(['sessions', verb, id, ...more]);
  assert.equal(result.code, 0, result.stderr + result.text);
}

function onTarget(name: string): string {
  return join(bed.sshd.account.home, name);
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

testWith(
  NEEDS,
  'a locked shell passes nothing that is typed, an unlocked one what is typed then',
  async () => {
    const terminal = sshTerminal(door('worker'), ['target']);
    await terminal.expect('$ ');
    const { id } = await evidence.session('worker', 'active');
    await order('lock', id);
    await terminal.expect(LOCKED);
    await evidence.session('worker', 'locked');
    terminal.type('touch typed-while-locked\r');
    await order('unlock', id);
    await terminal.expect('Your session has been unlocked.');
    terminal.type('echo now-$((20 + 3)); touch typed-after\r');
    await terminal.expect('now-23');
    await until('the file', () => (existsSync(onTarget('typed-after')) ? true : undefined));
    assert.ok(!existsSync(onTarget('typed-while-locked')));
    await order('terminate', id, '--reason', 'end of the shift');
    await terminal.expect('sallyport: end of the shift');
    assert.notEqual(await terminal.ended, 0);
    const row = await evidence.session('worker', 'ended');
    assert.deepEqual([row.endCode, row.endReason, row.sealed], ['terminated', 'end of the shift', true]);
    for (const code of ['session.locked', 'session.unlocked', 'session.terminated'])
      await evidence.event(code, (event) => event.sessionId === id);
    await stillServes(bed);
  },
);

testWith(NEEDS, 'a locked upload stands still at the target and is whole after it is unlocked', async (t) => {
  const fifo = join(bed.folder, 'upload');
  await runOk('mkfifo', [fifo]);
  const received = onTarget('upload');
  const running = ssh(door('worker'), ['target', 'cat > upload; echo done'], {
    input: { file: fifo },
    timeoutMs: 60_000,
  });
  const feed = createWriteStream(fifo);
  const hash = createHash('sha256');
  const send = async (bytes: number): Promise<void> => {
    const piece = randomBytes(bytes);
    hash.update(piece);
    await new Promise<void>((resolve) => feed.write(piece, () => resolve()));
  };
  await send(MIB);
  await until('the first part at the target', () => (sizeOf(received) === MIB ? true : undefined));
  const { id } = await evidence.session('worker', 'active');
  await order('lock', id);
  // More than every window and socket between the two ends.
  const rest = send(12 * MIB);
  const opened = ssh(bed.door, ['target', 'true']);
  for (let look = 0; look < 40; look += 1) {
    assert.equal(sizeOf(received), MIB, 'no byte passes to the target');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal((await opened).code, 0, 'other sessions go on');
  await order('unlock', id);
  await rest;
  await send(MIB);
  feed.end();
  const result = await running;
  assert.deepEqual([result.code, result.text], [0, 'done\n'], result.stderr);
  const content = readFileSync(received);
  t.diagnostic(`${content.length} bytes at the target`);
  assert.equal(createHash('sha256').update(content).digest('hex'), hash.digest('hex'));
});

testWith(NEEDS, 'no channel is opened while a session is locked', async () => {
  const shared = ['-o', `ControlPath=${join(bed.folder, 'mux')}`];
  await ssh(door('worker'), ['-M', '-N', '-f', ...shared, 'target'], { outputFile: '/dev/null' });
  const { id } = await evidence.session('worker', 'active');
  await order('lock', id);
  const refused = await ssh(door('worker'), [...shared, '-o', 'ControlMaster=no', 'target', 'echo in']);
  assert.match(refused.stderr, /Session open refused by peer/);
  await order('unlock', id);
  const again = await ssh(door('worker'), [...shared, 'target', 'echo in']);
  assert.deepEqual([again.code, again.text, again.stderr], [0, 'in\n', '']);
  await ssh(door('worker'), [...shared, '-O', 'exit', 'target']);
});

testWith(NEEDS, 'a terminated transfer ends at both ends and says why', async () => {
  const received = join(bed.folder, 'download');
  const running = ssh(door('worker'), ['target', 'echo $$ > pid; exec cat /dev/zero'], {
    outputFile: received,
    timeoutMs: 60_000,
  });
  await until('some of it', () => (sizeOf(received) > MIB ? true : undefined));
  const { id } = await evidence.session('worker', 'active');
  await order('terminate', id, '--reason', 'too much');
  const result = await running;
  assert.notEqual(result.code, 0);
  assert.match(result.stderr, /sallyport: too much/);
  const pid = readFileSync(onTarget('pid'), 'utf8').trim();
  await until('the program at the target is gone', () => (existsSync(`/proc/${pid}`) ? undefined : true));
  assert.equal((await evidence.session('worker', 'ended')).sealed, true);
  await stillServes(bed);
});

for (const how of ['terminated', 'left by its client'] as const) {
  testWith(NEEDS, `a session that is ${how} while its target is dialled is dialled no further`, async () => {
    const before = dialled.length;
    const there = bed.doorFor(`worker@${bed.sshd.account.name}@silent`, PASSWORD);
    const terminal = sshTerminal(there, ['target']);
    const connection = await until('the dial', () => dialled[before]);
    const { id } = await evidence.session('worker', 'opening');
    if (how === 'terminated') {
      await order('terminate', id, '--reason', 'not now');
      await terminal.expect('sallyport: not now');
      await terminal.ended;
    } else terminal.kill();
    const row = await evidence.sealed(id);
    const [code, reason] =
      how === 'terminated' ? ['terminated', /^not now$/] : ['client-closed', /^the client/];
    assert.equal(row.endCode, code);
    assert.match(row.endReason ?? '', reason);
    await until('the connection is given up', () => (connection.destroyed ? true : undefined));
    await evidence.event('credential.checked_in', (event) => event.sessionId === id);
    await stillServes(bed);
  });
}

testWith(NEEDS, 'a command that neither says nor hears anything is idle', async () => {
  const result = await ssh(door('idle'), ['target', 'sleep 60']);
  assert.notEqual(result.code, 0);
  assert.match(result.stderr, /sallyport: policy idle ends sessions idle for 3 s/);
  assert.equal((await evidence.session('idle', 'ended')).endCode, 'idle-timeout');
  await stillServes(bed);
});

testWith(NEEDS, 'a transfer is not idle, but its time may be over', async () => {
  const busy = await ssh(door('idle'), [
    'target',
    'for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.5; done',
  ]);
  assert.deepEqual([busy.code, busy.text.split('\n').length], [0, 11], busy.stderr);
  const received = join(bed.folder, 'brief');
  const result = await ssh(door('brief'), ['target', 'cat /dev/zero'], { outputFile: received });
  assert.notEqual(result.code, 0);
  assert.match(result.stderr, /sallyport: policy brief ends sessions after 4 s/);
  assert.equal((await evidence.session('brief', 'ended')).endCode, 'max-duration');
  await stillServes(bed);
});
