import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyProtocolError, parseProxyHeader } from '../../../gateway/listener/wire/proxy-protocol.ts';

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));
const v2 = (command: number, family: number, body: number[], length = body.length) =>
  Uint8Array.from([...SIGNATURE, command, family, length >> 8, length & 255, ...body]);
const IN4 = [10, 1, 2, 3, 192, 168, 0, 1, 0x1f, 0x90, 0x11, 0x46];
const V6A = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const V6B = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1];
const IN6 = [...V6A, ...V6B, 0, 1, 0xff, 0xff];
const nobody = { source: undefined, destination: undefined };
const four = {
  source: { address: '10.1.2.3', port: 8080 },
  destination: { address: '192.168.0.1', port: 4422 },
};

const VALID: readonly [string, Uint8Array, object][] = [
  ['v1 tcp4', bytes('PROXY TCP4 10.1.2.3 192.168.0.1 8080 4422\r\n'), four],
  [
    'v1 tcp6',
    bytes('PROXY TCP6 2001:DB8::1 ::ffff:10.0.0.1 0 65535\r\n'),
    { source: { address: '2001:db8::1', port: 0 }, destination: { address: '::ffff:10.0.0.1', port: 65535 } },
  ],
  ['v1 unknown', bytes('PROXY UNKNOWN\r\n'), nobody],
  ['v1 unknown with anything', bytes('PROXY UNKNOWN ffff:f f f\r\n'), nobody],
  ['v2 tcp4', v2(0x21, 0x11, IN4), four],
  [
    'v2 tcp6',
    v2(0x21, 0x21, IN6),
    { source: { address: '2001:db8::1', port: 1 }, destination: { address: '::ffff:10.0.0.1', port: 65535 } },
  ],
  ['v2 with tlvs', v2(0x21, 0x11, [...IN4, 0x04, 0, 2, 1, 2, 0xea, 0, 0]), four],
  ['v2 local', v2(0x20, 0x00, []), nobody],
  ['v2 local with an address', v2(0x20, 0x11, IN4), nobody],
  ['v2 unspec with anything', v2(0x21, 0x00, [1, 2, 3]), nobody],
  ['v2 unix', v2(0x21, 0x31, Array(216).fill(0)), nobody],
  // The checksum was computed over this header by an independent CRC-32c.
  ['v2 with a checksum', v2(0x21, 0x11, [...IN4, 0x03, 0, 4, ...CRC()]), four],
];

/** CRC-32c of the checksum row with its own field zeroed; table-driven, unlike the parser's. */
function CRC(): number[] {
  const table = Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    return c >>> 0;
  });
  let crc = ~0 >>> 0;
  for (const byte of v2(0x21, 0x11, [...IN4, 0x03, 0, 4, 0, 0, 0, 0])) {
    crc = ((table[(crc ^ byte) & 255] ?? 0) ^ (crc >>> 8)) >>> 0;
  }
  const value = ~crc >>> 0;
  return [value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255];
}

for (const [name, header, expected] of VALID) {
  test(`valid: ${name}`, () => {
    const followed = Uint8Array.from([...header, ...bytes('SSH-2.0-x\r\n')]);
    assert.deepEqual(parseProxyHeader(followed), { header: expected, length: header.length });
    for (let cut = 0; cut < header.length; cut++) {
      assert.deepEqual(parseProxyHeader(header.subarray(0, cut)), { need: true }, `cut at ${cut}`);
    }
  });
}

test('addresses are written as RFC 5952 has it', () => {
  const rows: [number[], string][] = [
    [Array(16).fill(0), '::'],
    [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], '::1'],
    [[0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3], '1:0:0:2::3'],
    [[0, 1, 0, 0, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7], '1:0:2:3:4:5:6:7'],
    [[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 'fe80::'],
  ];
  for (const [address, text] of rows) {
    const parsed = parseProxyHeader(v2(0x21, 0x21, [...address, ...V6B, 0, 1, 0, 2]));
    assert.ok('header' in parsed);
    assert.equal(parsed.header.source?.address, text);
  }
});

const INVALID: readonly [string, Uint8Array, RegExp][] = [
  ['an SSH client', bytes('SSH-2.0-OpenSSH_9.2\r\n'), /signature at offset 0/],
  ['one wrong byte', bytes('PROXX'), /signature/],
  ['lower case', bytes('proxy TCP4'), /signature/],
  ['no line feed within the limit', bytes(`PROXY UNKNOWN ${'x'.repeat(120)}`), /no end within 107/],
  ['line feed after the limit', bytes(`PROXY UNKNOWN ${'x'.repeat(100)}\r\n`), /no end within 107/],
  ['bare line feed', bytes('PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n'), /carriage return/],
  ['unknown family', bytes('PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n'), /family/],
  ['too few fields', bytes('PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n'), /5 fields/],
  ['two spaces', bytes('PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n'), /7 fields/],
  ...['256.1.1.1', '1.1.1', '01.1.1.1', '1.1.1.1.', '1.1.1.1.1', '1.1.1.a', '::1', ''].map(
    (address): [string, Uint8Array, RegExp] => [
      `tcp4 source ${address}`,
      bytes(`PROXY TCP4 ${address} 1.1.1.1 1 1\r\n`),
      /source address/,
    ],
  ),
  ...[
    ':',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    ':1:2:3:4:5:6:7',
    '::1.2.3',
    'fe80::1%eth0',
    '1.2.3.4',
    '1:2:3:4:5:6:7::8',
  ].map((address): [string, Uint8Array, RegExp] => [
    `tcp6 source ${address}`,
    bytes(`PROXY TCP6 ${address} ::1 1 1\r\n`),
    /source address/,
  ]),
  ['destination', bytes('PROXY TCP4 1.1.1.1 x 1 1\r\n'), /destination address/],
  ['port too high', bytes('PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n'), /source port/],
  ['port with a zero before', bytes('PROXY TCP4 1.1.1.1 1.1.1.1 1 01\r\n'), /destination port/],
  ['negative port', bytes('PROXY TCP4 1.1.1.1 1.1.1.1 -1 1\r\n'), /source port/],
  ['v2 version 1', v2(0x11, 0x11, IN4), /version at offset 12/],
  ['v2 command 2', v2(0x22, 0x11, IN4), /command at offset 12/],
  ['v2 datagram', v2(0x21, 0x12, IN4), /family at offset 13/],
  ['v2 too short for its family', v2(0x21, 0x21, IN4), /addresses at offset 16/],
  ['v2 too long', v2(0x21, 0x11, IN4, 5000), /length at offset 14/],
  ['v2 tlv cut off', v2(0x21, 0x11, [...IN4, 1, 0]), /tlv at offset 28: cut off/],
  ['v2 tlv past the end', v2(0x21, 0x11, [...IN4, 1, 0, 9, 1]), /run past/],
  ['v2 wrong checksum', v2(0x21, 0x11, [...IN4, 3, 0, 4, 1, 2, 3, 4]), /checksum at offset 28/],
  ['v2 short checksum', v2(0x21, 0x11, [...IN4, 3, 0, 1, 1]), /checksum/],
];
for (const [name, header, reason] of INVALID) {
  test(`invalid: ${name}`, () =>
    assert.throws(
      () => parseProxyHeader(header),
      (error) => error instanceof ProxyProtocolError && reason.test(error.message),
    ));
}
