import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32, inflateSync } from 'node:zlib';
import { encodePng } from '../../../../recorder/video/png.ts';

/** Chunks by type, each with its checksum tested. */
function chunksOf(png: Buffer): Map<string, Buffer> {
  assert.equal(png.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < png.length; ) {
    const end = at + 8 + png.readUInt32BE(at);
    assert.equal(png.readUInt32BE(end), crc32(png.subarray(at + 4, end)));
    chunks.set(png.toString('latin1', at + 4, at + 8), png.subarray(at + 8, end));
    at = end + 4;
  }
  return chunks;
}

test('a picture of 2 × 3 pixels', () => {
  const pixels = Uint32Array.of(0xff030201, 0x00060504, 0xff000000, 0xffffffff, 0xff0000ff, 0xffff0000);
  const chunks = chunksOf(encodePng(pixels, 2, 3));
  assert.deepEqual([...chunks.keys()], ['IHDR', 'IDAT', 'IEND']);
  assert.deepEqual([...(chunks.get('IHDR') ?? [])], [0, 0, 0, 2, 0, 0, 0, 3, 8, 2, 0, 0, 0]);
  assert.deepEqual(
    [...inflateSync(chunks.get('IDAT') ?? '')],
    [0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 255, 255, 255, 0, 255, 0, 0, 0, 0, 255],
  );
});

test('pixels that are no picture of that size are refused', () => {
  assert.throws(() => encodePng(new Uint32Array(5), 2, 3), RangeError);
  assert.throws(() => encodePng(new Uint32Array(0), 0, 3), RangeError);
});
