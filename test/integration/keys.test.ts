/** New keys in the place of old ones, with the real command line: what was recorded before stays proved and readable. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { parse, stringify } from 'yaml';
import { signingKeysIn } from '../../gateway/bootstrap/keys.ts';
import { type Bed, ssh, startBed } from '../support/bed.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
let bed: Bed;
before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  bed = await startBed();
});
after(() => bed?.stop());

interface Key {
  readonly id: string;
  readonly kind: string;
  readonly node?: string;
  readonly state: string;
  readonly recipient?: string;
  readonly publicKey?: string;
}

const keys = (): Promise<Key[]> => bed.gateway.json(['keys', 'ls']);

async function ok(...words: string[]): Promise<string> {
  const result = await bed.gateway.sallyport(words);
  assert.equal(result.code, 0, `${words.join(' ')}: ${result.stderr}`);
  return result.text;
}

/** Runs a command through the gateway; the id of its sealed recording. */
async function record(word: string): Promise<string> {
  const rows = (): Promise<{ id: string; sealed: boolean }[]> => bed.gateway.json(['recordings', 'ls']);
  const known = new Set((await rows()).map(({ id }) => id));
  const result = await ssh(bed.door, ['target', `echo ${word}`]);
  assert.equal(result.text, `${word}\n`, result.stderr);
  return await until(
    'it is sealed',
    async () => (await rows()).find(({ id, sealed }) => sealed && !known.has(id))?.id,
  );
}

/** What the recording showed; undefined: the identity does not open it. */
async function shown(id: string, identity: string): Promise<string | undefined> {
  const words = ['recordings', 'export', id, '--format', 'txt', '--identity', identity];
  const { code, text, stderr } = await bed.gateway.sallyport(words);
  if (code === 0) return text;
  assert.match(stderr, /^sallyport: none of the 1 identities given opens this recording/);
  return undefined;
}

/** Restarts the gateway with these recipients. */
async function useRecipients(...recipients: string[]): Promise<void> {
  const config = parse(readFileSync(bed.gateway.configFile, 'utf8')) as Record<string, unknown>;
  writeFileSync(bed.gateway.configFile, stringify({ ...config, archive: { recipients } }));
  assert.equal(await bed.gateway.stop(), 0);
  await bed.gateway.start();
}

testWith(
  NEEDS,
  'what was signed and sealed before new keys stays proved and opens with its own identity',
  async () => {
    const own = join(bed.gateway.dataDir, 'keys', 'archive.identity');
    const first = await record('first');

    const rotated = JSON.parse(await ok('keys', 'rotate', 'signing', '--json')) as {
      id: string;
      previous: string;
    };
    const unrestarted = await record('unrestarted');
    const file = join(bed.folder, 'auditor.identity');
    const made = JSON.parse(await ok('keys', 'identity', 'new', file, '--json')) as { recipient: string };
    const text = readFileSync(file, 'utf8');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.match(text, new RegExp(`^# public key: ${made.recipient}$`, 'm'));
    const again = await bed.gateway.sallyport(['keys', 'identity', 'new', file]);
    assert.deepEqual([again.code, /is there already/.test(again.stderr)], [1, true]);
    assert.equal(readFileSync(file, 'utf8'), text);

    const ownRecipient = (await keys()).find(({ kind }) => kind === 'recipient')?.recipient ?? '';
    await useRecipients(made.recipient);
    const second = await record('second');
    await useRecipients(ownRecipient, made.recipient);
    const third = await record('third');

    const opened = [first, second, third].map((id) => Promise.all([shown(id, own), shown(id, file)]));
    assert.deepEqual(await Promise.all(opened), [
      ['first\n', undefined],
      [undefined, 'second\n'],
      ['third\n', 'third\n'],
    ]);

    const signers = { [first]: rotated.previous, [unrestarted]: rotated.previous, [second]: rotated.id };
    const reports = Object.entries(signers).map(async ([id, signer]) => {
      const report = await ok('recordings', 'verify', id, '--identity', id === second ? file : own);
      assert.match(report, /^ok: /);
      assert.match(report, new RegExp(`signature: .*${signer}`));
    });
    await Promise.all(reports);

    const listed = await keys();
    assert.deepEqual(
      listed.filter(({ kind }) => kind === 'signing').map(({ id, node, state }) => [id, node, state]),
      [
        [rotated.id, 'test-node', 'current'],
        [rotated.previous, 'test-node', 'earlier'],
      ],
    );
    assert.deepEqual(
      listed.filter(({ kind }) => kind === 'recipient').map(({ recipient }) => recipient),
      [ownRecipient, made.recipient],
    );
    const current = signingKeysIn(listed[0]?.publicKey ?? '');
    assert.deepEqual([...current.keys()], [rotated.id], 'what --node-key takes');
    assert.match(listed.find(({ kind }) => kind === 'master')?.state ?? '', /^file:.*master\.key$/);
    const table = await ok('keys', 'ls');
    const secret = /^AGE-SECRET-KEY-\S+/m.exec(text)?.[0];
    const master = readFileSync(join(bed.gateway.dataDir, 'keys', 'master.key'), 'utf8').trim();
    for (const hidden of [secret, master]) assert(hidden !== undefined && !table.includes(hidden));
    const [audited] = await bed.gateway.json<{ detail: unknown }[]>(['audit', '--code', 'key.rotated']);
    assert.deepEqual(audited?.detail, { kind: 'signing', id: rotated.id, previous: rotated.previous });
  },
);

testWith(
  NEEDS,
  'a new master key opens what the old one sealed, once no node runs on the old one',
  async () => {
    const file = join(bed.folder, 'next.key');
    // So that a node that was killed is not waited for long.
    const config = parse(readFileSync(bed.gateway.configFile, 'utf8')) as { node: object };
    config.node = { ...config.node, leaseSeconds: 3 };
    writeFileSync(bed.gateway.configFile, stringify(config));
    await bed.gateway.stop();
    await bed.gateway.start();
    const running = await bed.gateway.sallyport(['keys', 'rotate', 'master', file]);
    assert.deepEqual([running.code, existsSync(file)], [1, false]);
    assert.match(running.stderr, /node test-node is running: stop every node first/);

    await bed.gateway.kill9();
    assert.match(await ok('keys', 'rotate', 'master', file), /^secrets +1$/m);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const wrong = await bed.gateway.sallyport(['check']);
    assert.match(wrong.text, /the master key is not the one that sealed this database/);
    writeFileSync(bed.gateway.configFile, stringify({ ...config, vault: { masterKey: `file:${file}` } }));
    await bed.gateway.start();
    await record('under the new master key');
  },
);
