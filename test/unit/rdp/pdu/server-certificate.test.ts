import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import { decodeLicense } from '../../../../gateway/rdp/pdu/license.ts';
import { decodeServerCertificate } from '../../../../gateway/rdp/pdu/server-certificate.ts';
import { loadTrace } from '../../../support/rdp-traces.ts';
import { hex } from './hex.ts';

/** A proprietary certificate (2.2.1.4.3.1.1) with a key of 512 bits, its signature left out. */
const SPECIFIED = hex(`
  01 00 00 00 01 00 00 00 01 00 00 00 06 00 5c 00 52 53 41 31 48 00 00 00 00 02 00 00 3f 00 00 00
  01 00 01 00 cb 81 fe ba 6d 61 c3 55 05 d5 5f 2e 87 f8 71 94 d6 f1 a5 cb f1 5f 0c 3d f8 70 02 96
  c4 fb 9b c8 3c 2d 55 ae e8 ff 32 75 ea 68 79 e5 a2 01 fd 31 a0 b1 1f 55 a6 1f c1 f6 d1 83 88 63
  26 56 12 bc 00 00 00 00 00 00 00 00`);

test('the key of a proprietary certificate is read', () => {
  const certificate = decodeServerCertificate(new Reader(SPECIFIED));
  assert.ok(certificate.kind === 'proprietary');
  assert.equal(certificate.exponent, 65537);
  assert.equal(certificate.modulus.length, 64);
  assert.deepEqual([certificate.modulus[0], certificate.modulus[63]], [0xcb, 0xbc]);
});

test('the key in the licence request of a real server is read', () => {
  const message = loadTrace('xrdp-16').find(
    ({ from, bytes }) =>
      from === 'server' && bytes.length > 40 && bytes.readUInt8(15) === 0x80 && bytes.readUInt8(19) === 1,
  );
  const request = decodeLicense(new Reader(message?.bytes.subarray(19) ?? assert.fail()));
  assert.ok(request.kind === 'request');
  const certificate = decodeServerCertificate(new Reader(request.certificate));
  assert.ok(certificate.kind === 'proprietary');
  assert.equal(certificate.exponent, 65537);
  assert.equal(certificate.modulus.length, 64);
});

test('of a chain the last is that of the server, temporary or not', () => {
  for (const version of [2, 0x8000_0002]) {
    const writer = new Writer().u32le(version).u32le(2);
    writer.u32le(3).bytes(hex('010203')).u32le(2).bytes(hex('0405')).zeros(16);
    assert.deepEqual(decodeServerCertificate(new Reader(writer.done())), {
      kind: 'x509',
      certificate: hex('0405'),
    });
  }
});

test('what lies is refused', () => {
  const changed = (at: number, value: number): Uint8Array => {
    const bytes = Uint8Array.from(SPECIFIED);
    bytes[at] = value;
    return bytes;
  };
  for (const [bytes, why] of [
    [changed(0, 3), /dwVersion at offset 0 is 3/],
    [changed(12, 7), /wPublicKeyBlobType at offset 12 is 7/],
    [changed(16, 0), /magic at offset 16/],
    [changed(20, 8), /keylen at offset 20 is 8/],
    [changed(21, 0xff), /keylen at offset 20 is/],
    [SPECIFIED.subarray(0, 80), /PublicKeyBlob at offset 16/],
    [new Writer().u32le(2).u32le(17).done(), /NumCertBlobs at offset 4 is 17/],
    [new Writer().u32le(2).u32le(0).done(), /NumCertBlobs at offset 4 is 0/],
    [new Writer().u32le(2).u32le(1).u32le(9).done(), /abCert at offset 12/],
  ] as const)
    assert.throws(() => decodeServerCertificate(new Reader(bytes)), why);
});
