import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeGroup, encodeGroup, type Piece } from '../../../../recorder/archive/s3/group.ts';

const PIECES: readonly Piece[] = [
  { sessionId: 's1', day: '2026/01/02', era: '0000aabbccdd', offset: 0, bytes: Buffer.from('one') },
  {
    sessionId: 'x'.repeat(64),
    day: '2026/12/31',
    era: 'ffffaabbccdd',
    offset: 2 ** 52,
    bytes: Buffer.alloc(70_000, 7),
  },
  { sessionId: 's1', day: '2026/01/02', era: '0001aabbccdd', offset: 3, bytes: Buffer.alloc(0) },
];

test('a group gives back what was put into it', () => {
  assert.deepEqual(decodeGroup(encodeGroup(PIECES)), PIECES);
  assert.deepEqual(decodeGroup(encodeGroup([])), []);
});

test('a group is read where it lies in other memory', () => {
  const bytes = encodeGroup(PIECES);
  const shifted = new Uint8Array(Buffer.concat([Buffer.alloc(13), bytes, Buffer.alloc(5)]).buffer, 13);
  assert.throws(() => decodeGroup(shifted), /behind its pieces/);
  assert.deepEqual(decodeGroup(shifted.subarray(0, bytes.length)), PIECES);
});

test('a group is laid out as its description says', () => {
  const bytes = encodeGroup(PIECES.slice(0, 1));
  const expected = Buffer.concat([
    Buffer.from('SPJ1'),
    Buffer.from([0, 0, 0, 1, 2]),
    Buffer.from('s12026/01/020000aabbccdd'),
    Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]),
    Buffer.from('one'),
  ]);
  assert.deepEqual(bytes, expected);
});

const changed = (at: number, value: number): Buffer => {
  const bytes = encodeGroup(PIECES);
  bytes[at] = value;
  return bytes;
};
const WRONG: readonly (readonly [what: string, bytes: Buffer, words: RegExp])[] = [
  ['nothing', Buffer.alloc(0), /does not begin as one/],
  ['another magic', changed(0, 0), /does not begin as one/],
  ['more pieces than fit', changed(4, 255), /pieces are not in it/],
  ['a piece too many', changed(7, 4), /piece 3/],
  ['a piece too few', changed(7, 2), /behind its pieces/],
  ['no session id', changed(8, 0), /piece 0: session id/],
  ['an id of other characters', changed(9, 0x2f), /piece 0: session id/],
  ['no day', changed(11, 0x41), /piece 0: day/],
  ['no era', changed(21, 0x41), /piece 0: era/],
  ['an offset past all numbers', changed(33, 255), /piece 0: offset/],
  ['a length past the end', changed(41, 255), /run past its end/],
  ['a cut end', encodeGroup(PIECES).subarray(0, -1), /run past its end/],
];

for (const [what, bytes, words] of WRONG) {
  test(`${what} is refused`, () => {
    assert.throws(() => decodeGroup(bytes), { name: 'ArchiveError', code: 'archive-io', message: words });
  });
}
