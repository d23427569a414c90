/** Clients other than OpenSSH: PuTTY's, Dropbear's, Paramiko, AsyncSSH. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { type Bed, DIRECT, startBed } from '../support/bed.ts';
import { obstacle, PYTHON, testWith } from '../support/packages.ts';
import { freePort, type RunOptions, type RunResult, run, runOk } from '../support/process.ts';
import { transfers } from '../support/recording.ts';
import { openTerminal } from '../support/terminal.ts';
import { digestFile, randomFile } from '../support/tree.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
const PUTTY = [...NEEDS, 'putty-tools'] as const;
const DROPBEAR = [...NEEDS, 'dropbear-bin'] as const;
let bed: Bed;
before(async () => {
  if (obstacle(NEEDS) === undefined) bed = await startBed();
});
after(() => bed?.stop());

/** Runs plink or psftp without any question: the password from a file, the host keys pinned. */
function putty(
  program: 'plink' | 'psftp',
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const { door } = bed;
  const passwordFile = join(bed.folder, 'password');
  writeFileSync(passwordFile, `${door.password}\n`, { mode: 0o600 });
  const pins = door.hostKeys.flatMap((key) => {
    const blob = Buffer.from(key.split(' ')[1] ?? '', 'base64');
    const hash = createHash('sha256').update(blob).digest('base64').replace(/=+$/, '');
    return ['-hostkey', `SHA256:${hash}`];
  });
  const common = ['-batch', '-P', String(door.port), '-l', door.login, '-pwfile', passwordFile, ...pins];
  return run(program, [...common, ...args], { ...options, env: { HOME: bed.folder } });
}

/**
 * The recording proves what went up and came down, however many requests the client had on the way.
 * @param others how many downloads there were behind these two
 */
async function assertTransfers(file: string, others = 0): Promise<void> {
  if (DIRECT) return;
  const digest = digestFile(file);
  const [up, down, ...more] = await transfers(bed.gateway);
  assert.deepEqual(
    [up, down],
    [
      ['upload', 5_000_003, digest],
      ['download', 5_000_003, digest],
    ],
  );
  assert.deepEqual(
    more.map(([kind]) => kind),
    Array.from({ length: others }, () => 'download'),
  );
}

testWith(PUTTY, 'plink runs commands with exit code, both outputs and input', async () => {
  const result = await putty('plink', ['-T', bed.door.host, 'cat; echo err >&2; exit 7'], { input: 'in\n' });
  // A server that asks by keyboard-interactive makes plink mark where its prompts begin and end.
  const shown = result.stderr.replaceAll(/^.*eyboard-interactive.*prompts from server:?\r\n/gm, '');
  assert.deepEqual([result.code, result.text, shown], [7, 'in\n', 'err\n']);
  const data = randomBytes(3_000_000);
  const big = await putty('plink', ['-T', bed.door.host, 'cat'], { input: data });
  assert.ok(big.stdout.equals(data));
  const compressed = await putty('plink', ['-C', '-T', bed.door.host, 'cat'], { input: data });
  assert.ok(compressed.stdout.equals(data));
});

testWith(PUTTY, 'plink refuses another host key', async () => {
  const { door } = bed;
  const wrong = ['-hostkey', `SHA256:${'A'.repeat(43)}`];
  const args = ['-batch', '-P', String(door.port), '-l', door.login, ...wrong, door.host, 'true'];
  const result = await run('plink', args, { env: { HOME: bed.folder } });
  assert.notEqual(result.code, 0);
  assert.match(result.stderr, /Host key not in manually configured list|Host key did not appear/);
});

testWith(PUTTY, 'plink opens a shell', async () => {
  const result = await putty('plink', ['-t', bed.door.host], { input: 'echo plink-$((1+1)); exit 3\n' });
  assert.equal(result.code, 3);
  assert.match(result.text, /plink-2\r\n/);
});

testWith(PUTTY, 'psftp puts, lists and gets', async () => {
  const file = randomFile(join(bed.folder, 'psftp-up'), 5_000_003);
  const script = join(bed.folder, 'psftp-script');
  writeFileSync(script, `put ${file} psftp-file\nls\nget psftp-file ${file}.back\nrm psftp-file\n`);
  const result = await putty('psftp', ['-b', script, bed.door.host]);
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.text, /psftp-file/);
  assert.equal(digestFile(`${file}.back`), digestFile(file));
  await assertTransfers(file);
});

/** Runs dbclient with the host key in its own known_hosts, which knows no ports. */
function dbclient(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { door } = bed;
  mkdirSync(join(bed.folder, '.ssh'), { recursive: true, mode: 0o700 });
  writeFileSync(
    join(bed.folder, '.ssh/known_hosts'),
    door.hostKeys.map((key) => `${door.host} ${key}\n`).join(''),
  );
  return run('dbclient', ['-p', String(door.port), '-l', door.login, ...args], {
    ...options,
    env: { HOME: bed.folder, DROPBEAR_PASSWORD: door.password },
  });
}

testWith(DROPBEAR, "Dropbear's client runs commands with exit code, both outputs and input", async () => {
  const result = await dbclient([bed.door.host, 'cat; echo err >&2; exit 7'], { input: 'in\n' });
  assert.deepEqual([result.code, result.text], [7, 'in\n'], result.stderr);
  assert.match(result.stderr, /^err$/m);
  // Its window is 24 KiB: each costs a round trip through six processes, which takes long where others run too.
  const data = randomBytes(3_000_000);
  const big = await dbclient([bed.door.host, 'cat'], { input: data, timeoutMs: 120_000 });
  assert.ok(big.stdout.equals(data), big.stderr);
});

testWith(DROPBEAR, "Dropbear's client opens a shell on a terminal", async () => {
  await dbclient([bed.door.host, 'true']);
  const { door } = bed;
  const terminal = openTerminal('dbclient', ['-p', String(door.port), '-l', door.login, door.host], {
    env: { HOME: bed.folder, DROPBEAR_PASSWORD: door.password },
    columns: 90,
    rows: 30,
  });
  await terminal.expect('$ ');
  terminal.type('stty size; exit 3\r');
  await terminal.expect('30 90');
  assert.equal(await terminal.ended, 3);
});

function python(script: string, env: Readonly<Record<string, string>> = {}): Promise<RunResult> {
  const { door } = bed;
  const file = join(import.meta.dirname, '../support', script);
  const args = [file, door.knownHosts, door.host, String(door.port), door.login, bed.folder];
  return runOk(PYTHON, args, {
    // Warnings of old packages about their libraries are not ours.
    env: { PYTHONWARNINGS: 'ignore', SALLYPORT_TEST_PASSWORD: door.password, ...env },
    timeoutMs: 50_000,
  });
}

testWith([...NEEDS, 'python3-paramiko'], 'Paramiko: commands, sftp, shell, channels, rekeying', async () => {
  const result = await python('paramiko_client.py');
  assert.deepEqual(JSON.parse(result.text), {
    echo: true,
    stderr: 'problem\n',
    status: 7,
    sftp: true,
    listed: true,
    size: 5_000_003,
    removed: true,
    large: 200_000_000,
    beginning: 1_000,
    shell: true,
    shellStatus: 4,
    channels: Array.from({ length: 8 }, (_, index) => [String(index), index]),
    rekeyed: 'rekeyed\n',
  });
  await assertTransfers(join(bed.folder, 'paramiko-up'), 2);
});

testWith(
  [...NEEDS, 'python3-asyncssh'],
  'AsyncSSH: commands, channels, signals, sftp, shell, forwarding',
  async () => {
    const port = await freePort();
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.write('hello ');
      socket.pipe(socket);
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    const result = await python('asyncssh_client.py', { ECHO_PORT: String(port) }).finally(() =>
      server.close(),
    );
    assert.deepEqual(JSON.parse(result.text), {
      exec: ['hello', 'problem\n', 7],
      channels: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      echo: true,
      signal: 'USR1',
      terminated: 'TERM',
      listed: true,
      sftp: true,
      shell: [true, 4],
      forward: 'hello through',
    });
    await assertTransfers(join(bed.folder, 'asyncssh-up'));
  },
);
