import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import { readFastPathOutput, readFastPathUpdate, UpdateCode } from '../../../../gateway/rdp/pdu/fast-path.ts';
import * as output from '../../../../gateway/rdp/pdu/output.ts';
import { DataType, readShareControl, readShareData } from '../../../../gateway/rdp/pdu/share.ts';
import { Screen } from '../../../../recorder/screen/screen.ts';
import { randomFrom } from '../../../support/random.ts';
import { toHex } from './hex.ts';

/** 16 KiB, the headers of TPKT, X.224 and MCS included. */
const LARGEST = 16 * 1024 - 15;

function fast(update: output.Update): Uint8Array {
  const writer = new Writer();
  output.encodeFastPathOutput(writer, update);
  return writer.done();
}

function slow(update: output.Update): Uint8Array {
  const writer = new Writer();
  output.encodeSlowPathOutput(writer, { shareId: 0x103ea, source: 0x3ea }, update);
  return writer.done();
}

/** Colours that every depth can tell: eight by pixel's place, told apart by rows and columns. */
function picture(width: number, height: number): output.Picture {
  const pixels = new Uint32Array(width * height);
  for (let at = 0; at < pixels.length; at += 1) {
    const value = (at * 7 + Math.floor(at / width) * 3) % 8;
    pixels[at] = (value & 4 ? 0xff0000 : 0) | (value & 2 ? 0xff00 : 0) | (value & 1 ? 0xff : 0);
  }
  return { width, height, pixels };
}

/** What a client shows of updates, 0x00RRGGBB; the recorder's decoder is another's work. */
function shown(pdus: readonly Uint8Array[], width: number, height: number, depth: number): Uint32Array {
  const screen = new Screen(width, height, depth);
  for (const pdu of [fast(output.paletteUpdate()), ...pdus])
    screen.fastPath(pdu.subarray(readFastPathOutput(pdu)));
  assert.deepEqual(screen.problems, new Map());
  return screen.framebuffer.pixels.map(
    (pixel) => ((pixel & 0xff) << 16) | (pixel & 0xff00) | ((pixel >> 16) & 0xff),
  );
}

for (const depth of output.BITS_PER_PIXEL)
  for (const [width, height] of [
    [1, 1],
    [129, 70],
    [5003, 5],
  ] as const)
    test(`a picture of ${width} by ${height} arrives whole at ${depth} bits per pixel`, () => {
      const drawn = picture(width, height);
      const pdus: Uint8Array[] = [];
      for (const update of output.bitmapUpdates(drawn, depth, 9, 11, { skipAlpha: width > 1 })) {
        assert.ok(fast(update).length <= LARGEST);
        assert.ok(slow(update).length <= LARGEST);
        const pdu = fast(update);
        const read = readFastPathUpdate(pdu, readFastPathOutput(pdu), pdu.length);
        assert.deepEqual([read.code, read.end], [UpdateCode.bitmap, pdu.length]);
        pdus.push(pdu);
        const share = slow(update);
        const data = readShareData(share, readShareControl(share, 0));
        assert.equal(data.type, DataType.update);
        assert.deepEqual(share.subarray(data.dataOffset, data.end), update.data);
      }
      const screen = shown(pdus, width + 9, height + 11, depth);
      for (let y = 0; y < height; y += 1)
        assert.deepEqual(
          screen.subarray((y + 11) * (width + 9) + 9, (y + 12) * (width + 9)),
          drawn.pixels.subarray(y * width, (y + 1) * width),
        );
    });

test('pictures of flat areas take a fraction of their pixels, noise no more than they', () => {
  const flat = { width: 640, height: 480, pixels: new Uint32Array(640 * 480).fill(0x1d2833) };
  const random = randomFrom(7);
  const noise = { width: 64, height: 64, pixels: new Uint32Array(64 * 64).map(() => random(2 ** 24)) };
  for (const depth of output.BITS_PER_PIXEL) {
    const sizes = [flat, noise].map((each) => {
      const updates = [...output.bitmapUpdates(each, depth, 0, 0)];
      const bytes = updates.reduce((sum, { data }) => sum + data.length, 0);
      return (bytes - updates.length * 22) / ((each.pixels.length * (depth + 1)) >> 3);
    });
    assert.ok((sizes[0] ?? 1) < (depth === 32 ? 0.025 : 0.002), `${depth}: flat ${sizes[0]}`);
    assert.ok((sizes[1] ?? 2) <= 1, `${depth}: noise ${sizes[1]}`);
  }
});

test('a caller may have colours of its own, such as those of another palette', () => {
  const one = { width: 1, height: 1, pixels: Uint32Array.of(0x12b4d6) };
  const [update] = [
    ...output.bitmapUpdates(one, 8, 0, 0, { colour: (rgb) => (rgb === 0x12b4d6 ? 0x77 : 0) }),
  ];
  assert.equal(toHex((update?.data ?? assert.fail()).subarray(22)), '77777777');
});

test('colours keep their best bits at every depth', () => {
  const one = { width: 1, height: 1, pixels: Uint32Array.of(0x12b4d6) };
  const bytes = (depth: output.BitsPerPixel): string => {
    const [update] = [...output.bitmapUpdates(one, depth, 0, 0)];
    return toHex((update?.data ?? new Uint8Array()).subarray(22, 22 + ((depth + 7) >> 3)));
  };
  assert.deepEqual(output.BITS_PER_PIXEL.map(bytes), ['17', 'da0a', 'ba15', 'd6b412', 'd6b41200']);
});

test('the palette has 256 colours from black to white', () => {
  const { code, data } = output.paletteUpdate();
  assert.equal(code, UpdateCode.palette);
  assert.equal(data.length, 8 + 256 * 3);
  assert.equal(toHex(data.subarray(0, 11)), '0200000000010000000000');
  assert.equal(toHex(data.subarray(-3)), 'ffffff');
  assert.equal(toHex(data.subarray(8 + 0xe0 * 3, 8 + 0xe1 * 3)), 'ff0000');
});

test('pointers and synchronize have their forms on both paths', () => {
  const body = (update: output.Update): string => {
    const pdu = slow(update);
    const data = readShareData(pdu, readShareControl(pdu, 0));
    return `${data.type.toString(16)} ${toHex(pdu.subarray(data.dataOffset))}`;
  };
  const rows: readonly (readonly [output.Update, string, string])[] = [
    [output.synchronizeUpdate(), '008006030000', '2 03000000'],
    [output.hiddenPointer(), '008006050000', '1b 0100000000000000'],
    [output.defaultPointer(), '008006060000', '1b 01000000007f0000'],
    [output.pointerPosition(260, 2), '00800a08040004010200', '1b 0300000004010200'],
    [output.cachedPointer(3), '0080080a02000300', '1b 070000000300'],
  ];
  for (const [update, fastPath, slowPath] of rows) {
    assert.equal(toHex(fast(update)), fastPath);
    assert.equal(body(update), slowPath);
  }
});

test('a new pointer stands upside down with its masks', () => {
  const pointer = {
    width: 2,
    height: 2,
    pixels: Uint32Array.of(0xff112233, 0x00000000, 0x80445566, 0xffffffff),
  };
  const update = output.newPointer(pointer, { x: 1, y: 0 }, 4);
  assert.equal(
    toHex(update.data),
    '200004000100000002000200040010006655448 0ffffffff332211ff00000000 00000000 00'.replaceAll(' ', ''),
  );
  assert.throws(
    () => output.newPointer({ width: 33, height: 1, pixels: new Uint32Array(33) }, { x: 0, y: 0 }, 0),
    /is 33 by 1, at most 32/,
  );
  assert.throws(
    () => [...output.bitmapUpdates({ width: 2, height: 2, pixels: new Uint32Array(3) }, 32, 0, 0)],
    /pixels at offset 0 are 3, 2 by 2 need 4/,
  );
});
