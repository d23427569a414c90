/** Other targets, other ways to log on, load balancers and bad lines. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { Secret, TOTP } from 'otpauth';
import {
  type Bed,
  DIRECT,
  type Door,
  openDoor,
  openssh,
  PASSWORD,
  ssh,
  sshTerminal,
  startBed,
} from '../support/bed.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { type Dropbear, startDropbear, startHaproxy, startSlowLine } from '../support/peers.ts';
import { freePort, run, runOk, until } from '../support/process.ts';
import { generateKey, type Sshd, startSshd } from '../support/sshd.ts';
import { temporaryFolder } from '../support/temp.ts';
import { openTerminal } from '../support/terminal.ts';
import { digestFile, randomFile } from '../support/tree.ts';

const NEEDS = ['openssh-server', 'openssh-client', 'dropbear-bin', 'haproxy'] as const;
const LEGACY = [
  'KexAlgorithms diffie-hellman-group14-sha1',
  'HostKeyAlgorithms ssh-rsa',
  'Ciphers aes128-cbc',
  'MACs hmac-sha1',
];
const PASSPHRASE = 'a passphrase with spaces';
const TOTP_SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';
let bed: Bed;
let pam: Sshd;
let old: Sshd;
let dropbear: Dropbear;
let keys: string;
const servers: { stop(): Promise<unknown> }[] = [];
/** Files of private keys by name. */
const keyFile = (name: string): string => join(keys, name);

before(async () => {
  if (DIRECT || obstacle(NEEDS) !== undefined) return;
  keys = temporaryFolder('keys');
  const rsa = join(keys, 'rsa-host');
  const rsaLine = await generateKey(rsa, 'rsa');
  const userLines = [
    await generateKey(keyFile('alice-ed25519')),
    await generateKey(keyFile('alice-ecdsa'), 'ecdsa'),
    await generateKey(keyFile('alice-rsa'), 'rsa'),
  ];
  [pam, old, dropbear] = await Promise.all([
    startSshd({ methods: ['keyboard-interactive'], config: ['RekeyLimit 1M', 'LogLevel DEBUG1'] }),
    startSshd({ config: [`HostKey ${rsa}`, ...LEGACY] }),
    startDropbear(),
  ]);
  servers.push(pam, old, dropbear);
  bed = await startBed({
    config: { listen: { proxyProtocol: { from: ['127.0.0.2/32'] } } },
    document: (sshd) => {
      const at = (name: string, port: number, hostKey: string, more = {}): Record<string, unknown> => ({
        name,
        protocol: 'ssh',
        host: '127.0.0.1',
        port,
        hostKey,
        ...more,
      });
      return {
        users: [
          { name: 'keyholder', sshKeys: userLines, role: 'requester' },
          { name: 'coded', password: PASSWORD, totp: TOTP_SECRET, role: 'requester' },
          { name: 'coded-key', sshKeys: userLines, totp: TOTP_SECRET, role: 'requester' },
        ],
        systems: [
          at('pam01', pam.port, pam.hostKey),
          at('dropbear01', dropbear.port, dropbear.hostKey),
          at('old01', old.port, rsaLine, { legacyAlgorithms: true }),
          at('old02', old.port, rsaLine),
          at('key01', sshd.port, sshd.hostKey),
          at('key02', sshd.port, sshd.hostKey),
          at('first01', sshd.port, 'trust-on-first-use'),
        ],
        accounts: [
          { name: pam.account.name, system: 'pam01', password: pam.account.password },
          { name: dropbear.account.name, system: 'dropbear01', password: dropbear.account.password },
          { name: old.account.name, system: 'old01', password: old.account.password },
          { name: old.account.name, system: 'old02', password: old.account.password },
          { name: sshd.account.name, system: 'key01', privateKey: sshd.privateKey },
          {
            name: sshd.account.name,
            system: 'key02',
            privateKey: encrypted(sshd.privateKey),
            passphrase: PASSPHRASE,
          },
          { name: sshd.account.name, system: 'first01', password: sshd.account.password },
        ],
        policies: [
          {
            name: 'all',
            users: ['alice', 'keyholder', 'coded', 'coded-key'],
            accounts: ['*'],
            allow: ['shell', 'exec', 'sftp', 'scp'],
            record: true,
          },
        ],
      };
    },
  });
});
after(async () => {
  await bed?.stop();
  for (const server of servers) await server.stop();
});

/** The same key, encrypted as ssh-keygen does it. */
function encrypted(privateKey: string): string {
  const file = keyFile('encrypted');
  writeFileSync(file, privateKey, { mode: 0o600 });
  execFileSync('ssh-keygen', ['-q', '-p', '-P', '', '-N', PASSPHRASE, '-f', file]);
  return readFileSync(file, 'utf8');
}

function gatewayTest(name: string, body: () => Promise<void>): void {
  if (!DIRECT) testWith(NEEDS, name, body);
}

function to(account: string, system: string): Door {
  return bed.doorFor(`alice@${account}@${system}`, PASSWORD);
}

/** A command, big data both ways, and sftp. */
async function assertWorks(there: Door, account: string): Promise<void> {
  const id = await ssh(there, ['target', 'id -un; exit 5']);
  assert.deepEqual([id.code, id.text], [5, `${account}\n`], id.stderr);
  const data = randomBytes(4_000_000);
  const echoed = await ssh(there, ['target', 'cat'], { input: data });
  assert.ok(echoed.stdout.equals(data));
}

gatewayTest('a target that asks for its password by keyboard-interactive (PAM)', () =>
  assertWorks(to(pam.account.name, 'pam01'), pam.account.name),
);

gatewayTest('a target that exchanges keys anew each megabyte', async () => {
  const exchanged = (): number => (pam.log().match(/NEWKEYS received/g) ?? []).length;
  const before = exchanged();
  await assertWorks(to(pam.account.name, 'pam01'), pam.account.name);
  assert.ok(exchanged() - before >= 2 + 3, `${exchanged() - before} exchanges of keys`);
});

gatewayTest('an account with an encrypted private key', () =>
  assertWorks(to(bed.sshd.account.name, 'key02'), bed.sshd.account.name),
);

gatewayTest('an account with a private key', () =>
  assertWorks(to(bed.sshd.account.name, 'key01'), bed.sshd.account.name),
);

gatewayTest('Dropbear as a target: commands, shell, sizes', async () => {
  const there = to(dropbear.account.name, 'dropbear01');
  await assertWorks(there, dropbear.account.name);
  const terminal = sshTerminal(there, ['target'], { columns: 91, rows: 31 });
  await terminal.expect('$ ');
  terminal.type('stty size; exit 6\r');
  await terminal.expect('31 91');
  assert.equal(await terminal.ended, 6);
});

gatewayTest('a target with old algorithms works only where the system allows them', async () => {
  await assertWorks(to(old.account.name, 'old01'), old.account.name);
  const refused = await ssh(to(old.account.name, 'old02'), ['target', 'id']);
  assert.equal(refused.code, 255);
  assert.match(refused.stderr, /old02 .*legacyAlgorithms|old02 .*offers no host key/);
});

gatewayTest('trust on first use pins the first host key and holds on to it', async () => {
  const { account } = bed.sshd;
  await assertWorks(to(account.name, 'first01'), account.name);
  const pinned = (await bed.gateway.json<{ code: string }[]>(['audit', '--limit', '1000'])).filter(
    (row) => row.code === 'target.host_key.pinned',
  );
  assert.equal(pinned.length, 1);
  await assertWorks(to(account.name, 'first01'), account.name);
});

for (const name of ['alice-ed25519', 'alice-ecdsa', 'alice-rsa']) {
  gatewayTest(`a person logs on with the key ${name}`, async () => {
    const options = ['-o', 'PreferredAuthentications=publickey', '-o', 'PubkeyAuthentication=yes'];
    const there = bed.doorFor(bed.targetLogin('keyholder'), 'unused');
    const identity = ['-o', 'IdentitiesOnly=yes', '-i', keyFile(name)];
    const result = await ssh(there, [...options, ...identity, 'target', 'id -un']);
    assert.deepEqual([result.code, result.text], [0, `${bed.sshd.account.name}\n`], result.stderr);
  });
}

gatewayTest('an RSA key signs with SHA-2 or not at all', async () => {
  const there = bed.doorFor(bed.targetLogin('keyholder'), 'unused');
  const offer = async (algorithm: string): Promise<number | null> => {
    const how = ['PreferredAuthentications=publickey', 'PubkeyAuthentication=yes', 'IdentitiesOnly=yes'];
    const options = [...how, `PubkeyAcceptedAlgorithms=${algorithm}`].flatMap((option) => ['-o', option]);
    return (await ssh(there, [...options, '-i', keyFile('alice-rsa'), 'target', 'true'])).code;
  };
  assert.equal(await offer('rsa-sha2-256'), 0);
  assert.equal(await offer('ssh-rsa'), 255);
});

gatewayTest('a key that is not the person’s is refused', async () => {
  await generateKey(keyFile('stranger'));
  const options = ['-o', 'PreferredAuthentications=publickey', '-o', 'PubkeyAuthentication=yes'];
  const there = bed.doorFor(bed.targetLogin('keyholder'), 'unused');
  const result = await ssh(there, [
    ...options,
    '-o',
    'IdentitiesOnly=yes',
    '-i',
    keyFile('stranger'),
    'target',
    'id',
  ]);
  assert.equal(result.code, 255);
  assert.match(result.stderr, /Permission denied/);
});

gatewayTest('a one-time code is asked after the password or the key, and taken once', async () => {
  const totp = new TOTP({ secret: Secret.fromBase32(TOTP_SECRET) });
  const code = totp.generate();
  const logOn = async (user: string, first: readonly string[], typed: readonly string[]): Promise<string> => {
    const there = bed.doorFor(bed.targetLogin(user), PASSWORD);
    const env = { ...there.env, SSH_ASKPASS_REQUIRE: 'never' };
    const args = ['-F', there.sshConfig, '-q', ...first, 'target', 'echo in-$((1+1))'];
    const terminal = openTerminal('ssh', args, { env });
    for (const answer of typed) {
      await terminal.expect(/(assword|ode): ?$/);
      terminal.type(`${answer}\r`);
    }
    await terminal.ended;
    return terminal.screen.toString();
  };
  const byPassword = ['-o', 'PreferredAuthentications=password,keyboard-interactive'];
  assert.match(await logOn('coded', byPassword, [PASSWORD, code]), /in-2/);
  assert.doesNotMatch(await logOn('coded', byPassword, [PASSWORD, code]), /in-2/);
  const byKey = [
    ...['-o', 'PreferredAuthentications=publickey,keyboard-interactive', '-o', 'PubkeyAuthentication=yes'],
    ...['-o', 'IdentitiesOnly=yes', '-i', keyFile('alice-ed25519')],
  ];
  assert.match(await logOn('coded-key', byKey, [code]), /in-2/);
  assert.doesNotMatch(await logOn('coded-key', byKey, ['000000']), /in-2/);
});

for (const [version, option] of [
  ['v1', 'send-proxy'],
  ['v2', 'send-proxy-v2'],
] as const) {
  gatewayTest(`behind HAProxy with PROXY protocol ${version} the client's address is known`, async () => {
    const port = await freePort();
    const lines = [
      'defaults',
      '  mode tcp',
      '  timeout connect 5s',
      '  timeout client 60s',
      '  timeout server 60s',
      'frontend ssh',
      `  bind 127.0.0.1:${port}`,
      '  default_backend nodes',
      'backend nodes',
      // The address that the gateway trusts; people come from others.
      `  server one 127.0.0.1:${bed.gateway.sshPort} ${option} source 127.0.0.2`,
    ];
    const haproxy = await startHaproxy(`${lines.join('\n')}\n`, port);
    const folder = temporaryFolder('haproxy-door');
    const there = await openDoor(folder, {
      host: '127.0.0.1',
      port,
      login: bed.door.login,
      password: PASSWORD,
    });
    // Another address of loopback than the one HAProxy connects from.
    const result = await ssh(there, ['-b', '127.0.0.7', 'target', 'echo in']);
    await haproxy.stop();
    assert.deepEqual([result.code, result.text], [0, 'in\n'], result.stderr);
    const [newest] = await bed.gateway.json<{ source: string }[]>(['sessions', 'ls', '--all']);
    assert.match(newest?.source ?? '', /^127\.0\.0\.7/);
  });
}

gatewayTest('over a line with 25 ms each way data stays whole both ways', async () => {
  const line = await startSlowLine(bed.gateway.sshPort, 25);
  const folder = temporaryFolder('slow-door');
  const entrance = { host: '127.0.0.1', port: line.port, login: bed.door.login, password: PASSWORD };
  const there = await openDoor(folder, entrance);
  const file = randomFile(join(folder, 'file'), 20 * 1024 * 1024);
  const both = await ssh(there, ['target', 'tee copy | sha256sum; cat copy'], { input: { file } });
  line.close();
  const digest = digestFile(file);
  assert.equal(both.stdout.subarray(0, 64).toString(), digest);
  const back = both.stdout.subarray(both.stdout.indexOf('\n') + 1);
  assert.equal(createHash('sha256').update(back).digest('hex'), digest);
});

gatewayTest('a client whose line is cut ends its session and its command at the target', async () => {
  const line = await startSlowLine(bed.gateway.sshPort, 1);
  const folder = temporaryFolder('cut-door');
  const entrance = { host: '127.0.0.1', port: line.port, login: bed.door.login, password: PASSWORD };
  const there = await openDoor(folder, entrance);
  const terminal = sshTerminal(there, ['target']);
  await terminal.expect('$ ');
  line.cut();
  assert.notEqual(await terminal.ended, 0);
  line.close();
  await until('the session has ended', async () => {
    const [newest] = await bed.gateway.json<{ state: string; endCode?: string }[]>([
      'sessions',
      'ls',
      '--all',
    ]);
    return newest?.endCode === 'client-closed' ? true : undefined;
  });
});

gatewayTest('a target whose line is cut tells the person so', async () => {
  const line = await startSlowLine(bed.sshd.port, 1);
  const { account, hostKey } = bed.sshd;
  await bed.gateway.apply({
    systems: [{ name: 'far01', protocol: 'ssh', host: '127.0.0.1', port: line.port, hostKey }],
    accounts: [{ name: account.name, system: 'far01', password: account.password }],
  });
  const terminal = sshTerminal(to(account.name, 'far01'), ['target']);
  await terminal.expect('$ ');
  line.cut();
  await terminal.expect('far01 closed the connection');
  assert.notEqual(await terminal.ended, 0);
  line.close();
});

gatewayTest('probes and strangers on the port disturb nobody', async () => {
  const { sshPort } = bed.gateway;
  const terminal = sshTerminal(bed.door, ['target']);
  await terminal.expect('$ ');
  const noise = [
    '',
    'GET / HTTP/1.1\r\n\r\n',
    'SSH-2.0-x\r\n',
    '\x16\x03\x01',
    'PROXY UNKNOWN\r\n',
    'PROXY TCP4 x\r\n',
  ];
  for (const text of [...noise, ...noise])
    await run('/usr/bin/timeout', [
      '0.3',
      'bash',
      '-c',
      `printf %s "$1" > /dev/tcp/127.0.0.1/${sshPort}; sleep 0.1`,
      '-',
      text,
    ]);
  await runOk('ssh-keyscan', ['-T', '5', '-p', String(sshPort), '127.0.0.1']);
  terminal.type('echo still-$((1+1))\r');
  await terminal.expect('still-2');
  terminal.type('exit\r');
  assert.equal(await terminal.ended, 0);
  const sftp = await openssh(bed.door, 'sftp', ['target'], { input: 'pwd\n' });
  assert.match(sftp.text, /Remote working directory/);
});
