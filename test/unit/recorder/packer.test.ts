import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Packer } from '../../../recorder/container/segment-body.ts';

const text = Buffer.from('the quick brown fox jumps over the lazy dog '.repeat(4000));
const dense = randomBytes(text.length);

test('text is compressed, segment after segment', () => {
  const packer = new Packer(0);
  const packed = [1, 2, 3, 4].map(() => packer.pack(text));
  for (const { compressed, bytes } of packed) {
    assert.equal(compressed, true);
    assert.ok(bytes.length < text.length / 10);
  }
});

test('dense data is stored as it is and looked at again every now and then', () => {
  const packer = new Packer(0);
  assert.equal(packer.pack(dense).compressed, false);
  let raw = 0;
  while (!packer.pack(text).compressed) {
    raw += 1;
    assert.ok(raw < 100, 'it never looked again');
  }
  assert.equal(raw, 15);
  assert.equal(packer.pack(text).compressed, true, 'and goes on once it shrinks');
});

test('small segments are always tried', () => {
  const packer = new Packer(0);
  packer.pack(dense);
  assert.equal(packer.pack(text.subarray(0, 4096)).compressed, true);
});
