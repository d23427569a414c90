import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { der, readElement, readNumber, readTagged, Tag } from '../../../../gateway/rdp/credssp/der.ts';
import { subjectPublicKeyOf } from '../../../../gateway/rdp/credssp/public-key.ts';
import { PduError, Reader } from '../../../../gateway/rdp/pdu/cursor.ts';
import { EC_CERTIFICATE, RSA_CERTIFICATE } from './certificates.ts';

for (const length of [0, 1, 127, 128, 255, 256, 65_535, 65_536]) {
  test(`an element of ${length} bytes`, () => {
    const content = new Uint8Array(length).fill(9);
    const bytes = der(Tag.octetString, content.subarray(0, length >> 1), content.subarray(length >> 1));
    const heads = length < 128 ? 2 : length < 256 ? 3 : length < 65_536 ? 4 : 5;
    assert.equal(bytes.length, heads + length);
    const reader = new Reader(Buffer.concat([bytes, Buffer.of(1, 2)]));
    assert.deepEqual(Uint8Array.from(readTagged(reader, Tag.octetString, 'x').rest()), content);
    assert.equal(reader.left, 2);
  });
}

test('a length may be longer than it must be, but neither indefinite nor beyond the input', () => {
  const read = (...bytes: number[]) => readElement(new Reader(Uint8Array.from(bytes)), 'x').content.rest();
  assert.deepEqual([...read(4, 0x84, 0, 0, 0, 1, 7)], [7]);
  assert.throws(() => read(4, 0x80, 0, 0), /x length at offset 1 is indefinite or longer than 32 bits/);
  assert.throws(() => read(4, 0x85, 0, 0, 0, 0, 1, 7), /indefinite or longer/);
  assert.throws(() => read(4, 2, 7), /x at offset 2 needs 2 bytes, 1 are left/);
  assert.throws(() => read(4, 0x84, 0xff, 0xff, 0xff, 0xff, 7), /needs 4294967295 bytes/);
  assert.throws(() => read(4), PduError);
});

test('another tag is named', () => {
  assert.throws(
    () => readTagged(new Reader(der(Tag.integer)), Tag.sequence, 'thing'),
    /thing at offset 0 has the tag 0x2 instead of 0x30/,
  );
});

const NUMBERS: readonly [readonly number[], number][] = [
  [[6], 6],
  [[0, 0x80], 128],
  [[0xc0, 0, 0, 0x6d], 0xc000006d],
  [[0, 0xc0, 0, 0, 0x6d], 0xc000006d],
  [[0xff], 0xffffffff],
];
for (const [bytes, value] of NUMBERS) {
  test(`the number ${value.toString(16)} from ${bytes.length} bytes`, () => {
    assert.equal(readNumber(new Reader(der(Tag.integer, Uint8Array.from(bytes))), Tag.integer, 'n'), value);
  });
}
test('numbers of no bytes and of more than 32 bits are refused', () => {
  for (const bytes of [[], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]])
    assert.throws(
      () => readNumber(new Reader(der(Tag.integer, Uint8Array.from(bytes))), Tag.integer, 'n'),
      PduError,
    );
});

test('the key of an RSA certificate is a PKCS #1 key', () => {
  const expected = new X509Certificate(RSA_CERTIFICATE).publicKey.export({ type: 'pkcs1', format: 'der' });
  assert.deepEqual(Buffer.from(subjectPublicKeyOf(RSA_CERTIFICATE)), expected);
});

test('the key of an elliptic curve certificate is the point', () => {
  const info = new X509Certificate(EC_CERTIFICATE).publicKey.export({ type: 'spki', format: 'der' });
  assert.deepEqual(Buffer.from(subjectPublicKeyOf(EC_CERTIFICATE)), info.subarray(-65));
});

test('a certificate of version 1 does not name its version', () => {
  const any = der(Tag.sequence, Uint8Array.of(5, 0));
  const info = der(Tag.sequence, any, der(Tag.bitString, Uint8Array.of(0, 1, 2, 3)));
  const serial = der(Tag.integer, Uint8Array.of(7));
  const certificate = der(Tag.sequence, der(Tag.sequence, serial, any, any, any, any, info), any);
  assert.deepEqual([...subjectPublicKeyOf(certificate)], [1, 2, 3]);
});

test('a certificate that is none is refused', () => {
  assert.throws(() => subjectPublicKeyOf(RSA_CERTIFICATE.subarray(0, 100)), PduError);
  assert.throws(() => subjectPublicKeyOf(new Uint8Array()), PduError);
});
