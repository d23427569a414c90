import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Reader, Writer } from '../../../../gateway/rdp/pdu/cursor.ts';
import { decodeConferenceCreateRequest, writeBlock } from '../../../../gateway/rdp/pdu/gcc.ts';
import {
  ChannelOption,
  type ClientCore,
  type ClientGccBlocks,
  decodeClientBlocks,
  encodeClientBlocks,
} from '../../../../gateway/rdp/pdu/gcc-client.ts';
import { decodeConnectInitial } from '../../../../gateway/rdp/pdu/mcs.ts';
import { dataReader } from '../../../../gateway/rdp/pdu/x224.ts';
import { hex, toHex } from './hex.ts';
import { specConnectInitial } from './spec-connect.ts';

const oldestCore: ClientCore = {
  version: 0x00080001,
  desktopWidth: 800,
  desktopHeight: 600,
  colorDepth: 0xca01,
  sasSequence: 0xaa03,
  keyboardLayout: 0x407,
  clientBuild: 419,
  clientName: 'desk',
  keyboardType: 4,
  keyboardSubType: 0,
  keyboardFunctionKey: 12,
  imeFileName: '',
};

const newestCore: ClientCore = {
  ...oldestCore,
  postBeta2ColorDepth: 0xca01,
  clientProductId: 1,
  serialNumber: 2,
  highColorDepth: 24,
  supportedColorDepths: 15,
  earlyCapabilityFlags: 0x7ff,
  clientDigProductId: '69712-783-0357974-42714',
  connectionType: 7,
  serverSelectedProtocol: 8,
  desktopPhysicalWidth: 300,
  desktopPhysicalHeight: 200,
  desktopOrientation: 90,
  desktopScaleFactor: 150,
  deviceScaleFactor: 140,
};

const everything: ClientGccBlocks = {
  core: newestCore,
  cluster: { flags: 0x15, redirectedSessionId: 7 },
  security: { encryptionMethods: 0x1b, extEncryptionMethods: 0x10 },
  channels: [
    { name: 'rdpdr', options: ChannelOption.initialized | 0x800000 },
    { name: 'cliprdr', options: 0xc0a00000 },
  ].map(({ name, options }) => ({ name, options: options >>> 0 })),
  monitor: {
    flags: 0,
    monitors: [
      { left: 0, top: 0, right: 1919, bottom: 1079, flags: 1 },
      { left: -1280, top: -100, right: -1, bottom: 923, flags: 0 },
    ],
  },
  monitorEx: {
    flags: 0,
    monitors: [
      {
        physicalWidth: 500,
        physicalHeight: 300,
        orientation: 0,
        desktopScaleFactor: 100,
        deviceScaleFactor: 100,
      },
      {
        physicalWidth: 200,
        physicalHeight: 300,
        orientation: 90,
        desktopScaleFactor: 150,
        deviceScaleFactor: 140,
      },
    ],
  },
  messageChannel: 0,
  multitransport: 0x305,
  unknown: [{ type: 0xc0fe, body: hex('0102030405') }],
};

const decode = (bytes: Uint8Array) => decodeClientBlocks(new Reader(bytes));

/** Blocks with the oldest core, and one more whose body is given. */
function withBlock(type: number, body: string): Uint8Array {
  const writer = new Writer();
  writer.bytes(encodeClientBlocks({ core: oldestCore, unknown: [] }));
  writeBlock(writer, type, (into) => into.bytes(hex(body)));
  return writer.done();
}

describe("the client's blocks", () => {
  test('[MS-RDPBCGR] 4.1.3', () => {
    const { userData } = decodeConnectInitial(dataReader(specConnectInitial));
    const bytes = decodeConferenceCreateRequest(new Reader(userData)).rest();
    const blocks = decode(bytes);
    assert.deepEqual(blocks, {
      core: {
        version: 0x00080004,
        desktopWidth: 1280,
        desktopHeight: 1024,
        colorDepth: 0xca01,
        sasSequence: 0xaa03,
        keyboardLayout: 0x409,
        clientBuild: 3790,
        clientName: 'ELTONS-DEV2',
        keyboardType: 4,
        keyboardSubType: 0,
        keyboardFunctionKey: 12,
        imeFileName: '',
        postBeta2ColorDepth: 0xca01,
        clientProductId: 1,
        serialNumber: 0,
        highColorDepth: 24,
        supportedColorDepths: 7,
        earlyCapabilityFlags: 1,
        clientDigProductId: '69712-783-0357974-42714',
        connectionType: 0,
        serverSelectedProtocol: 0,
      },
      cluster: { flags: 0x0d, redirectedSessionId: 0 },
      security: { encryptionMethods: 0x1b, extEncryptionMethods: 0 },
      channels: [
        { name: 'rdpdr', options: 0x80800000 },
        { name: 'cliprdr', options: 0xc0a00000 },
        { name: 'rdpsnd', options: 0xc0000000 },
      ],
      unknown: [],
    });
    assert.equal(toHex(encodeClientBlocks(blocks)), toHex(bytes));
  });

  test('every block and field comes back', () => {
    assert.deepEqual(decode(encodeClientBlocks(everything)), everything);
  });

  test('what was read does not hang on the input', () => {
    const bytes = encodeClientBlocks(everything);
    const blocks = decode(bytes);
    bytes.fill(0xff);
    assert.deepEqual(blocks, everything);
  });

  test("CS_CORE's optional fields end anywhere", () => {
    // Without any, with each one more.
    const core: Record<string, unknown> = { ...oldestCore };
    const names = Object.keys(newestCore).slice(Object.keys(oldestCore).length);
    const lengths = ['', ...names].map((name) => {
      if (name !== '') core[name] = newestCore[name as keyof ClientCore];
      const blocks: ClientGccBlocks = { core: core as unknown as ClientCore, unknown: [] };
      const bytes = encodeClientBlocks(blocks);
      assert.deepEqual(decode(bytes), blocks, name);
      return bytes.length;
    });
    assert.deepEqual(lengths, [132, 134, 136, 140, 142, 144, 146, 210, 212, 216, 220, 224, 226, 230, 234]);
  });

  test('fields of a later version behind the last one are passed over', () => {
    const bytes = hex(`${toHex(encodeClientBlocks({ core: newestCore, unknown: [] }))}01020304`);
    bytes[2] = bytes.length;
    assert.deepEqual(decode(bytes).core, newestCore);
  });

  test('connectionType is one byte, the padding beside it says nothing', () => {
    const bytes = encodeClientBlocks({ core: newestCore, unknown: [] });
    assert.deepEqual(toHex(bytes.subarray(210, 212)), '0700');
    bytes[211] = 0xff;
    assert.deepEqual(decode(bytes).core, newestCore);
  });

  test('names are cut so that they end', () => {
    const long = encodeClientBlocks({
      ...everything,
      core: { ...oldestCore, clientName: 'a-very-long-computer-name' },
      channels: [{ name: 'toolongname', options: 0 }],
    });
    assert.equal(decode(long).core.clientName, 'a-very-long-com');
    assert.deepEqual(decode(long).channels, [{ name: 'toolong', options: 0 }]);
  });

  test('a name without its end is read as it is written', () => {
    const bytes = withBlock(0xc003, `01000000${toHex(new TextEncoder().encode('cliprdrX'))}00000000`);
    // clientName: 24 bytes into the block.
    bytes.fill(0x41, 24, 56);
    const blocks = decode(bytes);
    assert.deepEqual(blocks.channels, [{ name: 'cliprdr', options: 0 }]);
    assert.equal(blocks.core.clientName, '\u4141'.repeat(15));
    assert.deepEqual(decode(encodeClientBlocks(blocks)), blocks);
  });

  for (const [what, field, type, body] of [
    ['32 channels', 'channelCount', 0xc003, `20000000${'00'.repeat(32 * 12)}`],
    ['fewer channels than said', 'name', 0xc003, `02000000${'00'.repeat(12)}`],
    ['17 monitors', 'monitorCount', 0xc005, `0000000011000000${'00'.repeat(17 * 20)}`],
    ['fewer monitors than said', 'left', 0xc005, '0000000001000000'],
    ['attributes of another size', 'monitorAttributeSize', 0xc008, '000000001800000000000000'],
    ['more attributes than monitors can be', 'monitorCount', 0xc008, '0000000014000000ffffffff'],
    ['half a CS_SECURITY', 'extEncryptionMethods', 0xc002, '00000000'],
    ['half a CS_CLUSTER', 'redirectedSessionID', 0xc004, '00000000'],
    ['an empty CS_MULTITRANSPORT', 'flags', 0xc00a, ''],
    ['a second CS_CORE', 'type', 0xc001, ''],
  ] as const) {
    test(`are refused: ${what}`, () => {
      assert.throws(() => decode(withBlock(type, body)), { name: 'PduError', field });
    });
  }

  test('are refused: no CS_CORE, half a field of it', () => {
    assert.throws(() => decode(hex('04c00c00 0d00000000000000')), { name: 'PduError', field: 'CS_CORE' });
    const bytes = hex(`${toHex(encodeClientBlocks({ core: oldestCore, unknown: [] }))}01`);
    bytes[2] = bytes.length;
    assert.throws(() => decode(bytes), { name: 'PduError', field: 'postBeta2ColorDepth', offset: 132 });
  });
});
