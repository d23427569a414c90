import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ContainerError } from '../../../recorder/format/error.ts';
import {
  decodeFrameHeader,
  encodeFrameHeader,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  FrameType,
  MAX_BODY_BYTES,
} from '../../../recorder/format/frame.ts';

const HASH = Uint8Array.from({ length: 32 }, (_, i) => i + 1);
const SEGMENT: FrameHeader = {
  type: FrameType.segment,
  compressed: true,
  sequence: 0x01020304,
  bodyLength: 0x00a0b0c0,
  firstAt: 2 ** 40 + 5,
  lastAt: 2 ** 53 - 1,
  previousHash: HASH,
};
const SEGMENT_HEX =
  '534c5952 01 02 01 00 01020304 00a0b0c0 0000010000000005 001fffffffffffff'.replaceAll(' ', '') +
  Buffer.from(HASH).toString('hex');

function encoded(): Buffer {
  return Buffer.from(SEGMENT_HEX, 'hex');
}

test('a frame header has the documented layout, both ways', () => {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES);
  encodeFrameHeader(SEGMENT, bytes);
  assert.equal(Buffer.from(bytes).toString('hex'), SEGMENT_HEX);
  assert.deepEqual({ ...decodeFrameHeader(encoded(), 0), previousHash: HASH }, SEGMENT);
  assert.deepEqual(Buffer.from(decodeFrameHeader(encoded(), 0).previousHash), Buffer.from(HASH));
});

const BAD: readonly [name: string, change: (bytes: Buffer) => void, code: string, offset: number][] = [
  ['another magic', (b) => b.writeUInt8(0x00, 3), 'not-a-frame', 1000],
  ['another version', (b) => b.writeUInt8(2, 4), 'not-a-frame', 1004],
  ['an unknown type', (b) => b.writeUInt8(9, 5), 'not-a-frame', 1005],
  ['an unknown flag', (b) => b.writeUInt8(2, 6), 'not-a-frame', 1006],
  ['a compressed manifest', (b) => b.writeUInt8(FrameType.manifest, 5), 'not-a-frame', 1006],
  ['a body over the bound', (b) => b.writeUInt32BE(MAX_BODY_BYTES + 1, 12), 'too-large', 1012],
  ['times that run back', (b) => b.writeBigUInt64BE(1n, 24), 'not-a-frame', 1016],
  ['a time past 2^53', (b) => b.writeBigUInt64BE(2n ** 60n, 24), 'not-a-frame', 1016],
];
for (const [name, change, code, offset] of BAD) {
  test(`a frame header with ${name} is refused with its place`, () => {
    const bytes = encoded();
    change(bytes);
    assert.throws(
      () => decodeFrameHeader(bytes, 1000),
      (error) => error instanceof ContainerError && error.code === code && error.offset === offset,
    );
  });
}

test('a frame header that is cut is torn', () => {
  assert.throws(() => decodeFrameHeader(encoded().subarray(0, 63), 0), { code: 'torn' });
});
