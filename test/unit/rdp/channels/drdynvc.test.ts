import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decodeCreateRequest,
  decodeCreateResponse,
  decodeDynamicCapabilities,
  decodeDynamicClose,
  decodeDynamicData,
  decodeDynamicHeader,
  encodeCreateRequest,
  encodeCreateResponse,
  encodeDynamicCapabilities,
  encodeDynamicClose,
  encodeDynamicData,
} from '../../../../gateway/rdp/channels/drdynvc.ts';
import { Reader } from '../../../../gateway/rdp/pdu/cursor.ts';
import { bytes, hex, written } from './bed.ts';

function read<T>(
  wire: string,
  decode: (reader: Reader, header: ReturnType<typeof decodeDynamicHeader>) => T,
): T {
  const reader = new Reader(bytes(wire));
  return decode(reader, decodeDynamicHeader(reader));
}

test('capabilities of all versions', () => {
  const rows: [string, { version: number; priorityCharges?: number[] }][] = [
    ['50000100', { version: 1 }],
    ['50000200a803a803a803a803', { version: 2, priorityCharges: [936, 936, 936, 936] }],
    ['500003003333111140000000', { version: 3, priorityCharges: [0x3333, 0x1111, 64, 0] }],
  ];
  for (const [wire, capabilities] of rows) {
    assert.deepEqual(read(wire, decodeDynamicCapabilities), capabilities);
    assert.equal(hex(written((writer) => encodeDynamicCapabilities(writer, capabilities))), wire);
  }
});

test('create requests and responses, channel ids of every width', () => {
  const request = { channel: 3, priority: 0, name: 'testdvc' };
  // The example of [MS-RDPEDYC] 4.2.1.
  assert.deepEqual(read('10 03 74 65 73 74 64 76 63 00', decodeCreateRequest), request);
  assert.equal(
    hex(written((writer) => encodeCreateRequest(writer, request))),
    '1003746573746476630'.concat('0'),
  );
  assert.deepEqual(read('1d 0102 61 00', decodeCreateRequest), { channel: 0x201, priority: 3, name: 'a' });
  for (const [wire, response] of [
    ['100300000000', { channel: 3, status: 0 }],
    ['110301900407' + '80', { channel: 0x103, status: -2147023728 }],
    ['1203000100ffffffff', { channel: 0x10003, status: -1 }],
  ] as const) {
    assert.deepEqual(read(wire, decodeCreateResponse), response);
    assert.equal(hex(written((writer) => encodeCreateResponse(writer, response))), wire);
  }
});

test('data, whole and in parts, and close', () => {
  const part = bytes('71 71');
  for (const [wire, data] of [
    ['30037171', { channel: 3, data: part }],
    // Len 1: two bytes, as in the example of 4.3.1.
    ['2403720c7171', { channel: 3, total: 0xc72, data: part }],
    ['2803000001007171', { channel: 3, total: 0x10000, data: part }],
  ] as const) {
    const decoded = read(wire, decodeDynamicData);
    assert.deepEqual({ ...decoded, data: hex(decoded.data) }, { ...data, data: '7171' });
    assert.equal(hex(written((writer) => encodeDynamicData(writer, data))), wire);
  }
  assert.equal(read('4003', decodeDynamicClose), 3);
  assert.equal(hex(written((writer) => encodeDynamicClose(writer, 0x1234))), '413412');
});

test('errors name the field', () => {
  assert.throws(
    () => read('1303', decodeDynamicClose),
    /^PduError: drdynvc ChannelId at offset 1 has the invalid width 3$/,
  );
  assert.throws(
    () => read('2c0300', decodeDynamicData),
    /DYNVC_DATA_FIRST.Length at offset 2 has the invalid width 3/,
  );
  assert.throws(
    () => read('100300', decodeCreateResponse),
    /DYNVC_CREATE_RSP.CreationStatus at offset 2 needs 4/,
  );
  assert.throws(() => new Reader(bytes('')).u8('drdynvc header'), /needs 1 bytes/);
});
