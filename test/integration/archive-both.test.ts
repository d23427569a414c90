/** A recording that goes to a folder and to an S3 bucket at once, one of which fails for a while. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { FrameSource } from '../../recorder/container/frame-source.ts';
import { compactRecording, sealRecording } from '../../recorder/container/seal.ts';
import { walk } from '../../recorder/container/walk.ts';
import { openArchives } from '../../recorder/index.ts';
import { type Bed, sshTerminal, startBed } from '../support/bed.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';
import { S3_PACKAGES, type S3Server, startS3 } from '../support/s3.ts';
import { temporaryFolder } from '../support/temp.ts';

const NEEDS = ['openssh-server', 'openssh-client', ...S3_PACKAGES] as const;

let s3: S3Server;
let proxy: FaultProxy;
let bed: Bed;
const folder = temporaryFolder('both');
let bucket: string;
before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  s3 = await startS3();
  proxy = await startFaultProxy(s3.endpoint);
  bucket = `s3://${s3.bucket}?endpoint=${proxy.endpoint}`;
  const { accessKeyId, secretAccessKey } = s3;
  bed = await startBed({
    config: {
      archive: {
        url: [`file:${folder}`, bucket],
        credentials: { accessKeyId, secretAccessKey },
        window: { bytes: '1MiB' },
        graceSeconds: 120,
      },
    },
  });
});
after(async () => {
  await bed?.stop();
  await proxy?.stop();
  await s3?.stop();
});

interface Listed {
  readonly id: string;
  readonly sealed: boolean;
  readonly compacted: boolean;
}
const newest = async (): Promise<Listed | undefined> =>
  (await bed.gateway.json<Listed[]>(['recordings', 'ls']))[0];

async function bytesIn(url: string, id: string): Promise<Uint8Array> {
  const reader = await openArchives({ urls: [url], credentials: s3 }).open(id);
  try {
    return await reader.read(0, reader.size);
  } finally {
    await reader.close();
  }
}

testWith(NEEDS, 'a session waits for the archive that fails, and in the end both hold the same', async () => {
  const terminal = sshTerminal(bed.door, ['target']);
  await terminal.expect('$ ');
  await proxy.set({ status: 503 });
  const asked = proxy.seen.length;
  // Several windows: it cannot end before both archives have it.
  terminal.type('head -c 6000000 /dev/zero | tr "\\0" x | fold -w 200; echo al""l-of-it\r');
  await until('the bucket refused some', () => (proxy.seen.length > asked + 2 ? true : undefined));
  await until('nothing more comes', async () => {
    const seen = terminal.screen.length;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    return terminal.screen.length === seen ? true : undefined;
  });
  assert.ok(!terminal.screen.includes('all-of-it'));
  await proxy.set('none');
  await terminal.expect('all-of-it', 60_000);
  terminal.type('exit\r');
  await terminal.ended;
  const { id } = await until('the recording is sealed', async () => {
    const first = await newest();
    return first?.sealed === true ? first : undefined;
  });
  const [inFolder, inBucket] = await Promise.all([bytesIn(`file:${folder}`, id), bytesIn(bucket, id)]);
  assert.ok(inFolder.length > 0);
  assert.ok(Buffer.from(inFolder).equals(inBucket));
  const verified = await bed.gateway.sallyport(['recordings', 'verify', id]);
  assert.equal(verified.code, 0, verified.text);
});

testWith(
  NEEDS,
  'what the bucket lacks of a recording is brought there before it counts as sealed',
  async () => {
    const listed = await newest();
    const id = listed?.id ?? assert.fail('there is no recording');
    const [inFolder, inBucket] = [`file:${folder}`, bucket].map((url) =>
      openArchives({ urls: [url], credentials: s3 }),
    );
    const both = openArchives({ urls: [`file:${folder}`, bucket], credentials: s3 });
    const reader = await (inFolder ?? assert.fail()).open(id);
    const { header, index } = await walk(new FrameSource(reader), id);
    const whole = Buffer.from(await reader.read(0, reader.size));
    await reader.close();
    const { privateKey: signingKey } = generateKeyPairSync('ed25519');
    const sealing = { node: 'peer', signingKey, reason: 'its node died', knownHead: undefined };
    const steps = [() => sealRecording(both, id, sealing), () => compactRecording(both, id)];
    for (const step of steps) {
      // As a node leaves it that dies between its two writes.
      await inBucket?.remove(id, header.startedAt);
      await (await inBucket?.create(id, header.startedAt, whole.subarray(0, index[0]?.[1])))?.close();
      assert.ok((await bytesIn(bucket, id)).length < whole.length);
      await step();
      assert.ok(whole.equals(await bytesIn(bucket, id)));
      assert.ok(whole.equals(await bytesIn(`file:${folder}`, id)));
    }
  },
);

testWith(NEEDS, 'each copy is verified, and what is read is one that is whole', async () => {
  // The node brings what a copy lacks there before it compacts it: until then it would mend what is spoilt here.
  const { id } = await until('the node has compacted it', async () => {
    const first = await newest();
    return first?.compacted === true ? first : undefined;
  });
  const { sallyport } = bed.gateway;
  const exported = async (): Promise<readonly [string, string]> => {
    const { code, text, stderr } = await sallyport(['recordings', 'export', id, '--format', 'txt']);
    assert.equal(code, 0, stderr);
    return [text, stderr];
  };
  const [all, silence] = await exported();
  assert.match(all, /all-of-it/);
  assert.doesNotMatch(silence, /reading from/);
  const verified = await sallyport(['recordings', 'verify', id]);
  assert.equal(verified.code, 0, verified.text + verified.stderr);
  assert.match(verified.text, new RegExp(`^file:${folder}: ok: \\d+ segments\n`));
  assert.match(verified.text, /^s3:.*: ok: \d+ segments\n {2}proved/m);

  const [day = ''] = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith(`${id}.slr`),
  );
  const path = join(folder, day);
  const whole = readFileSync(path);
  const altered = Buffer.from(whole);
  altered.writeUInt8(altered.readUInt8(whole.length >> 1) ^ 1, whole.length >> 1);
  const cases = [
    [() => writeFileSync(path, altered), () => writeFileSync(path, whole), /was altered/],
    [() => writeFileSync(path, whole.subarray(0, -50)), () => writeFileSync(path, whole), /the end was cut/],
    [() => renameSync(folder, `${folder}.away`), () => renameSync(`${folder}.away`, folder), /is missing/],
  ] as const;
  for (const [spoil, mend, problem] of cases) {
    spoil();
    const { code, text } = await sallyport(['recordings', 'verify', id, '--json']);
    assert.equal(code, 1, text);
    const { ok, problem: told, copies } = JSON.parse(text);
    assert.equal(ok, false);
    assert.match(told, problem);
    assert.deepEqual(
      copies.map((copy: { archive: string; ok: boolean }) => [copy.archive.slice(0, 5), copy.ok]),
      [
        ['file:', false],
        ['s3://', true],
      ],
    );
    const [text2, warning] = await exported();
    assert.equal(text2, all);
    assert.match(warning, new RegExp(`file:${folder}: .*${problem.source}.*: reading from s3:`));
    mend();
  }
  writeFileSync(path, whole.subarray(0, -50));
  const shown = await sallyport(['recordings', 'show', id]);
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stderr, /reading from s3:/);
  const many = await sallyport(['recordings', 'verify', '--all']);
  assert.equal(many.code, 1);
  assert.match(many.text, new RegExp(`NOT OK: file:${folder}: .*the end was cut`));
});
