/**
 * Hostile words of targets about redirection, RDSTLS and licences: whatever the bytes are, decoding ends
 * with a value or a PduError, and licensing with a step or a refusal.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { LicenseClient, LicenseRefusedError } from '../../gateway/rdp/back/license-client.ts';
import { PduError, Reader, Writer } from '../../gateway/rdp/pdu/cursor.ts';
import { decodeLicense } from '../../gateway/rdp/pdu/license.ts';
import {
  decodeRdstlsCapabilities,
  decodeRdstlsResponse,
  rdstlsLength,
} from '../../gateway/rdp/pdu/rdstls.ts';
import {
  decodeRedirection,
  encodeEnhancedRedirection,
  encodeRedirection,
  RedirectionFlag,
  readRedirection,
  type ServerRedirectionWithPassword,
} from '../../gateway/rdp/pdu/redirection.ts';
import { decodeServerCertificate } from '../../gateway/rdp/pdu/server-certificate.ts';
import { encodeShareControl, ShareType } from '../../gateway/rdp/pdu/share.ts';
import { damaged, randomFrom } from '../support/random.ts';

/** @returns whether it was understood; anything but `allowed` fails the test */
function understood(
  what: string,
  work: () => unknown,
  allowed: readonly (abstract new (...given: never[]) => Error)[] = [PduError],
): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (allowed.some((kind) => error instanceof kind)) return false;
    throw new Error(`${what}: threw something else`, { cause: error });
  }
}

const F = RedirectionFlag;
const FULL: ServerRedirectionWithPassword = {
  sessionId: 7,
  flags: Object.values(F).reduce((all, flag) => all | flag, 0),
  targetNetAddress: '10.0.0.7',
  loadBalanceInfo: Buffer.from('Cookie: msts=1.2.3\r\n'),
  userName: 'admin',
  domain: 'CORP',
  password: new Uint8Array(40).fill(3),
  targetFqdn: 'win02.corp.example',
  targetNetBiosName: 'WIN02',
  clientTsvUrl: 'tsv://x',
  redirectionGuid: new Uint8Array(48).fill(9),
  targetCertificate: new Uint8Array(100),
  targetNetAddresses: ['10.0.0.7', 'fe80::7'],
};

function written(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer();
  write(writer);
  return writer.done();
}

test('redirections are understood or refused, and say the same when they are written again', () => {
  const seeds = [
    written((writer) => encodeRedirection(writer, FULL)),
    written((writer) =>
      encodeShareControl(writer, ShareType.serverRedirection, 1002, (body) =>
        encodeEnhancedRedirection(body, FULL),
      ),
    ),
  ];
  let read = 0;
  for (let seed = 0; seed < 4000; seed += 1) {
    const bytes = damaged(randomFrom(seed), seeds[seed % 2] ?? assert.fail());
    const what = `seed ${seed}`;
    if (!understood(what, () => readRedirection(bytes, 0))) continue;
    const redirection = readRedirection(bytes, 0);
    if (redirection === undefined) continue;
    read += 1;
    const again = written((writer) => encodeRedirection(writer, redirection));
    assert.ok(isDeepStrictEqual(decodeRedirection(new Reader(again)), redirection), what);
  }
  assert.ok(read > 500, `${read} were read`);
});

test('RDSTLS is understood or refused', () => {
  const seeds = [
    [1, 0, 1, 0, 1, 0, 1, 0],
    [1, 0, 4, 0, 1, 0, 0x2e, 5, 0, 0],
  ];
  for (let seed = 0; seed < 1500; seed += 1) {
    const bytes = damaged(randomFrom(seed), Uint8Array.from(seeds[seed % 2] ?? []));
    for (const decode of [
      () => rdstlsLength(bytes, 0, bytes.length),
      () => decodeRdstlsCapabilities(new Reader(bytes)),
      () => decodeRdstlsResponse(new Reader(bytes)),
    ])
      understood(`seed ${seed}`, decode);
  }
});

const { n } = generateKeyPairSync('rsa', { modulusLength: 512 }).privateKey.export({ format: 'jwk' });
const CERTIFICATE = written((writer) => {
  const modulus = Buffer.from(n ?? '', 'base64url').reverse();
  writer.u32le(1).u32le(1).u32le(1).u16le(6).u16le(92).bytes(Buffer.from('RSA1'));
  writer.u32le(72).u32le(512).u32le(63).u32le(65537).bytes(modulus).zeros(8).u16le(8).u16le(72).zeros(72);
});

/** A licence request, a challenge and a licence, the last two sealed with nobody's key. */
const MESSAGES = [
  [
    0x01,
    (writer: Writer) => {
      writer.zeros(32).u32le(0x60000).u32le(2).zeros(2).u32le(2).zeros(2);
      writer.u16le(0x0d).u16le(4).u32le(1).u16le(3).u16le(CERTIFICATE.length).bytes(CERTIFICATE);
      writer.u32le(1).u16le(0x0e).u16le(1).u8(0);
    },
  ],
  [0x02, (writer: Writer) => writer.u32le(0).u16le(9).u16le(10).zeros(26)],
  [0x03, (writer: Writer) => writer.u16le(9).u16le(40).zeros(56)],
  [0xff, (writer: Writer) => writer.u32le(7).u32le(2).u16le(4).u16le(0)],
] as const;

function message(type: number, body: (writer: Writer) => unknown): Uint8Array {
  return written((writer) => {
    writer.u8(type).u8(3).u16le(0);
    body(writer);
    writer.patchU16le(2, writer.length);
  });
}

test('licensing ends with a step or a refusal, in whatever order its messages come', () => {
  const seeds = MESSAGES.map(([type, body]) => message(type, body));
  let asked = 0;
  for (let seed = 0; seed < 2500; seed += 1) {
    const random = randomFrom(seed);
    const client = new LicenseClient({ userName: 'admin', machineName: 'PC' });
    for (let n = 0; n < 4; n += 1) {
      const real = seeds[n === 0 ? 0 : random(seeds.length)] ?? assert.fail();
      const bytes = random(3) === 0 ? real : damaged(random, real);
      const step = () => client.receive(decodeLicense(new Reader(bytes)));
      if (!understood(`seed ${seed}`, step, [PduError, LicenseRefusedError])) break;
      asked += 1;
    }
    understood(`seed ${seed}`, () => decodeServerCertificate(new Reader(damaged(random, CERTIFICATE))));
  }
  assert.ok(asked > 800, `${asked} steps were taken`);
});
