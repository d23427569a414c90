import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contextTag, der, derSmall, Tag } from '../../../../gateway/rdp/credssp/der.ts';
import {
  decodeTsCredentials,
  decodeTsRequest,
  encodeTsCredentials,
  encodeTsRequest,
  MAX_TS_REQUEST_BYTES,
  type TsRequest,
  tsRequestLength,
} from '../../../../gateway/rdp/credssp/ts-request.ts';
import { PduError, Reader } from '../../../../gateway/rdp/pdu/cursor.ts';

const bytes = (length: number) => Uint8Array.from({ length }, (_, index) => index & 0xff);

const REQUESTS: readonly TsRequest[] = [
  { version: 6 },
  { version: 2, negoToken: bytes(40) },
  { version: 6, negoToken: bytes(300), pubKeyAuth: bytes(48), clientNonce: bytes(32) },
  { version: 6, pubKeyAuth: bytes(48) },
  { version: 6, authInfo: bytes(70_000) },
  { version: 6, errorCode: 0xc000006d },
  { version: 4, errorCode: 0x8009030f },
];
for (const request of REQUESTS) {
  test(`a TSRequest with ${Object.keys(request).join(', ')}`, () =>
    assert.deepEqual(decodeTsRequest(new Reader(encodeTsRequest(request))), request));
}

test('the layout of [MS-CSSP] 2.2.1', () => {
  const request = encodeTsRequest({ version: 6, negoToken: Uint8Array.of(0xaa), errorCode: 0xc000006d });
  assert.equal(
    Buffer.from(request).toString('hex'),
    ['3018', 'a003020106', 'a109', '3007', '3005', 'a003', '0401aa', 'a4060204c000006d'].join(''),
  );
});

test('unknown fields are skipped', () => {
  const version = der(contextTag(0), derSmall(Tag.integer, 6));
  const request = der(Tag.sequence, version, der(contextTag(6), Uint8Array.of(1, 2, 3)));
  assert.deepEqual(decodeTsRequest(new Reader(request)), { version: 6 });
});

test('a TSRequest without a version, or with the first one, is refused', () => {
  for (const request of [der(Tag.sequence), encodeTsRequest({ version: 1 })])
    assert.throws(
      () => decodeTsRequest(new Reader(request)),
      /version at offset 0 is . where 2 is the least/,
    );
});

test('the length is known as soon as its bytes are there', () => {
  const request = encodeTsRequest({ version: 6, negoToken: bytes(300) });
  for (let there = 0; there < 4; there++)
    assert.equal(tsRequestLength(request.subarray(0, there)), undefined);
  assert.equal(tsRequestLength(request.subarray(0, 4)), request.length);
  assert.equal(tsRequestLength(Buffer.concat([request, request])), request.length);
  assert.equal(tsRequestLength(encodeTsRequest({ version: 6 })), 7);
});

test('what is no TSRequest, or too long for one, is refused at its first bytes', () => {
  const most = MAX_TS_REQUEST_BYTES - 5;
  const header = (content: number) =>
    Uint8Array.of(0x30, 0x83, content >> 16, (content >> 8) & 0xff, content & 0xff);
  assert.equal(tsRequestLength(header(most)), MAX_TS_REQUEST_BYTES);
  assert.throws(() => tsRequestLength(header(most + 1)), /is 65537 where 65536 is the most allowed/);
  assert.throws(() => tsRequestLength(Uint8Array.of(0x30, 0x84, 0xff, 0xff, 0xff, 0xff)), PduError);
  assert.throws(() => tsRequestLength(Uint8Array.of(0x30, 0x80)), PduError);
  assert.throws(() => tsRequestLength(Uint8Array.of(0x30, 0x85)), PduError);
  assert.throws(() => tsRequestLength(Uint8Array.of(3)), /has the tag 0x3 instead of 0x30/);
});

test('credentials go there and back', () => {
  for (const credentials of [
    { domain: 'CORP', user: 'alice', password: 'Pa55-ü€𝄞' },
    { domain: '', user: '', password: '' },
    { domain: '', user: 'a', password: 'x'.repeat(1000) },
  ])
    assert.deepEqual(decodeTsCredentials(new Reader(encodeTsCredentials(credentials))), credentials);
});

test('a smart card is refused in words', () => {
  const credentials = der(
    Tag.sequence,
    der(contextTag(0), derSmall(Tag.integer, 2)),
    der(contextTag(1), der(Tag.octetString, der(Tag.sequence))),
  );
  assert.throws(
    () => decodeTsCredentials(new Reader(credentials)),
    /credType .* is 2: log on with a password/,
  );
});
