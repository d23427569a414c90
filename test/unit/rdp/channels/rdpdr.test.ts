import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Component,
  DeviceType,
  decodeCapabilitySets,
  decodeCreate,
  decodeDeviceHeader,
  decodeDeviceList,
  decodeDeviceRemoval,
  decodeIoCompletion,
  decodeIoRequest,
  decodeSetInformation,
  encodeCapabilitySets,
  encodeCreate,
  encodeDeviceList,
  encodeDeviceRemoval,
  encodeDeviceReply,
  encodeIoCompletion,
  encodeIoRequest,
  PacketId,
} from '../../../../gateway/rdp/channels/rdpdr.ts';
import { Reader } from '../../../../gateway/rdp/pdu/cursor.ts';
import { bytes, hex, written } from './bed.ts';

/** A reader behind the header, which must be that of `packet`. */
function body(wire: Uint8Array, packet: number): Reader {
  const reader = new Reader(wire);
  assert.deepEqual(decodeDeviceHeader(reader), { component: Component.core, packet });
  return reader;
}

test('a device list: a drive, a printer, a smart card', () => {
  const wire = bytes(
    '7244 4144 03000000',
    '08000000 01000000 433a000000000000 06000000 430061000000',
    '04000000 02000000 50524e3100000000 00000000',
    '20000000 03000000 5343415244000000 00000000',
  );
  const devices = decodeDeviceList(body(wire, PacketId.deviceListAnnounce));
  assert.deepEqual(
    devices.map(({ type, id, dosName, data }) => [type, id, dosName, data.length]),
    [
      [DeviceType.filesystem, 1, 'C:', 6],
      [DeviceType.printer, 2, 'PRN1', 0],
      [DeviceType.smartCard, 3, 'SCARD', 0],
    ],
  );
  assert.equal(hex(written((writer) => encodeDeviceList(writer, devices))), hex(wire));
});

test('capability sets keep their bytes', () => {
  const wire = bytes('7244 5053 0200 0000', '0400 0800 02000000', '0200 0a00 01000000 aabb');
  const sets = decodeCapabilitySets(body(wire, PacketId.serverCapability));
  assert.deepEqual(
    sets.map(({ type, bytes: all }) => [type, all.length]),
    [
      [4, 8],
      [2, 10],
    ],
  );
  assert.equal(
    hex(written((writer) => encodeCapabilitySets(writer, PacketId.serverCapability, sets))),
    hex(wire),
  );
  const short = bytes('7244 5053 0100 0000', '0400 0700 02000000');
  assert.throws(
    () => decodeCapabilitySets(body(short, PacketId.serverCapability)),
    /CapabilityLength at offset 10 is 7/,
  );
});

test('removal, reply, requests and completions', () => {
  const removal = bytes('7244 4d44 02000000 01000000 05000000');
  assert.deepEqual(decodeDeviceRemoval(body(removal, PacketId.deviceListRemove)), [1, 5]);
  assert.equal(hex(written((writer) => encodeDeviceRemoval(writer, [1, 5]))), hex(removal));
  assert.equal(
    hex(written((writer) => encodeDeviceReply(writer, 1, 0xc0000022))),
    '7244726401000000220000c0',
  );

  const request = { device: 1, file: 7, completion: 9, major: 3, minor: 0 };
  const asked = bytes('7244 5249 01000000 07000000 09000000 03000000 00000000');
  assert.deepEqual(decodeIoRequest(body(asked, PacketId.ioRequest)), request);
  assert.equal(hex(written((writer) => encodeIoRequest(writer, request))), hex(asked));

  const completion = { device: 1, completion: 9, status: 0xc0000034 };
  const answered = bytes('7244 4349 01000000 09000000 340000c0');
  assert.deepEqual(decodeIoCompletion(body(answered, PacketId.ioCompletion)), completion);
  assert.equal(hex(written((writer) => encodeIoCompletion(writer, completion))), hex(answered));
});

test('create, rename and delete', () => {
  const wire = bytes('89001200 0000000000000000 00000000 07000000 01000000 40000000 06000000 5c0061000000');
  const create = { desiredAccess: 0x120089, options: 0x40, path: '\\a' };
  assert.deepEqual(decodeCreate(new Reader(wire)), create);
  assert.equal(hex(written((writer) => encodeCreate(writer, create))), hex(wire));

  const pad = '00'.repeat(24);
  for (const [set, expected] of [
    [`0a000000 0a000000 ${pad} 01 00 04000000 5c006200`, { informationClass: 10, to: '\\b' }],
    [`0d000000 01000000 ${pad} 01`, { informationClass: 13, remove: true }],
    [`0d000000 01000000 ${pad} 00`, { informationClass: 13, remove: false }],
    [`0d000000 00000000 ${pad}`, { informationClass: 13, remove: true }],
    [`14000000 08000000 ${pad} 0000000000000000`, { informationClass: 20 }],
  ] as const)
    assert.deepEqual(decodeSetInformation(new Reader(bytes(set))), expected);
});

test('a count that the bytes do not bear out ends at the first missing field', () => {
  const list = bytes('7244 4144 ffffffff 08000000 01000000 433a000000000000 00000000');
  assert.throws(
    () => decodeDeviceList(body(list, PacketId.deviceListAnnounce)),
    /DeviceType at offset 28 needs 4/,
  );
  const removal = bytes('7244 4d44 ffffffff 01000000');
  assert.throws(
    () => decodeDeviceRemoval(body(removal, PacketId.deviceListRemove)),
    /DeviceIds at offset 12/,
  );
  const path = bytes('00000000 0000000000000000 00000000 00000000 00000000 00000000 03000000 5c0061');
  assert.throws(() => decodeCreate(new Reader(path)), /CREATE_REQ.Path at offset 32 has an odd length \(3\)/);
});
