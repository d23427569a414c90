import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Reader } from '../../../../gateway/rdp/pdu/cursor.ts';
import { decodeConferenceCreateResponse } from '../../../../gateway/rdp/pdu/gcc.ts';
import {
  decodeServerBlocks,
  encodeServerBlocks,
  type ServerGccBlocks,
} from '../../../../gateway/rdp/pdu/gcc-server.ts';
import { decodeConnectResponse } from '../../../../gateway/rdp/pdu/mcs.ts';
import { dataReader } from '../../../../gateway/rdp/pdu/x224.ts';
import { hex, toHex } from './hex.ts';
import { serverConnectResponse } from './spec-connect.ts';

const decode = (bytes: Uint8Array) => decodeServerBlocks(new Reader(bytes));

const plain: ServerGccBlocks = {
  core: { version: 0x00080004 },
  network: { ioChannelId: 1003, channelIds: [] },
  security: { encryptionMethod: 0, encryptionLevel: 0 },
  unknown: [],
};

const everything: ServerGccBlocks = {
  core: { version: 0x0008000c, clientRequestedProtocols: 11, earlyCapabilityFlags: 5 },
  network: { ioChannelId: 1003, channelIds: [1004, 0, 1006] },
  security: {
    encryptionMethod: 2,
    encryptionLevel: 3,
    keys: { serverRandom: new Uint8Array(32).fill(7), serverCertificate: hex('0100000001') },
  },
  messageChannelId: 1008,
  multitransport: 0x301,
  unknown: [{ type: 0x0cfe, body: hex('0a0b') }],
};

describe("the server's blocks", () => {
  test('of a server under TLS', () => {
    const { userData } = decodeConnectResponse(dataReader(serverConnectResponse));
    const bytes = decodeConferenceCreateResponse(new Reader(userData)).rest();
    const blocks = decode(bytes);
    assert.deepEqual(blocks, {
      core: { version: 0x00080004, clientRequestedProtocols: 3, earlyCapabilityFlags: 10 },
      network: { ioChannelId: 1003, channelIds: [1004, 1005, 1006] },
      security: { encryptionMethod: 0, encryptionLevel: 0 },
      unknown: [],
    });
    assert.equal(toHex(encodeServerBlocks(blocks)), toHex(bytes));
  });

  test('every block and field comes back, with all and with none of the optional ones', () => {
    for (const blocks of [
      everything,
      plain,
      { ...plain, core: { version: 1, clientRequestedProtocols: 0 } },
      { ...everything, network: { ioChannelId: 1003, channelIds: [1004, 1005] } },
    ])
      assert.deepEqual(decode(encodeServerBlocks(blocks)), blocks);
  });

  test('what was read does not hang on the input', () => {
    const bytes = encodeServerBlocks(everything);
    const blocks = decode(bytes);
    bytes.fill(0xff);
    assert.deepEqual(blocks, everything);
  });

  test('lengths of 0 under TLS come back as they were', () => {
    const bytes = hex('010c08000400 0800 030c0800eb030000 020c14000000000000000000 0000000000000000');
    const blocks = decode(bytes);
    assert.equal(blocks.security.keys?.serverRandom.length, 0);
    assert.equal(toHex(encodeServerBlocks(blocks)), toHex(bytes));
  });

  const core = '010c080004000800';
  const network = '030c0800eb030000';
  const security = '020c0c000000000000000000';
  for (const [what, field, bytes] of [
    ['no SC_CORE', 'SC_CORE', network + security],
    ['no SC_NET', 'SC_NET', core + security],
    ['no SC_SECURITY', 'SC_SECURITY', core + network],
    ['32 channels', 'channelCount', `${core}030c4800eb032000${'00'.repeat(64)}`],
    ['fewer channels than said', 'channelIdArray', `${core}030c0a00eb030200ec03`],
    ['a random beyond the end', 'serverRandom', `${core + network}020c140002000000030000002000000000000000`],
    [
      'a certificate without bound',
      'serverCertLen',
      `${core + network}020c1400020000000300000000000000ffffffff`,
    ],
    ['half of the lengths', 'serverCertLen', `${core + network}020c1000020000000300000000000000`],
    ['half a core', 'clientRequestedProtocols', `010c0a00040008000300${network}${security}`],
    ['an empty SC_MCS_MSGCHANNEL', 'MCSChannelID', `${core + network + security}040c0400`],
  ] as const) {
    test(`are refused: ${what}`, () => {
      assert.throws(() => decode(hex(bytes)), { name: 'PduError', field });
    });
  }
});
