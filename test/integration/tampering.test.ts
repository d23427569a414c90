/** Recordings that somebody touched in the archive: `verify` names what and where, nothing else takes them for whole. */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { after, before } from 'node:test';
import { decodeFrameHeader, FRAME_HEADER_BYTES } from '../../recorder/format/frame.ts';
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
    .filter((entry) => entry.isFile() && entry.name.endsWith('.slr'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  copies = temporaryFolder('copies');
  for (const file of files) copyFileSync(file, join(copies, basename(file)));
});
after(() => bed?.stop());

function idOf(file: string): string {
  return basename(file, '.slr');
}

function recordings(...args: readonly string[]): Promise<RunResult> {
  return bed.gateway.sallyport(['recordings', ...args]);
}

/** `shown`: what `play` and `export` say, which do not look at everything; by default the same. */
function tampering(
  name: string,
  change: (first: string, second: string) => void,
  words: RegExp,
  shown = words,
): void {
  testWith(NEEDS, `${name}: verify, play and export fail and say so`, async () => {
    const [first = '', second = ''] = files;
    assert.equal(files.length, 2);
    const output = join(copies, 'export.jsonl');
    change(first, second);
    try {
      const [verified, played, exported] = await Promise.all([
        recordings('verify', idOf(first)),
        recordings('play', idOf(first), '--max-idle', '0', '--speed', '1000'),
        recordings('export', idOf(first), '--format', 'jsonl', '--output', output),
      ]);
      assert.deepEqual([verified.code, played.code, exported.code], [1, 1, 1]);
      assert.match(verified.text + verified.stderr, words);
      assert.match(played.stderr, shown);
      assert.match(exported.stderr, shown);
      assert.equal(existsSync(output), false, 'half an export was left');
    } finally {
      rmSync(output, { force: true });
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

/** The frames of a recording: its header, its segments, its seal. */
function framesOf(file: string): Buffer[] {
  const bytes = readFileSync(file);
  const frames: Buffer[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const { bodyLength } = decodeFrameHeader(bytes.subarray(offset), offset);
    frames.push(bytes.subarray(offset, offset + FRAME_HEADER_BYTES + bodyLength));
    offset += FRAME_HEADER_BYTES + bodyLength;
  }
  assert.ok(frames.length > 5, `${frames.length} frames are too few to change something among them`);
  return frames;
}

tampering(
  'a bit in the middle',
  (file) => flip(file, (length) => length >> 1),
  /NOT OK: segment \d+ was altered/,
  /segment \d+.* altered/,
);
tampering(
  'a bit of the header',
  (file) => flip(file, () => 250),
  /NOT OK: the header was altered/,
  /recording header|altered/,
);
tampering(
  'a bit of the seal',
  (file) => flip(file, (length) => length - 20),
  /NOT OK: the manifest was altered/,
  /it is not the recording that the store knows: its head hash is another/,
);
tampering(
  "two segments in each other's place",
  (file) => {
    const [header, one, two, ...rest] = framesOf(file);
    writeFileSync(file, Buffer.concat([header, two, one, ...rest].filter((frame) => frame !== undefined)));
  },
  /NOT OK: segments are out of order: 2 stands where 1 belongs/,
  /segment 1: another frame stands in its place/,
);
tampering(
  'a segment that is gone',
  (file) => writeFileSync(file, Buffer.concat(framesOf(file).toSpliced(2, 1))),
  /NOT OK: segment 2 was removed/,
  /segment 2: another frame stands in its place/,
);
tampering(
  'a cut tail',
  (file) => truncateSync(file, readFileSync(file).length - 150_000),
  /NOT OK: the end was cut after segment \d+: the store knows of more/,
  /the end was cut after segment \d+: the store knows of more/,
);
tampering(
  'a tail that is cut between two segments',
  (file) => writeFileSync(file, Buffer.concat(framesOf(file).slice(0, -2))),
  /NOT OK: the end was cut after segment \d+: the store knows of more/,
  /the end was cut after segment \d+: the store knows of more/,
);
tampering(
  'two swapped recordings',
  (first, second) => {
    copyFileSync(join(copies, basename(second)), first);
    copyFileSync(join(copies, basename(first)), second);
  },
  /NOT OK: another recording stands under this id/,
  /this is the recording of session/,
);
tampering('a recording that is gone', (file) => rmSync(file), /holds no recording of session/);

testWith(NEEDS, 'put back as they were, both are whole', async () => {
  for (const file of files) {
    const result = await recordings('verify', idOf(file));
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
