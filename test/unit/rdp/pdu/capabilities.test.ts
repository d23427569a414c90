import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decodeConfirmActive,
  encodeConfirmActive,
  ORIGINATOR_ID,
} from '../../../../gateway/rdp/pdu/activation.ts';
import {
  CapabilityType,
  changeCapability,
  decodeCapabilitySets,
  encodeCapabilitySets,
  findCapability,
  makeCapability,
  withoutCapabilities,
} from '../../../../gateway/rdp/pdu/capabilities.ts';
import { inputCapability, pointerCapability } from '../../../../gateway/rdp/pdu/capability-base.ts';
import { bitmapCodecsCapability, CodecGuid } from '../../../../gateway/rdp/pdu/capability-graphics.ts';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import { ALL_CODECS } from './codecs.ts';
import { hex } from './hex.ts';

/** lengthCapability that the specification gives each set; 29 has no fixed one. */
const LENGTHS: Readonly<Record<number, number>> = {
  1: 24,
  2: 28,
  3: 88,
  4: 40,
  5: 12,
  6: 5,
  7: 12,
  8: 10,
  9: 8,
  10: 8,
  12: 8,
  13: 88,
  14: 8,
  15: 8,
  16: 52,
  17: 12,
  18: 8,
  19: 40,
  20: 12,
  21: 12,
  22: 40,
  23: 8,
  24: 11,
  25: 6,
  26: 8,
  27: 6,
  28: 12,
  30: 8,
};

function written(write: (writer: Writer) => void): Buffer {
  const writer = new Writer();
  write(writer);
  return Buffer.from(writer.done());
}

test('every type has a codec, and every codec the length of the specification', () => {
  assert.deepEqual(
    ALL_CODECS.map(({ type }) => type).sort((a, b) => a - b),
    Object.values(CapabilityType),
  );
  for (const codec of ALL_CODECS) {
    const length = LENGTHS[codec.type];
    if (length === undefined) continue;
    const body = Uint8Array.from({ length: length - 4 }, (_, n) => n + 1);
    const reader = new Reader(body);
    const value = codec.decode(reader);
    assert.ok(
      typeof value === 'object' && value !== null && !('rest' in value),
      `set ${codec.type} has a rest`,
    );
    assert.deepEqual(
      written((writer) => codec.encode(writer, value)),
      Buffer.from(body),
    );
    // What a newer peer appends stays.
    const longer = Uint8Array.of(...body, 1, 2, 3);
    const grown = codec.decode(new Reader(longer));
    assert.deepEqual(
      written((writer) => codec.encode(writer, grown)),
      Buffer.from(longer),
    );
  }
});

test('what old peers leave out is absent, and stays so', () => {
  const pointer = pointerCapability.decode(new Reader(hex('01 00 14 00')));
  assert.deepEqual(pointer, { colorPointerFlag: 1, colorPointerCacheSize: 20 });
  assert.equal(written((writer) => pointerCapability.encode(writer, pointer)).length, 4);
  assert.throws(
    () => pointerCapability.decode(new Reader(hex('01 00 14'))),
    /colorPointerCacheSize at offset 2/,
  );
});

test('bitmap codecs are read by their identifiers', () => {
  const body = hex(`02 ${CodecGuid.nsCodec} 01 03 00 01 01 03 ${CodecGuid.remoteFx} 03 00 00`);
  const codecs = bitmapCodecsCapability.decode(new Reader(body));
  assert.deepEqual(
    codecs.codecs.map(({ guid, id }) => [guid, id]),
    [
      [CodecGuid.nsCodec, 1],
      [CodecGuid.remoteFx, 3],
    ],
  );
  assert.deepEqual(
    written((writer) => bitmapCodecsCapability.encode(writer, codecs)),
    Buffer.from(body),
  );
});

test('one set changes and one goes, all others stay as they came', () => {
  const unknown = { type: 99, body: Uint8Array.of(1, 2, 3) };
  const input = makeCapability(inputCapability, { inputFlags: 0x35, pad2octetsA: 7 });
  const brush = { type: CapabilityType.brush, body: new Uint8Array(4) };
  const sets = [unknown, input, brush];
  const changed = changeCapability(
    withoutCapabilities(sets, [CapabilityType.brush]),
    inputCapability,
    (value) => ({
      ...value,
      inputFlags: 1,
    }),
  );
  assert.deepEqual(
    written((writer) => encodeCapabilitySets(writer, changed)),
    Buffer.from(hex('63 00 07 00 01 02 03 0d 00 08 00 01 00 07 00')),
  );
  assert.equal(findCapability(changed, pointerCapability), undefined);
  assert.equal(findCapability(sets, inputCapability)?.inputFlags, 0x35);
});

test('sets that lie about their length are refused', () => {
  assert.throws(
    () => decodeCapabilitySets(new Reader(hex('01 00 03 00')), 1),
    /lengthCapability at offset 2 is 3/,
  );
  assert.throws(
    () => decodeCapabilitySets(new Reader(hex('01 00 09 00 00')), 1),
    /capabilityData at offset 4/,
  );
  assert.throws(
    () => decodeCapabilitySets(new Reader(new Uint8Array()), 65535),
    /capabilitySetType at offset 0/,
  );
});

test('Confirm Active tells its sets apart from what is behind them', () => {
  const confirm = {
    shareId: 0x103ea,
    originatorId: ORIGINATOR_ID,
    sourceDescriptor: new TextEncoder().encode('MSTSC\0'),
    pad: 0,
    capabilitySets: [{ type: 15, body: new Uint8Array(4) }],
  };
  const bytes = written((writer) => encodeConfirmActive(writer, confirm));
  assert.deepEqual(decodeConfirmActive(new Reader(bytes)), confirm);
  // One set fewer than there are bytes for.
  bytes.writeUInt16LE(0, 16);
  assert.throws(
    () => decodeConfirmActive(new Reader(bytes)),
    /capabilitySets at offset 20 has 8 bytes behind/,
  );
});
