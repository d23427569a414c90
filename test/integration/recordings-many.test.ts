/** Commands on several recordings at once, on a machine that has nothing but their archive and an identity. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import {
  DEFAULT_WINDOW,
  EventKind,
  generateIdentity,
  openArchive,
  Recorder,
  type VerifyReport,
} from '../../recorder/index.ts';
import { type RunResult, run } from '../support/process.ts';
import { temporaryFolder } from '../support/temp.ts';

const SALLYPORT = join(import.meta.dirname, '../../bin/sallyport.js');
const home = temporaryFolder('auditor');
const folder = temporaryFolder('archive');
const identityFile = join(home, 'identity.txt');
const IDS = ['session-a', 'session-b', 'session-c', 'session-d'] as const;
/** Altered behind the recorder's back. */
const BAD = 'session-c';

before(async () => {
  const { identity, recipient } = await generateIdentity();
  writeFileSync(identityFile, identity);
  const recorder = new Recorder({
    archive: openArchive(`file:${folder}`),
    recipients: [recipient],
    node: 'node1',
    signingKey: generateKeyPairSync('ed25519').privateKey,
    window: DEFAULT_WINDOW,
  });
  const signals = { pause: () => {}, resume: () => {}, failed: (error: Error) => assert.fail(error) };
  for (const sessionId of IDS) {
    const named = { user: 'alice', account: 'root', system: 'web01', policy: 'everything' };
    const startedAt = Date.parse('2026-11-21T10:00:00Z');
    const recording = await recorder.open({ sessionId, startedAt, protocol: 'ssh', ...named }, signals);
    recording.note(EventKind.terminal, 0, { columns: 80, rows: 24, term: 'xterm' });
    for (let n = 0; n < 16; n += 1)
      recording.write(EventKind.output, 0, Buffer.from(`${randomBytes(3000).toString('base64')}\r\n`));
    await recording.seal('done');
  }
  const [file = ''] = globSync(`*/*/*/${BAD}.slr`, { cwd: folder });
  const bytes = readFileSync(join(folder, file));
  bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
  writeFileSync(join(folder, file), bytes);
});

function recordings(...args: readonly string[]): Promise<RunResult> {
  const open = ['--archive', `file:${folder}`, '--identity', identityFile];
  return run(process.execPath, [SALLYPORT, 'recordings', ...args, ...open], {
    cwd: home,
    env: { HOME: home },
    timeoutMs: 60_000,
  });
}

test('all recordings are verified, and the one that was altered is named', async () => {
  const { code, text, stderr } = await recordings('verify', '--all');
  assert.equal(code, 1);
  assert.equal(stderr, 'not noted in the audit log: an archive alone has none\n');
  for (const id of IDS)
    assert.match(
      text,
      new RegExp(`^${id}  ${id === BAD ? 'NOT OK: segment \\d+ was altered' : 'ok: \\d+ segments$'}`, 'm'),
    );
  assert.match(text, /^1 of 4 NOT OK$/m);
});

test('several are verified in the order in which they are named, as many at a time as --jobs says', async () => {
  const { code, text } = await recordings(
    'verify',
    'session-d',
    'nobody',
    'session-a',
    '--jobs',
    '3',
    '--json',
  );
  assert.equal(code, 1);
  const rows = JSON.parse(text) as (VerifyReport & { readonly id: string })[];
  assert.deepEqual(
    rows.map(({ id, ok }) => [id, ok]),
    [
      ['session-d', true],
      ['nobody', false],
      ['session-a', true],
    ],
  );
  assert.match(rows[1]?.problem ?? '', /holds no recording of session nobody/);
  assert.ok(rows[0]?.proved.some((line) => line.startsWith('contents')));
});

test('which recordings must be said, and only once', async () => {
  const [none, both, jobs] = await Promise.all([
    recordings('verify'),
    recordings('verify', 'session-a', '--all'),
    recordings('verify', '--all', '--jobs', '0'),
  ]);
  assert.deepEqual([none.code, both.code, jobs.code], [1, 1, 1]);
  assert.match(none.stderr, /which recordings\? give their ids, or --all/);
  assert.match(both.stderr, /--all: takes every recording, leave the ids out/);
  assert.match(jobs.stderr, /--jobs: wants a whole number from 1, not 0/);
});

test('what no node made beside recordings is made later, once', async () => {
  const sides = (): string[] => globSync('*/*/*/*.text', { cwd: folder });
  assert.deepEqual(sides(), []);
  const made = await recordings('index', '--all');
  assert.equal(made.code, 1);
  for (const id of IDS)
    assert.match(made.text, new RegExp(`^${id}  ${id === BAD ? 'NOT MADE: .*altered' : 'made: text$'}`, 'm'));
  assert.equal(sides().length, 3);
  const again = await recordings('index', 'session-a');
  assert.deepEqual(
    [again.code, /^session-a {2}nothing is missing$/m.test(again.text)],
    [0, true],
    again.stderr,
  );
  assert.ok(!existsSync(join(home, 'data')));
});
