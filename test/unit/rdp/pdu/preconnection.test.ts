import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import {
  decodePreconnection,
  encodePreconnection,
  MAX_PRECONNECTION_BYTES,
  type Preconnection,
  preconnectionLength,
} from '../../../../gateway/rdp/pdu/preconnection.ts';
import { hex, toHex } from './hex.ts';

/** [MS-RDPEPS] section 4: version 1, and version 2 with the text TestVM. */
const samples: readonly { bytes: string; value: Preconnection }[] = [
  { bytes: '10000000 00000000 01000000 eb99c6ee', value: { id: 0xeec699eb } },
  {
    bytes: '20000000 00000000 02000000 00000000 0700 54006500730074005600 4d000000',
    value: { id: 0, text: 'TestVM' },
  },
];

const lengthOf = (text: string) => preconnectionLength(hex(text), 0, hex(text).length);
const decode = (text: string) => decodePreconnection(new Reader(hex(text)));

describe('preconnection', () => {
  for (const { bytes, value } of samples) {
    test(`version ${value.text === undefined ? 1 : 2}`, () => {
      assert.equal(lengthOf(bytes), hex(bytes).length);
      assert.deepEqual(decode(bytes), value);
      const writer = new Writer();
      encodePreconnection(writer, value);
      assert.equal(toHex(writer.done()), toHex(hex(bytes)));
    });
  }

  test('is told from a TPKT and from anything else as early as can be', () => {
    assert.equal(lengthOf('0300'), 0);
    for (const part of ['', '03', '10', '1000', '100000', '0010', '0301'])
      assert.equal(lengthOf(part), undefined, part);
    assert.equal(lengthOf('03010000'), 0x103);
    assert.equal(preconnectionLength(hex('ff10000000'), 1, 5), 16);
    assert.equal(
      preconnectionLength(hex('ff10000000'), 1, 4),
      undefined,
      'what is behind the end is not read',
    );
    for (const other of ['0f00', '16030100', '5353482d', '10000100', '100001', '10000001', '0110'])
      assert.throws(() => lengthOf(other), { name: 'PduError', field: 'cbSize', offset: 0 }, other);
  });

  test('FreeRDP writes two NULs', () => {
    const bytes = '22000000 00000000 02000000 00000000 0800 54006500730074005600 4d00 00000000 0300';
    assert.equal(lengthOf(bytes), 34);
    assert.deepEqual(decode(bytes), { id: 0, text: 'TestVM' });
  });

  test('an empty text', () => {
    assert.deepEqual(decode('12000000 00000000 02000000 05000000 0000'), { id: 5, text: '' });
    assert.deepEqual(decode('14000000 00000000 02000000 05000000 0100 0000'), { id: 5, text: '' });
  });

  for (const [what, field, bytes] of [
    ['a size below the header', 'cbSize', '0f000000 00000000 01000000 000000'],
    ['a size above the limit', 'cbSize', '01100000 00000000 01000000 00000000'],
    ['a size beyond the end', 'cbSize', '12000000 00000000 01000000 00000000'],
    ['another version', 'version', '10000000 00000000 03000000 00000000'],
    ['no text', 'cchPCB', '10000000 00000000 02000000 00000000'],
    ['a text beyond the end', 'wszPCB', '14000000 00000000 02000000 00000000 0200 4100'],
  ] as const) {
    test(`is refused: ${what}`, () => {
      assert.throws(() => decode(bytes), { name: 'PduError', field });
    });
  }

  test('a text of the greatest length', () => {
    const text = 'x'.repeat((MAX_PRECONNECTION_BYTES - 20) / 2);
    const writer = new Writer();
    encodePreconnection(writer, { id: 1, text });
    assert.equal(writer.length, MAX_PRECONNECTION_BYTES);
    assert.deepEqual(decodePreconnection(new Reader(writer.done())), { id: 1, text });
    assert.throws(() => encodePreconnection(new Writer(), { id: 1, text: `${text}x` }), RangeError);
  });
});
