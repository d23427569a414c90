/**
 * Hostile CredSSP: whatever arrives, decoders throw a PduError or return, and a log-on fails with a CredSspError or
 * goes on; never anything else.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CredSspClient } from '../../gateway/rdp/credssp/client.ts';
import { contextTag, der, Tag } from '../../gateway/rdp/credssp/der.ts';
import { CredSspError } from '../../gateway/rdp/credssp/errors.ts';
import { type NtlmProof, ntlmHash, sessionBaseKeyOf } from '../../gateway/rdp/credssp/ntlm.ts';
import { ntlmAuthenticate, ntlmNegotiate } from '../../gateway/rdp/credssp/ntlm-client.ts';
import {
  decodeAuthenticate,
  decodeChallenge,
  decodeNegotiate,
} from '../../gateway/rdp/credssp/ntlm-messages.ts';
import { ntlmChallenge } from '../../gateway/rdp/credssp/ntlm-server.ts';
import { subjectPublicKeyOf } from '../../gateway/rdp/credssp/public-key.ts';
import { CredSspServer } from '../../gateway/rdp/credssp/server.ts';
import {
  decodeNegTokenInit,
  decodeNegTokenResp,
  encodeNegTokenResp,
  NTLM_OID,
  SPNEGO_OID,
} from '../../gateway/rdp/credssp/spnego.ts';
import {
  decodeTsCredentials,
  decodeTsRequest,
  encodeTsCredentials,
  encodeTsRequest,
  tsRequestLength,
} from '../../gateway/rdp/credssp/ts-request.ts';
import { PduError, Reader } from '../../gateway/rdp/pdu/cursor.ts';
import { Secret } from '../../vault-client/index.ts';
import { seeded } from '../support/random.ts';
import { RSA_CERTIFICATE } from '../unit/rdp/credssp/certificates.ts';

/** Some bytes changed, put in or cut out, mostly where lengths and tags are. */
function damaged(bytes: Uint8Array, random: () => number): Uint8Array {
  const below = (limit: number) => Math.floor(random() * limit);
  const out = [...bytes];
  for (let n = 1 + below(3); n > 0; n--) {
    const at = below(below(2) === 0 ? Math.min(out.length, 100) : out.length);
    const odd = [0, 1, 0x7f, 0x80, 0x84, 0xff, below(256)][below(7)] ?? 0;
    const kind = below(8);
    if (kind === 0) out.length = at;
    else if (kind === 1) out.splice(at, below(9));
    else if (kind === 2) out.splice(at, 0, odd, below(256));
    else out[at] = odd;
  }
  return Uint8Array.from(out);
}

const KEY = subjectPublicKeyOf(RSA_CERTIFICATE);
const ACCOUNT = { user: 'alice', domain: 'CORP', password: 'Pa55', targetName: 'TERMSRV/x' };
const NEGOTIATE = ntlmNegotiate();
const CHALLENGE = ntlmChallenge(NEGOTIATE, 'gateway.example')?.message ?? assert.fail();
const AUTHENTICATE = ntlmAuthenticate(NEGOTIATE, CHALLENGE, ACCOUNT)?.message ?? assert.fail();
const MECH_TYPES = der(contextTag(0), der(Tag.sequence, der(Tag.oid, SPNEGO_OID), der(Tag.oid, NTLM_OID)));
const INIT_FIELDS = der(Tag.sequence, MECH_TYPES, der(contextTag(2), der(Tag.octetString, NEGOTIATE)));
const INIT = der(Tag.application0, der(Tag.oid, SPNEGO_OID), der(contextTag(0), INIT_FIELDS));

const DECODERS: readonly [string, Uint8Array, (bytes: Uint8Array) => unknown][] = [
  ['NEGOTIATE', NEGOTIATE, decodeNegotiate],
  ['CHALLENGE', CHALLENGE, decodeChallenge],
  ['AUTHENTICATE', AUTHENTICATE, decodeAuthenticate],
  ['NegTokenInit', INIT, (bytes) => decodeNegTokenInit(new Reader(bytes))],
  [
    'NegTokenResp',
    encodeNegTokenResp({
      negState: 1,
      supportedMech: NTLM_OID,
      responseToken: NEGOTIATE,
      mechListMic: NEGOTIATE,
    }),
    (bytes) => decodeNegTokenResp(new Reader(bytes)),
  ],
  [
    'TSRequest',
    encodeTsRequest({ version: 6, negoToken: AUTHENTICATE, pubKeyAuth: KEY, errorCode: 1, clientNonce: KEY }),
    (bytes) => {
      tsRequestLength(bytes);
      return decodeTsRequest(new Reader(bytes));
    },
  ],
  ['TSCredentials', encodeTsCredentials(ACCOUNT), (bytes) => decodeTsCredentials(new Reader(bytes))],
  ['certificate', RSA_CERTIFICATE, subjectPublicKeyOf],
];
for (const [name, sample, decode] of DECODERS) {
  test(`damaged ${name}`, () => {
    decode(sample);
    let refused = 0;
    for (let seed = 0; seed < 2000; seed++) {
      try {
        decode(damaged(sample, seeded(seed)));
      } catch (error) {
        assert.ok(error instanceof PduError, `seed ${seed}: ${error}`);
        refused++;
      }
    }
    assert.ok(refused > 100, `only ${refused} were refused`);
  });
}

test('log-ons with damage in either direction end in an orderly way', async () => {
  let failed = 0;
  for (let seed = 0; seed < 600; seed++) {
    const random = seeded(seed);
    const client = new CredSspClient({
      username: 'alice',
      domain: 'CORP',
      password: new Secret('Pa55'),
      publicKey: KEY,
    });
    const verify = async (proof: NtlmProof) => sessionBaseKeyOf(ntlmHash('Pa55'), proof);
    const server = new CredSspServer({ publicKey: KEY, targetName: 'gateway.example', verify });
    const maybe = (bytes: Uint8Array) => (random() < 0.3 ? damaged(bytes, random) : bytes);
    try {
      let up = client.start();
      for (let round = 0; round < 3; round++) {
        const { send, done } = await server.receive(maybe(up));
        if (done) break;
        up = client.receive(maybe(send ?? assert.fail(`seed ${seed}`))).send;
      }
    } catch (error) {
      assert.ok(error instanceof CredSspError, `seed ${seed}: ${error}`);
      failed++;
    }
  }
  assert.ok(failed > 100 && failed < 600, `${failed} failed`);
});

test('damaged NTLM in SPNEGO, with damage that its own decoders let pass', async () => {
  let refused = 0;
  for (let seed = 0; seed < 400; seed++) {
    const random = seeded(seed);
    const verify = async (proof: NtlmProof) => sessionBaseKeyOf(ntlmHash('Pa55'), proof);
    const server = new CredSspServer({ publicKey: KEY, targetName: 'gateway.example', verify });
    try {
      await server.receive(encodeTsRequest({ version: 6, negoToken: damaged(INIT, random) }));
      const negoToken = encodeNegTokenResp({ responseToken: damaged(AUTHENTICATE, random) });
      await server.receive(encodeTsRequest({ version: 6, negoToken }));
    } catch (error) {
      assert.ok(error instanceof CredSspError, `seed ${seed}: ${error}`);
      refused++;
    }
  }
  assert.equal(refused, 400);
});
