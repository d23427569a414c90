import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PduError, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import { Fragmentation, readFastPathOutput, UpdateCode } from '../../../../gateway/rdp/pdu/fast-path.ts';
import { readSendData } from '../../../../gateway/rdp/pdu/mcs-data.ts';
import { bitmapUpdates } from '../../../../gateway/rdp/pdu/output.ts';
import { DataType, readShareControl, readShareData, ShareType } from '../../../../gateway/rdp/pdu/share.ts';
import { UpdateCheck } from '../../../../gateway/rdp/relay/update-check.ts';
import { loadTrace, traceNames } from '../../../support/rdp-traces.ts';

/** An update in the updates array of a fast-path PDU. */
function update(code: number, data: Uint8Array, fragmentation: number = Fragmentation.single): Uint8Array {
  return new Writer()
    .u8(code | (fragmentation << 4))
    .u16le(data.length)
    .bytes(data)
    .done();
}

function check(...updates: Uint8Array[]): void {
  new UpdateCheck().fastPath(Buffer.concat(updates), 0);
}

function refuses(words: RegExp, ...updates: Uint8Array[]): void {
  assert.throws(
    () => check(...updates),
    (error) => error instanceof PduError && words.test(error.message),
  );
}

const picture = { width: 40, height: 30, pixels: new Uint32Array(1200).fill(0x123456) };
const BITMAP = [...bitmapUpdates(picture, 16, 0, 0)][0]?.data ?? assert.fail();
const { first, next, last } = Fragmentation;

test('bitmaps must be there to their end, on both paths', () => {
  check(update(UpdateCode.bitmap, BITMAP));
  new UpdateCheck().slowPath(BITMAP, 0, BITMAP.length);
  for (let length = 0; length < BITMAP.length; length += 1) {
    refuses(/needs 2 bytes|behind its update/, update(UpdateCode.bitmap, BITMAP.subarray(0, length)));
    assert.throws(() => new UpdateCheck().slowPath(BITMAP, 0, length), PduError);
  }
  // More rectangles than there are.
  const many = Buffer.from(BITMAP);
  many.writeUInt16LE(0xffff, 2);
  refuses(/behind its update|needs 2 bytes/, update(UpdateCode.bitmap, many));
  // Bytes behind the last one hurt nobody.
  check(update(UpdateCode.bitmap, Buffer.concat([BITMAP, Buffer.alloc(3)])));
});

test('updates of a kind that there is not, or that was not negotiated', () => {
  for (const code of [7, 13, 14, 15])
    refuses(/updateCode .* is \d+, which is none/, update(code, Buffer.alloc(4)));
  refuses(/surface commands, which were not negotiated/, update(UpdateCode.surfaceCommands, Buffer.alloc(8)));
  refuses(/compressionFlags/, Uint8Array.of(0x81, 0x21, 1, 0, 0));
  assert.throws(
    () => new UpdateCheck().slowPath(Uint8Array.of(9, 0), 0, 2),
    /updateType .* is 9, which is none/,
  );
  for (const code of [UpdateCode.synchronize, UpdateCode.pointerHidden, UpdateCode.pointerDefault])
    check(update(code, new Uint8Array()));
});

test('orders that draw were not negotiated; those that draw nothing pass', () => {
  const orders = (count: number, bytes: string): Uint8Array =>
    update(
      UpdateCode.orders,
      new Writer()
        .u16le(count)
        .bytes(Buffer.from(bytes.replaceAll(' ', ''), 'hex'))
        .done(),
    );
  // A frame marker, window information, and a secondary order of a colour table.
  const frame = '36 00000000';
  const window = '2e 0700 01000000';
  const secondary = `03 0000 0000 01 ${'00'.repeat(7)}`;
  check(orders(3, frame + window + secondary));
  refuses(/drawing order, which was not negotiated/, orders(1, '09 0a 00'));
  refuses(/drawing order, which was not negotiated/, orders(2, `${frame} 01 00`));
  refuses(/orderType .* is 0,/, orders(1, '02 00'));
  refuses(/orderData|needs/, orders(1, '36 0000'));
  refuses(/needs 1 byte/, orders(2, frame));
  const slow = Buffer.from('000000000100000009', 'hex');
  assert.throws(() => new UpdateCheck().slowPath(slow, 0, slow.length), /drawing order/);
});

test('palettes and pointers must be there to their end, on both paths', () => {
  const palette = Buffer.concat([Buffer.from('0200000002000000', 'hex'), Buffer.alloc(6)]);
  const position = Buffer.from('05000600', 'hex');
  // Cache index, hot spot, size, the lengths of the masks: 1 × 1 pixel.
  const shape = Buffer.from('000000000000010001000200040000000000ffff', 'hex');
  const large = Buffer.from('20000000000000000100010002000000040000000000000000ff', 'hex');
  const newPointer = Buffer.concat([Buffer.from([0x20, 0]), shape]);
  const { pointerPosition, pointerCached, pointerColor, pointerNew, pointerLarge } = UpdateCode;
  const cases: readonly (readonly [number, Buffer, number | undefined])[] = [
    [UpdateCode.palette, palette, undefined],
    [pointerPosition, position, 3],
    [pointerColor, shape, 6],
    [pointerCached, Buffer.from([1, 0]), 7],
    [pointerNew, newPointer, 8],
    [pointerLarge, large, undefined],
  ];
  for (const [code, data, messageType] of cases) {
    check(update(code, data));
    for (let length = 0; length < data.length; length += 1)
      refuses(/needs 2 bytes|behind its update/, update(code, data.subarray(0, length)));
    if (messageType === undefined) continue;
    const slow = Buffer.concat([Buffer.from([messageType, 0, 0, 0]), data]);
    new UpdateCheck().slowPointer(slow, 0, slow.length);
    assert.throws(() => new UpdateCheck().slowPointer(slow, 0, slow.length - 1), PduError);
  }
  refuses(/numberColors .* over 256/, update(UpdateCode.palette, Buffer.from('0200000001010000', 'hex')));
  new UpdateCheck().slowPath(palette, 0, palette.length);
  assert.throws(() => new UpdateCheck().slowPath(palette, 0, palette.length - 1), PduError);
  const system = Buffer.from('01000000007f0000', 'hex');
  new UpdateCheck().slowPointer(system, 0, system.length);
  assert.throws(() => new UpdateCheck().slowPointer(system, 0, 6), PduError);
  assert.throws(() => new UpdateCheck().slowPointer(Buffer.alloc(8, 9), 0, 8), /messageType .* is 2313/);
});

test('fragments come one after the other', () => {
  const part = Buffer.alloc(100);
  const of = (...kinds: readonly (readonly [number, number])[]): Uint8Array[] =>
    kinds.map(([code, kind]) => update(code, part, kind));
  check(...of([1, first], [1, next], [1, next], [1, last]), update(3, new Uint8Array()));
  refuses(/goes on where no update began/, ...of([1, next]));
  refuses(/goes on where no update began/, ...of([1, first], [1, last], [1, last]));
  refuses(/before the last one ended/, ...of([1, first], [1, first]));
  refuses(/before the last one ended/, ...of([1, first]), update(5, new Uint8Array()));
  refuses(/changes from 1 to 2/, ...of([1, first], [2, next]));

  // Over PDUs too, and anew with each activation.
  const one = new UpdateCheck();
  one.fastPath(update(1, part, first), 0);
  assert.throws(() => one.fastPath(update(5, new Uint8Array()), 0), /before the last one ended/);
  one.reset();
  one.fastPath(update(5, new Uint8Array()), 0);
});

test('an update of fragments without end is not followed', () => {
  const one = new UpdateCheck();
  const part = Buffer.alloc(32_000);
  one.fastPath(update(1, part, first), 0);
  const more = update(1, part, next);
  assert.throws(() => {
    for (let n = 0; n < 600; n += 1) one.fastPath(more, 0);
  }, /more than 16777216 bytes/);
});

test('what real servers send passes', () => {
  let updates = 0;
  // Those whose clients agreed on orders, codecs or compression, which nobody does through the gateway.
  for (const name of traceNames().filter((each) => !/rdesktop|bulk|rfx|gfx|avc|nla/.test(each))) {
    const checker = new UpdateCheck();
    for (const { from, bytes } of loadTrace(name)) {
      if (from === 'client') continue;
      if (bytes[0] !== 3) {
        checker.fastPath(bytes, readFastPathOutput(bytes));
        updates += 1;
        continue;
      }
      const data = (bytes[7] ?? 0) >= 0x64 ? readSendData(bytes) : undefined;
      if (data?.channelId !== 1003 || data.dataLength < 18 || bytes[data.dataOffset + 1] === 0x80) continue;
      const end = data.dataOffset + data.dataLength;
      if (bytes.readUInt16LE(data.dataOffset) > data.dataLength) continue;
      const control = readShareControl(bytes, data.dataOffset, end);
      if (control.type !== ShareType.data) continue;
      const share = readShareData(bytes, control);
      if (share.type === DataType.update) checker.slowPath(bytes, share.dataOffset, control.end);
      else if (share.type === DataType.pointer) checker.slowPointer(bytes, share.dataOffset, control.end);
      else continue;
      updates += 1;
    }
  }
  assert.ok(updates > 300, `${updates} updates`);
});
