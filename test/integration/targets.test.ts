/** Targets that are down, silent, somebody else, or die: what the person reads, and who learned the password. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { openStoreAt } from '../../gateway/store/open.ts';
import { type Bed, type Door, openDoor, PASSWORD, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { Evidence, stillServes } from '../support/evidence.ts';
import {
  type FaultyTarget,
  type Impostor,
  startBlackhole,
  startImpostor,
  startTcpTarget,
} from '../support/faulty-targets.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { startSlowLine } from '../support/peers.ts';
import { freePort, until } from '../support/process.ts';
import { type Sshd, startSshd } from '../support/sshd.ts';
import { temporaryFolder } from '../support/temp.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
const TIMEOUT_SECONDS = 3;
let bed: Bed;
let evidence: Evidence;
let mortal: Sshd;
let impostor: Impostor;
/** Runs no command: writes as many bytes as it says, exits with 7 and hangs up, as embedded servers do. */
let hasty: Impostor;
const faulty: FaultyTarget[] = [];

/** The door of alice to the account of another system. */
function door(system: string, account = bed.sshd.account.name): Door {
  return bed.doorFor(`alice@${account}@${system}`, PASSWORD);
}

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  impostor = await startImpostor();
  hasty = await startImpostor((connection, socket) =>
    connection.on('session', (accept) =>
      accept().on('exec', (start, _refuse, { command }) => {
        const channel = start();
        channel.write(Buffer.alloc(Number(command), 'output '));
        channel.exit(7);
        channel.end();
        setImmediate(() => socket.end());
      }),
    ),
  );
  mortal = await startSshd();
  const blackhole = await startBlackhole();
  const silent = await startTcpTarget();
  const garbage = await startTcpTarget((socket) => socket.write(Buffer.alloc(300_000, 'no ssh here\r\n')));
  const hangsUp = await startTcpTarget((socket) => socket.end());
  faulty.push(impostor, hasty, blackhole, silent, garbage, hangsUp);
  const downPort = await freePort();
  bed = await startBed({
    config: { ssh: { connectTimeoutSeconds: TIMEOUT_SECONDS } },
    document: (sshd) => {
      const system = (name: string, port: number, hostKey: string | undefined = sshd.hostKey) => ({
        name,
        protocol: 'ssh',
        host: sshd.host,
        port,
        ...(hostKey === '' ? {} : { hostKey }),
      });
      const systems = [
        system('down', downPort),
        system('blackhole', blackhole.port),
        system('silent', silent.port),
        system('garbage', garbage.port),
        system('hangs-up', hangsUp.port),
        system('impostor', impostor.port),
        system('hasty', hasty.port, hasty.hostKey),
        system('first-use', sshd.port, 'trust-on-first-use'),
        system('no-key', sshd.port, ''),
        system('wrong-password', sshd.port),
        system('mortal', mortal.port, mortal.hostKey),
        system('damaged', sshd.port),
      ];
      const account = (name: string, password: string, at: string) => ({ name, system: at, password });
      const own = sshd.account;
      return {
        systems,
        accounts: [
          ...systems
            .filter(({ name }) => name !== 'wrong-password' && name !== 'mortal')
            .map(({ name }) => account(own.name, own.password, name)),
          account(own.name, 'not-the-password', 'wrong-password'),
          account(mortal.account.name, mortal.account.password, 'mortal'),
        ],
        policies: [
          { name: 'faulty', users: ['alice'], accounts: ['*'], allow: ['shell', 'exec'], keystrokes: true },
        ],
      };
    },
  });
  evidence = await Evidence.of(bed.gateway);
});
after(async () => {
  await evidence?.close();
  await bed?.stop();
  await mortal?.stop();
  for (const target of faulty) await target.stop();
});

for (const [system, words, code] of [
  ['down', /cannot reach down \(127\.0\.0\.1:\d+\): connection refused/, 'target.unreachable'],
  ['blackhole', /cannot reach blackhole \(127\.0\.0\.1:\d+\): no answer within 3 s/, 'target.unreachable'],
  ['silent', /silent \(127\.0\.0\.1:\d+\).*within 3 s/, 'target.unreachable'],
  ['garbage', /cannot open SSH to garbage \(127\.0\.0\.1:\d+\)/, 'target.unreachable'],
  ['hangs-up', /hangs-up \(127\.0\.0\.1:\d+\)/, 'target.unreachable'],
  ['wrong-password', /wrong-password \(.*\) does not accept the credential of spt/, 'target.auth_failed'],
] as const) {
  testWith(NEEDS, `${system}: the person reads what is wrong in time, the auditor too`, async () => {
    const result = await ssh(door(system), ['target', 'id']);
    assert.deepEqual([result.code, result.text], [255, '']);
    assert.match(result.stderr, words);
    const event = await evidence.event(code, (row) => words.test(String(row.detail['reason'])));
    assert.equal(event.actor, 'alice');
    const ended = await evidence.session('alice', 'ended');
    assert.equal(ended.endCode, code.replace(/[._]/g, '-'));
    assert.ok(ended.sealed, 'its recording is sealed');
    await stillServes(bed);
  });
}

testWith(NEEDS, 'an impostor with another host key learns nothing', async () => {
  const result = await ssh(door('impostor'), ['target', 'id']);
  assert.deepEqual([result.code, result.text], [255, '']);
  assert.match(result.stderr, /the host key of impostor .* is not the pinned one.*Nothing was sent to it/);
  assert.equal(impostor.learned.length, 0, 'no log-on was tried');
  const event = await evidence.event('target.host_key.changed');
  assert.equal(event.actor, 'alice');
  await stillServes(bed);

  // The same server is told everything once its key is pinned: the test above could have failed.
  await bed.gateway.apply({
    systems: [
      {
        name: 'impostor',
        protocol: 'ssh',
        host: '127.0.0.1',
        port: impostor.port,
        hostKey: impostor.hostKey,
      },
    ],
  });
  await ssh(door('impostor'), ['target', 'id'], { timeoutMs: 60_000 });
  assert.equal(impostor.learned.at(-1)?.secret, bed.sshd.account.password);
});

testWith(
  NEEDS,
  'the first key is pinned where that is allowed, and another one refused from then on',
  async () => {
    await stillServes(bed, door('first-use'));
    const pinned = await evidence.event('target.host_key.pinned');
    assert.equal(pinned.detail['hostKey'], bed.sshd.hostKey);
    await stillServes(bed, door('first-use'));

    // Another server takes the address.
    const at = (port: number) => ({
      systems: [
        { name: 'first-use', protocol: 'ssh', host: '127.0.0.1', port, hostKey: 'trust-on-first-use' },
      ],
    });
    const usurper = await startSshd();
    try {
      await bed.gateway.apply(at(usurper.port));
      const moved = await ssh(door('first-use'), ['target', 'id']);
      assert.match(moved.stderr, /does not accept the credential/, 'a moved system is pinned anew');
    } finally {
      await usurper.stop();
    }
    const successor = await startSshd({ port: usurper.port });
    try {
      const changed = await ssh(door('first-use'), ['target', 'id']);
      assert.deepEqual([changed.code, changed.text], [255, '']);
      assert.match(changed.stderr, /the host key of first-use .* is not the pinned one/);
      assert.doesNotMatch(successor.log(), /password/i);
    } finally {
      await successor.stop();
    }
    await stillServes(bed);
  },
);

testWith(
  NEEDS,
  'a credential that the vault cannot open is told of by its name, and nothing is dialled',
  async () => {
    const account = bed.sshd.account.name;
    const store = await openStoreAt(`sqlite:${join(bed.gateway.dataDir, 'sallyport.db')}`);
    try {
      const [damaged, other] = [
        await store.account(account, 'damaged'),
        await store.account(account, 'down'),
      ];
      assert.ok(damaged !== undefined && other !== undefined);
      // Sealed values are bound to their record: another account's does not open.
      await store.transaction((tx) => tx.putAccount({ ...damaged, secret: other.secret }));
    } finally {
      await store.close();
    }
    const connections = (bed.sshd.log().match(/Connection from/g) ?? []).length;
    const words = `the credential of ${account} at damaged could not be checked out; the administrator finds why in the log`;
    const result = await ssh(door('damaged'), ['target', 'id']);
    assert.deepEqual([result.code, result.text, result.stderr.trim()], [255, '', `sallyport: ${words}`]);
    const row = await evidence.session('alice', 'ended');
    assert.deepEqual([row.endCode, row.endReason, row.sealed], ['check-out-failed', words, true]);
    const event = await evidence.event('credential.check_out_failed');
    assert.deepEqual([event.sessionId, event.detail['why']], [row.id, 'sealed-value']);
    const lines = bed.gateway
      .log()
      .split('\n')
      .filter((line) => line.includes(row.id));
    assert.ok(
      lines.some((line) => line.includes('"credential not checked out"')),
      lines.join('\n'),
    );
    assert.ok(!lines.some((line) => line.includes('an error cost a session')), lines.join('\n'));
    assert.equal((bed.sshd.log().match(/Connection from/g) ?? []).length, connections);
    await stillServes(bed);
  },
);

testWith(NEEDS, 'a system without a host key is not connected to', async () => {
  const connections = (bed.sshd.log().match(/Connection from/g) ?? []).length;
  const result = await ssh(door('no-key'), ['target', 'id']);
  assert.deepEqual([result.code, result.text], [255, '']);
  assert.match(result.stderr, /no-key has no host key pinned: ask an administrator to set its hostKey/);
  assert.equal((bed.sshd.log().match(/Connection from/g) ?? []).length, connections);
  const event = await evidence.event('session.denied');
  assert.equal(event.detail['code'], 'no-host-key');
  await stillServes(bed);
});

testWith(
  NEEDS,
  'a target process that is killed ends the session with the reason, not the gateway',
  async () => {
    const terminal = sshTerminal(door('mortal', mortal.account.name), ['target']);
    await terminal.expect('$ ');
    // The process of the connection that runs with the account's rights is the shell's parent.
    terminal.type('kill -9 $PPID\r');
    await terminal.expect('sallyport: mortal closed the connection');
    assert.notEqual(await terminal.ended, 0);
    assert.equal((await evidence.session('alice', 'ended')).endCode, 'target-closed');
    await stillServes(bed);
  },
);

testWith(
  NEEDS,
  'a target that dies as a whole ends the session, and is served again when it is back',
  async () => {
    const running = ssh(door('mortal', mortal.account.name), ['target', 'echo up; sleep 60']);
    await evidence.session('alice', 'active');
    await until('the command runs', () =>
      mortal.log().includes(`Starting session: command for ${mortal.account.name}`) ? true : undefined,
    );
    const { port } = mortal;
    await mortal.stop();
    const result = await running;
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, /sallyport: mortal closed the connection/);
    const ended = await evidence.session('alice', 'ended');
    assert.deepEqual([ended.endCode, ended.sealed], ['target-closed', true]);
    const gone = await ssh(door('mortal', mortal.account.name), ['target', 'id']);
    assert.match(gone.stderr, /connection refused/);

    mortal = await startSshd({ port });
    const { account, hostKey } = mortal;
    await bed.gateway.apply({
      systems: [{ name: 'mortal', protocol: 'ssh', host: '127.0.0.1', port, hostKey }],
      accounts: [{ name: account.name, system: 'mortal', password: account.password }],
    });
    await stillServes(bed, door('mortal', account.name));
    await stillServes(bed);
  },
);

/** Of `ssh` with a command that makes hasty write `bytes`. */
async function assertWhole(there: Door, bytes: number): Promise<void> {
  const result = await ssh(there, ['target', String(bytes)]);
  assert.deepEqual([result.code, result.stdout.length, result.stderr], [7, bytes, '']);
}

for (const bytes of [0, 40_000, 1_500_000]) {
  testWith(NEEDS, `a target that hangs up behind its last word loses none of ${bytes} bytes`, () =>
    assertWhole(door('hasty'), bytes),
  );
}

testWith(NEEDS, 'nor over a line that takes longer than a farewell', async () => {
  const line = await startSlowLine(bed.gateway.sshPort, 1, 400_000);
  const { login } = door('hasty');
  const entrance = { host: '127.0.0.1', port: line.port, login, password: PASSWORD };
  try {
    await assertWhole(await openDoor(temporaryFolder('slow-door'), entrance), 1_500_000);
    assert.equal((await evidence.session('alice', 'ended')).endReason, 'hasty closed the connection');
  } finally {
    line.close();
  }
});

testWith(NEEDS, 'the password of the target is nowhere but sealed', async () => {
  const { password } = bed.sshd.account;
  assert.ok(!bed.gateway.log().includes(password));
  assert.ok(!JSON.stringify(await evidence.audit()).includes(password));
  assert.ok(!readFileSync(join(bed.gateway.dataDir, 'sallyport.db')).includes(password));
});
