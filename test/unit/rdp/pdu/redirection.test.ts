import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import {
  decodeEnhancedRedirection,
  decodeRedirection,
  encodeEnhancedRedirection,
  encodeRedirection,
  RedirectionFlag,
  readRedirection,
} from '../../../../gateway/rdp/pdu/redirection.ts';
import { encodeShareControl, ShareType } from '../../../../gateway/rdp/pdu/share.ts';

/** A packet with these fields (bytes, or text with its terminator) behind its flags. */
function packet(flags: number, fields: readonly (Uint8Array | string)[]): Writer {
  const writer = new Writer();
  writer.u16le(0x0400).u16le(0).u32le(5).u32le(flags);
  for (const field of fields)
    if (typeof field === 'string')
      writer
        .u32le(field.length * 2 + 2)
        .utf16(field)
        .u16le(0);
    else writer.u32le(field.length).bytes(field);
  writer.patchU16le(2, writer.length);
  return writer;
}

const F = RedirectionFlag;
const TOKEN = new TextEncoder().encode('tsv://MS Terminal Services Plugin.1.Farm\r\n');
const ADDRESSES = new Writer()
  .u32le(2)
  .u32le(18)
  .utf16('10.0.0.7')
  .u16le(0)
  .u32le(4)
  .utf16('h')
  .u16le(0)
  .done();

test('every field is read, in the order of the wire', () => {
  const all =
    F.targetNetAddress |
    F.loadBalanceInfo |
    F.userName |
    F.domain |
    F.password |
    F.passwordIsEncrypted |
    F.targetFqdn |
    F.targetNetBiosName |
    F.clientTsvUrl |
    F.redirectionGuid |
    F.targetCertificate |
    F.targetNetAddresses;
  const writer = packet(all, [
    '10.0.0.7',
    TOKEN,
    'ada',
    'CORP',
    Uint8Array.of(1, 2, 3),
    'host.corp.example',
    'HOST',
    'tsv://x',
    new Uint8Array(16).fill(6),
    Uint8Array.of(9),
    ADDRESSES,
  ]);
  const expected = {
    sessionId: 5,
    flags: all,
    targetNetAddress: '10.0.0.7',
    loadBalanceInfo: TOKEN,
    userName: 'ada',
    domain: 'CORP',
    password: Uint8Array.of(1, 2, 3),
    targetFqdn: 'host.corp.example',
    targetNetBiosName: 'HOST',
    clientTsvUrl: 'tsv://x',
    redirectionGuid: new Uint8Array(16).fill(6),
    targetCertificate: Uint8Array.of(9),
    targetNetAddresses: ['10.0.0.7', 'h'],
  };
  assert.deepEqual(decodeRedirection(new Reader(writer.done())), expected);
  // The enhanced envelope: padding before, a byte behind.
  const enveloped = Uint8Array.of(0, 0, ...writer.done(), 0);
  assert.deepEqual(decodeEnhancedRedirection(new Reader(enveloped)), expected);
  const [again, enhanced] = [new Writer(), new Writer()];
  encodeRedirection(again, expected);
  encodeEnhancedRedirection(enhanced, expected);
  assert.deepEqual(again.done(), writer.done());
  assert.deepEqual(enhanced.done(), enveloped);
});

test('both envelopes are known, and nothing else is taken for one', () => {
  const redirection = { sessionId: 5, flags: F.loadBalanceInfo, loadBalanceInfo: TOKEN };
  const [standard, enhanced] = [new Writer(), new Writer()];
  encodeRedirection(standard.u8(0xff), redirection);
  encodeShareControl(enhanced.u8(0xff), ShareType.serverRedirection, 1002, (body) =>
    encodeEnhancedRedirection(body, redirection),
  );
  for (const writer of [standard, enhanced]) assert.deepEqual(readRedirection(writer.done(), 1), redirection);
  // A share PDU of 1024 bytes begins with the same two bytes.
  const data = new Writer();
  encodeShareControl(data, ShareType.data, 1002, (body) => body.zeros(1018));
  assert.deepEqual([...data.done().subarray(0, 2)], [0x00, 0x04]);
  assert.equal(readRedirection(data.done(), 0), undefined);
  const cut = standard.done().subarray(0, -1);
  assert.throws(() => readRedirection(cut, 1), /totalLength/);
});

test('only what the flags announce is read', () => {
  const writer = packet(F.noRedirect | F.loadBalanceInfo, [TOKEN]);
  assert.deepEqual(decodeRedirection(new Reader(writer.done())), {
    sessionId: 5,
    flags: F.noRedirect | F.loadBalanceInfo,
    loadBalanceInfo: TOKEN,
  });
});

test('a packet that lies is refused', () => {
  const lying = packet(F.password, []);
  assert.throws(() => decodeRedirection(new Reader(lying.done())), /PasswordLength at offset 12/);
  const cut = packet(F.userName, ['ada']).done();
  assert.throws(() => decodeRedirection(new Reader(cut.subarray(0, cut.length - 1))), /redirection packet/);
  const many = packet(F.targetNetAddresses, [new Writer().u32le(65).done()]).done();
  assert.throws(() => decodeRedirection(new Reader(many)), /addressCount .* is 65, at most 64/);
  assert.throws(() => decodeRedirection(new Reader(new Uint8Array(12))), /Flags at offset 0 is 0x0/);
});
