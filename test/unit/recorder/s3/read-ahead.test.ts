import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReadAhead } from '../../../../recorder/archive/s3/read-ahead.ts';
import { randomFrom } from '../../../support/random.ts';

const KIB = 1024;
const CONTENT = Buffer.from(Uint32Array.from({ length: 3 * KIB * KIB }, (_, i) => i).buffer);

function reader(): {
  readonly ahead: ReadAhead;
  readonly asked: (readonly [offset: number, length: number])[];
} {
  const asked: (readonly [number, number])[] = [];
  const inner = {
    size: CONTENT.length,
    read: async (offset: number, length: number) => {
      asked.push([offset, length]);
      return CONTENT.subarray(offset, offset + length);
    },
    close: async () => {},
  };
  return { ahead: new ReadAhead(inner), asked };
}

test('who reads on gets it in few large steps, with what overlaps', async () => {
  const { ahead, asked } = reader();
  const step = 256 * KIB;
  for (let at = 0; at < CONTENT.length; at += step - 1000) {
    const bytes = await ahead.read(at, step);
    assert.ok(CONTENT.subarray(at, at + step).equals(bytes), `at ${at}`);
  }
  assert.ok(asked.length <= 6, `${asked.length} requests`);
});

test('who seeks gets what was asked for and no more', async () => {
  const { ahead, asked } = reader();
  const places = [
    [5_000_000, 100],
    [1_000_000, 50],
    [9_000_000, 10],
    [0, 4],
  ] as const;
  for (const [offset, length] of places) await ahead.read(offset, length);
  assert.deepEqual(asked, places);
});

test('whatever is read in whatever order is what is there', async () => {
  const { ahead } = reader();
  const random = randomFrom(1);
  let at = 0;
  for (let i = 0; i < 3000; i += 1) {
    if (random(10) === 0) at = random(CONTENT.length + 1000);
    const length = random(random(10) === 0 ? 5_000_000 : 300_000);
    const bytes = await ahead.read(at, length);
    assert.ok(CONTENT.subarray(at, at + length).equals(bytes), `${length} at ${at}`);
    at = Math.max(0, at + length - random(500));
  }
  assert.equal((await ahead.read(CONTENT.length, 10)).length, 0);
  await ahead.close();
});
