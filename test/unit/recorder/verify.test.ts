import assert from 'node:assert/strict';
import { generateKeyPairSync, hash, randomBytes } from 'node:crypto';
import { before, test } from 'node:test';
import { decodeFrameHeader, FRAME_HEADER_BYTES } from '../../../recorder/format/frame.ts';
import {
  EventKind,
  keyIdOf,
  type VerifyCode,
  type VerifyOptions,
  verifyRecording,
} from '../../../recorder/index.ts';
import { type Bed, initOf, makeBed, Signals, text } from './bed.ts';

const SEGMENTS = 5;

let bed: Bed;
/** Frames of a sealed recording of session s1: header, five segments, manifest. */
let frames: Buffer[];
let head: string;
/** The same session before its seal. */
let unsealed: Buffer[];
let unsealedHead: string;
/** Another session's recording. */
let other: Buffer[];

function split(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const end = offset + FRAME_HEADER_BYTES + decodeFrameHeader(bytes.subarray(offset), offset).bodyLength;
    parts.push(Buffer.from(bytes.subarray(offset, end)));
    offset = end;
  }
  return parts;
}

async function record(sessionId: string): Promise<{ unsealed: Buffer[]; sealed: Buffer[]; head: string }> {
  const recording = await bed.recorder.open(initOf(sessionId), new Signals());
  for (let i = 0; i < SEGMENTS; i += 1) {
    recording.write(
      EventKind.output,
      0,
      text(`segment ${i}, long enough for a compression that shrinks it `.repeat(9)),
    );
    await bed.clock.advance(450);
  }
  const before = split(Buffer.from(bed.archive.bytes(sessionId)));
  const summary = await recording.seal('done');
  return { unsealed: before, sealed: split(Buffer.from(bed.archive.bytes(sessionId))), head: summary.head };
}

before(async () => {
  bed = await makeBed();
  ({ sealed: frames, head, unsealed } = await record('s1'));
  ({ sealed: other } = await record('s2'));
  const last = unsealed.at(-1);
  assert.ok(last !== undefined);
  unsealedHead = hash('sha256', last, 'hex');
  assert.equal(frames.length, SEGMENTS + 2);
});

type Setup = 'nothing' | 'store' | 'all';
function optionsOf(setup: Setup): VerifyOptions {
  const publicKeys = new Map([[keyIdOf(bed.publicKey), bed.publicKey]]);
  if (setup === 'nothing') return {};
  const store = { publicKeys, expectedHead: head };
  return setup === 'store' ? store : { ...store, identities: [bed.identity.identity] };
}

async function verify(parts: readonly Buffer[], options: VerifyOptions) {
  bed.archive.recordings.set('s1', Buffer.concat(parts));
  return await verifyRecording(bed.archive, 's1', options);
}

test('a whole recording is proved as far as what is given reaches', async () => {
  const all = await verify(frames, optionsOf('all'));
  assert.deepEqual(
    { ok: all.ok, segments: all.segments, notProved: all.notProved },
    { ok: true, segments: 5, notProved: [] },
  );
  assert.deepEqual(
    all.proved.map((line) => line.split(':')[0]),
    ['order', 'chain', 'signature', 'head', 'contents'],
  );
  const nothing = await verify(frames, {});
  assert.equal(nothing.ok, true);
  assert.deepEqual(
    nothing.notProved.map((line) => line.split(':')[0]),
    ['contents', 'signature', 'head'],
  );
});

test('keys of nodes may be PEM or SPKI too', async () => {
  const pem = bed.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const spki = bed.publicKey.export({ type: 'spki', format: 'der' });
  for (const key of [pem, spki]) {
    const report = await verify(frames, { publicKeys: new Map([[keyIdOf(bed.privateKey), key]]) });
    assert.ok(
      report.proved.some((line) => line.startsWith('signature')),
      report.problem ?? 'no problem',
    );
  }
});

function flip(parts: readonly Buffer[], frame: number, offset: number): Buffer[] {
  return parts.map((part, i) => {
    if (i !== frame) return part;
    const copy = Buffer.from(part);
    const at = offset < 0 ? copy.length + offset : offset;
    copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
    return copy;
  });
}

function without(parts: readonly Buffer[], ...gone: number[]): Buffer[] {
  return parts.filter((_, i) => !gone.includes(i));
}

function order(parts: readonly Buffer[], ...places: number[]): Buffer[] {
  return places.flatMap((place) => parts[place] ?? []);
}

interface Tampering {
  readonly name: string;
  readonly tamper: () => readonly Buffer[];
  readonly code: VerifyCode;
  readonly bad: number | undefined;
  /** What must be known to see it; with more it is seen too. */
  readonly needs: Setup;
}

const TABLE: readonly Tampering[] = [
  {
    name: 'a byte of segment 3 is flipped',
    tamper: () => flip(frames, 3, 80),
    code: 'altered',
    bad: 3,
    needs: 'nothing',
  },
  {
    name: 'the tag of segment 5 is flipped',
    tamper: () => flip(frames, 5, -1),
    code: 'altered',
    bad: 5,
    needs: 'nothing',
  },
  {
    name: 'the number of segment 2 is changed',
    tamper: () => flip(frames, 2, 11),
    code: 'altered',
    bad: 2,
    needs: 'nothing',
  },
  {
    name: 'the last time in segment 4 is changed',
    tamper: () => flip(frames, 4, 31),
    code: 'altered',
    bad: 4,
    needs: 'nothing',
  },
  {
    name: 'the chained hash in segment 4 is changed',
    tamper: () => flip(frames, 4, 40),
    code: 'altered',
    bad: 4,
    needs: 'nothing',
  },
  {
    name: 'the magic of segment 4 is changed',
    tamper: () => flip(frames, 4, 0),
    code: 'altered',
    bad: 4,
    needs: 'nothing',
  },
  {
    name: 'the length of segment 2 runs past the end',
    tamper: () => flip(frames, 2, 13),
    code: 'altered',
    bad: 2,
    needs: 'nothing',
  },
  {
    name: 'the header names another user',
    tamper: () => [
      Buffer.from((frames[0] ?? Buffer.alloc(0)).toString('latin1').replace('alice', 'malik'), 'latin1'),
      ...frames.slice(1),
    ],
    code: 'altered',
    bad: 0,
    needs: 'nothing',
  },
  {
    name: 'the reason in the manifest is changed',
    tamper: () => [
      ...frames.slice(0, 6),
      Buffer.from((frames[6] ?? Buffer.alloc(0)).toString('latin1').replace('"done"', '"dome"'), 'latin1'),
    ],
    code: 'altered',
    bad: 6,
    needs: 'store',
  },
  {
    name: 'the signature is flipped',
    tamper: () => flip(frames, 6, -10),
    code: 'altered',
    bad: 6,
    needs: 'store',
  },
  {
    name: 'bytes are added at the end',
    tamper: () => [...frames, Buffer.from('more')],
    code: 'altered',
    bad: 6,
    needs: 'nothing',
  },
  {
    name: 'segments 2 and 3 change places',
    tamper: () => order(frames, 0, 1, 3, 2, 4, 5, 6),
    code: 'reordered',
    bad: 2,
    needs: 'nothing',
  },
  {
    name: 'segment 1 comes twice',
    tamper: () => order(frames, 0, 1, 1, 2, 3, 4, 5, 6),
    code: 'reordered',
    bad: 2,
    needs: 'nothing',
  },
  {
    name: 'segment 3 is removed',
    tamper: () => without(frames, 3),
    code: 'removed',
    bad: 3,
    needs: 'nothing',
  },
  {
    name: 'segments 2 to 4 are removed',
    tamper: () => without(frames, 2, 3, 4),
    code: 'removed',
    bad: 2,
    needs: 'nothing',
  },
  {
    name: 'the last segment is removed',
    tamper: () => without(frames, 5),
    code: 'removed',
    bad: 5,
    needs: 'nothing',
  },
  {
    name: 'the first segment is removed',
    tamper: () => without(frames, 1),
    code: 'removed',
    bad: 1,
    needs: 'nothing',
  },
  { name: 'the manifest is cut off', tamper: () => without(frames, 6), code: 'cut', bad: 6, needs: 'store' },
  {
    name: 'the tail is cut at a frame',
    tamper: () => without(frames, 4, 5, 6),
    code: 'cut',
    bad: 4,
    needs: 'store',
  },
  {
    name: 'the tail is cut inside a frame',
    tamper: () => [Buffer.concat(frames.slice(0, 5)).subarray(0, -3)],
    code: 'cut',
    bad: 4,
    needs: 'store',
  },
  {
    name: 'the header alone is left, torn',
    tamper: () => [(frames[0] ?? Buffer.alloc(0)).subarray(0, 100)],
    code: 'cut',
    bad: 0,
    needs: 'nothing',
  },
  { name: 'nothing is left', tamper: () => [], code: 'cut', bad: 0, needs: 'nothing' },
  {
    name: 'the tail is cut and nobody knows the head',
    tamper: () => without(frames, 4, 5, 6),
    code: 'unsealed',
    bad: 4,
    needs: 'nothing',
  },
  {
    name: "another session's recording stands here",
    tamper: () => other,
    code: 'swapped',
    bad: 0,
    needs: 'nothing',
  },
  {
    name: 'a segment of another recording stands here',
    tamper: () => frames.map((frame, i) => (i === 2 ? (other[2] ?? frame) : frame)),
    code: 'altered',
    bad: 2,
    needs: 'nothing',
  },
  { name: 'noise stands here', tamper: () => [randomBytes(5000)], code: 'altered', bad: 0, needs: 'nothing' },
];

const ORDER: readonly Setup[] = ['nothing', 'store', 'all'];
for (const { name, tamper, code, bad, needs } of TABLE) {
  const setups = code === 'unsealed' ? (['nothing'] as const) : ORDER.slice(ORDER.indexOf(needs));
  for (const setup of setups) {
    test(`seen with ${setup} known: ${name}`, async () => {
      const report = await verify(tamper(), optionsOf(setup));
      assert.deepEqual(
        { ok: report.ok, code: report.code, bad: report.firstBadSegment },
        { ok: false, code, bad },
        report.problem ?? 'no problem',
      );
      assert.ok((report.problem ?? '').length > 10);
    });
  }
}

test('a recording that its node never sealed is as whole as the store knows', async () => {
  const report = await verify(unsealed, { expectedHead: unsealedHead });
  assert.deepEqual(
    { ok: report.ok, segments: report.segments, problem: report.problem },
    { ok: true, segments: 5, problem: undefined },
  );
  assert.ok(report.notProved.some((line) => line.startsWith('seal')));
  const torn = await verify([...unsealed, Buffer.from('SLYR torn')], { expectedHead: unsealedHead });
  assert.equal(torn.ok, true, 'a torn tail that nobody acknowledged is no loss');
});

test('a whole recording that is not the one of the store is seen', async () => {
  const report = await verify(frames, { expectedHead: 'a'.repeat(64) });
  assert.deepEqual([report.ok, report.code, report.firstBadSegment], [false, 'head', undefined]);
});

test('a recording sealed by a key of no node is seen', async () => {
  const { publicKey } = generateKeyPairSync('ed25519');
  const report = await verify(frames, { publicKeys: new Map([[keyIdOf(publicKey), publicKey]]) });
  assert.deepEqual([report.ok, report.code, report.firstBadSegment], [false, 'signature', 6]);
});

test('an identity that opens nothing leaves the contents unproved', async () => {
  const stranger = (await makeBed()).identity.identity;
  const report = await verify(frames, { identities: [stranger] });
  assert.equal(report.ok, true);
  assert.ok(report.notProved.some((line) => line.startsWith('contents: none of the 1 identities')));
});

test('a missing recording is an error of the archive', async () => {
  await assert.rejects(verifyRecording(bed.archive, 'nobody', {}), { code: 'recording-missing' });
});
