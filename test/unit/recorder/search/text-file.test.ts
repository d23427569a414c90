import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ArchiveError,
  EventKind,
  openRecording,
  type RecordingManifest,
} from '../../../../recorder/index.ts';
import type { TextEntry } from '../../../../recorder/search/entry.ts';
import { putText, textIn } from '../../../../recorder/search/text.ts';
import { decodeText, encodeText } from '../../../../recorder/search/text-file.ts';
import { randomFrom } from '../../../support/random.ts';
import { collect, MemoryArchive } from '../bed.ts';
import { archived, type Step } from '../video/bed.ts';

const KEY = Buffer.alloc(32, 7);
const MANIFEST = { sessionId: 's1', head: 'ab'.repeat(32) } as RecordingManifest;

async function* batches(entries: readonly TextEntry[]): AsyncGenerator<readonly TextEntry[], void, void> {
  for (let i = 0; i < entries.length; i += 100) yield entries.slice(i, i + 100);
}

function entries(count: number, text: (i: number) => string): TextEntry[] {
  return Array.from({ length: count }, (_, i) => ({ at: i, channel: i % 3, kind: 'shown', text: text(i) }));
}

async function fileOf(all: readonly TextEntry[], key = KEY, manifest = MANIFEST): Promise<Buffer> {
  return Buffer.concat(await collect(encodeText(key, manifest, batches(all))));
}

async function decoded(bytes: Buffer, key = KEY, manifest = MANIFEST): Promise<TextEntry[]> {
  const archive = new MemoryArchive();
  archive.sides.set('s1.text', bytes);
  const file = (await archive.openSide('s1', 0, 'text')) ?? assert.fail('no text');
  return (await collect(decodeText({ file, key, manifest }))).flat();
}

test('what is put into a text file comes out of it, in bounded blocks', async () => {
  for (const all of [
    [],
    entries(1, () => 'one'),
    entries(20_000, (i) => `line ${i} ${'ü'.repeat(i % 100)}`),
    entries(200, () => '\u0001'.repeat(4096)),
    entries(200, () => '漢'.repeat(4096)),
  ])
    assert.deepEqual(await decoded(await fileOf(all)), all);
});

test('a text file that was altered, cut, or is of another recording is refused', async () => {
  const all = entries(9000, (i) => `${i} ${randomFrom(i)(1e9)}${'x'.repeat(i % 90)}`);
  const whole = await fileOf(all);
  const bad = { name: 'ContainerError', code: 'bad-text' };
  await assert.rejects(decoded(whole, Buffer.alloc(32, 8)), bad);
  await assert.rejects(decoded(whole, KEY, { ...MANIFEST, head: 'ac'.repeat(32) }), bad);
  await assert.rejects(decoded(whole, KEY, { ...MANIFEST, sessionId: 's2' }), bad);
  const blocks: number[] = [24];
  for (let at = 24; at < whole.length; blocks.push(at)) at += 4 + (whole.readUInt32BE(at) & 0x7fffffff);
  assert.ok(blocks.length > 3, `${blocks.length} blocks`);
  // At the border of a block nothing but the last one's mark tells.
  for (const end of blocks.slice(0, -1)) await assert.rejects(decoded(whole.subarray(0, end)), bad, `${end}`);
  for (let seed = 0; seed < 200; seed += 1) {
    const random = randomFrom(seed);
    const bytes = Buffer.from(whole);
    const at = random(3) === 0 ? random(32) : random(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 + random(255));
    // Nothing reads the three bytes behind the version.
    if (at >= 5 && at < 8) continue;
    await assert.rejects(decoded(bytes), bad, `seed ${seed}`);
    await assert.rejects(decoded(whole.subarray(0, random(whole.length))), bad, `seed ${seed}`);
  }
});

/** A recording of so many lines, about 60 bytes each when it is packed. */
function lines(count: number): Step[] {
  const random = randomFrom(5);
  return [
    [0, EventKind.terminal, { columns: 80, rows: 24 }],
    ...Array.from({ length: count }, (_, i): Step => {
      const noise = Array.from({ length: 12 }, () => random(1e5).toString(36)).join(' ');
      return [i, EventKind.output, Buffer.from(`line${i} ${noise}\r\n`)];
    }),
  ];
}

test('the text of a long recording is put beside it once, and read from there', async () => {
  const { archive, identity } = await archived(lines(1500), 'ssh');
  const reader = await openRecording(archive, 's1', [identity]);
  const first = await collect(textIn(reader, false));
  assert.equal(archive.sides.size, 0);
  const expected = first.flat();
  assert.equal(expected.length, 1500);

  assert.deepEqual((await collect(textIn(reader, true))).flat(), expected);
  const side = archive.sides.get('s1.text') ?? assert.fail('no text');
  assert.ok(!side.includes('line7'), 'it can be read without the identity');

  archive.bytesRead = 0;
  assert.deepEqual((await collect(textIn(reader, true))).flat(), expected);
  assert.ok(archive.bytesRead <= side.length, `${archive.bytesRead} of ${side.length} bytes`);

  const broken = Buffer.from(side);
  broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1;
  archive.sides.set('s1.text', broken);
  const mended = await collect(textIn(reader, true));
  const again = mended.indexOf('again');
  assert.ok(again >= 0);
  assert.deepEqual(mended.slice(again + 1).flat(), expected);
  await reader.close();
});

test('a short recording gets no text beside it, nor does a full archive hinder', async () => {
  const short = await archived(lines(20), 'ssh');
  const reader = await openRecording(short.archive, 's1', [short.identity]);
  assert.equal((await collect(textIn(reader, true))).flat().length, 20);
  assert.equal(short.archive.sides.size, 0);

  const long = await archived(lines(1500), 'ssh');
  const full = new ArchiveError('archive-full', 'archive is full: free space on it');
  long.archive.putSide = async () => {
    throw full;
  };
  const other = await openRecording(long.archive, 's1', [long.identity]);
  await assert.rejects(putText(other), full);
  assert.equal((await collect(textIn(other, true))).flat().length, 1500);
});
