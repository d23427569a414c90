import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import { withTpkt } from '../../../../gateway/rdp/pdu/tpkt.ts';
import {
  type ConnectionConfirm,
  type ConnectionRequest,
  dataReader,
  decodeConnectionConfirm,
  decodeConnectionRequest,
  decodeDisconnectRequest,
  encodeConnectionConfirm,
  encodeConnectionRequest,
  encodeDisconnectRequest,
  FailureCode,
  Protocol,
  ResponseFlag,
  TpduCode,
  tpduCode,
  withData,
} from '../../../../gateway/rdp/pdu/x224.ts';
import { hex, toHex } from './hex.ts';

const ascii = (text: string) => toHex(new TextEncoder().encode(text));

/** A request's bytes around its variable part. */
function requestOf(variable: string): string {
  const length = hex(variable).length;
  return toHex(
    withTpkt((writer) =>
      writer
        .u8(length + 6)
        .bytes(hex('e0000000 0000'))
        .bytes(hex(variable)),
    ),
  );
}

const requests: readonly { name: string; bytes: string; request: ConnectionRequest }[] = [
  {
    name: '[MS-RDPBCGR] 4.1.1',
    bytes: `0300002c 27e00000000000 436f6f6b69653a206d737473686173683d656c746f6e730d0a 0100080000000000`,
    request: { cookie: 'eltons', negotiation: { flags: 0, requestedProtocols: Protocol.rdp } },
  },
  {
    name: 'without cookie',
    bytes: requestOf('01000800 0b000000'),
    request: {
      negotiation: { flags: 0, requestedProtocols: Protocol.ssl | Protocol.hybrid | Protocol.hybridEx },
    },
  },
  {
    name: 'a client that does not negotiate',
    bytes: requestOf(ascii('Cookie: mstshash=alice+root+win01\r\n')),
    request: { cookie: 'alice+root+win01' },
  },
  { name: 'nothing at all', bytes: requestOf(''), request: {} },
  {
    name: "a broker's routing token",
    bytes: requestOf(`${ascii('tsv://MS Terminal Services Plugin.1.Farm\r\n')}01000800 03000000`),
    request: {
      routingToken: 'tsv://MS Terminal Services Plugin.1.Farm',
      negotiation: { flags: 0, requestedProtocols: Protocol.ssl | Protocol.hybrid },
    },
  },
  {
    name: "a load balancer's cookie",
    bytes: requestOf(`${ascii('Cookie: msts=3640205228.15629.0000\r\n')}01020800 01000000`),
    request: {
      routingToken: 'Cookie: msts=3640205228.15629.0000',
      negotiation: { flags: 2, requestedProtocols: Protocol.ssl },
    },
  },
  {
    name: 'any other text, beyond ASCII as well',
    bytes: requestOf(`e4${ascii('=1\r2\r\n')}01000800 01000000`),
    request: { routingToken: 'ä=1\r2', negotiation: { flags: 0, requestedProtocols: Protocol.ssl } },
  },
  {
    name: 'correlation',
    bytes: requestOf(
      '01090800 03000000 06002400 000102030405060708090a0b0c0d0e0f 00000000000000000000000000000000',
    ),
    request: {
      negotiation: { flags: 1, requestedProtocols: 3 },
      correlationId: hex('000102030405060708090a0b0c0d0e0f'),
    },
  },
];

const decodeRequest = (text: string) => decodeConnectionRequest(new Reader(hex(text), 4));
const decodeConfirm = (text: string) => decodeConnectionConfirm(new Reader(hex(text), 4));

describe('connection request', () => {
  for (const { name, bytes, request } of requests) {
    test(name, () => {
      assert.deepEqual(decodeRequest(bytes), request);
      if (request.routingToken?.includes('\r')) return;
      assert.equal(toHex(withTpkt((writer) => encodeConnectionRequest(writer, request))), toHex(hex(bytes)));
    });
  }

  for (const [what, field, variable] of [
    ['a line without its end', 'cookie or routing token', ascii('Cookie: mstshash=alice')],
    ['a line that ends in CR', 'cookie or routing token', ascii('Cookie: mstshash=alice\r')],
    ['something behind the line', 'type', `${ascii('a\r\n')}07000800 00000000`],
    ['half a negotiation', 'requestedProtocols', '01000800 0000'],
    ['a wrong length', 'length', '01000900 00000000'],
    ['something behind the negotiation', 'variable part', '01000800 00000000 00'],
    ['a missing correlation', 'type', '01080800 00000000'],
    ['half a correlation', 'correlationId', '01080800 00000000 06002400 0102'],
  ] as const) {
    test(`is refused: ${what}`, () => {
      assert.throws(() => decodeRequest(requestOf(variable)), { name: 'PduError', field });
    });
  }

  test('is refused: other lengths and codes', () => {
    assert.throws(() => decodeRequest('0300000b 07e00000000000'), { field: 'length indicator', offset: 4 });
    assert.throws(() => decodeRequest('0300000b 06d00000000000'), { field: 'code', offset: 5 });
    assert.throws(() => decodeRequest('03000008 03e00000'), { field: 'references' });
    assert.throws(() => decodeRequest('03000004'), { field: 'length indicator' });
  });

  test('texts that would break the line or the length are not written', () => {
    const write = (request: ConnectionRequest) => encodeConnectionRequest(new Writer(), request);
    assert.throws(() => write({ cookie: 'a\r\nb' }), RangeError);
    assert.throws(() => write({ routingToken: 'a\n' }), RangeError);
    assert.doesNotThrow(() => write({ routingToken: 'x'.repeat(254 - 6 - 2) }));
    assert.throws(() => write({ routingToken: 'x'.repeat(254 - 6 - 1) }), RangeError);
  });
});

const confirms: readonly { name: string; bytes: string; confirm: ConnectionConfirm }[] = [
  {
    name: '[MS-RDPBCGR] 4.1.2',
    bytes: '03000013 0ed00000123400 0200080000000000',
    confirm: { negotiation: { kind: 'selected', flags: 0, selectedProtocol: Protocol.rdp } },
  },
  {
    name: 'CredSSP with extended client data',
    bytes: '03000013 0ed00000123400 021f080002000000',
    confirm: {
      negotiation: {
        kind: 'selected',
        flags:
          4 |
          ResponseFlag.extendedClientDataSupported |
          ResponseFlag.dynvcGfxProtocolSupported |
          ResponseFlag.restrictedAdminModeSupported |
          ResponseFlag.redirectedAuthenticationModeSupported,
        selectedProtocol: Protocol.hybrid,
      },
    },
  },
  {
    name: 'a failure',
    bytes: '03000013 0ed00000123400 0300080005000000',
    confirm: { negotiation: { kind: 'failed', failureCode: FailureCode.hybridRequiredByServer } },
  },
  { name: 'a server that does not negotiate', bytes: '0300000b 06d00000123400', confirm: {} },
];

describe('connection confirm', () => {
  for (const { name, bytes, confirm } of confirms) {
    test(name, () => {
      assert.deepEqual(decodeConfirm(bytes), confirm);
      assert.equal(toHex(withTpkt((writer) => encodeConnectionConfirm(writer, confirm))), toHex(hex(bytes)));
    });
  }

  test('is refused when broken', () => {
    const of = (variable: string) =>
      `00000000${toHex(new Uint8Array([hex(variable).length + 6]))}d00000123400${variable}`;
    assert.throws(() => decodeConfirm(of('0100080000000000')), { field: 'type', offset: 11 });
    assert.throws(() => decodeConfirm(of('0200090000000000')), { field: 'length', offset: 13 });
    assert.throws(() => decodeConfirm(of('02000800000000')), { field: 'selectedProtocol or failureCode' });
    assert.throws(() => decodeConfirm(of('020008000000000000')), { field: 'variable part' });
  });
});

describe('data and disconnect', () => {
  test('data', () => {
    const pdu = withData((writer) => writer.u8(0x28));
    assert.equal(toHex(pdu), '0300000802f08028');
    assert.equal(tpduCode(pdu), TpduCode.data);
    const reader = dataReader(hex('ff 0300000802f08028 ff'), 1, 9);
    assert.equal(reader.left, 1);
    assert.equal(reader.u8('choice'), 0x28);
  });

  test('data that are no whole TPDU are refused', () => {
    assert.throws(() => dataReader(hex('0300000902f08028')), { field: 'length', offset: 2 });
    assert.throws(() => dataReader(hex('0300')), { field: 'length' });
    assert.throws(() => dataReader(hex('0300000802f00028')), { field: 'EOT', offset: 6 });
    assert.throws(() => dataReader(hex('0300000802e08028')), { field: 'code', offset: 5 });
    assert.throws(() => dataReader(hex('0300000803f08028')), { field: 'length indicator', offset: 4 });
  });

  test('disconnect request', () => {
    const pdu = withTpkt((writer) => encodeDisconnectRequest(writer, 3));
    assert.equal(toHex(pdu), '0300000b06800000000003');
    assert.equal(tpduCode(pdu), TpduCode.disconnectRequest);
    assert.equal(decodeDisconnectRequest(new Reader(pdu, 4)), 3);
    assert.throws(() => decodeDisconnectRequest(new Reader(hex('05800000000003'))), {
      field: 'length indicator',
    });
    assert.throws(() => decodeDisconnectRequest(new Reader(hex('06d00000000003'))), { field: 'code' });
  });
});
