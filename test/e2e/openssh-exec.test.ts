/** OpenSSH's client running commands: exit codes, streams, big data, rekeying, keepalives. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { after, before } from 'node:test';
import { EventKind } from '../../recorder/index.ts';
import { type Bed, DIRECT, ssh, startBed } from '../support/bed.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { completeFile } from '../support/peers.ts';
import { processesOf, run, runOk, startDaemon, until } from '../support/process.ts';
import { newestEvents, payloads, said } from '../support/recording.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
let bed: Bed;
before(async () => {
  if (obstacle(NEEDS) === undefined) bed = await startBed();
});
after(() => bed?.stop());

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

async function sha256File(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

const MEGABYTE = 1024 * 1024;
/** Reproducible on both sides without sending it: AES-CTR of zeros, which does not compress. */
const STREAM = `openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c ${50 * MEGABYTE}`;

/** What the policy's `execLimit` is by default. */
const LIMIT = 16 * MEGABYTE;

/** The recording holds the beginning of a stream that is longer than the limit, and proves all of it. */
async function assertRecorded(name: 'input' | 'output', file: string): Promise<void> {
  if (DIRECT) return;
  const events = await newestEvents(bed.gateway);
  const kept = payloads(events, EventKind[name]);
  const whole = readFileSync(file);
  assert.equal(kept.length, LIMIT);
  assert.ok(kept.equals(whole.subarray(0, LIMIT)));
  assert.deepEqual(
    events
      .filter(({ kind }) => kind === EventKind.digest)
      .map(said)
      .find(({ stream }) => stream === name),
    { stream: name, bytes: whole.length, recorded: LIMIT, sha256: sha256(whole) },
  );
}

for (const code of [0, 7, 255]) {
  testWith(NEEDS, `a command's exit code ${code} reaches the client`, async () => {
    const result = await ssh(bed.door, ['target', `echo out; echo err >&2; exit ${code}`]);
    assert.deepEqual([result.code, result.text, result.stderr], [code, 'out\n', 'err\n']);
  });
}

testWith(NEEDS, 'a command killed by a signal is told as such', async () => {
  const result = await ssh(bed.door, ['-v', 'target', 'kill -TERM $$']);
  assert.equal(result.code, 255);
  assert.match(result.stderr, /client_input_channel_req: channel 0 rtype exit-signal/);
});

testWith(NEEDS, 'standard output and error stay apart and whole', async () => {
  const script = 'head -c 100000 /dev/zero | tr "\\0" o; head -c 100000 /dev/zero | tr "\\0" e >&2';
  const result = await ssh(bed.door, ['target', script]);
  assert.equal(result.code, 0);
  assert.equal(sha256(result.stdout), sha256(Buffer.alloc(100_000, 'o')));
  assert.equal(sha256(Buffer.from(result.stderr)), sha256(Buffer.alloc(100_000, 'e')));
});

testWith(NEEDS, 'both streams interleave without loss when both are busy', async () => {
  const script = 'for i in $(seq 2000); do echo "out $i"; echo "err $i" >&2; done';
  const result = await ssh(bed.door, ['target', script]);
  const lines = (word: string): string =>
    Array.from({ length: 2000 }, (_, i) => `${word} ${i + 1}\n`).join('');
  assert.equal(result.text, lines('out'));
  assert.equal(result.stderr, lines('err'));
});

testWith(NEEDS, 'the end of standard input reaches the command, whose output still comes', async () => {
  const result = await ssh(bed.door, ['target', 'cat; echo done'], { input: 'line\n' });
  assert.deepEqual([result.code, result.text], [0, 'line\ndone\n']);
  const late = await ssh(bed.door, ['target', 'wc -c; sleep 0.3; echo late'], {
    input: Buffer.alloc(300_000),
  });
  assert.deepEqual([late.code, late.text], [0, '300000\nlate\n']);
});

testWith(NEEDS, 'a command without input ends, and one that ignores its input too', async () => {
  assert.equal((await ssh(bed.door, ['-n', 'target', 'cat; echo end'])).text, 'end\n');
  const ignored = await ssh(bed.door, ['target', 'exit 3'], { input: Buffer.alloc(8 * MEGABYTE) });
  assert.equal(ignored.code, 3);
});

testWith(NEEDS, 'empty output, binary output and a command with every quoting survive', async () => {
  assert.equal((await ssh(bed.door, ['target', 'true'])).stdout.length, 0);
  const binary = randomBytes(70_000);
  const echoed = await ssh(bed.door, ['target', 'cat'], { input: binary });
  assert.equal(sha256(echoed.stdout), sha256(binary));
  const quoted = await ssh(bed.door, [
    'target',
    `printf '%s|' "a b" 'c"d' 'ü€😀' "$((6*7))"; echo \`echo ok\``,
  ]);
  assert.equal(quoted.text, 'a b|c"d|ü€😀|42|ok\n');
  const long = await ssh(bed.door, ['target', `echo ${'x'.repeat(30_000)} | wc -c`]);
  assert.equal(long.text, '30001\n');
});

testWith(NEEDS, 'fifty megabytes come down with their checksum', async () => {
  const expected = (await runOk('sh', ['-c', `${STREAM} | sha256sum`])).text;
  const file = join(bed.folder, 'down');
  const result = await ssh(bed.door, ['target', STREAM], { outputFile: file, timeoutMs: 50_000 });
  assert.equal(result.code, 0, result.stderr);
  assert.equal(`${await sha256File(file)}  -\n`, expected);
  await assertRecorded('output', file);
});

testWith(NEEDS, 'fifty megabytes go up with their checksum', async () => {
  const file = join(bed.folder, 'up');
  writeFileSync(file, randomBytes(50 * MEGABYTE));
  const result = await ssh(bed.door, ['target', 'sha256sum'], { input: { file }, timeoutMs: 50_000 });
  assert.equal(result.text, `${await sha256File(file)}  -\n`);
  await assertRecorded('input', file);
});

testWith(
  NEEDS,
  'a shell without a terminal is recorded behind more output than a command may keep',
  async () => {
    const input = `head -c ${LIMIT + MEGABYTE} /dev/zero\necho after-$((1+1))\n`;
    const result = await ssh(bed.door, ['-T', 'target'], { input, timeoutMs: 50_000 });
    assert.equal(result.code, 0, result.stderr);
    if (DIRECT) return;
    const events = await newestEvents(bed.gateway);
    assert.equal(payloads(events, EventKind.input).toString(), input);
    const output = payloads(events, EventKind.output);
    assert.equal(output.length, result.stdout.length);
    assert.equal(output.subarray(-8).toString(), 'after-2\n');
  },
);

for (const [name, options] of [
  ['rekeying every megabyte', ['-o', 'RekeyLimit=1M']],
  ['compression', ['-C']],
  ['chacha20-poly1305', ['-c', 'chacha20-poly1305@openssh.com']],
  ['aes256-ctr with an extra MAC', ['-c', 'aes256-ctr', '-m', 'hmac-sha2-256-etm@openssh.com']],
] as const) {
  testWith(NEEDS, `25 MB echo through ${name}`, async () => {
    const file = join(bed.folder, 'echo');
    writeFileSync(file, randomBytes(25 * MEGABYTE));
    const back = `${file}.back`;
    const result = await ssh(bed.door, [...options, 'target', 'cat'], {
      input: { file },
      outputFile: back,
      timeoutMs: 50_000,
    });
    assert.equal(result.code, 0, result.stderr);
    assert.equal(await sha256File(back), await sha256File(file));
  });
}

testWith(NEEDS, 'environment variables that the target accepts arrive', async () => {
  const options = ['-o', 'SendEnv=LANG LC_*', '-o', 'SetEnv=LC_SALLYPORT=sent'];
  const result = await ssh(bed.door, [...options, 'target', 'echo "$LANG $LC_SALLYPORT"'], {
    env: { LANG: 'C.UTF-8' },
  });
  assert.equal(result.text, 'C.UTF-8 sent\n');
});

testWith(NEEDS, 'keepalives hold a silent connection', async () => {
  const options = ['-o', 'ServerAliveInterval=1', '-o', 'ServerAliveCountMax=1'];
  const result = await ssh(bed.door, ['-vvv', ...options, 'target', 'sleep 3.5; echo awake']);
  assert.deepEqual([result.code, result.text], [0, 'awake\n']);
  // Each was answered, with success or failure: the client gives up after one that was not.
  assert.ok((result.stderr.match(/receive packet: type 8[12]/g) ?? []).length >= 2, result.stderr);
});

testWith(NEEDS, 'the login can be written in the host argument', async () => {
  const { door } = bed;
  const result = await ssh(door, ['-p', String(door.port), `${door.login}@${door.host}`, 'id -un']);
  assert.deepEqual([result.code, result.text], [0, `${bed.sshd.account.name}\n`]);
});

testWith(NEEDS, 'ten channels work at once on one connection', async () => {
  const socket = join(bed.folder, 'mux');
  const master = ['-o', `ControlPath=${socket}`];
  await ssh(bed.door, ['-M', '-N', '-f', ...master, 'target'], { outputFile: '/dev/null' });
  const results = await Promise.all(
    Array.from({ length: 10 }, async (_, index) => {
      const input = randomBytes(500_000 + index);
      const { stdout, code } = await ssh(bed.door, ['-S', socket, 'target', `cat; exit ${index}`], { input });
      return [code, sha256(stdout) === sha256(input)];
    }),
  );
  const exit = await run('ssh', ['-F', bed.door.sshConfig, '-S', socket, '-O', 'exit', 'target']);
  assert.deepEqual(
    results,
    Array.from({ length: 10 }, (_, index) => [index, true]),
  );
  assert.match(exit.stderr, /Exit request sent/);
});

testWith(NEEDS, 'connections one after the other and side by side all work', async () => {
  const results = await Promise.all(
    Array.from({ length: 12 }, async (_, index) => (await ssh(bed.door, ['target', `echo ${index}`])).text),
  );
  assert.deepEqual(
    results,
    Array.from({ length: 12 }, (_, index) => `${index}\n`),
  );
});

testWith(NEEDS, 'a client that dies takes the target side along', async () => {
  const { home } = bed.sshd.account;
  const client = startDaemon(
    'ssh',
    ['-F', bed.door.sshConfig, '-tt', 'target', 'echo up > up; cat; sleep 60'],
    {
      env: bed.door.env,
    },
  );
  await until('the command runs', () => completeFile(join(home, 'up')));
  const running = (): number => processesOf(bed.sshd.account.uid, readdirSync('/proc')).length;
  assert.ok(running() > 0);
  client.kill('SIGKILL');
  await until('the target side is gone', () => (running() === 0 ? true : undefined));
});
