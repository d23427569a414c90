import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import { readFastPathOutput, readFastPathUpdate } from '../../../../gateway/rdp/pdu/fast-path.ts';
import {
  decodeFastPathInput,
  decodeSlowPathInput,
  encodeFastPathInput,
  encodeSlowPathInput,
  type InputEvent,
  PointerFlag,
} from '../../../../gateway/rdp/pdu/input.ts';
import { hex } from './hex.ts';

function written(write: (writer: Writer) => void): Buffer {
  const writer = new Writer();
  write(writer);
  return Buffer.from(writer.done());
}

const key = (scancode: number, flags: Partial<InputEvent> = {}): InputEvent =>
  ({ kind: 'key', scancode, extended: false, extended1: false, release: false, ...flags }) as InputEvent;

/** Fast-path form, slow-path form behind the event time. */
const ROWS: readonly (readonly [InputEvent, string, string])[] = [
  [key(0x1e), '00 1e', '04 00 00 00 1e 00 00 00'],
  [key(0x1e, { release: true }), '01 1e', '04 00 00 80 1e 00 00 00'],
  [key(0x1d, { extended: true }), '02 1d', '04 00 00 01 1d 00 00 00'],
  [key(0x1d, { extended1: true, release: true }), '05 1d', '04 00 00 82 1d 00 00 00'],
  [{ kind: 'unicode', code: 0x20ac, release: false }, '80 ac 20', '05 00 00 00 ac 20 00 00'],
  [{ kind: 'unicode', code: 0x41, release: true }, '81 41 00', '05 00 00 80 41 00 00 00'],
  [
    { kind: 'mouse', flags: PointerFlag.down | PointerFlag.button1, x: 260, y: 2 },
    '20 00 90 04 01 02 00',
    '01 80 00 90 04 01 02 00',
  ],
  [{ kind: 'extendedMouse', flags: 0x8001, x: 1, y: 2 }, '40 01 80 01 00 02 00', '02 80 01 80 01 00 02 00'],
  [
    { kind: 'relativeMouse', flags: PointerFlag.move, dx: -1, dy: 3 },
    'a0 00 08 ff ff 03 00',
    '04 80 00 08 ff ff 03 00',
  ],
  [{ kind: 'sync', toggles: 5 }, '65', '00 00 00 00 05 00 00 00'],
];

for (const [event, fast, slow] of ROWS)
  test(`${JSON.stringify(event)} is read and written on both paths`, () => {
    const body = hex(fast);
    const pdu = Buffer.from([4, 0x80, body.length + 3, ...body]);
    assert.deepEqual(decodeFastPathInput(new Reader(pdu)), [event]);
    assert.deepEqual(
      written((writer) => encodeFastPathInput(writer, [event])),
      pdu,
    );
    const input = Buffer.from(hex(`01 00 00 00 00 00 00 00 ${slow}`));
    assert.deepEqual(decodeSlowPathInput(new Reader(input)), [event]);
    assert.deepEqual(
      written((writer) => encodeSlowPathInput(writer, [event])),
      input,
    );
  });

test('round-trip measurements exist in fast-path only', () => {
  const event: InputEvent = { kind: 'qoe', milliseconds: 77 };
  const pdu = written((writer) => encodeFastPathInput(writer, [event]));
  assert.deepEqual(decodeFastPathInput(new Reader(pdu)), [event]);
  assert.throws(() => written((writer) => encodeSlowPathInput(writer, [event])), /no slow-path form/);
});

test('more than 15 events have their number in a byte of its own', () => {
  const events = Array.from({ length: 255 }, (_, n) => key(n));
  const pdu = written((writer) => encodeFastPathInput(writer, events));
  assert.equal(pdu.length, 4 + 510);
  assert.equal(pdu[3], 255);
  assert.deepEqual(decodeFastPathInput(new Reader(pdu)), events);
  for (const wrong of [[], [...events, key(1)]])
    assert.throws(() => written((writer) => encodeFastPathInput(writer, wrong)), /numEvents/);
});

test('a length of one byte is read', () => {
  assert.deepEqual(decodeFastPathInput(new Reader(hex('08 06 00 1e 01 1e'))), [
    key(0x1e),
    key(0x1e, { release: true }),
  ]);
});

test('lies of fast-path input are refused', () => {
  const refused = (bytes: string, reason: RegExp): void => {
    assert.throws(() => decodeFastPathInput(new Reader(hex(bytes))), reason);
  };
  refused('84 04 00 1e', /fpHeader at offset 0 says that RDP itself encrypts/);
  refused('07 04 00 1e', /has action 3/);
  refused('04 05 00 1e', /length1 at offset 1 is 5, the PDU has 4/);
  refused('04 03 00 1e', /length1 at offset 1 is 3, the PDU has 4/);
  refused('0c 04 00 1e', /eventHeader at offset 4 needs 1 bytes/);
  refused('04 03 e0', /eventHeader at offset 2 has event code 7/);
});

test('lies of slow-path input are refused', () => {
  assert.throws(
    () => decodeSlowPathInput(new Reader(hex('02 00 00 00 00 00 00 00 04 00 00 00 1e 00 00 00'))),
    /numEvents at offset 0 is 2/,
  );
  assert.throws(
    () => decodeSlowPathInput(new Reader(hex('01 00 00 00 00 00 00 00 07 00 00 00 1e 00 00 00'))),
    /messageType at offset 8 is 0x7/,
  );
});

test('fast-path updates tell their fragment and compression', () => {
  const pdu = hex('00 80 0c 91 26 02 00 aa bb 03 00 00');
  const first = readFastPathUpdate(pdu, readFastPathOutput(pdu), pdu.length);
  assert.deepEqual(first, { code: 1, fragmentation: 1, compressionFlags: 0x26, dataOffset: 7, end: 9 });
  assert.deepEqual(readFastPathUpdate(pdu, first.end, pdu.length), {
    code: 3,
    fragmentation: 0,
    compressionFlags: 0,
    dataOffset: 12,
    end: 12,
  });
  assert.throws(() => readFastPathUpdate(pdu, first.end, 11), /size at offset 11 needs 1 byte/);
  assert.throws(
    () => readFastPathUpdate(hex('01 02 00 aa'), 0, 4),
    /size at offset 1 is 2, 1 bytes are left/,
  );
  assert.throws(() => readFastPathOutput(hex('00 80 0e 03')), /length1 at offset 1 is 14, the PDU has 4/);
});

test('an unused slow-path event is passed over', () => {
  const writer = new Writer();
  encodeSlowPathInput(writer, [{ kind: 'sync', toggles: 2 }]);
  const sync = writer.done().subarray(4);
  const unused = Uint8Array.of(0, 0, 0, 0, 2, 0, 9, 9, 9, 9, 9, 9);
  const bytes = Uint8Array.from([2, 0, 0, 0, ...unused, ...sync]);
  assert.deepEqual(decodeSlowPathInput(new Reader(bytes)), [{ kind: 'sync', toggles: 2 }]);
});
