import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Piece } from '../../../../recorder/archive/s3/group.ts';
import { arrange, lengthOf, partsAmong } from '../../../../recorder/archive/s3/layout.ts';
import { newEra, parsePart, RecordingNames } from '../../../../recorder/archive/s3/names.ts';

const FOLDER = 'p/2026/01/02/s1/';
const FIRST = '0000aaaaaaaa';
const SECOND = '0001aaaaaaaa';
const JOURNAL = { instance: 'ab'.repeat(12), writer: 'node.one-1' };

/** A part of so many bytes, each its place in the recording (modulo 10) before the era's number. */
type PartRow = readonly [start: number, end: number, era?: string];
type PieceRow = readonly [start: number, end: number];

const names = new RecordingNames('p/', '2026/01/02', 's1');

function partsOf(rows: readonly PartRow[]) {
  const objects = rows.map(([start, end, era = FIRST]) => ({
    key: names.part({ start, end, era, last: false, journal: JOURNAL }),
    size: end - start,
  }));
  return partsAmong(FOLDER, objects);
}

function piecesOf(rows: readonly PieceRow[]): readonly Piece[] {
  return rows.map(([start, end]) => ({
    sessionId: 's1',
    day: '2026/01/02',
    era: FIRST,
    offset: start,
    bytes: Buffer.from(Array.from({ length: end - start }, (_, i) => start + i)),
  }));
}

const CASES: readonly {
  readonly what: string;
  readonly parts: readonly PartRow[];
  readonly pieces?: readonly PieceRow[];
  readonly limit?: number;
  /** Ranges, with the first part's start that they are read from, or nothing for the journal. */
  readonly gives: readonly (readonly [start: number, end: number, from?: number])[];
}[] = [
  { what: 'nothing', parts: [], gives: [] },
  {
    what: 'parts in any order',
    parts: [
      [5, 9],
      [0, 5],
    ],
    gives: [
      [0, 5, 0],
      [5, 9, 5],
    ],
  },
  { what: 'no first part', parts: [[5, 9]], gives: [] },
  {
    what: 'a gap, where it ends',
    parts: [
      [0, 5],
      [6, 9],
    ],
    gives: [[0, 5, 0]],
  },
  {
    what: 'a part that was tried with less before',
    parts: [
      [0, 5],
      [5, 7],
      [5, 9],
    ],
    gives: [
      [0, 5, 0],
      [5, 9, 5],
    ],
  },
  {
    what: 'parts that overlap',
    parts: [
      [0, 5],
      [3, 9],
      [4, 6],
    ],
    gives: [
      [0, 5, 0],
      [5, 9, 3],
    ],
  },
  {
    what: 'the journal behind parts',
    parts: [[0, 5]],
    pieces: [
      [5, 6],
      [6, 8],
    ],
    gives: [
      [0, 5, 0],
      [5, 6],
      [6, 8],
    ],
  },
  {
    what: 'the journal before a part',
    parts: [
      [0, 5],
      [7, 9],
    ],
    pieces: [[5, 7]],
    gives: [
      [0, 5, 0],
      [5, 7],
      [7, 9, 7],
    ],
  },
  {
    what: 'a journal that parts cover',
    parts: [
      [0, 5],
      [5, 9],
    ],
    pieces: [
      [5, 7],
      [7, 9],
    ],
    gives: [
      [0, 5, 0],
      [5, 9, 5],
    ],
  },
  {
    what: 'a piece that was sent twice',
    parts: [[0, 5]],
    pieces: [
      [5, 7],
      [5, 7],
      [7, 8],
    ],
    gives: [
      [0, 5, 0],
      [5, 7],
      [7, 8],
    ],
  },
  {
    what: 'a limit inside a part',
    parts: [
      [0, 5],
      [5, 9],
    ],
    limit: 7,
    gives: [
      [0, 5, 0],
      [5, 7, 5],
    ],
  },
  {
    what: 'a limit between parts',
    parts: [
      [0, 5],
      [5, 9],
    ],
    limit: 5,
    gives: [[0, 5, 0]],
  },
  {
    what: 'an era that begins inside an older one',
    parts: [
      [0, 5],
      [5, 9],
      [7, 7, SECOND],
      [7, 12, SECOND],
    ],
    gives: [
      [0, 5, 0],
      [5, 7, 5],
      [7, 12, 7],
    ],
  },
  {
    what: 'an era without bytes, which still ends the older one',
    parts: [
      [0, 5],
      [5, 9],
      [7, 7, SECOND],
    ],
    gives: [
      [0, 5, 0],
      [5, 7, 5],
    ],
  },
  {
    what: 'a part of an older era that comes late',
    parts: [
      [0, 5],
      [5, 5, SECOND],
      [5, 6, SECOND],
      [5, 90],
      [6, 7, SECOND],
    ],
    gives: [
      [0, 5, 0],
      [5, 6, 5],
      [6, 7, 6],
    ],
  },
  {
    what: 'an era that begins before one that it follows',
    parts: [
      [0, 5],
      [5, 9],
      [8, 8, SECOND],
      [3, 3, '0002aaaaaaaa'],
      [3, 4, '0002aaaaaaaa'],
    ],
    gives: [
      [0, 3, 0],
      [3, 4, 3],
    ],
  },
];

for (const { what, parts, pieces = [], limit, gives } of CASES) {
  test(`a recording is read of ${what}`, () => {
    const extents = arrange(partsOf(parts), piecesOf(pieces), limit);
    const seen = extents.map((extent) => {
      if ('bytes' in extent) {
        assert.deepEqual(
          [...extent.bytes],
          Array.from({ length: extent.end - extent.start }, (_, i) => extent.start + i),
        );
        return [extent.start, extent.end];
      }
      const part = parsePart(extent.key.slice(FOLDER.length)) ?? assert.fail(extent.key);
      assert.equal(part.start + extent.at, extent.start);
      return [extent.start, extent.end, part.start];
    });
    assert.deepEqual(seen, gives);
    assert.equal(lengthOf(extents), gives.at(-1)?.[1] ?? 0);
  });
}

test('the name of a part tells all of it', () => {
  const part = { start: 12, end: 10 ** 14, era: newEra(), last: true, journal: JOURNAL };
  assert.deepEqual(parsePart(names.part(part).slice(FOLDER.length)), part);
});

test('what is no part, or not as long as its name says, is left out', () => {
  const good = names.part({ start: 0, end: 5, era: FIRST, last: false, journal: JOURNAL });
  for (const key of [
    `${FOLDER}seal`,
    `${good}/x`,
    good.replace('.p.', '.q.'),
    good.replace('-', '_'),
    FOLDER,
  ]) {
    assert.deepEqual(partsAmong(FOLDER, [{ key, size: 5 }]), [], key);
  }
  const backwards = names.part({ start: 5, end: 0, era: FIRST, last: false, journal: JOURNAL });
  assert.deepEqual(partsAmong(FOLDER, [{ key: backwards, size: -5 }]), []);
  assert.deepEqual(partsAmong(FOLDER, [{ key: good, size: 4 }]), []);
  assert.equal(partsAmong(FOLDER, [{ key: good, size: 5 }]).length, 1);
});

test('eras sort as they follow each other', () => {
  const eras = [newEra()];
  for (let i = 0; i < 300; i += 1) eras.push(newEra(eras.at(-1)));
  assert.deepEqual([...eras].sort(), eras);
});
