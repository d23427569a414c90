/** Recordings that somebody touched in the archive: `verify` names what and where. */
import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before } from 'node:test';
import { type Bed, ssh, startBed } from '../support/bed.ts';
import { Evidence, stillServes } from '../support/evidence.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { type RunResult, until } from '../support/process.ts';
import { temporaryFolder } from '../support/temp.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
let bed: Bed;
/** Files of two recordings, and copies of them. */
let files: string[] = [];
let copies: string;
before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  bed = await startBed();
  for (const word of ['one', 'two']) {
    const command = `for i in 1 2 3; do echo ${word}; head -c 300000 /dev/urandom; sleep 0.4; done`;
    const result = await ssh(bed.door, ['target', command], { outputFile: '/dev/null' });
    assert.equal(result.code, 0, result.stderr);
  }
  const evidence = await Evidence.of(bed.gateway);
  await until('both are sealed', async () =>
    (await evidence.sessions()).filter((row) => row.sealed).length === 2 ? true : undefined,
  );
  await evidence.close();
  const archive = join(bed.gateway.dataDir, 'archive');
  files = readdirSync(archive, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  copies = temporaryFolder('copies');
  for (const file of files) copyFileSync(file, join(copies, basename(file)));
});
after(() => bed?.stop());

function idOf(file: string): string {
  return basename(file, '.slr');
}

function verify(file: string): Promise<RunResult> {
  return bed.gateway.sallyport(['recordings', 'verify', idOf(file)]);
}

function tampering(name: string, change: (first: string, second: string) => void, words: RegExp): void {
  testWith(NEEDS, `${name}: verify fails and says so`, async () => {
    const [first = '', second = ''] = files;
    assert.equal(files.length, 2);
    change(first, second);
    try {
      const result = await verify(first);
      assert.equal(result.code, 1, result.text);
      assert.match(result.text + result.stderr, words);
    } finally {
      for (const file of files) copyFileSync(join(copies, basename(file)), file);
    }
  });
}

function flip(file: string, at: (length: number) => number): void {
  const bytes = readFileSync(file);
  const offset = at(bytes.length);
  bytes[offset] = (bytes[offset] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

tampering(
  'a bit in the middle',
  (file) => flip(file, (length) => length >> 1),
  /NOT OK: segment \d+ was altered/,
);
tampering('a bit of the header', (file) => flip(file, () => 250), /NOT OK: the header was altered/);
tampering(
  'a bit of the seal',
  (file) => flip(file, (length) => length - 20),
  /NOT OK: the manifest was altered/,
);
tampering(
  'a cut tail',
  (file) => truncateSync(file, readFileSync(file).length - 150_000),
  /NOT OK: .*(cut|missing|gone)/,
);
tampering(
  'two swapped recordings',
  (first, second) => {
    copyFileSync(join(copies, basename(second)), first);
    copyFileSync(join(copies, basename(first)), second);
  },
  /NOT OK: another recording stands under this id/,
);
tampering('a recording that is gone', (file) => rmSync(file), /holds no recording of session/);

testWith(NEEDS, 'put back as they were, both are whole', async () => {
  for (const file of files) {
    const result = await verify(file);
    assert.equal(result.code, 0, result.text);
    assert.match(result.text, /^ok: \d+ segments\n/);
  }
});

testWith(NEEDS, 'the gateway goes on, and the auditor sees who verified what', async () => {
  await stillServes(bed);
  const evidence = await Evidence.of(bed.gateway);
  const events = await evidence.audit('recording.verified');
  await evidence.close();
  assert.ok(events.some((event) => event.detail['ok'] === false));
  assert.ok(events.some((event) => event.detail['ok'] === true));
});
