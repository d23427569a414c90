import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import {
  type ConnectResponse,
  DisconnectReason,
  DomainPdu,
  decodeAttachUserConfirm,
  decodeAttachUserRequest,
  decodeChannelJoinConfirm,
  decodeChannelJoinRequest,
  decodeConnectInitial,
  decodeConnectResponse,
  decodeDisconnectProviderUltimatum,
  decodeErectDomainRequest,
  domainPduOf,
  encodeAttachUserConfirm,
  encodeAttachUserRequest,
  encodeChannelJoinConfirm,
  encodeChannelJoinRequest,
  encodeConnectInitial,
  encodeConnectResponse,
  encodeDisconnectProviderUltimatum,
  encodeErectDomainRequest,
  McsResult,
  usualParameters,
} from '../../../../gateway/rdp/pdu/mcs.ts';
import { dataReader, withData } from '../../../../gateway/rdp/pdu/x224.ts';
import { hex, toHex } from './hex.ts';
import { specConnectInitial } from './spec-connect.ts';

/** The decoder on the PDU behind its X.224 header; all of it must be read. */
function decode<T>(decoder: (reader: Reader) => T, bytes: Uint8Array): T {
  const reader = dataReader(bytes);
  const value = decoder(reader);
  assert.equal(reader.left, 0);
  return value;
}

describe('connect PDUs', () => {
  test('Connect-Initial of a Windows client', () => {
    const { userData, ...rest } = decode(decodeConnectInitial, specConnectInitial);
    assert.deepEqual(rest, {
      targetParameters: usualParameters.target,
      minimumParameters: usualParameters.minimum,
      maximumParameters: usualParameters.maximum,
    });
    assert.equal(userData.length, 0x133);
    assert.equal(toHex(userData).slice(0, 18), '000500147c0001812a');
  });

  test('Connect-Initial is written with numbers that keep their sign', () => {
    const initial = decode(decodeConnectInitial, specConnectInitial);
    const written = withData((writer) => encodeConnectInitial(writer, initial));
    // 65535 and 64535, which the Windows client writes as negative numbers: five bytes more.
    assert.equal(written.length, specConnectInitial.length + 5);
    assert.deepEqual(decode(decodeConnectInitial, written), initial);
    assert.match(toHex(written), /^030001a502f0807f658201990401010401010101ff301a/);
  });

  const responses: readonly { bytes: string; response: ConnectResponse }[] = [
    {
      bytes: `7f6629 0a0100 020100
        301a 020122 020103 020100 020101 020100 020101 020300fff8 020102 0405 0102030405`,
      response: {
        result: McsResult.successful,
        calledConnectId: 0,
        parameters: usualParameters.granted,
        userData: hex('0102030405'),
      },
    },
    {
      bytes: `7f662b 0a010e 020500ffffffff
        301a 020122 020103 020100 020101 020100 020101 020300fff8 020102 0403 010203`,
      response: {
        result: McsResult.unspecifiedFailure,
        calledConnectId: 0xffffffff,
        parameters: usualParameters.granted,
        userData: hex('010203'),
      },
    },
  ];
  for (const { bytes, response } of responses) {
    test(`Connect-Response with result ${response.result}`, () => {
      assert.deepEqual(decodeConnectResponse(new Reader(hex(bytes))), response);
      const writer = new Writer();
      encodeConnectResponse(writer, response);
      assert.equal(toHex(writer.done()), toHex(hex(bytes)));
    });
  }

  test('lengths of one, two and three octets', () => {
    for (const [length, header] of [
      [0x7f, '047f'],
      [0x80, '048180'],
      [0xff, '0481ff'],
      [0x100, '04820100'],
    ] as const) {
      const response = { ...(responses[0]?.response as ConnectResponse), userData: new Uint8Array(length) };
      const writer = new Writer();
      encodeConnectResponse(writer, response);
      const written = writer.done();
      assert.ok(toHex(written).includes(`020102${header}00`), header);
      assert.deepEqual(decodeConnectResponse(new Reader(written)), response);
    }
  });

  test('what is no such PDU is refused where it goes wrong', () => {
    const of = (text: string) => () => decodeConnectResponse(new Reader(hex(text)));
    assert.throws(of('7f6500'), { name: 'PduError', field: 'Connect-Response', offset: 0 });
    assert.throws(of('7f668400000100'), { field: 'Connect-Response' });
    assert.throws(of('7f6680'), { field: 'Connect-Response', offset: 2 });
    assert.throws(of('7f66850000000000'), { field: 'Connect-Response', offset: 2 });
    assert.throws(of('7f6603 020100'), { field: 'result', offset: 3 });
    assert.throws(of('7f6605 0a0100 0200'), { field: 'calledConnectId' });
    assert.throws(of('7f660b 0a0100 0206000000000000'), { field: 'calledConnectId' });
    assert.throws(of('7f660a 0a0100 02050100000000'), { field: 'calledConnectId' });
    assert.throws(of('7f6606 0a0100 020100'), { field: 'domainParameters' });
    assert.throws(of('7f660b 0a0100 020100 3003020122'), { field: 'maxUserIds' });
    const initial = (text: string) => () => decodeConnectInitial(new Reader(hex(text)));
    assert.throws(initial('7f650a 040101 040101 0102ffff'), { field: 'upwardFlag' });
  });
});

describe('domain PDUs', () => {
  test('Erect Domain Request', () => {
    const bytes = hex('0300000c02f080 0401000100');
    decode(decodeErectDomainRequest, bytes);
    assert.equal(toHex(withData(encodeErectDomainRequest)), toHex(bytes));
    assert.equal(domainPduOf(bytes), DomainPdu.erectDomainRequest);
    decode(decodeErectDomainRequest, hex('0300000c02f080 0400010001'));
  });

  test('Attach User Request', () => {
    const bytes = hex('0300000802f080 28');
    decode(decodeAttachUserRequest, bytes);
    assert.equal(toHex(withData(encodeAttachUserRequest)), toHex(bytes));
    assert.equal(domainPduOf(bytes), DomainPdu.attachUserRequest);
  });

  for (const [bytes, confirm] of [
    ['0300000b02f080 2e000006', { result: McsResult.successful, initiator: 1007 }],
    ['0300000902f080 2da0', { result: McsResult.tooManyUsers }],
    ['0300000902f080 2ca0', { result: McsResult.noSuchUser }],
  ] as const) {
    test(`Attach User Confirm with result ${confirm.result}`, () => {
      assert.deepEqual(decode(decodeAttachUserConfirm, hex(bytes)), confirm);
      assert.equal(toHex(withData((writer) => encodeAttachUserConfirm(writer, confirm))), toHex(hex(bytes)));
      assert.equal(domainPduOf(hex(bytes)), DomainPdu.attachUserConfirm);
    });
  }

  test('Channel Join Request', () => {
    const bytes = hex('0300000c02f080 38000603ef');
    const request = { initiator: 1007, channelId: 1007 };
    assert.deepEqual(decode(decodeChannelJoinRequest, bytes), request);
    assert.equal(toHex(withData((writer) => encodeChannelJoinRequest(writer, request))), toHex(bytes));
    assert.equal(domainPduOf(bytes), DomainPdu.channelJoinRequest);
  });

  for (const [bytes, confirm] of [
    [
      '0300000f02f080 3e00000603ef03ef',
      { result: McsResult.successful, initiator: 1007, requested: 1007, channelId: 1007 },
    ],
    [
      '0300000d02f080 3d00000603eb',
      { result: McsResult.parametersUnacceptable, initiator: 1007, requested: 1003 },
    ],
    ['0300000d02f080 3c60000603eb', { result: McsResult.noSuchChannel, initiator: 1007, requested: 1003 }],
  ] as const) {
    test(`Channel Join Confirm with result ${confirm.result}`, () => {
      assert.deepEqual(decode(decodeChannelJoinConfirm, hex(bytes)), confirm);
      assert.equal(toHex(withData((writer) => encodeChannelJoinConfirm(writer, confirm))), toHex(hex(bytes)));
      assert.equal(domainPduOf(hex(bytes)), DomainPdu.channelJoinConfirm);
    });
  }

  for (const [name, bytes] of [
    ['userRequested', '0300000902f080 2180'],
    ['providerInitiated', '0300000902f080 2080'],
    ['channelPurged', '0300000902f080 2200'],
  ] as const) {
    test(`Disconnect Provider Ultimatum: ${name}`, () => {
      const reason = DisconnectReason[name];
      assert.equal(decode(decodeDisconnectProviderUltimatum, hex(bytes)), reason);
      assert.equal(
        toHex(withData((writer) => encodeDisconnectProviderUltimatum(writer, reason))),
        toHex(hex(bytes)),
      );
      assert.equal(domainPduOf(hex(bytes)), DomainPdu.disconnectProviderUltimatum);
    });
  }

  test('another choice, a user beyond the last and what is cut short are refused', () => {
    assert.throws(() => decodeAttachUserRequest(new Reader(hex('38'))), { field: 'DomainMCSPDU', offset: 0 });
    assert.throws(() => decodeChannelJoinRequest(new Reader(hex('38fc1803eb'))), {
      field: 'initiator',
      offset: 1,
    });
    assert.throws(() => decodeChannelJoinRequest(new Reader(hex('38000603'))), {
      field: 'channelId',
      offset: 3,
    });
    assert.throws(() => domainPduOf(hex('0300000702f080')), { field: 'DomainMCSPDU' });
  });
});
