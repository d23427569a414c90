/**
 * Hostile recordings: whatever the bytes are, reading, verifying and exporting end with a
 * ContainerError or a result, and never ask the archive for more than a frame can hold.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { FrameChain } from '../../recorder/container/chain.ts';
import { frameLength, frameSegment } from '../../recorder/container/frames.ts';
import { KeyRing, keyIdOf } from '../../recorder/container/keys.ts';
import { decodeHeader, decodeManifest } from '../../recorder/format/document.ts';
import { decodeEvents } from '../../recorder/format/event-codec.ts';
import { decodeFrameHeader, FRAME_HEADER_BYTES, MAX_BODY_BYTES } from '../../recorder/format/frame.ts';
import {
  type ArchiveReader,
  ContainerError,
  EventKind,
  exportCast,
  exportJsonLines,
  exportText,
  openRecording,
  parseIdentities,
  verifyRecording,
} from '../../recorder/index.ts';
import { damaged, noise, randomFrom } from '../support/random.ts';
import { type Bed, collect, initOf, MemoryArchive, makeBed, Signals, text } from '../unit/recorder/bed.ts';

let bed: Bed;
let recording: Buffer;
let archive: WatchedArchive;

/** The archive with its reads watched. */
class WatchedArchive extends MemoryArchive {
  override async open(sessionId: string): Promise<ArchiveReader> {
    const reader = await super.open(sessionId);
    return {
      size: reader.size,
      close: () => reader.close(),
      read: async (offset, length) => {
        assert.ok(length <= MAX_BODY_BYTES + FRAME_HEADER_BYTES, `a read of ${length} bytes`);
        assert.ok(offset >= 0 && offset <= reader.size + MAX_BODY_BYTES + FRAME_HEADER_BYTES);
        return await reader.read(offset, length);
      },
    };
  }
}

before(async () => {
  bed = await makeBed();
  const live = await bed.recorder.open(initOf('s1'), new Signals());
  live.note(EventKind.terminal, 0, { term: 'xterm', columns: 80, rows: 24 });
  for (let i = 0; i < 6; i += 1) {
    live.write(EventKind.output, 0, text(`line ${i} of what the target shows\r\n`.repeat(i)));
    live.write(EventKind.input, 0, text('ls\r'));
    await bed.clock.advance(300);
  }
  await live.seal('done');
  recording = Buffer.from(bed.archive.bytes('s1'));
  archive = new WatchedArchive();
});

/** Runs `work` to its end; anything thrown but a ContainerError fails the test. */
async function tolerate(what: string, work: () => unknown): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof ContainerError) return false;
    throw new Error(`${what}: threw something else`, { cause: error });
  }
}

async function exercise(what: string, bytes: Buffer, identities: string[]): Promise<boolean> {
  archive.recordings.set('s1', bytes);
  const publicKeys = new Map([[keyIdOf(bed.publicKey), bed.publicKey]]);
  const report = await verifyRecording(archive, 's1', { identities, publicKeys });
  assert.equal(report.ok, report.problem === undefined, what);
  await tolerate(what, async () => {
    const reader = await openRecording(archive, 's1', identities);
    if (identities.length === 0) return;
    for (const from of [0, 400_000]) await tolerate(what, () => collect(reader.events(from)));
    await tolerate(what, () => collect(exportCast(reader)));
    await tolerate(what, () => collect(exportText(reader)));
    await tolerate(what, () => collect(exportJsonLines(reader)));
    await reader.close();
  });
  return report.ok;
}

test('mutated recordings are never taken for whole, and only ever refused', async () => {
  for (let seed = 0; seed < 1500; seed += 1) {
    const bytes = Buffer.from(damaged(randomFrom(seed), recording));
    // Decrypting costs most of the time: one in ten goes all the way.
    const identities = seed % 10 === 0 ? [bed.identity.identity] : [];
    const ok = await exercise(`seed ${seed}`, bytes, identities);
    assert.equal(ok, bytes.equals(recording), `seed ${seed}`);
  }
});

test('noise, with and without the beginning of a recording, is refused', async () => {
  for (let seed = 0; seed < 300; seed += 1) {
    const random = randomFrom(seed);
    const bytes = Buffer.concat([
      recording.subarray(0, random(2) * random(recording.length)),
      noise(random, random(400)),
    ]);
    assert.equal(await exercise(`seed ${seed}`, bytes, []), false, `seed ${seed}`);
  }
});

test('segments whose plaintext is hostile are refused, not obeyed', async () => {
  const identities = [bed.identity.identity];
  const keys = new KeyRing([bed.identity.recipient], () => 0);
  const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024));
  for (let seed = 0; seed < 120; seed += 1) {
    const random = randomFrom(seed);
    const { key, wrappedKey, salt } = await keys.keyFor('s1');
    const chain = new FrameChain('s1', key);
    const { sessionId, startedAt, protocol, user, account, system, policy } = initOf('s1');
    const header = {
      sessionId,
      startedAt,
      protocol,
      user,
      account,
      system,
      policy,
      node: 'n',
      wrappedKey,
      salt,
    };
    const frames = [chain.header(header)];
    const plain = noise(random, random(200));
    const packed = [
      { bytes: plain, compressed: false },
      { bytes: plain, compressed: true },
      { bytes: damaged(random, zstdCompressSync(plain)), compressed: true },
      { bytes: bomb, compressed: true },
    ][seed % 4];
    assert.ok(packed !== undefined);
    const frame = new Uint8Array(frameLength(packed.bytes.length));
    const { sequence, head: previousHash } = chain.link;
    const place = { sequence, firstAt: random(1000), lastAt: 2 ** 53 - 1, previousHash };
    frameSegment(key, place, packed, frame);
    frames.push(frame);
    assert.equal(await exercise(`seed ${seed}`, Buffer.concat(frames), identities), false);
    if (packed.bytes !== bomb) continue;
    const reader = await openRecording(archive, 's1', identities);
    await assert.rejects(collect(reader.events()), { code: 'bad-body' }, 'it is not inflated past the bound');
  }
});

test('the parsers throw nothing but their own error', async () => {
  const headerFrame = decodeFrameHeader(recording, 0);
  const header = recording.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + headerFrame.bodyLength);
  const manifest = recording.subarray(
    recording.length - recording.readUInt32BE(recording.length - 4) + FRAME_HEADER_BYTES,
  );
  let decoded = 0;
  for (let seed = 0; seed < 5000; seed += 1) {
    const random = randomFrom(seed);
    const what = `seed ${seed}`;
    const bytes = noise(random, random(64));
    await tolerate(what, () => {
      for (const event of decodeEvents(bytes, random(2 ** 31))) decoded += event.payload.length + 1;
    });
    await tolerate(what, () =>
      decodeFrameHeader(damaged(random, recording.subarray(0, FRAME_HEADER_BYTES)), 0),
    );
    await tolerate(what, () => decodeHeader(damaged(random, header)));
    await tolerate(what, () => decodeManifest(damaged(random, manifest)));
  }
  assert.ok(decoded > 100, 'some of the noise gets past the first field');
});

test('identity files that are none are refused without being shown', () => {
  for (let seed = 0; seed < 500; seed += 1) {
    const random = randomFrom(seed);
    const mutated = Buffer.from(
      damaged(random, Buffer.from(`# comment\n${bed.identity.identity}\n`)),
    ).toString('latin1');
    try {
      parseIdentities(mutated);
    } catch (error) {
      assert.ok(error instanceof Error && /^archive identity: /.test(error.message), `seed ${seed}`);
      assert.ok(!/AGE-SECRET-KEY-1[0-9A-Z]/.test(error.message), `seed ${seed}`);
    }
  }
});
