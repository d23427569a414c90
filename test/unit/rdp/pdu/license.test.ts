import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import {
  decodeLicense,
  encodeErrorAlert,
  encodeNewLicenseRequest,
  encodePlatformChallengeResponse,
  VALID_CLIENT,
} from '../../../../gateway/rdp/pdu/license.ts';
import { loadTrace } from '../../../support/rdp-traces.ts';
import { hex } from './hex.ts';

function written(write: (writer: Writer) => void): Buffer {
  const writer = new Writer();
  write(writer);
  return Buffer.from(writer.done());
}

/** What xrdp and xfreerdp said about licensing, behind TPKT, X.224, MCS and the security header. */
function spoken(from: string, type: number): Buffer {
  const message = loadTrace('xrdp-16').find(
    ({ from: side, bytes }) =>
      side === from && bytes.length > 40 && bytes.readUInt8(15) === 0x80 && bytes.readUInt8(19) === type,
  );
  assert.ok(message, `a message 0x${type.toString(16)} of the ${from}`);
  return message.bytes.subarray(19);
}

test('"you are licensed" is what [MS-RDPBCGR] 4.1.11 shows', () => {
  const bytes = hex('ff 83 10 00 07 00 00 00 02 00 00 00 04 00 00 00');
  assert.deepEqual(
    written((writer) => encodeErrorAlert(writer, VALID_CLIENT)),
    Buffer.from(bytes),
  );
  assert.deepEqual(decodeLicense(new Reader(bytes)), VALID_CLIENT);
});

test('an alert without its blob is read', () => {
  const alert = decodeLicense(new Reader(hex('ff 03 0c 00 07 00 00 00 02 00 00 00')));
  assert.ok(alert.kind === 'error');
  assert.equal(alert.code, 7);
});

test('the request of a real server is read', () => {
  const request = decodeLicense(new Reader(spoken('server', 1)));
  assert.ok(request.kind === 'request');
  assert.equal(request.companyName, 'Microsoft Corporation');
  assert.equal(request.productId, '236');
  assert.equal(request.serverRandom.length, 32);
  assert.deepEqual([...request.keyExchangeList], [1, 0, 0, 0]);
  assert.ok(request.certificate.length > 100);
  assert.deepEqual(
    request.scopes.map((scope) => Buffer.from(scope).toString('latin1')),
    ['microsoft.com\0'],
  );
});

test('the request for a new licence of a real client is written as it was', () => {
  const bytes = spoken('client', 0x13);
  assert.deepEqual(decodeLicense(new Reader(bytes)), { kind: 'client', messageType: 0x13 });
  const premaster = bytes.subarray(48, 48 + bytes.readUInt16LE(46));
  const names = bytes.subarray(48 + premaster.length);
  const userLength = names.readUInt16LE(2);
  const again = written((writer) =>
    encodeNewLicenseRequest(writer, {
      platformId: bytes.readUInt32LE(8),
      clientRandom: bytes.subarray(12, 44),
      encryptedPremaster: premaster,
      userName: names.toString('latin1', 4, 4 + userLength - 1),
      machineName: names.toString('latin1', 4 + userLength + 4, names.length - 1),
    }),
  );
  // The flags of the preamble and the type of the premaster's blob differ between clients.
  assert.deepEqual(again.subarray(2, 44), bytes.subarray(2, 44));
  assert.deepEqual(again.subarray(46), bytes.subarray(46));
});

test('challenge, licence and upgrade are told apart', () => {
  const mac = '00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f';
  const challenge = decodeLicense(new Reader(hex(`02 03 1e 00 00 00 00 00 09 00 02 00 aa bb ${mac}`)));
  assert.ok(challenge.kind === 'challenge');
  assert.deepEqual([...challenge.encryptedChallenge], [0xaa, 0xbb]);
  for (const [type, kind] of [
    ['03', 'new'],
    ['04', 'upgrade'],
  ] as const) {
    const issued = decodeLicense(new Reader(hex(`${type} 03 1b 00 09 00 03 00 01 02 03 ${mac}`)));
    assert.ok(issued.kind === kind);
    assert.deepEqual([...issued.encryptedLicense], [1, 2, 3]);
    assert.equal(issued.mac[15], 15);
  }
});

test('the answer to a challenge is written', () => {
  const bytes = written((writer) =>
    encodePlatformChallengeResponse(writer, {
      encryptedResponse: Uint8Array.of(1),
      encryptedHardwareId: Uint8Array.of(2, 3),
      mac: new Uint8Array(16).fill(4),
    }),
  );
  assert.deepEqual(
    bytes,
    Buffer.from(hex(`15 83 1f 00 09 00 01 00 01 09 00 02 00 02 03 ${'04'.repeat(16)}`)),
  );
});

test('what lies about its length or type is refused', () => {
  assert.throws(() => decodeLicense(new Reader(hex('ff 03 03 00'))), /wMsgSize at offset 2 is 3/);
  assert.throws(() => decodeLicense(new Reader(hex('ff 03 40 00 07 00'))), /licensing message at offset 4/);
  assert.throws(() => decodeLicense(new Reader(hex('05 03 04 00'))), /bMsgType at offset 0 is 0x5/);
  const request = Buffer.from(spoken('server', 1));
  request.writeUInt32LE(17, request.length - 4 - 4 - 'microsoft.com\0'.length);
  assert.throws(() => decodeLicense(new Reader(request)), /ScopeCount .* is 17/);
});
