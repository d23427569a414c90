import assert from 'node:assert/strict';
import { test } from 'node:test';
import { giveChunk, takeChunk } from '../../../../gateway/rdp/stream/stream-memory.ts';

test('small PDUs lend little memory, which is lent again after a stall of a hundred streams', () => {
  const chunks = Array.from({ length: 100 }, () => takeChunk(3000));
  for (const chunk of chunks) {
    assert.equal(chunk.length, 16_384);
    giveChunk(chunk);
  }
  assert.deepEqual(new Set(chunks.map(() => takeChunk(3000))), new Set(chunks));
});

test('any length is lent, and what is longer than a chunk is not kept', () => {
  for (const length of [0, 16_384, 16_385, 131_072, 131_073, 10_000_000]) {
    const chunk = takeChunk(length);
    assert.ok(chunk.length >= length);
    giveChunk(chunk);
    if (length > 131_072) assert.notEqual(takeChunk(length), chunk);
  }
});
