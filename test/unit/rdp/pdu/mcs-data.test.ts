import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import {
  decodeSendDataIndication,
  decodeSendDataRequest,
  encodeSendDataIndication,
  encodeSendDataRequest,
  patchSendData,
  readSendData,
} from '../../../../gateway/rdp/pdu/mcs-data.ts';
import { dataReader, withData } from '../../../../gateway/rdp/pdu/x224.ts';
import { hex, toHex } from './hex.ts';

const bytesOf = (length: number) => Uint8Array.from({ length }, (_, i) => i & 0xff);

describe('Send Data', () => {
  for (const [length, header] of [
    [0, '64000603eb7000'],
    [1, '64000603eb7001'],
    [127, '64000603eb707f'],
    [128, '64000603eb708080'],
    [16383, '64000603eb70bfff'],
    [16675, '64000603eb70c123'],
    [32767, '64000603eb70ffff'],
  ] as const) {
    test(`request with ${length} bytes`, () => {
      const data = { initiator: 1007, channelId: 1003, data: bytesOf(length) };
      const pdu = withData((writer) => encodeSendDataRequest(writer, data));
      assert.ok(toHex(pdu).slice(14).startsWith(header));
      assert.deepEqual(decodeSendDataRequest(dataReader(pdu)), data);
      const dataOffset = length < 128 ? 14 : 15;
      assert.deepEqual(readSendData(pdu), {
        initiator: 1007,
        channelId: 1003,
        dataOffset,
        dataLength: length,
      });
    });
  }

  test('more than the length can say is not written', () => {
    const data = { initiator: 1007, channelId: 1003, data: bytesOf(32768) };
    assert.throws(() => encodeSendDataRequest(new Writer(), data), RangeError);
  });

  test('indication, read in the middle of other bytes', () => {
    const data = { initiator: 1002, channelId: 1004, data: hex('0102') };
    const pdu = withData((writer) => encodeSendDataIndication(writer, data));
    assert.equal(toHex(pdu), '0300001002f08068000103ec70020102');
    assert.deepEqual(decodeSendDataIndication(dataReader(pdu)), data);
    const stream = hex(`ffff ${toHex(pdu)} 0300`);
    const header = { initiator: 1002, channelId: 1004, dataOffset: 16, dataLength: 2 };
    assert.deepEqual(readSendData(stream, 2, 18), header);
    patchSendData(stream, 1001 + 0x1234, 0xabcd, 2);
    assert.equal(toHex(stream), 'ffff0300001002f080681234abcd700201020300');
    assert.deepEqual(readSendData(stream, 2, 18), { ...header, initiator: 1001 + 0x1234, channelId: 0xabcd });
  });

  test('any priority is taken', () => {
    assert.equal(readSendData(hex('0300000f02f08068000103ecf00101'))?.dataLength, 1);
    assert.equal(readSendData(hex('0300000f02f08068000103ec300101'))?.dataLength, 1);
  });

  test('other PDUs are none', () => {
    assert.equal(readSendData(hex('0300000902f0802180')), undefined);
    assert.equal(readSendData(hex('0300000b06800000000000')), undefined);
    assert.equal(
      readSendData(hex('0300000702f080 68'), 0, 7),
      undefined,
      'what is behind the end is not read',
    );
  });

  for (const [what, bytes, error] of [
    ['a TPKT of another length', '0300001002f08068000103ec700101', { field: 'length', offset: 2 }],
    ['a first segment', '0300000f02f08068000103ec600101', { field: 'segmentation', offset: 12 }],
    ['a last segment', '0300000f02f08068000103ec500101', { field: 'segmentation', offset: 12 }],
    ['fewer data than said', '0300000f02f08068000103ec700201', { field: 'userData' }],
    ['more data than said', '0300001002f08068000103ec70010101', { field: 'userData' }],
    ['half a length', '0300000e02f08068000103ec7080', { field: 'userData' }],
    ['half a header', '0300000902f080 6800', { field: 'userData' }],
    ['a user beyond the last', '0300000f02f08068fc1803ec700101', { field: 'initiator', offset: 8 }],
  ] as const) {
    test(`is refused: ${what}`, () => {
      assert.throws(() => readSendData(hex(bytes)), { name: 'PduError', ...error });
      // A stream's next PDU does not help.
      assert.throws(() => readSendData(hex(`${bytes}00000000`), 0, hex(bytes).length), { name: 'PduError' });
      assert.throws(() => decodeSendDataIndication(dataReader(hex(bytes))), { name: 'PduError' });
    });
  }

  test('request and indication are not taken for each other', () => {
    assert.throws(() => decodeSendDataRequest(new Reader(hex('68000103ec700101'))), {
      field: 'DomainMCSPDU',
    });
    assert.throws(() => decodeSendDataIndication(new Reader(hex('64000103ec700101'))), {
      field: 'DomainMCSPDU',
    });
  });
});
