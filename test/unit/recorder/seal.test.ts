import assert from 'node:assert/strict';
import { generateKeyPairSync, hash } from 'node:crypto';
import { before, test } from 'node:test';
import { MirrorArchive } from '../../../recorder/archive/mirror.ts';
import { compactRecording, sealRecording } from '../../../recorder/container/seal.ts';
import {
  type Archive,
  ArchiveError,
  type ArchiveReader,
  EventKind,
  keyIdOf,
  openArchive,
  openRecording,
  type VerifyOptions,
  verifyRecording,
} from '../../../recorder/index.ts';
import { temporaryFolder } from '../../support/temp.ts';
import { type Bed, eventsOf, initOf, MemoryArchive, makeBed, Signals, STARTED_AT, text } from './bed.ts';

const SEGMENTS = 5;
const peer = generateKeyPairSync('ed25519');

let bed: Bed;
/** A recording that its node did not seal. */
let open: Buffer;
/** What the store knew of it last: the head after so many segments. */
let heads: string[];
let reference: Buffer;

const headNow = (): string => bed.recorder.takeHeads()[0]?.head ?? assert.fail('no head');

before(async () => {
  bed = await makeBed();
  const recording = await bed.recorder.open(initOf('s1'), new Signals());
  heads = [headNow()];
  for (let i = 0; i < SEGMENTS; i += 1) {
    recording.write(EventKind.output, 0, text(`segment ${i}`));
    await bed.clock.advance(450);
    heads.push(headNow());
  }
  open = Buffer.from(bed.archive.bytes('s1'));
  assert.deepEqual(bed.recorder.takeHeads(), [], 'nothing new');
  await recording.seal('done');
  assert.deepEqual(bed.recorder.takeHeads(), [], 'its seal tells the rest');
  reference = Buffer.from(bed.archive.bytes('s1'));
});

const sealing = (knownHead?: string) => ({
  node: 'node2',
  signingKey: peer.privateKey,
  reason: 'the node stopped',
  knownHead,
});

function archiveOf(bytes: Buffer): MemoryArchive {
  const archive = new MemoryArchive();
  archive.recordings.set('s1', bytes);
  return archive;
}

const verify = (archive: Archive, change: VerifyOptions = {}) =>
  verifyRecording(archive, 's1', {
    identities: [bed.identity.identity],
    publicKeys: new Map([bed.publicKey, peer.publicKey].map((key) => [keyIdOf(key), key])),
    ...change,
  });

test('a recording whose writer is gone is sealed behind its last whole frame, without its key', async () => {
  const torn = Buffer.concat([open, reference.subarray(open.length, open.length + 30)]);
  const archive = archiveOf(torn);
  const sealed = await sealRecording(archive, 's1', sealing(heads[3]));
  const bytes = archive.bytes('s1');
  assert.deepEqual(sealed, {
    segments: SEGMENTS,
    bytes: bytes.length,
    head: hash('sha256', bytes.subarray(open.length)),
    recoveredBy: 'node2',
    givenUp: 30,
    cut: false,
    damaged: [],
  });
  const report = await verify(archive, { expectedHead: sealed.head });
  assert.deepEqual([report.ok, report.truncatedAt, report.problem], [true, SEGMENTS, undefined]);
  assert.match(
    report.notProved.join(),
    /truncated at segment 5: its writer was gone, node node2 sealed what the archive had/,
  );
  assert.match(report.proved.join(), new RegExp(`signed by node key ${keyIdOf(peer.publicKey)}`));

  const reader = await openRecording(archive, 's1', [bed.identity.identity]);
  assert.equal((await eventsOf(reader)).length, SEGMENTS);
  assert.deepEqual([reader.truncatedAt, reader.manifest()?.reason], [SEGMENTS, 'the node stopped']);
  assert.deepEqual((await eventsOf(reader, reader.manifest()?.index[3]?.[2])).length, 2, 'its index seeks');
});

test('a recording with nothing but its header is sealed too', async () => {
  const archive = archiveOf(open.subarray(0, reference.indexOf('SLYR', 4)));
  const sealed = await sealRecording(archive, 's1', sealing(heads[0]));
  assert.deepEqual([sealed.segments, sealed.cut], [0, false]);
  assert.equal((await verify(archive)).ok, true);
});

test('what is sealed stays as it is, whoever sealed it', async () => {
  const own = archiveOf(reference);
  const { recoveredBy, head, segments, bytes } = await sealRecording(own, 's1', sealing(heads[2]));
  assert.deepEqual([recoveredBy, segments, bytes], [undefined, SEGMENTS, reference.length]);
  assert.equal((await verify(own, { expectedHead: head })).ok, true);
  assert.deepEqual(own.bytes('s1'), reference);

  const archive = archiveOf(open);
  const first = await sealRecording(archive, 's1', sealing(heads[2]));
  const again = await sealRecording(archive, 's1', { ...sealing(first.head), node: 'node3' });
  assert.deepEqual(again, first);
});

test('of two nodes that seal at once, one seals and both are told the same', async () => {
  const archive = openArchive(`file:${temporaryFolder('seal')}`);
  await (await archive.create('s1', STARTED_AT, open)).close();
  const sealed = await Promise.all(
    ['node2', 'node3', 'node4'].map((node) => sealRecording(archive, 's1', { ...sealing(heads[5]), node })),
  );
  assert.equal(new Set(sealed.map((each) => JSON.stringify(each))).size, 1);
  const report = await verify(archive, { expectedHead: sealed[0]?.head ?? '' });
  assert.deepEqual([report.ok, report.truncatedAt], [true, SEGMENTS]);
});

test('a cut end that the store knows of is sealed, told, and never verified as whole', async () => {
  const archive = archiveOf(open.subarray(0, open.lastIndexOf('SLYR')));
  const sealed = await sealRecording(archive, 's1', sealing(heads[5]));
  assert.deepEqual([sealed.segments, sealed.cut], [SEGMENTS - 1, true]);
  const report = await verify(archive, { expectedHead: heads[5] ?? '' });
  assert.deepEqual([report.ok, report.code], [false, 'cut']);
  assert.match(report.problem ?? '', /the end was cut after segment 4: the store knows of more/);
});

test('a damaged recording is left as it is', async () => {
  const [, one = 0, two = 0, three = 0] = startsOf(open);
  const altered = Buffer.from(open);
  altered[two - 1] = (altered[two - 1] ?? 0) ^ 1;
  const longer = Buffer.from(open);
  longer.writeUInt32BE(open.length, three + 12);
  const noise = Buffer.from(open);
  noise.fill(0, three, three + 4);
  const moved = Buffer.concat([open.subarray(0, one), open.subarray(two)]);
  const cases: readonly (readonly [Buffer, string, RegExp])[] = [
    [altered, 'broken-chain', /segment 2: it or the frame before it was altered/],
    [longer, 'torn', /segment 3: it was altered, and the store knows of more behind it/],
    [noise, 'not-a-frame', /no frame of a recording/],
    [moved, 'out-of-sequence', /segment 1: another frame stands in its place/],
  ];
  for (const [bytes, code, message] of cases) {
    const archive = archiveOf(bytes);
    await assert.rejects(sealRecording(archive, 's1', sealing(heads[5])), { code, message });
    assert.equal(archive.bytes('s1'), bytes);
  }
  await assert.rejects(sealRecording(new MemoryArchive(), 's1', sealing()), { code: 'recording-missing' });
});

/** Two archives at once, of which the second may be `away`; undefined: it holds nothing. */
function pairOf(inFirst: Buffer | undefined, inSecond: Buffer | undefined) {
  class Second extends MemoryArchive {
    override readonly description = 'the second';
    away = false;
    compactions = 0;
    override async open(sessionId: string): Promise<ArchiveReader> {
      if (this.away) throw new ArchiveError('archive-missing', 'the second archive is away');
      return await super.open(sessionId);
    }
    override async compact(): Promise<void> {
      this.compactions += 1;
    }
  }
  const [first, second] = [new MemoryArchive(), new Second()];
  if (inFirst !== undefined) first.recordings.set('s1', inFirst);
  if (inSecond !== undefined) second.recordings.set('s1', inSecond);
  return { first, second, both: new MirrorArchive(first, [second]) };
}

/** Starts of the header, of the segments, and of the end of what was not sealed. */
const startsOf = (bytes: Buffer): number[] => {
  const starts: number[] = [];
  for (let at = bytes.indexOf('SLYR'); at >= 0; at = bytes.indexOf('SLYR', at + 1)) starts.push(at);
  return starts;
};

test('two archives are sealed alike, whichever of them is ahead', async () => {
  const [, one = 0, two = 0, three = 0] = startsOf(open);
  // A file system may have made a file longer that it had no bytes for yet.
  const hollow = Buffer.concat([open.subarray(0, three - 20), Buffer.alloc(20)]);
  const cases: readonly (readonly [string, Buffer, Buffer | undefined, Buffer | undefined])[] = [
    ['one has the manifest', reference, open.subarray(0, one), reference],
    ['one is torn', open, open.subarray(0, two + 30), undefined],
    ['one has room for what was never written', open, hollow, undefined],
    ['one is sealed, the other has room for what was never written', reference, hollow, reference],
    ['one has nothing', reference, undefined, reference],
    ['both are open and as long', open, open, undefined],
    ['one has a part of the manifest', reference, reference.subarray(0, open.length + 30), reference],
  ];
  for (const [name, ahead, behind, wanted] of cases) {
    for (const pair of [pairOf(ahead, behind), pairOf(behind, ahead)]) {
      const sealed = await sealRecording(pair.both, 's1', sealing(heads[2]));
      assert.deepEqual([sealed.segments, sealed.cut, sealed.damaged], [SEGMENTS, false, []], name);
      assert.ok(pair.first.bytes('s1').equals(pair.second.bytes('s1')), name);
      if (wanted !== undefined) assert.ok(wanted.equals(pair.first.bytes('s1')), name);
      assert.equal((await verify(pair.second, { expectedHead: sealed.head })).ok, true, name);
      const again = await sealRecording(pair.both, 's1', { ...sealing(sealed.head), node: 'node3' });
      assert.deepEqual(again, { ...sealed, givenUp: 0 }, name);
    }
  }
});

test('nothing is sealed while one archive is away', async () => {
  for (const inFirst of [open, reference]) {
    const { second, both } = pairOf(inFirst, open);
    second.away = true;
    await assert.rejects(sealRecording(both, 's1', sealing(heads[5])), { code: 'archive-missing' });
    await assert.rejects(compactRecording(both, 's1'), { code: 'archive-missing' });
    second.away = false;
    await sealRecording(both, 's1', sealing(heads[5]));
    assert.equal((await verify(second)).ok, true);
  }
});

test('a copy that was altered keeps nobody from sealing the other, and is told of', async () => {
  const [, , two = 0] = startsOf(open);
  const altered = Buffer.from(open);
  altered[two - 1] = (altered[two - 1] ?? 0) ^ 1;
  for (const pair of [pairOf(open, altered), pairOf(altered, open)]) {
    const { damaged, segments } = await sealRecording(pair.both, 's1', sealing(heads[5]));
    assert.equal(segments, SEGMENTS);
    assert.match(damaged.join(), /^(memory|the second): segment 2: it or the frame before it was altered/);
    const reports = await Promise.all([verify(pair.first), verify(pair.second)]);
    assert.deepEqual(reports.map(({ ok }) => ok).toSorted(), [false, true]);
  }
  // Where the other lacks what the store knows of, it may be in the one that was altered.
  const { first, both } = pairOf(open.subarray(0, two), altered);
  await assert.rejects(sealRecording(both, 's1', sealing(heads[5])), {
    code: 'broken-chain',
    message: /^the second: segment 2/,
  });
  assert.equal(first.bytes('s1').length, two);
});

test('what only one archive has sealed is sealed in the other before it is compacted', async () => {
  const [, one = 0] = startsOf(open);
  for (const pair of [pairOf(reference, open.subarray(0, one)), pairOf(open, reference)]) {
    await compactRecording(pair.both, 's1');
    assert.equal(pair.second.compactions, 1);
    for (const archive of [pair.first, pair.second]) assert.deepEqual(archive.bytes('s1'), reference);
  }
  const { second, both } = pairOf(open, open);
  await assert.rejects(compactRecording(both, 's1'), { name: 'ArchiveError', code: 'recording-unsealed' });
  assert.equal(second.compactions, 0);
});

test('what is compacted is proved to be the recording before anything is deleted', async () => {
  let compacted: Buffer | undefined;
  class Compacting extends MemoryArchive {
    deleted = false;
    override async compact(
      _sessionId?: string,
      startedAt?: number,
      check?: (compacted: ArchiveReader) => Promise<void>,
    ): Promise<void> {
      assert.equal(startedAt, STARTED_AT);
      const before = this.bytes('s1');
      this.recordings.set('s1', compacted ?? before);
      const reader = await this.open('s1');
      this.recordings.set('s1', before);
      await check?.(reader);
      this.deleted = true;
    }
  }
  const archive = new Compacting();
  archive.recordings.set('s1', reference);
  await compactRecording(archive, 's1');
  assert.ok(archive.deleted);
  const last = Buffer.from(reference);
  last[last.length - 1] = (last[last.length - 1] ?? 0) ^ 1;
  for (compacted of [open, reference.subarray(0, -1), Buffer.concat([reference, text('more')]), last]) {
    archive.deleted = false;
    await assert.rejects(compactRecording(archive, 's1'), { name: 'ContainerError' });
    assert.ok(!archive.deleted);
  }
  // It will be sealed: that is not damage.
  await assert.rejects(compactRecording(archiveOf(open), 's1'), {
    name: 'ArchiveError',
    code: 'recording-unsealed',
  });
});
