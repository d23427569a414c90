/** Client and server joined in memory: with every version of CredSSP, bare NTLM and SPNEGO, and with faults. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientBinding, serverBinding } from '../../../../gateway/rdp/credssp/binding.ts';
import { CredSspClient, type CredSspClientOptions } from '../../../../gateway/rdp/credssp/client.ts';
import { contextTag, der, Tag } from '../../../../gateway/rdp/credssp/der.ts';
import { CredSspError } from '../../../../gateway/rdp/credssp/errors.ts';
import { NtlmSession, ntlmHash, sessionBaseKeyOf } from '../../../../gateway/rdp/credssp/ntlm.ts';
import { ntlmAuthenticate, ntlmNegotiate } from '../../../../gateway/rdp/credssp/ntlm-client.ts';
import { decodeAuthenticate } from '../../../../gateway/rdp/credssp/ntlm-messages.ts';
import { ntlmChallenge } from '../../../../gateway/rdp/credssp/ntlm-server.ts';
import {
  CredSspServer,
  type CredSspServerOptions,
  type CredSspServerStep,
} from '../../../../gateway/rdp/credssp/server.ts';
import {
  decodeNegTokenResp,
  encodeNegTokenResp,
  NegState,
  NTLM_OID,
  SPNEGO_OID,
} from '../../../../gateway/rdp/credssp/spnego.ts';
import {
  decodeTsRequest,
  encodeTsCredentials,
  encodeTsRequest,
  type TsRequest,
} from '../../../../gateway/rdp/credssp/ts-request.ts';
import { Reader } from '../../../../gateway/rdp/pdu/cursor.ts';
import { Secret } from '../../../../vault-client/index.ts';
import { ntlmVerify } from './verify.ts';

const KEY = Uint8Array.from({ length: 140 }, (_, index) => (index < 2 ? 0xff : index));

function clientOf(change: Partial<CredSspClientOptions> = {}): CredSspClient {
  const account = { username: 'alice', domain: 'CORP', password: new Secret('Pa55') };
  return new CredSspClient({ ...account, publicKey: KEY, certificateKnown: true, ...change });
}

function serverOf(change: Partial<CredSspServerOptions> = {}): CredSspServer {
  return new CredSspServer({
    publicKey: KEY,
    targetName: 'gateway.example',
    verify: async (proof) =>
      proof.user === 'alice' && proof.domain === 'CORP'
        ? sessionBaseKeyOf(ntlmHash('Pa55'), proof)
        : undefined,
    ...change,
  });
}

type Change = (request: TsRequest) => TsRequest;
const same: Change = (request) => request;

function changed(bytes: Uint8Array, change: Change): Uint8Array {
  return encodeTsRequest(change(decodeTsRequest(new Reader(bytes))));
}

/** Runs a log-on; `up` and `down` may change what travels to the server and to the client. */
async function logOn(
  client: CredSspClient,
  server: CredSspServer,
  up = same,
  down = same,
): Promise<CredSspServerStep> {
  let next = client.start();
  for (;;) {
    const step = await server.receive(changed(next, up));
    if (step.done) return step;
    assert.ok(step.send);
    next = client.receive(changed(step.send, down)).send;
  }
}

function failsWith(code: string, more: Partial<CredSspError> = {}): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof CredSspError, String(error));
    assert.equal(error.code, code, error.message);
    for (const [key, value] of Object.entries(more)) assert.deepEqual(error[key as 'code'], value);
    return true;
  };
}

for (const version of [2, 3, 4, 5, 6]) {
  const older: Change = (request) => ({ ...request, version });

  test(`version ${version}: the client logs on to a server of it`, async () => {
    const withoutNonce: Change = ({ clientNonce, ...request }) => {
      assert.equal(clientNonce !== undefined, version >= 5 && request.pubKeyAuth !== undefined);
      return older({ ...request, ...(clientNonce ? { clientNonce } : {}) });
    };
    const { done } = await logOn(clientOf(), serverOf(), withoutNonce, older);
    assert.equal(done?.user, 'alice');
    assert.equal(done.domain, 'CORP');
    assert.equal(done.delegated.password.expose(), 'Pa55');
    assert.equal(done.delegated.user, 'alice');
    assert.equal(done.delegated.domain, 'CORP');
  });

  test(`version ${version}: another key on the way is noticed by the server`, async () => {
    const server = serverOf({ publicKey: KEY.toReversed() });
    await assert.rejects(logOn(clientOf(), server, older, older), failsWith('binding'));
  });

  test(`version ${version}: a refusal is told where the version can tell it`, async () => {
    const password = new Secret('wrong');
    const failure = await logOn(clientOf({ password }), serverOf(), older, older).catch((error) => error);
    const told = version === 2 || version === 5 ? undefined : { version: 6, errorCode: 0xc000006d };
    failsWith('logon-failed')(failure);
    assert.deepEqual(failure.reply && decodeTsRequest(new Reader(failure.reply)), told);
  });
}

test('without a certificate that was known before, versions below 5 are not spoken to', async () => {
  for (const version of [2, 3, 4]) {
    const older: Change = (request) => ({ ...request, version });
    let verified = 0;
    const server = serverOf({
      verify: async () => {
        verified += 1;
        return undefined;
      },
    });
    const first = logOn(clientOf({ certificateKnown: false }), server, older, older);
    await assert.rejects(first, failsWith('outdated'));
    assert.equal(verified, 0, 'no answer to its challenge was sent');
  }
  await logOn(clientOf({ certificateKnown: false }), serverOf());
});

test('a wrong password, an unknown user and no user at all get the same answer', async () => {
  const refusal = async (change: Partial<CredSspClientOptions>) => {
    const failure = await logOn(clientOf(change), serverOf()).catch((error) => error);
    failsWith('logon-failed', { status: 0xc000006d })(failure);
    return [failure.message, Buffer.from(failure.reply).toString('hex')];
  };
  const wrong = await refusal({ password: new Secret('wrong') });
  assert.deepEqual(await refusal({ username: 'mallory' }), wrong);
  assert.deepEqual(await refusal({ username: '', domain: '', password: new Secret('') }), wrong);
});

test('the key as a number plus one carries', () => {
  const nonce = new Uint8Array(32);
  assert.deepEqual(clientBinding(4, KEY, nonce), KEY);
  assert.deepEqual([...serverBinding(4, KEY, nonce).subarray(0, 4)], [0, 0, 3, 3]);
  assert.notDeepEqual(serverBinding(5, KEY, nonce), clientBinding(5, KEY, nonce));
});

test('the client hands its password to nobody who cannot prove the key', async () => {
  const client = clientOf();
  const server = serverOf();
  const challenge = await server.receive(client.start());
  client.receive(challenge.send ?? assert.fail());
  const forged = encodeTsRequest({
    version: 6,
    pubKeyAuth: new NtlmSession('server', KEY.subarray(0, 16)).seal(KEY),
  });
  assert.throws(() => client.receive(forged), failsWith('binding'));
  assert.throws(() => client.receive(forged), failsWith('protocol'));
});

test('the client hands its password to nobody who reflects its binding', async () => {
  const client = clientOf();
  const { send } = await serverOf().receive(client.start());
  const authenticate = decodeTsRequest(new Reader(client.receive(send ?? assert.fail()).send));
  const { pubKeyAuth } = authenticate;
  assert.ok(pubKeyAuth);
  assert.throws(() => client.receive(encodeTsRequest({ version: 6, pubKeyAuth })), failsWith('binding'));
});

for (const [what, wrong] of [
  ['another key', serverBinding(6, KEY.toReversed(), KEY.subarray(0, 32))],
  ['another nonce', serverBinding(6, KEY, new Uint8Array(32))],
  ["an older version's binding", serverBinding(4, KEY, new Uint8Array(32))],
] as const) {
  test(`the client hands its password to no server that knows it and proves ${what}`, async () => {
    const client = clientOf();
    const negoToken = decodeTsRequest(new Reader(client.start())).negoToken ?? assert.fail();
    const challenge = ntlmChallenge(negoToken, 'target') ?? assert.fail();
    const { send } = client.receive(encodeTsRequest({ version: 6, negoToken: challenge.message }));
    const token = decodeTsRequest(new Reader(send)).negoToken ?? assert.fail();
    const session = ntlmVerify(challenge, token, decodeAuthenticate(token), ntlmHash('Pa55'));
    const pubKeyAuth = session?.seal(wrong) ?? assert.fail();
    assert.throws(() => client.receive(encodeTsRequest({ version: 6, pubKeyAuth })), failsWith('binding'));
  });
}

const STATUSES: readonly [number, string][] = [
  [0xc000006d, 'logon-failed'],
  [0xc000006a, 'logon-failed'],
  [0xc0000071, 'password-expired'],
  [0xc0000224, 'must-change'],
  [0xc0000072, 'account-disabled'],
  [0xc0000193, 'account-expired'],
  [0xc0000234, 'account-locked'],
  [0xc000006e, 'restricted'],
  [0xc000015b, 'restricted'],
  [0xc0000418, 'not-supported'],
  [0x80090311, 'no-authority'],
  [0x8009030f, 'binding'],
  [0xc0000022, 'restricted'],
  [0x80090308, 'protocol'],
];
for (const [status, code] of STATUSES) {
  test(`the status ${status.toString(16)} of a target is ${code}`, () => {
    const client = clientOf();
    client.start();
    const refusal = encodeTsRequest({ version: 6, errorCode: status });
    assert.throws(() => client.receive(refusal), failsWith(code, { status }));
  });
}

test('a target that closes the connection on the password refuses it', async () => {
  const client = clientOf();
  const { send } = await serverOf().receive(client.start());
  assert.equal(client.closed().code, 'protocol');
  client.receive(send ?? assert.fail());
  assert.equal(client.closed().code, 'logon-failed');
});

const FAULTS: readonly [string, number, Change][] = [
  ['no token', 0, ({ version }) => ({ version })],
  ['a token that is neither NTLM nor SPNEGO', 0, (request) => ({ ...request, negoToken: KEY })],
  ['no answer to the challenge', 1, ({ negoToken: _, ...request }) => request],
  ['no binding', 1, ({ pubKeyAuth: _, ...request }) => request],
  ['no nonce', 1, ({ clientNonce: _, ...request }) => request],
  ['a short nonce', 1, (request) => ({ ...request, clientNonce: KEY.subarray(0, 31) })],
  ['an older version than it began with', 1, (request) => ({ ...request, version: 2 })],
  ['no credentials', 2, ({ authInfo: _, ...request }) => request],
  ['credentials that were changed', 2, (request) => ({ ...request, authInfo: KEY })],
];
for (const [what, at, fault] of FAULTS) {
  test(`the server refuses a client with ${what}`, async () => {
    let round = 0;
    const server = serverOf();
    const up: Change = (request) => (round++ === at ? fault(request) : request);
    await assert.rejects(logOn(clientOf(), server, up), failsWith('protocol'));
    await assert.rejects(server.receive(clientOf().start()), failsWith('protocol'));
  });
}

test('another nonce than the one that was hashed is noticed', async () => {
  const up: Change = (request) =>
    request.clientNonce ? { ...request, clientNonce: KEY.subarray(0, 32) } : request;
  await assert.rejects(logOn(clientOf(), serverOf(), up), failsWith('binding', { status: 0x8009030f }));
});

test('the memory of a message may be used again while the proof is verified', async () => {
  let wiped: Uint8Array = new Uint8Array();
  const server = serverOf({
    verify: async (proof) => {
      wiped.fill(0);
      return sessionBaseKeyOf(ntlmHash('Pa55'), proof);
    },
  });
  const client = clientOf();
  let next = client.start();
  for (;;) {
    wiped = Uint8Array.from(next);
    const { send, done } = await server.receive(wiped);
    wiped.fill(0);
    if (done) break;
    next = client.receive(send ?? assert.fail()).send;
  }
});

test('what the verifier throws comes out as it is', async () => {
  const broken = new Error('the store is gone');
  const server = serverOf({ verify: () => Promise.reject(broken) });
  await assert.rejects(logOn(clientOf(), server), (error) => error === broken);
});

const KERBEROS_OID = Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2);

function initialToken(mechTypeList: Uint8Array, mechToken?: Uint8Array): Uint8Array {
  const fields = [der(contextTag(0), mechTypeList)];
  if (mechToken) fields.push(der(contextTag(2), der(Tag.octetString, mechToken)));
  return der(Tag.application0, der(Tag.oid, SPNEGO_OID), der(contextTag(0), der(Tag.sequence, ...fields)));
}

/** A client that speaks SPNEGO, step by step, to a server of ours. */
class SpnegoClient {
  readonly mechTypeList: Uint8Array;
  readonly #server: CredSspServer;
  readonly #negotiate = ntlmNegotiate();
  session: NtlmSession | undefined;

  constructor(oids: readonly Uint8Array[], server = serverOf()) {
    this.mechTypeList = der(Tag.sequence, ...oids.map((oid) => der(Tag.oid, oid)));
    this.#server = server;
  }

  async send(request: Omit<TsRequest, 'version'>): Promise<TsRequest> {
    const { send } = await this.#server.receive(encodeTsRequest({ version: 6, ...request }));
    return decodeTsRequest(new Reader(send ?? assert.fail()));
  }

  async token(token: Uint8Array) {
    const { negoToken } = await this.send({ negoToken: token });
    return decodeNegTokenResp(new Reader(negoToken ?? assert.fail()));
  }

  /** Begins with NTLM, or with a token of another mechanism when that is preferred. */
  begin(mechToken: Uint8Array | undefined = this.#negotiate) {
    return this.token(initialToken(this.mechTypeList, mechToken));
  }

  beginNtlm() {
    return this.token(encodeNegTokenResp({ responseToken: this.#negotiate }));
  }

  authenticate(challenge: Uint8Array | undefined, mic: 'mic' | 'no mic' | 'wrong mic'): Uint8Array {
    const account = { user: 'alice', domain: 'CORP', password: 'Pa55' };
    const answer = ntlmAuthenticate(this.#negotiate, challenge ?? assert.fail(), account) ?? assert.fail();
    this.session = answer.session;
    const signed = mic === 'wrong mic' ? this.mechTypeList.subarray(1) : this.mechTypeList;
    const mechListMic = mic === 'no mic' ? undefined : answer.session.sign(signed);
    return encodeNegTokenResp({ responseToken: answer.message, ...(mechListMic ? { mechListMic } : {}) });
  }

  /** The rest, behind the tokens. */
  async finish(binding?: TsRequest) {
    const { session } = this;
    assert.ok(session);
    const answer = binding ?? (await this.send(this.binding()));
    assert.equal(answer.negoToken, undefined);
    assert.deepEqual(
      Buffer.from(session.unseal(answer.pubKeyAuth ?? assert.fail()) ?? []),
      Buffer.from(serverBinding(6, KEY, KEY.subarray(0, 32))),
    );
    const credentials = encodeTsCredentials({ domain: 'CORP', user: 'alice', password: 'Pa55' });
    const request = encodeTsRequest({ version: 6, authInfo: session.seal(credentials) });
    const { done } = await this.#server.receive(request);
    assert.equal(done?.delegated.password.expose(), 'Pa55');
  }

  binding() {
    const clientNonce = KEY.subarray(0, 32);
    return {
      pubKeyAuth: this.session?.seal(clientBinding(6, KEY, clientNonce)) ?? assert.fail(),
      clientNonce,
    };
  }
}

test('SPNEGO with NTLM first: signed, binding behind the last token', async () => {
  const client = new SpnegoClient([NTLM_OID]);
  const challenge = await client.begin();
  assert.equal(challenge.negState, NegState.acceptIncomplete);
  assert.deepEqual(challenge.supportedMech, NTLM_OID);
  const last = await client.token(client.authenticate(challenge.responseToken, 'mic'));
  assert.equal(last.negState, NegState.acceptCompleted);
  assert.ok(client.session?.verify(client.mechTypeList, last.mechListMic ?? assert.fail()));
  client.session?.restartCiphers();
  await client.finish();
});

test('SPNEGO with NTLM first: not signed, binding beside the last token', async () => {
  const client = new SpnegoClient([NTLM_OID, KERBEROS_OID]);
  const { responseToken } = await client.begin();
  const negoToken = client.authenticate(responseToken, 'no mic');
  await client.finish(await client.send({ negoToken, ...client.binding() }));
});

test('SPNEGO with Kerberos first: the choice of NTLM must be signed', async () => {
  const begin = async () => {
    const client = new SpnegoClient([KERBEROS_OID, NTLM_OID]);
    const first = await client.begin(Uint8Array.of(0x60, 1, 2));
    assert.deepEqual(first, { negState: NegState.requestMic, supportedMech: NTLM_OID });
    const { responseToken, ...rest } = await client.beginNtlm();
    assert.deepEqual(rest, { negState: NegState.acceptIncomplete });
    return { client, responseToken };
  };
  const good = await begin();
  const last = await good.client.token(good.client.authenticate(good.responseToken, 'mic'));
  assert.ok(good.client.session?.verify(good.client.mechTypeList, last.mechListMic ?? assert.fail()));
  good.client.session?.restartCiphers();
  await good.client.finish();
  for (const mic of ['no mic', 'wrong mic'] as const) {
    const { client, responseToken } = await begin();
    await assert.rejects(client.token(client.authenticate(responseToken, mic)), failsWith('protocol'));
  }
});

test('SPNEGO without NTLM, and a client that never begins it, are refused', async () => {
  await assert.rejects(new SpnegoClient([KERBEROS_OID]).begin(KEY), failsWith('protocol'));
  const client = new SpnegoClient([KERBEROS_OID, NTLM_OID]);
  await client.begin(KEY);
  await assert.rejects(client.token(encodeNegTokenResp({})), failsWith('protocol'));
});
