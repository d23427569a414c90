import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PduError } from '../../../../gateway/rdp/pdu/cursor.ts';
import { framePdu, tpktLength, withTpkt } from '../../../../gateway/rdp/pdu/tpkt.ts';
import { hex, toHex } from './hex.ts';

const frame = (text: string, offset = 0) => framePdu(hex(text), offset, hex(text).length);

describe('TPKT', () => {
  test('its length is known with its fourth byte', () => {
    for (const part of ['', '03', '0300', '030001'])
      assert.equal(tpktLength(hex(part), 0, hex(part).length), undefined, part);
    assert.equal(tpktLength(hex('030001a0'), 0, 4), 0x1a0);
    assert.equal(tpktLength(hex('0300ffff'), 0, 4), 65535);
    assert.equal(tpktLength(hex('ffff 03000007 ff'), 2, 7), 7, 'at an offset');
    assert.equal(tpktLength(hex('03000007'), 0, 3), undefined, 'what is behind the end is not read');
  });

  test('another version and an impossible length are refused', () => {
    assert.throws(() => tpktLength(hex('02'), 0, 1), { name: 'PduError', field: 'version', offset: 0 });
    assert.throws(() => tpktLength(hex('00 03000006'), 1, 5), {
      name: 'PduError',
      field: 'length',
      offset: 3,
    });
  });

  test('is written around what it holds', () => {
    assert.equal(toHex(withTpkt((writer) => writer.bytes(hex('02f080')))), '0300000702f080');
    assert.equal(withTpkt((writer) => writer.zeros(65531)).length, 65535);
    assert.throws(() => withTpkt((writer) => writer.zeros(65532)), RangeError);
  });
});

describe('a stream of both paths', () => {
  test('slow path', () => {
    assert.deepEqual(frame('0300000802f08028'), { length: 8, fastPath: false });
    assert.equal(frame('030000'), undefined);
  });

  test('fast path with one byte and with two bytes of length', () => {
    assert.deepEqual(frame('000b 00'), { length: 11, fastPath: true });
    assert.deepEqual(frame('c08c33'), { length: 0xc33, fastPath: true }, 'flags do not matter');
    assert.deepEqual(frame('ff 1005', 1), { length: 5, fastPath: true });
    assert.deepEqual(frame('00ffff'), { length: 0x7fff, fastPath: true });
    for (const part of ['00', '008c']) assert.equal(frame(part), undefined, part);
    assert.equal(framePdu(hex('008c33'), 0, 2), undefined, 'what is behind the end is not read');
  });

  test('anything else is refused', () => {
    assert.throws(() => frame('16030100'), PduError, 'TLS');
    for (const first of ['01', '02', '07', '83'])
      assert.throws(() => frame(first), { field: 'action' }, first);
    for (const short of ['0000', '0002', '008000', '008003'])
      assert.throws(() => frame(short), { field: 'length1' }, short);
  });
});
