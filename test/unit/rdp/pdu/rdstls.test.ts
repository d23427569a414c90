import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import {
  decodeRdstlsCapabilities,
  decodeRdstlsResponse,
  encodeRdstlsRequest,
  RdstlsResult,
  rdstlsLength,
} from '../../../../gateway/rdp/pdu/rdstls.ts';
import { hex, toHex } from './hex.ts';

test('what a server says is told apart by its length and read', () => {
  const capabilities = hex('0100 0100 0100 0300');
  assert.equal(rdstlsLength(capabilities, 0, 8), 8);
  assert.equal(rdstlsLength(capabilities, 0, 5), undefined);
  assert.equal(decodeRdstlsCapabilities(new Reader(capabilities)), 3);
  const response = hex('ff 0100 0400 0100 2e050000');
  assert.equal(rdstlsLength(response, 1, response.length), 10);
  assert.equal(decodeRdstlsResponse(new Reader(response, 1)), RdstlsResult.logonFailure);
});

test('a request has its parts in the order of 2.2.17.2, texts with their terminators', () => {
  const writer = new Writer();
  encodeRdstlsRequest(writer, {
    redirectionGuid: hex('aabb'),
    userName: 'u',
    domain: '',
    password: hex('01020304'),
  });
  assert.equal(
    toHex(writer.done()),
    '010002000100 0200aabb 04007500 0000 02000000 040001020304'.replaceAll(' ', ''),
  );
  const long = { redirectionGuid: new Uint8Array(65536), userName: '', domain: '', password: hex('') };
  assert.throws(() => encodeRdstlsRequest(new Writer(), long), /RedirectionGuid .* has 65536 bytes/);
});

test('what is none is refused', () => {
  for (const [bytes, why] of [
    ['0200 0100 0100 0100', /Version at offset 0 is 2/],
    ['0100 0200 0100 0100', /PduType at offset 2 is 2, which servers do not send/],
    ['0100 0100 0200 0100', /DataType at offset 4 is 2/],
  ] as const)
    assert.throws(() => rdstlsLength(hex(bytes), 0, 8), why);
  assert.throws(() => decodeRdstlsCapabilities(new Reader(hex('0100 0400 0100 00000000'))), /is a response/);
  assert.throws(() => decodeRdstlsResponse(new Reader(hex('0100 0100 0100 0100'))), /is capabilities/);
});
