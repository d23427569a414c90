/** What real peers said to each other, from the server's point of view: every byte of an answer must come out again. */
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { clientBinding, serverBinding } from '../../../../gateway/rdp/credssp/binding.ts';
import { type NtlmSession, ntlmHash } from '../../../../gateway/rdp/credssp/ntlm.ts';
import { decodeAuthenticate, isNtlmMessage } from '../../../../gateway/rdp/credssp/ntlm-messages.ts';
import { subjectPublicKeyOf } from '../../../../gateway/rdp/credssp/public-key.ts';
import { decodeNegTokenResp, SpnegoAcceptor } from '../../../../gateway/rdp/credssp/spnego.ts';
import {
  decodeTsCredentials,
  decodeTsRequest,
  type TsPasswordCreds,
  type TsRequest,
} from '../../../../gateway/rdp/credssp/ts-request.ts';
import { Reader } from '../../../../gateway/rdp/pdu/cursor.ts';
import { loadTrace, traceInfo } from '../../../support/rdp-traces.ts';
import { ntlmVerify } from './verify.ts';

interface Connection {
  readonly publicKey: Uint8Array;
  readonly password: string;
  /** A client's message, and the answer to it where there is one. */
  readonly rounds: readonly (readonly [TsRequest, TsRequest | undefined])[];
}

function rounds(
  messages: readonly { readonly from: string; readonly bytes: Uint8Array }[],
): Connection['rounds'] {
  return messages.flatMap(({ from, bytes }, index) => {
    if (from !== 'client') return [];
    const answer = messages[index + 1]?.bytes;
    const decode = (request: Uint8Array) => decodeTsRequest(new Reader(request));
    return [[decode(bytes), answer && decode(answer)] as const];
  });
}

/** Plays the server with the challenge that the real one made. Undefined when it must refuse. */
function replay({ publicKey, password, rounds }: Connection): TsPasswordCreds | undefined {
  const acceptor = new SpnegoAcceptor();
  let negotiate = new Uint8Array();
  let challenge = new Uint8Array();
  let session: NtlmSession | undefined;
  let credentials: TsPasswordCreds | undefined;
  for (const [request, answer] of rounds) {
    const { version, negoToken, pubKeyAuth, clientNonce = new Uint8Array(), authInfo } = request;
    if (negoToken) {
      const { message, mechListMic } = acceptor.open(negoToken);
      if (message?.[8] === 3) {
        const open = { negotiate, message: challenge, serverChallenge: challenge.subarray(24, 32) };
        session = ntlmVerify(open, message, decodeAuthenticate(message), ntlmHash(password));
        if (!session) return undefined;
        const last = acceptor.complete(session, mechListMic);
        if (!pubKeyAuth) assert.deepEqual(bufferOf(answer?.negoToken), bufferOf(last));
      } else {
        const token = answer?.negoToken ?? assert.fail();
        const made = isNtlmMessage(token) ? token : decodeNegTokenResp(new Reader(token)).responseToken;
        if (message && made) [negotiate, challenge] = [Uint8Array.from(message), Uint8Array.from(made)];
        assert.deepEqual(bufferOf(acceptor.answer(made)), bufferOf(token));
      }
    }
    if (pubKeyAuth) {
      assert.ok(session);
      const given = session.unseal(pubKeyAuth);
      assert.deepEqual(bufferOf(given), bufferOf(clientBinding(version, publicKey, clientNonce)));
      const own = session.seal(serverBinding(version, publicKey, clientNonce));
      assert.deepEqual(bufferOf(answer?.pubKeyAuth), bufferOf(own));
    }
    if (authInfo)
      credentials = decodeTsCredentials(
        new Reader(session?.unseal(authInfo) ?? assert.fail('wrong signature')),
      );
  }
  return credentials;
}

const bufferOf = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes);

test('xfreerdp and freerdp-shadow', () => {
  const { user, password, publicKey } = traceInfo('shadow-nla');
  const info = { key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' } as const;
  const connection = {
    publicKey: createPublicKey(info).export({ type: 'pkcs1', format: 'der' }),
    password,
    rounds: rounds(loadTrace('shadow-nla').filter(({ bytes }) => bytes[0] === 0x30)),
  };
  assert.deepEqual(replay(connection), { domain: '', user, password });
  assert.equal(replay({ ...connection, password: `${password} ` }), undefined);
});

interface Fixture {
  readonly user: string;
  readonly domain: string;
  readonly password: string;
  readonly certificate: string;
  readonly connections: readonly { readonly client: string; readonly messages: readonly string[] }[];
}
const FILE = join(import.meta.dirname, '../../../fixtures/rdp/credssp.json');
const { user, domain, password, certificate, connections }: Fixture = JSON.parse(readFileSync(FILE, 'utf8'));

for (const { client, messages } of connections) {
  test(client, () => {
    const connection = {
      publicKey: subjectPublicKeyOf(Buffer.from(certificate, 'base64')),
      password,
      rounds: rounds(
        messages.map((message) => ({
          from: message.startsWith('c:') ? 'client' : 'server',
          bytes: Buffer.from(message.slice(2), 'base64'),
        })),
      ),
    };
    assert.deepEqual(replay(connection), { domain, user, password });
    assert.equal(replay({ ...connection, password: `${password} ` }), undefined);
  });
}
