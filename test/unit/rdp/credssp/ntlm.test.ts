/** The examples of [MS-NLMP] 4.2.4, and what must not be accepted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  encodeClientChallenge,
  flagsSuffice,
  hmacMd5,
  NtlmSession,
  ntlmHash,
  ntlmProof,
  ntowfv2,
  OFFERED_FLAGS,
  windowsTime,
} from '../../../../gateway/rdp/credssp/ntlm.ts';
import { ntlmAuthenticate, ntlmNegotiate } from '../../../../gateway/rdp/credssp/ntlm-client.ts';
import {
  AvId,
  decodeAuthenticate,
  decodeAvPairs,
  decodeChallenge,
  decodeNegotiate,
  encodeAuthenticate,
  encodeAvPairs,
  encodeChallenge,
  encodeNegotiate,
  isNtlmMessage,
  MIC_OFFSET,
  NtlmFlag,
  utf16,
} from '../../../../gateway/rdp/credssp/ntlm-messages.ts';
import { type NtlmChallenge, ntlmChallenge } from '../../../../gateway/rdp/credssp/ntlm-server.ts';
import { Rc4 } from '../../../../gateway/rdp/credssp/rc4.ts';
import { PduError, Reader } from '../../../../gateway/rdp/pdu/cursor.ts';
import { ntlmVerify } from './verify.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const unhex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

const SERVER_CHALLENGE = unhex('0123456789abcdef');
const SESSION_KEY = new Uint8Array(16).fill(0x55);
const TARGET_INFO = [
  { id: AvId.nbDomainName, value: utf16('Domain') },
  { id: AvId.nbComputerName, value: utf16('Server') },
];
const CLIENT_CHALLENGE = encodeClientChallenge({
  time: 0n,
  challenge: new Uint8Array(8).fill(0xaa),
  avPairs: encodeAvPairs(TARGET_INFO),
});
const RESPONSE_KEY = ntowfv2(ntlmHash('Password'), 'User', 'Domain');

test('4.2.4.1.1: the hash bound to user and domain', () => {
  assert.equal(hex(ntlmHash('Password')), 'a4f49c406510bdcab6824ee7c30fd852');
  assert.equal(hex(RESPONSE_KEY), '0c868a403bfd7a93a3001ef22ef02e3f');
});

test('4.2.4.1.2 and 4.2.4.2: proof, session base key and encrypted session key', () => {
  const { proof, sessionBaseKey } = ntlmProof(RESPONSE_KEY, SERVER_CHALLENGE, CLIENT_CHALLENGE);
  assert.equal(hex(proof), '68cd0ab851e51c96aabc927bebef6a1c');
  assert.equal(hex(sessionBaseKey), '8de40ccadbc14a82f15cb0ad0de95ca3');
  assert.equal(hex(new Rc4(sessionBaseKey).apply(SESSION_KEY)), 'c5dad2544fc9799094ce1ce90bc9d03e');
});

test('4.2.4.4: the first sealed message', () => {
  const sealed = new NtlmSession('client', SESSION_KEY).seal(utf16('Plaintext'));
  assert.equal(hex(sealed), '010000007fb38ec5c55d497600000000' + '54e50165bf1936dc996020c1811b0f06fb5f');
});

test('user names count in upper case, as Windows has it, and domains as they are', () => {
  const hash = ntlmHash('x');
  assert.deepEqual(ntowfv2(hash, 'usEr', 'Domain'), ntowfv2(hash, 'USER', 'Domain'));
  assert.deepEqual(ntowfv2(hash, 'günther', ''), ntowfv2(hash, 'GÜNTHER', ''));
  assert.notDeepEqual(ntowfv2(hash, 'user', 'domain'), ntowfv2(hash, 'user', 'DOMAIN'));
  // Windows raises one unit to one unit: there is no capital for the sharp s, and "SS" is another name.
  assert.notDeepEqual(ntowfv2(hash, 'weiß', ''), ntowfv2(hash, 'weiss', ''));
});

test('Windows counts from 1601', () => {
  assert.equal(windowsTime(0), 116_444_736_000_000_000n);
  assert.equal(windowsTime(1), 116_444_736_000_010_000n);
});

test('sealed messages open in order, in both directions', () => {
  const client = new NtlmSession('client', SESSION_KEY);
  const server = new NtlmSession('server', SESSION_KEY);
  for (const text of ['one', 'two', '']) {
    assert.equal(Buffer.from(server.unseal(client.seal(Buffer.from(text))) ?? 'no').toString(), text);
    assert.equal(Buffer.from(client.unseal(server.seal(Buffer.from(text))) ?? 'no').toString(), text);
  }
  const skipped = client.seal(Buffer.from('lost'));
  assert.equal(skipped.length, 20);
  assert.equal(server.unseal(client.seal(Buffer.from('three'))), undefined);
});

test('a changed, replayed, cut or reflected message does not open', () => {
  const fresh = () => ({
    client: new NtlmSession('client', SESSION_KEY),
    server: new NtlmSession('server', SESSION_KEY),
  });
  for (const at of [0, 4, 12, 16, 20]) {
    const { client, server } = fresh();
    const sealed = client.seal(Buffer.from('words'));
    sealed[at] = (sealed[at] ?? 0) ^ 1;
    assert.equal(server.unseal(sealed), undefined, `byte ${at}`);
  }
  const { client, server } = fresh();
  const sealed = client.seal(Buffer.from('words'));
  assert.equal(client.unseal(sealed), undefined);
  assert.ok(server.unseal(sealed));
  assert.equal(server.unseal(sealed), undefined);
  assert.equal(fresh().server.unseal(sealed.subarray(0, 15)), undefined);
});

test('the ciphers begin again after SPNEGO signatures, the counting does not', () => {
  const client = new NtlmSession('client', SESSION_KEY);
  const server = new NtlmSession('server', SESSION_KEY);
  assert.ok(server.verify(utf16('list'), client.sign(utf16('list'))));
  client.restartCiphers();
  const sealed = client.seal(utf16('Plaintext'));
  assert.equal(hex(sealed.subarray(16)), '54e50165bf1936dc996020c1811b0f06fb5f');
  assert.equal(hex(sealed.subarray(12, 16)), '01000000');
  assert.equal(server.unseal(sealed), undefined);
});

test('messages go there and back', () => {
  const negotiate = ntlmNegotiate();
  assert.equal(negotiate.length, 40);
  assert.ok(isNtlmMessage(negotiate));
  assert.equal(decodeNegotiate(negotiate), OFFERED_FLAGS);
  const challenge = {
    flags: OFFERED_FLAGS,
    targetName: 'SERVER',
    serverChallenge: SERVER_CHALLENGE,
    targetInfo: TARGET_INFO,
  };
  assert.deepEqual(decodeChallenge(encodeChallenge(challenge)), challenge);
  const authenticate = {
    flags: OFFERED_FLAGS,
    domain: 'Domain',
    user: 'Üser',
    workstation: 'COMPUTER',
    lmResponse: new Uint8Array(24),
    ntResponse: new Uint8Array(60).fill(7),
    encryptedSessionKey: SESSION_KEY,
  };
  assert.deepEqual(decodeAuthenticate(encodeAuthenticate(authenticate)), authenticate);
});

test('messages that point outside themselves, or are none, are refused', () => {
  const challenge = encodeChallenge({
    flags: 0,
    targetName: 'S',
    serverChallenge: SERVER_CHALLENGE,
    targetInfo: TARGET_INFO,
  });
  const outside = Uint8Array.from(challenge);
  new DataView(outside.buffer).setUint32(44, challenge.length - 1, true);
  assert.throws(() => decodeChallenge(outside), /TargetInfoBufferOffset .* for 36 bytes/);
  assert.throws(() => decodeChallenge(ntlmNegotiate()), /MessageType at offset 8 is 1 instead of 2/);
  assert.throws(() => decodeNegotiate(new Uint8Array(40)), /Signature at offset 0 is not NTLMSSP/);
  assert.throws(() => decodeNegotiate(challenge.subarray(0, 5)), PduError);
  assert.throws(() => decodeAvPairs(new Reader(encodeAvPairs(TARGET_INFO).subarray(0, -4))), PduError);
});

test('only the strong form will do', () => {
  assert.ok(flagsSuffice(OFFERED_FLAGS));
  for (const flag of [
    'unicode',
    'seal',
    'ntlm',
    'extendedSessionSecurity',
    'key128',
    'keyExchange',
  ] as const) {
    const weaker = (OFFERED_FLAGS & ~NtlmFlag[flag]) >>> 0;
    assert.equal(ntlmChallenge(encodeNegotiate(weaker), 'gateway'), undefined, flag);
    const challenge = encodeChallenge({
      flags: weaker,
      targetName: 'S',
      serverChallenge: SERVER_CHALLENGE,
      targetInfo: [],
    });
    const account = { user: 'u', domain: '', password: 'p' };
    assert.equal(ntlmAuthenticate(ntlmNegotiate(), challenge, account), undefined, flag);
  }
});

function challengeOf(negotiate: Uint8Array): NtlmChallenge {
  const challenge = ntlmChallenge(negotiate, 'gateway-with-a-long-name.example');
  assert.ok(challenge);
  return challenge;
}

function answer(challenge: NtlmChallenge, negotiate: Uint8Array) {
  const account = { user: 'alice', domain: 'CORP', password: 'Pa55', targetName: 'TERMSRV/gateway' };
  const authenticated = ntlmAuthenticate(negotiate, challenge.message, account);
  assert.ok(authenticated);
  return authenticated;
}

test('the challenge names the gateway and tells the time', () => {
  const { targetName, targetInfo } = decodeChallenge(challengeOf(ntlmNegotiate()).message);
  assert.equal(targetName, 'GATEWAY-WITH-A-');
  assert.deepEqual(
    targetInfo.map(({ id }) => id),
    [AvId.nbDomainName, AvId.nbComputerName, AvId.dnsDomainName, AvId.dnsComputerName, AvId.timestamp],
  );
});

test('the client answers with the pairs of the server, the MIC bit and the name that it dialled', () => {
  const negotiate = ntlmNegotiate();
  const challenge = challengeOf(negotiate);
  const { ntResponse } = decodeAuthenticate(answer(challenge, negotiate).message);
  const pairs = decodeAvPairs(new Reader(ntResponse, 44));
  const given = decodeChallenge(challenge.message).targetInfo;
  assert.deepEqual(pairs.slice(0, given.length), given);
  assert.deepEqual(pairs.slice(given.length), [
    { id: AvId.flags, value: unhex('02000000') },
    { id: AvId.channelBindings, value: new Uint8Array(16) },
    { id: AvId.targetName, value: utf16('TERMSRV/gateway') },
  ]);
  // The time of the answer is the server's.
  assert.deepEqual(ntResponse.subarray(24, 32), given.at(-1)?.value);
});

test('the right password gives both sides the same session, the wrong one none', () => {
  const negotiate = ntlmNegotiate();
  const challenge = challengeOf(negotiate);
  const { message, session } = answer(challenge, negotiate);
  const decoded = decodeAuthenticate(message);
  const own = ntlmVerify(challenge, message, decoded, ntlmHash('Pa55'));
  assert.equal(Buffer.from(own?.unseal(session.seal(Buffer.from('hello'))) ?? []).toString(), 'hello');
  assert.equal(ntlmVerify(challenge, message, decoded, ntlmHash('pa55')), undefined);
  assert.equal(ntlmVerify(challengeOf(negotiate), message, decoded, ntlmHash('Pa55')), undefined);
});

test('a change on the way to any of the three messages is noticed', () => {
  const negotiate = ntlmNegotiate();
  const challenge = challengeOf(negotiate);
  const { message } = answer(challenge, negotiate);
  const hash = ntlmHash('Pa55');
  const check = (others: NtlmChallenge, bytes: Uint8Array) =>
    ntlmVerify(others, bytes, decodeAuthenticate(bytes), hash);
  const flipped = (bytes: Uint8Array, at: number) =>
    bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));
  assert.ok(check(challenge, message));
  assert.equal(check({ ...challenge, negotiate: flipped(negotiate, 13) }, message), undefined);
  assert.equal(check({ ...challenge, message: flipped(challenge.message, 21) }, message), undefined);
  assert.equal(check(challenge, flipped(message, 60)), undefined);
  assert.equal(check(challenge, flipped(message, MIC_OFFSET)), undefined);
});

test('a client without a MIC is taken when it says so under its proof; NTLMv1 and odd keys are not', () => {
  const { proof, sessionBaseKey } = ntlmProof(RESPONSE_KEY, SERVER_CHALLENGE, CLIENT_CHALLENGE);
  const message = {
    flags: OFFERED_FLAGS,
    domain: 'Domain',
    user: 'User',
    workstation: 'COMPUTER',
    lmResponse: hmacMd5(RESPONSE_KEY, SERVER_CHALLENGE),
    ntResponse: Uint8Array.from([...proof, ...CLIENT_CHALLENGE]),
    encryptedSessionKey: new Rc4(sessionBaseKey).apply(SESSION_KEY),
  };
  const challenge = { ...challengeOf(ntlmNegotiate()), serverChallenge: SERVER_CHALLENGE };
  const verify = (change: Partial<typeof message>, password = 'Password') => {
    const bytes = encodeAuthenticate({ ...message, ...change });
    return ntlmVerify(challenge, bytes, decodeAuthenticate(bytes), ntlmHash(password));
  };
  const sealed = new NtlmSession('client', SESSION_KEY).seal(Uint8Array.of(7));
  assert.equal(hex(verify({})?.unseal(sealed) ?? new Uint8Array()), '07');
  assert.equal(verify({}, 'password'), undefined);
  assert.equal(verify({ domain: 'domain' }), undefined);
  assert.throws(() => verify({ ntResponse: new Uint8Array(24) }), /not of NTLMv2/);
  assert.throws(() => verify({ encryptedSessionKey: new Uint8Array(8) }), /8 bytes instead of 16/);
});
