/**
 * Hostile indexes beside a recording: whatever the bytes are, a picture is that of a whole replay; and
 * where somebody with the recording's key made them, nothing but a ContainerError comes of it.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { encodeIndex, type KeyFrame, KeyFrameIndex } from '../../recorder/container/key-frames.ts';
import { ContainerError, openRecording, type RecordingManifest } from '../../recorder/index.ts';
import { DesktopPlayer } from '../../recorder/video/desktop-player.ts';
import { type Random, randomFrom } from '../support/random.ts';
import { collect, MemoryArchive } from '../unit/recorder/bed.ts';
import { archived, desktop, fill } from '../unit/recorder/video/bed.ts';

const KEY = Buffer.alloc(32, 7);
const MANIFEST = { sessionId: 's1', head: 'ab'.repeat(32) } as RecordingManifest;
let index: Buffer;

async function* keyFrames(random: Random): AsyncGenerator<KeyFrame, void, void> {
  for (let i = 0; i < 8; i += 1) {
    const place = { sequence: random(50), offset: random(4000), previousHash: Buffer.alloc(32, random(2)) };
    yield { at: random(100), place, state: Buffer.alloc(random(200), i) };
  }
}

function archiveOf(bytes: Buffer): MemoryArchive {
  const archive = new MemoryArchive();
  archive.sides.set('s1.index', bytes);
  return archive;
}

async function open(bytes: Buffer): Promise<KeyFrameIndex> {
  const file = (await archiveOf(bytes).openSide('s1', 0, 'index')) ?? assert.fail('no index');
  const read: typeof file.read = async (offset, length) => {
    assert.ok(offset >= 0 && length <= 2 * index.length, `a read of ${length} bytes at ${offset}`);
    return await file.read(offset, length);
  };
  return await KeyFrameIndex.open({ ...file, read }, KEY, MANIFEST);
}

before(async () => {
  index = Buffer.concat(await collect(encodeIndex(KEY, MANIFEST, keyFrames(randomFrom(1)))));
});

test('changed, cut and made-up indexes are refused, or give what was put into them', async () => {
  const whole = await open(index);
  const expected = await Promise.all(Array.from({ length: 100 }, (_, at) => whole.before(at)));
  let refused = 0;
  for (let seed = 0; seed < 1500; seed += 1) {
    const random = randomFrom(seed);
    const bytes = Buffer.from(index);
    const kind = random(4);
    if (kind === 0) for (let n = 1 + random(3); n > 0; n -= 1) bytes[random(bytes.length)] = random(256);
    // The trailer is what is read before anything is proved.
    if (kind === 1) bytes[bytes.length - 1 - random(28)] = random(256);
    const cut = kind === 2 ? bytes.subarray(random(bytes.length), 1 + random(bytes.length)) : bytes;
    const noise = Buffer.from(Array.from({ length: random(600) }, () => random(256)));
    const hostile = kind === 3 ? Buffer.concat([noise, bytes.subarray(-random(60))]) : cut;
    try {
      const at = random(100);
      assert.deepEqual(await (await open(hostile)).before(at), expected[at], `seed ${seed}`);
    } catch (error) {
      if (!(error instanceof ContainerError)) throw new Error(`seed ${seed}`, { cause: error });
      assert.equal(error.code, 'bad-index');
      refused += 1;
    }
  }
  assert.ok(refused > 500 && refused < 1500, `${refused} refused`);
});

test('key frames that lie about their place are told, and states that are none are not shown', async () => {
  const { archive, identity } = await archived([desktop(0, 64, 48), fill(5, [0, 0, 8, 8], [1, 2, 3])]);
  let told = 0;
  for (let seed = 0; seed < 200; seed += 1) {
    const reader = await openRecording(archive, 's1', [identity]);
    await reader.putIndex(keyFrames(randomFrom(seed)));
    const keyFrame = await reader.keyFrame(50);
    if (keyFrame === undefined) continue;
    assert.equal(new DesktopPlayer().restore(keyFrame.state), false);
    try {
      for await (const { events } of reader.segments(keyFrame.place)) for (const event of events) void event;
    } catch (error) {
      if (!(error instanceof ContainerError)) throw new Error(`seed ${seed}`, { cause: error });
      told += 1;
    }
    await reader.close();
  }
  assert.ok(told > 100, `${told} told`);
});
