import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RdpChannelPolicy } from '../../../../gateway/rdp/channels/police.ts';
import {
  type Device,
  DeviceType,
  decodeCapabilitySets,
  encodeCapabilitySets,
  encodeCreate,
  encodeDeviceHeader,
  encodeDeviceList,
  encodeDeviceRemoval,
  encodeDeviceReply,
  encodeIoCompletion,
  encodeIoRequest,
  InformationClass,
  MajorFunction,
  PacketId,
} from '../../../../gateway/rdp/channels/rdpdr.ts';
import { Reader } from '../../../../gateway/rdp/pdu/cursor.ts';
import { bytes, EVERYTHING, hex, NOTHING, refusals, Wire, written } from './bed.ts';

const NONE = bytes('');
const DRIVES: RdpChannelPolicy = { ...NOTHING, drives: true };
const DRIVE: Device = { type: DeviceType.filesystem, id: 1, dosName: 'C:', data: bytes('430000') };
const PRINTER: Device = { type: DeviceType.printer, id: 2, dosName: 'PRN1', data: NONE };
const CARD: Device = { type: DeviceType.smartCard, id: 3, dosName: 'SCARD', data: NONE };
const PORT: Device = { type: DeviceType.serial, id: 4, dosName: 'COM1', data: NONE };

const announce = (...devices: Device[]) => written((writer) => encodeDeviceList(writer, devices));
const reply = (id: number, status: number) => written((writer) => encodeDeviceReply(writer, id, status));

interface Asked {
  readonly device?: number;
  readonly file?: number;
  readonly completion?: number;
  readonly minor?: number;
}
function request(major: number, fields: Asked, body: Uint8Array = NONE): Uint8Array {
  const header = { device: 1, file: 0, completion: 1, minor: 0, major, ...fields };
  return bytes(
    written((writer) => encodeIoRequest(writer, header)),
    body,
  );
}
function create(path: string, desiredAccess: number, fields: Asked = {}, options = 0): Uint8Array {
  const body = written((writer) => encodeCreate(writer, { path, desiredAccess, options }));
  return request(MajorFunction.create, fields, body);
}
function answer(body: Uint8Array, fields: Asked & { status?: number } = {}): Uint8Array {
  const { device = 1, completion = 1, status = 0 } = fields;
  return bytes(
    written((writer) => encodeIoCompletion(writer, { device, completion, status })),
    body,
  );
}
/** Information of DR_CREATE_RSP: FILE_OPENED. */
const opened = (file: number, fields: Asked & { status?: number } = {}) =>
  answer(
    bytes(
      written((writer) => writer.u32le(file)),
      '01',
    ),
    fields,
  );
const read = (length: number) => written((writer) => writer.u32le(length).zeros(28));
const write = (data: Uint8Array) => written((writer) => writer.u32le(data.length).zeros(28).bytes(data));
function rename(to: string): Uint8Array {
  return written((writer) => {
    writer
      .u32le(InformationClass.rename)
      .u32le(to.length * 2 + 6)
      .zeros(24)
      .u8(0)
      .u8(0);
    writer.u32le(to.length * 2).utf16(to);
  });
}

function withDrive(): Wire {
  const wire = new Wire('rdpdr', DRIVES);
  wire.passes('client', announce(DRIVE));
  wire.passes('target', reply(1, 0));
  return wire;
}

test('the start of redirection passes; capabilities lose what policy refuses', () => {
  const wire = new Wire('rdpdr', DRIVES);
  wire.passes('target', bytes('7244 6e49 0100 0c00 01000000'));
  wire.passes('client', bytes('7244 4343 0100 0c00 01000000'));
  wire.passes('client', bytes('7244 4e43 01000000 00000000 04000000 6100 0000'));
  const set = (type: number) => ({ type, bytes: bytes(`0${type}00 0800 01000000`) });
  const sets = (packet: number, types: number[]) =>
    written((writer) => encodeCapabilitySets(writer, packet, types.map(set)));
  const came = wire.send('target', sets(PacketId.serverCapability, [1, 2, 3, 4, 5]));
  assert.deepEqual(came.toClient.map(hex), [hex(sets(PacketId.serverCapability, [1, 4]))]);
  const back = wire.send('client', sets(PacketId.clientCapability, [1, 2, 4]));
  const [kept] = back.toTarget;
  assert.deepEqual(
    decodeCapabilitySets(new Reader(kept ?? NONE, 4)).map(({ type }) => type),
    [1, 4],
  );
  wire.passes('client', sets(PacketId.clientCapability, [1, 4]));
  wire.passes('target', bytes('7244 4c55'));
});

test('an announcement keeps the devices that policy allows; the client learns of the others', () => {
  const wire = new Wire('rdpdr', DRIVES);
  const came = wire.send('client', announce(PRINTER, DRIVE, CARD, PORT, { ...DRIVE, type: 64, id: 9 }));
  assert.deepEqual(came.toTarget.map(hex), [hex(announce(DRIVE))]);
  assert.deepEqual(
    came.toClient.map(hex),
    [2, 3, 4, 9].map((id) => hex(reply(id, 0xc0000022))),
  );
  assert.deepEqual(refusals(came.events), [
    'device PRN1 (printer): policy does not allow it',
    'device SCARD (smartCard): policy does not allow it',
    'device COM1 (serial): policy does not allow it',
    'device C: (type 64): policy does not allow it',
  ]);
  new Wire('rdpdr', EVERYTHING).passes('client', announce(PRINTER, DRIVE, CARD, PORT));
});

test('each kind of device hangs on its own key', () => {
  for (const [key, device] of [
    ['drives', DRIVE],
    ['printers', PRINTER],
    ['smartCards', CARD],
    ['ports', PORT],
  ] as const) {
    const allowed = new Wire('rdpdr', { ...NOTHING, audioOutput: true, [key]: true });
    const came = allowed.send('client', announce(DRIVE, PRINTER, CARD, PORT));
    assert.deepEqual(came.toTarget.map(hex), [hex(announce(device))], key);
  }
});

test('a file is read: opened, fetched, closed, each byte for byte', () => {
  const wire = withDrive();
  assert.deepEqual(wire.passes('target', create('\\docs\\plan.txt', 0x120089)), []);
  assert.deepEqual(wire.passes('client', opened(7)), [
    { kind: 'file', via: 'drive', operation: 'open', path: 'C:\\docs\\plan.txt', access: 'read' },
  ]);
  wire.passes('target', request(MajorFunction.read, { file: 7 }, read(5000)));
  wire.passes('client', answer(bytes('88130000', new Uint8Array(5000))));
  assert.deepEqual(wire.passes('target', request(MajorFunction.close, { file: 7 })), [
    {
      kind: 'file',
      via: 'drive',
      operation: 'close',
      path: 'C:\\docs\\plan.txt',
      bytesToTarget: 5000,
      bytesFromTarget: 0,
    },
  ]);
  wire.passes('client', answer(bytes('00000000')));
});

test('a file is written, renamed and deleted', () => {
  const wire = withDrive();
  wire.passes('target', create('\\a', 0x40010000));
  const [told] = wire.passes('client', opened(7));
  assert.ok(told?.kind === 'file');
  assert.equal(told.access, 'write');
  wire.passes(
    'target',
    request(MajorFunction.write, { file: 7, completion: 2 }, write(new Uint8Array(3000))),
  );
  wire.passes('client', answer(bytes('b80b0000 00'), { completion: 2 }));
  wire.passes('target', request(MajorFunction.setInformation, { file: 7 }, rename('\\b')));
  assert.deepEqual(wire.passes('client', answer(bytes('00000000'))), [
    { kind: 'file', via: 'drive', operation: 'rename', path: 'C:\\a', to: 'C:\\b' },
  ]);
  const remove = written((writer) => writer.u32le(InformationClass.disposition).u32le(1).zeros(24).u8(1));
  wire.passes('target', request(MajorFunction.setInformation, { file: 7 }, remove));
  assert.deepEqual(wire.passes('client', answer(bytes('00000000'))), [
    { kind: 'file', via: 'drive', operation: 'delete', path: 'C:\\b' },
  ]);
  const [closed] = wire.passes('target', request(MajorFunction.close, { file: 7 }));
  assert.ok(closed?.kind === 'file');
  assert.deepEqual([closed.path, closed.bytesFromTarget], ['C:\\b', 3000]);
});

test('failed and attribute-only opens are not told, content is, however the file was opened', () => {
  const wire = withDrive();
  wire.passes('target', create('\\no', 0x80000000));
  assert.deepEqual(wire.passes('client', opened(0, { status: 0xc0000034 })), []);
  wire.passes('target', create('\\sly', 0x80));
  assert.deepEqual(wire.passes('client', opened(7)), []);
  assert.deepEqual(wire.passes('target', request(MajorFunction.read, { file: 7 }, read(1))), [
    { kind: 'file', via: 'drive', operation: 'open', path: 'C:\\sly', access: 'read' },
  ]);
  wire.passes('target', create('\\folder', 0x100001, { completion: 2 }, 1));
  assert.deepEqual(wire.passes('client', opened(8, { completion: 2 })), [
    { kind: 'file', via: 'drive', operation: 'list', path: 'C:\\folder' },
  ]);
});

test('a print job is told by its printer', () => {
  const wire = new Wire('rdpdr', { ...NOTHING, printers: true });
  wire.passes('client', announce(PRINTER));
  wire.passes('target', create('', 0x40000000, { device: 2 }));
  assert.deepEqual(wire.passes('client', opened(1, { device: 2 })), [
    { kind: 'file', via: 'printer', operation: 'open', path: 'PRN1', access: 'write' },
  ]);
  wire.passes('target', bytes('5250 4350 04000000'));
});

test('requests that may not be are answered here: unknown device, file, number in use, long path', () => {
  const denied = (wire: Wire, message: Uint8Array, reason: string) => {
    const came = wire.send('target', message);
    assert.deepEqual(came.toClient, []);
    const [sent] = came.toTarget;
    assert.equal(hex(sent?.subarray(0, 4) ?? NONE), '72444349');
    assert.equal(hex(sent?.subarray(12, 16) ?? NONE), '220000c0');
    assert.deepEqual(refusals(came.events), [reason]);
  };
  const wire = withDrive();
  denied(wire, create('\\a', 1, { device: 2 }), 'device 2: it was not announced');
  denied(wire, request(MajorFunction.read, { file: 3 }, read(1)), 'request on C:: its file is not open');
  denied(wire, create(`\\${'a'.repeat(4200)}`, 1), 'request on C:: its path is too long');
  wire.passes('target', create('\\told', 1));
  denied(wire, create('\\other', 1), 'request on C:: its completion id is in use');
  const [event] = wire.passes('client', opened(7));
  assert.ok(event?.kind === 'file');
  assert.equal(event.path, 'C:\\told');
});

test('the number of a request that was never answered can be used again', () => {
  const wire = withDrive();
  const watch = request(MajorFunction.directoryControl, { minor: 2 }, new Uint8Array(32));
  wire.passes('target', watch);
  wire.passes('target', create('\\a', 1));
  assert.equal(wire.passes('client', opened(7)).length, 1);
  wire.passes('client', answer(bytes('00000000'), { status: 0xc0000120 }));
});

test('a removed device takes its files and requests along', () => {
  const wire = withDrive();
  wire.passes('target', create('\\a', 1));
  wire.passes('client', opened(7));
  wire.passes('target', create('\\b', 1));
  const removal = (...ids: number[]) => written((writer) => encodeDeviceRemoval(writer, ids));
  assert.deepEqual(wire.send('client', removal(1, 5)).toTarget.map(hex), [hex(removal(1))]);
  const late = wire.send('client', answer(bytes('00000000')));
  assert.deepEqual(late.toTarget, []);
  assert.deepEqual(refusals(late.events), ['answer of device 1: it was not announced']);
  wire.passes('client', announce(DRIVE));
  wire.passes('client', opened(7));
  const stale = wire.send('target', request(MajorFunction.read, { file: 7 }, read(1)));
  assert.deepEqual(refusals(stale.events), ['request on C:: its file is not open']);
});

test('packets from the wrong side, of the wrong component, unknown or for refused printers go nowhere', () => {
  for (const [from, message, reason] of [
    ['target', announce(DRIVE), 'device message 0x4441: it is not for the target to send'],
    ['client', create('\\a', 1), 'device message 0x4952: it is not for the client to send'],
    ['client', bytes('7244 0000'), 'device message 0x0: it is unknown'],
    ['client', bytes('5250 4144 00000000'), 'device message 0x4441: its component is wrong'],
    ['target', bytes('5250 4350 00000000'), 'device message 0x5043: policy does not allow printers'],
  ] as const) {
    const came = new Wire('rdpdr', DRIVES).send(from, message);
    assert.deepEqual([came.toClient, came.toTarget], [[], []]);
    assert.deepEqual(refusals(came.events), [reason]);
  }
});

test('bounds: devices, waiting requests, open files', () => {
  const many = Array.from({ length: 257 }, (_, id) => ({ ...DRIVE, id }));
  const crowded = new Wire('rdpdr', DRIVES).send('client', announce(...many));
  assert.deepEqual(refusals(crowded.events), ['device C: (filesystem): there are too many']);

  const waiting = withDrive();
  for (let completion = 0; completion < 4096; completion++)
    waiting.police.fromTarget('rdpdr', chunk(create('\\a', 1, { completion })));
  const late = waiting.send('target', create('\\a', 1, { completion: 5000 }));
  assert.deepEqual(refusals(late.events), ['request on C:: too many requests wait for an answer']);

  const files = withDrive();
  for (let file = 0; file < 4096; file++) {
    files.police.fromTarget('rdpdr', chunk(create('\\a', 1)));
    files.police.fromClient('rdpdr', chunk(opened(file)));
  }
  assert.deepEqual(refusals(files.send('target', create('\\a', 1)).events), [
    'request on C:: too many files are open',
  ]);
});

function chunk(message: Uint8Array): Uint8Array {
  return bytes(
    written((writer) => writer.u32le(message.length).u32le(3)),
    message,
  );
}

test('a header cut short is an error that names the field', () => {
  const wire = withDrive();
  const cut = written((writer) => encodeDeviceHeader(writer, PacketId.ioRequest));
  assert.throws(() => wire.send('target', cut), /message at offset 0 needs 24 bytes, it has 4/);
});
