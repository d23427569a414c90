import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ChunkFlag,
  chunks,
  HELD_BYTES_MAX,
  type Judge,
  Reassembler,
} from '../../../../gateway/rdp/channels/virtual-channel.ts';
import { PduError } from '../../../../gateway/rdp/pdu/cursor.ts';
import { bytes, hex, messages, written } from './bed.ts';

const MESSAGE = Uint8Array.from({ length: 4000 }, (_, n) => n);
const forward: Judge = () => 'forward';

function chunk(length: number, flags: number, data: Uint8Array = new Uint8Array()): Uint8Array {
  return written((writer) => writer.u32le(length).u32le(flags).bytes(data));
}

test('a message is cut into chunks that say its whole length, the first and the last', () => {
  const cut = chunks(MESSAGE, ChunkFlag.showProtocol);
  assert.deepEqual(
    cut.map((part) => [part.length, hex(part.subarray(0, 8))]),
    [
      [1608, 'a00f000011000000'],
      [1608, 'a00f000010000000'],
      [808, 'a00f000012000000'],
    ],
  );
  assert.deepEqual(messages(cut), [MESSAGE]);
  assert.deepEqual(chunks(new Uint8Array()).map(hex), ['0000000003000000']);
});

test('chunks are held until the judge has seen enough, then all go on as they came', () => {
  const reassembler = new Reassembler();
  const seen: number[] = [];
  const judge: Judge = (head, length) => {
    seen.push(head.length);
    assert.equal(length, 4000);
    if (head.length < 8) return 8;
    return head.length < 2500 ? 2500 : 'forward';
  };
  const cut = chunks(MESSAGE, 0, 500);
  const passed = cut.map((part) => reassembler.push(part, judge).map(hex));
  assert.deepEqual(seen, [500, 2500]);
  assert.deepEqual(
    passed.map((list) => list.length),
    [0, 0, 0, 0, 5, 1, 1, 1],
  );
  assert.deepEqual(passed.flat(), cut.map(hex));
  assert.equal(reassembler.forwarding, false);
});

test('what is swallowed stays swallowed to its end, and the next message is judged anew', () => {
  const reassembler = new Reassembler();
  for (const part of chunks(MESSAGE))
    assert.deepEqual(
      reassembler.push(part, () => 'swallow'),
      [],
    );
  assert.equal(reassembler.push(chunks(MESSAGE)[0] ?? new Uint8Array(), forward).length, 1);
  assert.equal(reassembler.forwarding, true);
});

test('suspend and resume pass between the chunks of a message', () => {
  const reassembler = new Reassembler();
  const [first, second, third] = chunks(MESSAGE);
  const suspend = chunk(0, ChunkFlag.suspend);
  for (const part of [first, suspend, second, third])
    assert.deepEqual(reassembler.push(part ?? new Uint8Array(), forward), [part]);
});

const wrong: [string, Uint8Array[], RegExp][] = [
  ['cut header', [bytes('01 02 03')], /^CHANNEL_PDU_HEADER.length at offset 0 needs 4 bytes, 3 are left$/],
  ['compressed', [chunk(1, 0x200003, bytes('00'))], /^CHANNEL_PDU_HEADER.flags at offset 4 says compressed/],
  ['no beginning', [chunk(1, ChunkFlag.last, bytes('00'))], /was not begun/],
  ['two beginnings', [chunk(2, 1, bytes('00')), chunk(2, 1, bytes('00'))], /before the last one ended/],
  ['other length', [chunk(2, 1, bytes('00')), chunk(3, 2, bytes('00'))], /changed from 2 to 3/],
  ['too long', [chunk(1, 3, bytes('00 00'))], /ends a message of 1 bytes after 2/],
  ['too short', [chunk(2, 3, bytes('00'))], /ends a message of 2 bytes after 1/],
  ['no end', [chunk(1, 1, bytes('00'))], /goes on with a message of 1 bytes after 1/],
  ['empty part', [chunk(2, 1)], /is empty/],
];
for (const [name, parts, expected] of wrong)
  test(`refused: ${name}`, () => {
    const reassembler = new Reassembler();
    assert.throws(
      () => {
        for (const part of parts) reassembler.push(part, forward);
      },
      (error) => error instanceof PduError && expected.test(error.message),
    );
  });

test('a judge cannot ask for more than the message has, nor hold more than the bound', () => {
  assert.throws(
    () => new Reassembler().push(chunk(4, 3, bytes('00000000')), () => 8),
    /needs 8 bytes, it has 4/,
  );
  const huge = chunk(HELD_BYTES_MAX + 1, 1, bytes('00'));
  assert.throws(() => new Reassembler().push(huge, (_, length) => length), /is too long, at most 16777216/);
  assert.deepEqual(new Reassembler().push(huge, forward), [huge]);
});

test('tiny chunks cannot make the held ones cost more than their bytes allow', () => {
  const reassembler = new Reassembler();
  const part = chunk(100_000, 0, bytes('00'));
  reassembler.push(chunk(100_000, 1, bytes('00')), (_, length) => length);
  assert.throws(() => {
    for (let n = 0; n < 99_998; n++) reassembler.push(part, (_, length) => length);
  }, /is one more than the 16384 that are held/);
});
