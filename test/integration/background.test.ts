/**
 * A gateway that compacts and indexes recordings, renders one and checks a burst of passwords, while somebody
 * types: every key is echoed once, in order and about as soon as without, and all of the work is done.
 */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import ssh2, { type ClientChannel } from 'ssh2';
import { type Archive, openArchives } from '../../recorder/index.ts';
import { type Bed, type Door, PASSWORD, ssh, startBed } from '../support/bed.ts';
import { Evidence, stillServes } from '../support/evidence.ts';
import { assertPrompt, keyFigures } from '../support/latency.ts';
import { recordedInFull } from '../support/load.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';
import { S3_PACKAGES, type S3Server, startS3 } from '../support/s3.ts';
import { temporaryFolder } from '../support/temp.ts';

const NEEDS = ['openssh-server', 'openssh-client', 'ffmpeg', ...S3_PACKAGES] as const;
/** Sessions that end at once, each with so much of a terminal to compact and to index. */
const SESSIONS = 4;
const OUTPUT = 'head -c 500000 /dev/urandom | base64';
/** Wrong passwords at once, each from another address, so that none of them is blocked. */
const GUESSES = 30;
const KEYS_APART_MS = 20;
const QUIET_KEYS = 150;

let s3: S3Server;
let bed: Bed;
let evidence: Evidence;
let archive: Archive;
before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  s3 = await startS3();
  const url = `s3://${s3.bucket}/background?endpoint=${s3.endpoint}`;
  const { accessKeyId, secretAccessKey } = s3;
  const credentials = { accessKeyId, secretAccessKey };
  bed = await startBed({
    config: { archive: { url, credentials } },
    document: () => ({
      users: [{ name: 'bob', password: PASSWORD, role: 'requester' }],
      policies: [{ ...recordedInFull('bob'), maxSessions: SESSIONS }],
    }),
  });
  evidence = await Evidence.of(bed.gateway);
  archive = openArchives({ urls: [url], credentials });
});
after(async () => {
  await evidence?.close();
  await bed?.stop();
  await s3?.stop();
});

/** Logs on; resolves when that went well, rejects when it did not. */
function logOn(door: Door, localAddress: string): Promise<InstanceType<typeof ssh2.Client>> {
  const client = new ssh2.Client();
  const sock = connect({ host: door.host, port: door.port, localAddress, noDelay: true });
  return new Promise((resolve, reject) => {
    sock.on('error', reject);
    client.on('error', reject);
    client.on('ready', () => resolve(client));
    client.connect({ sock, username: door.login, password: door.password, readyTimeout: 30_000 });
  });
}

/** A terminal whose driver echoes what is typed, and that shows nothing else. */
async function openEcho(door: Door): Promise<{ channel: ClientChannel; close(): void }> {
  const client = await logOn(door, '127.0.0.1');
  const channel = await new Promise<ClientChannel>((resolve, reject) => {
    client.exec(
      'stty -icanon; echo ready; exec cat > /dev/null',
      { pty: { term: 'dumb' } },
      (error, opened) => (error === undefined ? resolve(opened) : reject(error)),
    );
  });
  await new Promise((resolve) => channel.once('data', resolve));
  return { channel, close: () => client.end() };
}

/** Types until `enough`; resolves with ms from each key to its echo, which must be that of this key. */
async function type(channel: ClientChannel, enough: (keys: number) => boolean): Promise<number[]> {
  const sent: number[] = [];
  const took: number[] = [];
  let shown = '';
  const onData = (bytes: Buffer): void => {
    const now = performance.now();
    shown += bytes.toString('latin1');
    while (took.length < shown.length) took.push(now - (sent[took.length] ?? Number.NaN));
  };
  channel.on('data', onData);
  let typed = '';
  while (!enough(typed.length)) {
    const key = String.fromCharCode(0x61 + (typed.length % 26));
    typed += key;
    sent.push(performance.now());
    channel.write(key);
    await sleep(KEYS_APART_MS);
  }
  await until('the echo of the last key', () => (shown.length >= typed.length ? true : undefined));
  channel.off('data', onData);
  assert.equal(shown, typed, 'each key once, and in order');
  return took;
}

/** Those of bob, once all are compacted and have their text beside them. */
async function made(): Promise<boolean> {
  const rows = (await evidence.sessions()).filter(({ user }) => user === 'bob');
  if (rows.length < SESSIONS || rows.some(({ sealed, compacted }) => !sealed || !compacted)) return false;
  for (const { id, openedAt, startedAt } of rows) {
    const reader = await archive.openSide(id, startedAt ?? openedAt, 'text');
    if (reader === undefined) return false;
    await reader.close();
  }
  return true;
}

testWith(NEEDS, 'work in the background goes on while people type, and both are whole', async (t) => {
  const typist = await openEcho(bed.door);
  const quiet = await type(typist.channel, (keys) => keys >= QUIET_KEYS);

  const bob = bed.doorFor(bed.targetLogin('bob'), PASSWORD);
  const results = await Promise.all(
    Array.from({ length: SESSIONS }, () => ssh(bob, ['-tt', 'target', OUTPUT], { timeoutMs: 60_000 })),
  );
  assert.deepEqual(new Set(results.map(({ code }) => code)), new Set([0]));
  const [first] = (await evidence.sessions()).filter(({ user }) => user === 'bob');
  assert(first !== undefined);
  const guesses = Array.from({ length: GUESSES }, (_, n) => {
    const door = { ...bed.door, login: bed.targetLogin(`nobody${n}`), password: 'wrong' };
    return logOn(door, `127.0.2.${n + 1}`);
  });
  const film = join(temporaryFolder('film'), 'film.mp4');
  const exported = (async () => {
    await evidence.sealed(first.id);
    return await bed.gateway.sallyport(
      ['recordings', 'export', first.id, '--format', 'mp4', '--output', film],
      { timeoutMs: 120_000 },
    );
  })();
  let done = false;
  const work = Promise.all([
    Promise.allSettled(guesses),
    exported,
    until('all is compacted and indexed', async () => (await made()) || undefined, 120_000),
  ]).finally(() => {
    done = true;
  });
  const busy = await type(typist.channel, (keys) => done && keys >= QUIET_KEYS);
  const [guessed, { code, stderr }] = await work;
  assert.deepEqual([code, stderr], [0, '']);
  assert.deepEqual(new Set(guessed.map(({ status }) => status)), new Set(['rejected']));
  await until('all guesses are told', async () => {
    const failed = await evidence.audit('user.login.failed');
    return failed.filter(({ actor }) => actor?.startsWith('nobody')).length === GUESSES || undefined;
  });
  const proved = await bed.gateway.json<{ ok: boolean; proved: string[] }[]>([
    'recordings',
    'verify',
    '--all',
  ]);
  assert.equal(proved.length, SESSIONS);
  for (const { ok, proved: what } of proved)
    assert.deepEqual([ok, what.some((line) => line.startsWith('signature'))], [true, true]);
  const indexed = await bed.gateway.json<{ made: string[] }[]>(['recordings', 'index', '--all']);
  assert.deepEqual(
    indexed.map(({ made: sides }) => sides),
    Array.from({ length: SESSIONS }, () => []),
  );
  t.diagnostic(`nothing else to do: ${keyFigures(quiet)}`);
  t.diagnostic(`with work in the background: ${keyFigures(busy)}`);
  assertPrompt(quiet, busy);
  typist.close();
  await stillServes(bed);
});
