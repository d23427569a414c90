import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { exportPng, type RecordingReader } from '../../../../recorder/index.ts';
import { collect } from '../bed.ts';
import { desktop, fill, hidePointer, recorded } from './bed.ts';

/** Width, height and the first pixel, 0xRRGGBB, of a small PNG. */
async function pictureOf(reader: RecordingReader, at?: number): Promise<number[]> {
  const chunks = await collect(exportPng(reader, at === undefined ? {} : { at }));
  assert.equal(chunks.length, 1);
  const png = Buffer.concat(chunks);
  const data = png.indexOf('IDAT');
  const lines = inflateSync(png.subarray(data + 4, data + 4 + png.readUInt32BE(data - 4)));
  return [png.readUInt32BE(16), png.readUInt32BE(20), lines.readUIntBE(1, 3)];
}

test('a picture holds what came up to its moment, to the microsecond', async () => {
  const reader = await recorded([
    desktop(1000, 64, 48),
    hidePointer(1000),
    fill(1500, [0, 0, 8, 8], [1, 2, 3]),
    desktop(2000, 32, 16),
    fill(2500, [0, 0, 8, 8], [4, 5, 6]),
  ]);
  assert.deepEqual(await pictureOf(reader, 1_499_999), [64, 48, 0]);
  assert.deepEqual(await pictureOf(reader, 1_500_000), [64, 48, 0x010203]);
  assert.deepEqual(await pictureOf(reader, 2_000_000), [32, 16, 0]);
  assert.deepEqual(await pictureOf(reader, 2_500_000), [32, 16, 0x040506]);
  assert.deepEqual(await pictureOf(reader), [32, 16, 0x040506]);
  await assert.rejects(pictureOf(reader, 999_999), /no screen yet 1\.000 s after the start/);
  await assert.rejects(pictureOf(reader, 2_500_001), /ends 2\.500 s after its start/);
});

test('a session without a desktop has no picture', async () => {
  await assert.rejects(pictureOf(await recorded([])), /never showed a screen/);
});
