/**
 * NTLMv2 ([MS-NLMP] 3): proof of a password by challenge and response, and the session security that follows. Only
 * the strong form is spoken: extended session security, 128-bit keys and key exchange.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { Writer } from '../pdu/cursor.ts';
import { md4 } from './md4.ts';
import { NtlmFlag, utf16 } from './ntlm-messages.ts';
import { Rc4 } from './rc4.ts';

/** What both sides must be able to do. */
export const REQUIRED_FLAGS =
  NtlmFlag.unicode |
  NtlmFlag.seal |
  NtlmFlag.ntlm |
  NtlmFlag.extendedSessionSecurity |
  NtlmFlag.key128 |
  NtlmFlag.keyExchange;

/** What is asked for, and granted if asked for. */
export const OFFERED_FLAGS =
  (REQUIRED_FLAGS |
    NtlmFlag.requestTarget |
    NtlmFlag.sign |
    NtlmFlag.alwaysSign |
    NtlmFlag.targetInfo |
    NtlmFlag.version |
    NtlmFlag.key56) >>>
  0;

/** Whether every required flag is set. */
export function flagsSuffice(flags: number): boolean {
  return (flags & REQUIRED_FLAGS) === (REQUIRED_FLAGS | 0);
}

/** The NT hash of a password ([MS-NLMP] 3.3.1 NTOWFv1), 16 bytes: as good as the password itself. */
export function ntlmHash(password: string): Uint8Array {
  const bytes = utf16(password);
  const hash = md4(bytes);
  bytes.fill(0);
  return hash;
}

/** [MS-NLMP] 3.3.2 NTOWFv2: the hash bound to user and domain, both as they are sent. */
export function ntowfv2(ntHash: Uint8Array, user: string, domain: string): Uint8Array {
  return hmacMd5(ntHash, utf16(upperCase(user) + domain));
}

export function hmacMd5(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const hmac = createHmac('md5', key);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

/** Compares secrets in a time that says nothing about them. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** [MS-NLMP] 2.2.2.7 NTLMv2_CLIENT_CHALLENGE. */
export interface ClientChallenge {
  /** In 100 ns since 1601. */
  readonly time: bigint;
  /** 8 bytes. */
  readonly challenge: Uint8Array;
  /** A list of AV pairs, encoded. */
  readonly avPairs: Uint8Array;
}

/**
 *     0 RespType=1  1 HiRespType=1  2 Reserved  8 TimeStamp  16 ChallengeFromClient  24 Reserved  28 AvPairs
 */
export function encodeClientChallenge(value: ClientChallenge): Uint8Array {
  const writer = new Writer().u8(1).u8(1).zeros(6).u64le(value.time).bytes(value.challenge).zeros(4);
  return writer.bytes(value.avPairs).zeros(4).done();
}

/** Where the AV pairs begin in an NTLMv2 response: behind 16 bytes of proof and 28 of the client's challenge. */
export const RESPONSE_AV_OFFSET = 16 + 28;

/** [MS-NLMP] 3.3.2: the proof, and the key that only those who know the password can make. */
export function ntlmProof(
  responseKey: Uint8Array,
  serverChallenge: Uint8Array,
  clientChallenge: Uint8Array,
): { readonly proof: Uint8Array; readonly sessionBaseKey: Uint8Array } {
  const proof = hmacMd5(responseKey, serverChallenge, clientChallenge);
  return { proof, sessionBaseKey: hmacMd5(responseKey, proof) };
}

/** What a client proves its password with ([MS-NLMP] 3.3.2), all of it as it was sent. */
export interface NtlmProof {
  readonly user: string;
  readonly domain: string;
  readonly serverChallenge: Uint8Array;
  /** NTLMv2_RESPONSE: 16 bytes of proof, and what they are of. */
  readonly response: Uint8Array;
}

/** The session base key where the proof was made with this hash, undefined where it was not. */
export function sessionBaseKeyOf(ntHash: Uint8Array, proved: NtlmProof): Uint8Array | undefined {
  const { user, domain, serverChallenge, response } = proved;
  const responseKey = ntowfv2(ntHash, user, domain);
  const { proof, sessionBaseKey } = ntlmProof(responseKey, serverChallenge, response.subarray(16));
  return sameBytes(proof, response.subarray(0, 16)) ? sessionBaseKey : undefined;
}

/** A time in 100 ns since 1601, as Windows counts. */
export function windowsTime(milliseconds: number): bigint {
  return (BigInt(milliseconds) + 11_644_473_600_000n) * 10_000n;
}

export const SIGNATURE_BYTES = 16;

/**
 * Session security ([MS-NLMP] 3.4) from one side's view. Signatures count messages in each direction: use each
 * message once and in order.
 */
export class NtlmSession {
  readonly #keys: { readonly mine: DirectionKeys; readonly theirs: DirectionKeys };
  #mine: Rc4;
  #theirs: Rc4;
  #sent = 0;
  #received = 0;

  /** @param exportedSessionKey 16 bytes */
  constructor(side: 'client' | 'server', exportedSessionKey: Uint8Array) {
    const client = directionKeys(exportedSessionKey, 'client-to-server');
    const server = directionKeys(exportedSessionKey, 'server-to-client');
    this.#keys = side === 'client' ? { mine: client, theirs: server } : { mine: server, theirs: client };
    this.#mine = new Rc4(this.#keys.mine.sealing);
    this.#theirs = new Rc4(this.#keys.theirs.sealing);
  }

  /** Encrypts and signs: 16 bytes of signature, then the ciphertext. */
  seal(message: Uint8Array): Uint8Array {
    const sealed = this.#mine.apply(message);
    return new Writer(SIGNATURE_BYTES + sealed.length).bytes(this.sign(message)).bytes(sealed).done();
  }

  /** What `seal` of the other side made; undefined when the signature is wrong. */
  unseal(sealed: Uint8Array): Uint8Array | undefined {
    if (sealed.length < SIGNATURE_BYTES) return undefined;
    const message = this.#theirs.apply(sealed.subarray(SIGNATURE_BYTES));
    return this.verify(message, sealed.subarray(0, SIGNATURE_BYTES)) ? message : undefined;
  }

  /** The signature of the next message to send. */
  sign(message: Uint8Array): Uint8Array {
    return signature(this.#keys.mine.signing, this.#mine, this.#sent++, message);
  }

  /** Whether this is the signature of the next message received. */
  verify(message: Uint8Array, given: Uint8Array): boolean {
    return sameBytes(signature(this.#keys.theirs.signing, this.#theirs, this.#received++, message), given);
  }

  /** Begins both key streams again, as SPNEGO wants it after its own signatures; the counting goes on. */
  restartCiphers(): void {
    this.#mine = new Rc4(this.#keys.mine.sealing);
    this.#theirs = new Rc4(this.#keys.theirs.sealing);
  }
}

interface DirectionKeys {
  readonly signing: Uint8Array;
  readonly sealing: Uint8Array;
}

/** [MS-NLMP] 3.4.5.2 SIGNKEY and 3.4.5.3 SEALKEY, of 128 bits. */
function directionKeys(key: Uint8Array, direction: 'client-to-server' | 'server-to-client'): DirectionKeys {
  const derive = (use: 'signing' | 'sealing') =>
    createHash('md5').update(key).update(`session key to ${direction} ${use} key magic constant\0`).digest();
  return { signing: derive('signing'), sealing: derive('sealing') };
}

/** [MS-NLMP] 2.2.2.9.2 and 3.4.4.2: `Version=1 u32, Checksum 8 (sealed), SeqNum u32`. */
function signature(key: Uint8Array, cipher: Rc4, sequence: number, message: Uint8Array): Uint8Array {
  const number = new Writer(4).u32le(sequence).done();
  const checksum = cipher.apply(hmacMd5(key, number, message).subarray(0, 8));
  return new Writer(SIGNATURE_BYTES).u32le(1).bytes(checksum).bytes(number).done();
}

/** Upper case as Windows has it: one UTF-16 unit for one. */
function upperCase(text: string): string {
  let upper = '';
  for (let i = 0; i < text.length; i++) {
    const unit = text.charAt(i);
    const raised = unit.toUpperCase();
    upper += raised.length === 1 ? raised : unit;
  }
  return upper;
}
