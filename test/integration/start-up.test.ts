/** What keeps a gateway from starting, said in words and with exit code 1; and how it stops and comes back. */
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before } from 'node:test';
import { parse, stringify } from 'yaml';
import { type Bed, ssh, sshTerminal, startBed } from '../support/bed.ts';
import { Evidence, stillServes } from '../support/evidence.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { freePort, type RunResult, run, until } from '../support/process.ts';
import { temporaryFolder } from '../support/temp.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
const SALLYPORT = join(import.meta.dirname, '../../bin/sallyport.js');
let bed: Bed;
let config: Record<string, Record<string, unknown>>;
/** A data folder as a run left it. */
let settled: string;
/** Of the run that left it, whose operator wanted 6. */
let threadsAsTold: number;
/** Of the same run, whose operator wanted 5,000,000. */
let mallocAsTold: readonly string[];

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  // Read at each start.
  const env: Record<string, string> = { UV_THREADPOOL_SIZE: '6', MALLOC_TRIM_THRESHOLD_: '5000000' };
  bed = await startBed({ env });
  config = parse(readFileSync(bed.gateway.configFile, 'utf8')) as typeof config;
  const result = await ssh(bed.door, ['target', 'echo first']);
  assert.equal(result.text, 'first\n', result.stderr);
  threadsAsTold = fileThreads(bed.gateway.pid);
  mallocAsTold = mallocOf(bed.gateway.pid);
  await bed.gateway.stop();
  settled = join(temporaryFolder('settled'), 'data');
  cpSync(bed.gateway.dataDir, settled, { recursive: true });
  for (const name of Object.keys(env)) delete env[name];
  await bed.gateway.start();
});
after(() => bed?.stop());

/** libuv's threads of a process: it makes all of them when the first is needed. */
function fileThreads(pid: number): number {
  const names = readdirSync(`/proc/${pid}/task`).map((thread) => {
    try {
      return readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8');
    } catch {
      return 'has ended';
    }
  });
  return names.filter((name) => name === 'libuv-worker\n').length;
}

/** What glibc was told when the program began that a process runs now. */
function mallocOf(pid: number): readonly string[] {
  const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  return environment.filter((line) => line.startsWith('MALLOC_')).sort();
}

/** Runs `serve` on a copy of the data folder, changed by `change`; it is expected to end by itself. */
async function serve(
  change: (dataDir: string, config: Record<string, Record<string, unknown>>) => void,
): Promise<RunResult> {
  const folder = temporaryFolder('start');
  const dataDir = join(folder, 'data');
  cpSync(settled, dataDir, { recursive: true });
  const own = structuredClone(config);
  own['node'] = { ...own['node'], dataDir };
  own['listen'] = { ...own['listen'], ssh: `127.0.0.1:${await freePort()}` };
  change(dataDir, own);
  const file = join(folder, 'sallyport.yaml');
  writeFileSync(file, stringify(own));
  return await run(process.execPath, [SALLYPORT, 'serve', '--config', file], { cwd: folder });
}

/** Exit code 1, the words on standard error, no stack of calls. */
function assertRefused(result: RunResult, words: RegExp): void {
  assert.equal(result.code, 1, result.stderr);
  assert.match(result.stderr, words);
  assert.ok(!/\n {4}at /.test(result.stderr), result.stderr);
  assert.doesNotMatch(result.text, /is ready/);
}

for (const [what, change, words] of [
  [
    'a damaged database',
    (dataDir: string) => {
      const file = join(dataDir, 'sallyport.db');
      const bytes = readFileSync(file);
      writeFileSync(file, bytes.fill(0xa5, 100, Math.min(bytes.length, 40_000)));
    },
    /sallyport\.db: is damaged; stop every node that uses it and restore the file from a backup/,
  ],
  [
    'a file that is no database',
    (dataDir: string) => writeFileSync(join(dataDir, 'sallyport.db'), 'minutes of the meeting\n'.repeat(500)),
    /sallyport\.db: is not an SQLite database; point store\.url to the right file or move this one away/,
  ],
  [
    'the database of another program',
    (dataDir: string) => {
      rmSync(join(dataDir, 'sallyport.db'));
      const db = new DatabaseSync(join(dataDir, 'sallyport.db'));
      db.exec('CREATE TABLE users (nick TEXT); CREATE TABLE songs (title TEXT)');
      db.close();
    },
    /sallyport\.db: .*(another program|not a Sallyport)/i,
  ],
  [
    'another master key',
    (dataDir: string) =>
      writeFileSync(join(dataDir, 'keys/master.key'), Buffer.alloc(32, 7).toString('base64'), {
        mode: 0o600,
      }),
    /the master key is not the one that sealed this database; restore the right key/,
  ],
  [
    'no master key',
    (dataDir: string) => rmSync(join(dataDir, 'keys/master.key')),
    /master\.key: no such file; restore the master key or set vault\.masterKey/,
  ],
  [
    'a master key that others may read',
    (dataDir: string) => chmodSync(join(dataDir, 'keys/master.key'), 0o644),
    /master\.key: others may read it \(mode 0644\); run chmod 600 on it/,
  ],
  [
    'an unknown key',
    (_: string, own: typeof config) => {
      own['listen'] = { ...own['listen'], shh: '127.0.0.1:22' };
    },
    /sallyport\.yaml: listen\.shh: no such key; did you mean listen\.ssh\?/,
  ],
  [
    'a value of the wrong type',
    (_: string, own: typeof config) => {
      own['capacity'] = { maxSessions: 'many' };
    },
    /sallyport\.yaml: capacity\.maxSessions: wants a whole number from 1 to 100000, was given/,
  ],
  [
    'a value out of bounds',
    (_: string, own: typeof config) => {
      own['ssh'] = { loginGraceSeconds: 0 };
    },
    /sallyport\.yaml: ssh\.loginGraceSeconds: wants/,
  ],
  [
    'an archive folder that cannot be made',
    (dataDir: string, own: typeof config) => {
      writeFileSync(join(dataDir, 'file'), '');
      own['archive'] = { url: `file:${join(dataDir, 'file/archive')}` };
    },
    /archive.*point archive\.url to a folder that this user may write/s,
  ],
  [
    'an address that is not this machine’s',
    (_: string, own: typeof config) => {
      own['listen'] = { ...own['listen'], ssh: '192.0.2.1:4422' };
    },
    /listen\.ssh: .*192\.0\.2\.1/,
  ],
] as const) {
  testWith(NEEDS, `${what} is refused in words`, async () => {
    assertRefused(await serve(change), words);
  });
}

testWith(NEEDS, 'a port that another program has is refused in words', async () => {
  const other = createServer();
  const port = await freePort();
  await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
  try {
    const result = await serve((_, own) => {
      own['listen'] = { ...own['listen'], ssh: `127.0.0.1:${port}` };
    });
    assertRefused(result, new RegExp(`listen\\.ssh: .*127\\.0\\.0\\.1:${port}.*in use`));
  } finally {
    other.close();
  }
});

testWith(NEEDS, 'the port of another gateway is refused too, although its workers share it', async () => {
  const running = sshTerminal(bed.door, ['target']);
  await running.expect('$ ');
  const result = await serve((_, own) => {
    own['listen'] = { ...own['listen'], ssh: `127.0.0.1:${bed.gateway.sshPort}` };
    // Started twice by mistake: the same node, on the same database.
    own['store'] = { url: `sqlite:${join(bed.gateway.dataDir, 'sallyport.db')}` };
    own['vault'] = { masterKey: `file:${join(bed.gateway.dataDir, 'keys/master.key')}` };
  });
  assertRefused(result, new RegExp(`listen\\.ssh: .*:${bed.gateway.sshPort}.*in use`));
  const evidence = await Evidence.of(bed.gateway);
  assert.equal((await evidence.sessions())[0]?.state, 'active', 'a session of the first one goes on');
  await evidence.close();
  running.type('exit\r');
  assert.equal(await running.ended, 0);
  await stillServes(bed);
});

testWith(NEEDS, 'files have 32 threads, or as many as the operator wants', async () => {
  // What is recorded goes to an archive folder.
  await stillServes(bed);
  assert.equal(fileThreads(bed.gateway.pid), 32);
  assert.equal(threadsAsTold, 6);
});

testWith(NEEDS, 'glibc gives back what is free above 2 MiB, or above what the operator wants', async () => {
  assert.deepEqual(mallocOf(bed.gateway.pid), [
    'MALLOC_MMAP_THRESHOLD_=1048576',
    'MALLOC_TRIM_THRESHOLD_=2097152',
  ]);
  assert.deepEqual(mallocAsTold, ['MALLOC_TRIM_THRESHOLD_=5000000']);
});

testWith(NEEDS, 'a file without YAML is refused with its line', async () => {
  const file = join(temporaryFolder('yaml'), 'sallyport.yaml');
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, 'listen:\n  ssh: [1, 2\nnode: {');
  assertRefused(
    await run(process.execPath, [SALLYPORT, 'serve', '--config', file]),
    /sallyport\.yaml: .*line/,
  );
  assertRefused(
    await run(process.execPath, [SALLYPORT, 'serve', '--config', `${file}.none`]),
    /sallyport\.yaml\.none/,
  );
});

testWith(
  NEEDS,
  'SIGTERM tells people, ends and seals their sessions; the next start keeps everything',
  async () => {
    const terminal = sshTerminal(bed.door, ['target']);
    await terminal.expect('$ ');
    const command = ssh(bed.door, ['target', 'echo up; sleep 60'], { timeoutMs: 60_000 });
    const evidence = await Evidence.of(bed.gateway);
    try {
      await until('both sessions run', async () => {
        const active = (await evidence.sessions()).filter((row) => row.state === 'active');
        return active.length === 2 ? true : undefined;
      });
      const stopped = bed.gateway.stop();
      await terminal.expect(/This gateway is being stopped: your session ends in \d+ s\./);
      const refused = await ssh(bed.door, ['target', 'id']);
      assert.equal(refused.code, 255);
      assert.match(refused.stderr, /this gateway is being stopped: connect again in a moment/);
      await terminal.expect('sallyport: this gateway is being stopped', 30_000);
      assert.notEqual(await terminal.ended, 0);
      assert.match((await command).stderr, /sallyport: this gateway is being stopped/);
      assert.equal(await stopped, 0);
      const rows = await evidence.sessions();
      assert.ok(
        rows.every((row) => row.state === 'ended' && row.sealed),
        JSON.stringify(rows),
      );
      assert.equal(rows.filter((row) => row.endCode === 'node-stopping').length, 2);
      await evidence.event('node.stopped');

      await bed.gateway.start();
      // The door still expects the host key of the first start, and alice and her policy are there.
      await stillServes(bed);
      for (const { id } of rows.slice(0, 2)) {
        const verified = await bed.gateway.sallyport(['recordings', 'verify', id]);
        assert.equal(verified.code, 0, verified.text);
      }
    } finally {
      await evidence.close();
    }
  },
);
