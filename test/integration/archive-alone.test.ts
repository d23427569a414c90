/**
 * A recording that went to a folder and to an S3 bucket at once, opened on a machine that has one of the
 * two and the identity: no configuration, no store, no keys of the node.
 */
import assert from 'node:assert/strict';
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { parsePart } from '../../recorder/archive/s3/names.ts';
import { decodeFrameHeader, FRAME_HEADER_BYTES } from '../../recorder/format/frame.ts';
import { generateIdentity } from '../../recorder/index.ts';
import { type Bed, sshTerminal, startBed } from '../support/bed.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { type RunResult, run, until } from '../support/process.ts';
import { S3_PACKAGES, type S3Server, startS3 } from '../support/s3.ts';
import { temporaryFolder } from '../support/temp.ts';

const NEEDS = ['openssh-server', 'openssh-client', ...S3_PACKAGES] as const;
const SALLYPORT = join(import.meta.dirname, '../../bin/sallyport.js');

/** The other machine: a home that stays empty, and what was brought to it. */
const home = temporaryFolder('auditor');
const brought = temporaryFolder('brought');
const identity = join(brought, 'identity.txt');
const nodeKey = join(brought, 'node.pem');

let s3: S3Server;
let bed: Bed;
/** The recording: its session, and what the client's terminal received. */
let id: string;
let screen: Buffer;
/** Of the archives. */
const urls: { folder: string; bucket: string } = { folder: `file:${join(brought, 'archive')}`, bucket: '' };

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  s3 = await startS3();
  urls.bucket = `s3://${s3.bucket}/of-the-node?endpoint=${s3.endpoint}`;
  const { accessKeyId, secretAccessKey } = s3;
  const archive = temporaryFolder('archive');
  bed = await startBed({
    config: {
      archive: { url: [`file:${archive}`, urls.bucket], credentials: { accessKeyId, secretAccessKey } },
    },
  });
  const terminal = sshTerminal(bed.door, ['target'], { columns: 90, rows: 30 });
  for (const line of ['seq 300', 'printf "gr\\303\\274n\\n"; sleep 0.5', 'ls /etc | head -50', 'exit 3']) {
    await terminal.expect('$ ');
    terminal.type(`${line}\r`);
  }
  assert.equal(await terminal.ended, 3);
  ({ screen } = terminal);
  const sealed = await until('the recording is sealed', async () => {
    const [first] = await bed.gateway.json<{ id: string; sealed: boolean }[]>(['recordings', 'ls']);
    return first?.sealed === true ? first : undefined;
  });
  ({ id } = sealed);
  const keys = await bed.gateway.json<{ kind: string; publicKey?: string }[]>(['keys', 'ls']);
  writeFileSync(nodeKey, keys.find(({ kind }) => kind === 'signing')?.publicKey ?? '');
  copyFileSync(join(bed.gateway.dataDir, 'keys/archive.identity'), identity);
  await bed.gateway.stop();
  cpSync(archive, join(brought, 'archive'), { recursive: true });
  // Whoever reads from now on can have nothing of the node.
  rmSync(bed.gateway.dataDir, { recursive: true });
  rmSync(archive, { recursive: true });
});
after(async () => {
  await bed?.stop();
  await s3?.stop();
});

/** Runs a command of the auditor's, who has credentials for the bucket in the environment. */
function sallyport(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RunResult> {
  return run(process.execPath, [SALLYPORT, 'recordings', ...args], {
    cwd: home,
    env: {
      HOME: home,
      AWS_ACCESS_KEY_ID: s3.accessKeyId,
      AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
      ...env,
    },
    timeoutMs: 60_000,
  });
}

async function json<T>(args: readonly string[]): Promise<T> {
  const { code, text, stderr } = await sallyport([...args, '--json']);
  assert.equal(code, 0, stderr);
  return JSON.parse(text) as T;
}

interface Report {
  readonly ok: boolean;
  readonly proved: readonly string[];
  readonly notProved: readonly string[];
}
const words = (lines: readonly string[]): string[] => lines.map((line) => line.split(':')[0] ?? '');

testWith(
  NEEDS,
  'an end that was cut is not called whole, though an archive alone cannot tell it',
  async () => {
    const cut = join(brought, 'cut');
    cpSync(join(brought, 'archive'), cut, { recursive: true });
    const file = recordingIn(cut);
    writeFileSync(file, readFileSync(file).subarray(0, -1));
    const damaged = join(cut, '2026/01/02');
    mkdirSync(damaged, { recursive: true });
    writeFileSync(join(damaged, 'damaged.slr'), 'no recording');
    const open = ['--archive', `file:${cut}`, '--identity', identity];
    const listed = await json<{ id: string; state: string }[]>(['ls', '--archive', `file:${cut}`]);
    const states = new Map(listed.map((line) => [line.id, line.state]));
    assert.equal(states.get(id), 'unsealed');
    assert.match(states.get('damaged') ?? '', /^damaged: /);
    const verified = await sallyport(['verify', id, ...open]);
    assert.equal(verified.code, 1);
    assert.match(verified.text, /NOT OK: the recording is not sealed/);
    const played = await sallyport(['play', id, ...open, '--speed', '100']);
    assert.equal(played.code, 0, played.stderr);
    assert.match(played.stderr, /is not sealed: .* whether its end was cut only the store can tell/);
  },
);

testWith(NEEDS, 'options that do not fit an archive alone are refused by name', async () => {
  const from = [id, '--archive', urls.folder];
  const [both, noKey, noFile] = await Promise.all([
    sallyport(['show', ...from, '--config', 'sallyport.yaml']),
    sallyport(['verify', ...from, '--node-key', identity]),
    sallyport(['play', ...from, '--identity', join(home, 'none')]),
  ]);
  assert.deepEqual([both.code, noKey.code, noFile.code], [1, 1, 1]);
  assert.match(both.stderr, /leave --config out/);
  assert.match(noKey.stderr, /--node-key: .* holds no public key in PEM form/);
  assert.match(noFile.stderr, /--identity: .*none cannot be read \(ENOENT\)/);
});

for (const kind of ['folder', 'bucket'] as const) {
  testWith(NEEDS, `a ${kind} alone is listed, shown, played, exported, searched and proved`, async () => {
    const from = ['--archive', urls[kind]];
    const open = [...from, '--identity', identity];
    const listed = await json<Record<string, unknown>[]>(['ls', ...from]);
    assert.deepEqual(
      listed.map((line) => [line['id'], line['user'], line['system'], line['sealed'], line['state']]),
      [[id, 'alice', 'web01', true, 'sealed']],
    );
    // The end of an id is enough, where it is the only one.
    const shown = await json<Record<string, unknown>>(['show', id.slice(-8), ...open]);
    assert.deepEqual(
      [shown['id'], shown['user'], shown['node'], shown['bytes'], shown['state']],
      [id, 'alice', 'test-node', listed[0]?.['recordedBytes'], 'sealed'],
    );

    const [found, played, exported, own, less] = await Promise.all([
      json<Record<string, unknown>[]>(['search', 'GRÜN', ...open]),
      sallyport(['play', id, ...open, '--speed', '100']),
      sallyport(['export', id, ...open, '--format', 'txt']),
      json<Report>(['verify', id, ...open, '--node-key', nodeKey]),
      json<Report>(['verify', id, ...from]),
    ]);
    assert.deepEqual(
      found.map((hit) => [hit['id'], hit['kind'], hit['text']]),
      [[id, 'shown', 'grün']],
    );
    assert.equal(played.code, 0, played.stderr);
    assert.ok(played.stdout.includes(screen), played.text);
    assert.equal(played.stderr.match(/not noted in the audit log/g)?.length, 1);
    assert.equal(exported.stdout.toString('latin1'), screen.toString('latin1'), exported.stderr);
    assert.equal(exported.stderr.match(/not noted in the audit log/g)?.length, 1);
    assert.equal(own.ok, true);
    assert.deepEqual(words(own.proved), ['order', 'chain', 'signature', 'contents']);
    assert.deepEqual(words(own.notProved), ['head']);
    assert.deepEqual(words(less.notProved), ['contents', 'signature', 'head']);
    assert.deepEqual(readdirSync(home), []);
  });

  testWith(NEEDS, `a ${kind} alone says what is missing to open it`, async () => {
    const from = ['--archive', urls[kind]];
    const [without, closed, right, nobody] = await Promise.all([
      sallyport(['play', id, ...from]),
      sallyport(['play', id, ...from], { SALLYPORT_IDENTITY: (await generateIdentity()).identity }),
      sallyport(['export', id, ...from, '--format', 'txt'], {
        SALLYPORT_IDENTITY: readFileSync(identity, 'utf8'),
      }),
      sallyport(['show', '0000-nobody', ...from]),
    ]);
    assert.deepEqual([without.code, closed.code, right.code, nobody.code], [1, 1, 0, 1], right.stderr);
    assert.match(without.stderr, /no archive identity: give --identity FILE or set SALLYPORT_IDENTITY/);
    assert.match(closed.stderr, /identit/);
    assert.equal(closed.text, '');
    assert.match(nobody.stderr, /holds no recording of session 0000-nobody/);
  });

  testWith(NEEDS, `in a ${kind} alone one altered byte is refused by all`, async () => {
    await (kind === 'folder' ? alterFile() : alterObject());
    const open = ['--archive', urls[kind], '--identity', identity];
    mkdirSync(join(brought, kind));
    const output = join(brought, kind, 'screen.txt');
    const [verified, played, exported] = await Promise.all([
      sallyport(['verify', id, ...open]),
      sallyport(['play', id, ...open, '--speed', '100']),
      sallyport(['export', id, ...open, '--format', 'txt', '--output', output]),
    ]);
    assert.deepEqual([verified.code, played.code, exported.code], [1, 1, 1]);
    assert.match(verified.text, /NOT OK: segment \d+ was altered/);
    assert.match(played.stderr, /segment \d+.*altered/);
    assert.match(exported.stderr, /segment \d+.*altered/);
    assert.deepEqual(readdirSync(join(brought, kind)), []);
  });
}

function alteredAt(bytes: Buffer, at: number): Buffer {
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  return bytes;
}

function recordingIn(folder: string): string {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const name = names.find((each) => each.endsWith(`${id}.slr`));
  return join(folder, name ?? assert.fail('the recording is not in the folder'));
}

/** Offset of the first byte that belongs to what was encrypted: the first segment's, behind the header's frame. */
function secretAt(): number {
  const { bodyLength } = decodeFrameHeader(readFileSync(recordingIn(join(brought, 'archive'))), 0);
  return FRAME_HEADER_BYTES + bodyLength + FRAME_HEADER_BYTES;
}

async function alterFile(): Promise<void> {
  const file = recordingIn(join(brought, 'archive'));
  writeFileSync(file, alteredAt(readFileSync(file), secretAt()));
}

/** In the whole recording where it was compacted in time, else in the part that has the byte. */
async function alterObject(): Promise<void> {
  const at = secretAt();
  const client = s3.client();
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: s3.bucket }));
  const keys = Contents.map(({ Key = '' }) => Key);
  const whole = keys.find((key) => key.endsWith(`/${id}.slr`));
  const parts = keys.map((key) => ({ key, ...parsePart(key.slice(key.lastIndexOf('/') + 1)) }));
  const part = parts.find(({ start = Number.POSITIVE_INFINITY, end = 0 }) => start <= at && at < end);
  const where = { Bucket: s3.bucket, Key: whole ?? part?.key ?? assert.fail('no object has the byte') };
  const { Body } = await client.send(new GetObjectCommand(where));
  const bytes = Buffer.from((await Body?.transformToByteArray()) ?? []);
  const altered = alteredAt(bytes, whole === undefined ? at - (part?.start ?? 0) : at);
  await client.send(new PutObjectCommand({ ...where, Body: altered }));
  client.destroy();
}
