import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventKind, exportPng, indexDesktop, openRecording } from '../../../../recorder/index.ts';
import { randomFrom } from '../../../support/random.ts';
import { collect, type MemoryArchive } from '../bed.ts';
import { bitmapUpdate, fastPathUpdate } from '../screen/updates.ts';
import { archived, desktop, fill, mouse, type Step } from './bed.ts';

const SIDE = 64;
/** One every second; each is a desktop's worth of noise, which does not compress. */
const NOISE_STEPS = 120;

function noise(at: number, seed: number): Step {
  const random = randomFrom(seed);
  const data = Array.from({ length: SIDE * SIDE * 4 }, () => random(256));
  const update = bitmapUpdate({ left: 0, top: 0, width: SIDE, height: SIDE, bits: 32, data });
  return [at, EventKind.fastPathOutput, Uint8Array.from(fastPathUpdate(1, update))];
}

function busyDesktop(): Step[] {
  const steps: Step[] = [desktop(0, SIDE, SIDE)];
  for (let i = 1; i <= NOISE_STEPS; i += 1) {
    steps.push(noise(1000 * i, i), mouse(1000 * i, 0x0800, i % SIDE, (7 * i) % SIDE));
    // What one moment brings may be spread over segments.
    if (i % 3 === 0) steps.push(fill(1000 * i, [i % 60, 0, 4, 4], [i, 0, 255 - i]));
  }
  return steps;
}

interface Looked {
  readonly png: Buffer;
  readonly bytesRead: number;
}

async function lookAt(archive: MemoryArchive, identity: string, at?: number): Promise<Looked> {
  await using stack = new AsyncDisposableStack();
  const reader = await openRecording(archive, 's1', [identity]);
  stack.defer(() => reader.close());
  const before = archive.bytesRead;
  const chunks = await collect(exportPng(reader, at === undefined ? {} : { at }));
  return { png: Buffer.concat(chunks), bytesRead: archive.bytesRead - before };
}

async function index(archive: MemoryArchive, identity: string): Promise<Buffer> {
  const reader = await openRecording(archive, 's1', [identity]);
  await indexDesktop(reader);
  await reader.close();
  return archive.sides.get('s1.index') ?? assert.fail('no index');
}

test('pictures from key frames are those of a whole replay, and read a part of the recording', async () => {
  const { archive, identity } = await archived(busyDesktop());
  const moments = Array.from({ length: 40 }, (_, i) => 3_000_000 * i + (i % 2) * 500_000);
  const replayed: Buffer[] = [];
  for (const at of moments) replayed.push((await lookAt(archive, identity, at)).png);
  const atEnd = await lookAt(archive, identity);

  const size = archive.bytes('s1').length;
  const { length } = await index(archive, identity);
  assert.ok(length > 50_000 && length < size / 4, `an index of ${length} bytes for ${size}`);
  for (const [i, at] of moments.entries()) {
    const { png } = await lookAt(archive, identity, at);
    assert.ok(png.equals(replayed[i] ?? Buffer.alloc(0)), `the picture at ${at / 1_000_000} s`);
  }
  const last = await lookAt(archive, identity);
  assert.ok(last.png.equals(atEnd.png));
  assert.ok(atEnd.bytesRead > size * 0.8, `${atEnd.bytesRead} of ${size} bytes were read`);
  assert.ok(last.bytesRead < size / 2, `${last.bytesRead} of ${size} bytes were read`);
  await assert.rejects(
    lookAt(archive, identity, 1_000_000 * NOISE_STEPS + 1),
    /the recording ends 120\.000 s/,
  );
});

test('an index that was altered, cut, or is of another recording is not used', async () => {
  const { archive, identity } = await archived(busyDesktop());
  const { png: right, bytesRead: all } = await lookAt(archive, identity);
  const good = await index(archive, identity);
  const seeking = (await lookAt(archive, identity)).bytesRead;
  assert.ok(seeking < all / 2, `${seeking} of ${all} bytes were read`);

  const other = await archived([...busyDesktop(), fill(1_000_000, [0, 0, 64, 64], [1, 1, 1])]);
  const flipped = (fromEnd: number): Buffer => {
    const bytes = Buffer.from(good);
    const at = bytes.length - fromEnd;
    bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at);
    return bytes;
  };
  const bad: Readonly<Record<string, Buffer>> = {
    'of another recording': await index(other.archive, other.identity),
    'with an altered key frame': flipped(1000),
    'with an altered table': flipped(60),
    'with altered salt': flipped(1),
    'of another version': flipped(24),
    'with another number of key frames': flipped(17),
    'that was cut': good.subarray(0, -1),
    'without its beginning': good.subarray(1),
    'that is empty': Buffer.alloc(0),
    'that is no index': archive.bytes('s1'),
  };
  for (const [what, bytes] of Object.entries(bad)) {
    archive.sides.set('s1.index', bytes);
    const { png, bytesRead } = await lookAt(archive, identity);
    assert.ok(png.equals(right), `an index ${what}`);
    assert.ok(bytesRead >= all, `an index ${what} was used`);
  }
});

test('an index holds for one seal: what was recorded further is not skipped', async () => {
  const { archive, identity } = await archived(busyDesktop());
  const { bytesRead: all } = await lookAt(archive, identity);
  await index(archive, identity);
  const bytes = archive.bytes('s1');
  // The manifest names another last frame.
  const head = bytes.lastIndexOf('"head":"') + 8;
  bytes.write(bytes[head] === 0x30 ? '1' : '0', head, 'latin1');
  assert.ok((await lookAt(archive, identity)).bytesRead >= all);
});

test('what a key frame leads to is held to the chain', async () => {
  const { archive, identity } = await archived(busyDesktop());
  await index(archive, identity);
  const bytes = archive.bytes('s1');
  // The hash in each segment, between the header and the manifest: only one behind a key frame is read.
  const manifest = bytes.lastIndexOf('SLYR');
  for (let at = bytes.indexOf('SLYR', 1); at < manifest; at = bytes.indexOf('SLYR', at + 1))
    bytes.writeUInt8((bytes[at + 40] ?? 0) ^ 1, at + 40);
  // Between two key frames.
  const looked = lookAt(archive, identity, 61_500_000);
  await assert.rejects(looked, { name: 'ContainerError', code: 'broken-chain' });
});

test('a recording that was never sealed gets no index, and is shown all the same', async () => {
  const { archive, identity } = await archived(busyDesktop());
  const bytes = archive.bytes('s1');
  archive.recordings.set('s1', bytes.subarray(0, bytes.lastIndexOf('SLYR')));
  await assert.rejects(index(archive, identity), { name: 'ContainerError', code: 'torn' });
  assert.equal(archive.sides.size, 0);
  assert.ok((await lookAt(archive, identity, 60_000_000)).png.length > 0);
});

test('an altered recording gets no index', async () => {
  const { archive, identity } = await archived(busyDesktop());
  const bytes = archive.bytes('s1');
  const at = Math.floor(bytes.length / 2);
  bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at);
  await assert.rejects(index(archive, identity), { name: 'ContainerError' });
  assert.equal(archive.sides.size, 0);
});
