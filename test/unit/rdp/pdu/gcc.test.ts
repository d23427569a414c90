import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import {
  decodeConferenceCreateRequest,
  decodeConferenceCreateResponse,
  encodeConferenceCreateRequest,
  encodeConferenceCreateResponse,
  readBlocks,
  writeBlock,
} from '../../../../gateway/rdp/pdu/gcc.ts';
import { decodeConnectInitial, decodeConnectResponse } from '../../../../gateway/rdp/pdu/mcs.ts';
import { dataReader } from '../../../../gateway/rdp/pdu/x224.ts';
import { hex, toHex } from './hex.ts';
import { serverConnectResponse, specConnectInitial } from './spec-connect.ts';

function written(write: (writer: Writer) => void): string {
  const writer = new Writer();
  write(writer);
  return toHex(writer.done());
}

describe('conference', () => {
  test("a Windows client's request", () => {
    const { userData } = decodeConnectInitial(dataReader(specConnectInitial));
    const blocks = decodeConferenceCreateRequest(new Reader(userData));
    assert.equal(blocks.left, 0x11c);
    const bytes = blocks.rest();
    assert.equal(toHex(bytes).slice(0, 8), '01c0d800');
    assert.equal(
      written((writer) => encodeConferenceCreateRequest(writer, bytes)),
      toHex(userData),
    );
  });

  test("a Windows server's response", () => {
    const { userData } = decodeConnectResponse(dataReader(serverConnectResponse));
    const blocks = decodeConferenceCreateResponse(new Reader(userData));
    assert.equal(blocks.left, 0x2c);
    const bytes = blocks.rest();
    assert.equal(
      written((writer) => encodeConferenceCreateResponse(writer, bytes)),
      toHex(userData),
    );
  });

  test('lengths in one byte and in two', () => {
    for (const length of [0, 0x71, 0x72, 0x7f, 0x80, 0x1000]) {
      const blocks = new Uint8Array(length).fill(7);
      for (const [encode, decode] of [
        [encodeConferenceCreateRequest, decodeConferenceCreateRequest],
        [encodeConferenceCreateResponse, decodeConferenceCreateResponse],
      ] as const) {
        const writer = new Writer();
        encode(writer, blocks);
        assert.deepEqual(decode(new Reader(writer.done())).rest(), blocks);
      }
    }
    const response = hex('000500147c0001 2a 14760a010100 01c000 4d63446e 8001 aa');
    assert.equal(toHex(decodeConferenceCreateResponse(new Reader(response)).rest()), 'aa');
  });

  test('a longer conference name and tag are skipped', () => {
    const request = hex('000500147c0001 10 0008 02123000 01c000 44756361 02 aabb');
    assert.equal(toHex(decodeConferenceCreateRequest(new Reader(request)).rest()), 'aabb');
    const response = hex('000500147c0001 2a 14760a02010200 01c000 4d63446e 01 aa');
    assert.equal(toHex(decodeConferenceCreateResponse(new Reader(response)).rest()), 'aa');
  });

  for (const [what, field, bytes] of [
    ['another key', 'ConnectData key', '000500147c0002 0d 0008 001000 01c000 44756361 00'],
    ['a length beyond the end', 'connectPDU', '000500147c0001 0e 0008 001000 01c000 44756361 00'],
    ['other optional fields', 'ConnectGCCPDU', '000500147c0001 0d 0018 001000 01c000 44756361 00'],
    ['a name beyond the end', 'conferenceName', '000500147c0001 0d 0008 401000 01c000 44756361 00'],
    ['two sets', 'userData', '000500147c0001 0d 0008 001000 02c000 44756361 00'],
    ["the server's key", 'h221NonStandard', '000500147c0001 0d 0008 001000 01c000 4d63446e 00'],
    ['blocks beyond the end', 'userData value', '000500147c0001 0d 0008 001000 01c000 44756361 01'],
  ] as const) {
    test(`a request is refused: ${what}`, () => {
      assert.throws(() => decodeConferenceCreateRequest(new Reader(hex(bytes))), { name: 'PduError', field });
    });
  }

  test('a response is refused: a refusal', () => {
    const bytes = hex('000500147c0001 2a 14760a010110 01c000 4d63446e 00');
    assert.throws(() => decodeConferenceCreateResponse(new Reader(bytes)), { field: 'result' });
  });
});

describe('blocks', () => {
  test('in order, with their bodies', () => {
    const writer = new Writer();
    writeBlock(writer, 0xc0ff, (body) => body.u8(1));
    writeBlock(writer, 0xc001, () => {});
    assert.equal(toHex(writer.done()), 'ffc00500 01 01c00400'.replaceAll(' ', ''));
    const blocks = readBlocks(new Reader(writer.done()));
    assert.deepEqual(
      Array.from(blocks, ([type, body]) => [type, toHex(body.rest())]),
      [
        [0xc0ff, '01'],
        [0xc001, ''],
      ],
    );
  });

  test('are refused when lengths are wrong, one comes twice or there are too many', () => {
    const read = (bytes: Uint8Array) => () => readBlocks(new Reader(bytes));
    assert.throws(read(hex('01c00300')), { field: 'length', offset: 2 });
    assert.throws(read(hex('01c00500')), { field: 'body' });
    assert.throws(read(hex('01c0')), { field: 'length' });
    assert.throws(read(hex('01c00400 02c00400 01c00400')), { field: 'type', offset: 8 });
    const many = (count: number) => {
      const writer = new Writer();
      for (let type = 0; type < count; type += 1) writeBlock(writer, type, () => {});
      return writer.done();
    };
    assert.equal(readBlocks(new Reader(many(32))).size, 32);
    assert.throws(read(many(33)), { field: 'type' });
  });
});
