/**
 * The client's side of licensing ([MS-RDPELE] 3.3), in messages: what a session host with licences per
 * device asks of the gateway.
 *
 *     request   → new licence request: random, premaster secret under the server's key
 *     challenge → response and hardware id
 *     licence   → done
 *
 * No licence is kept, so one is asked for at every session. A licence server knows a device again by its
 * name and hardware id, which are those of the person's own computer: that is the device that counts.
 */
import { constants, createHash, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto';
import { readTagged, Tag } from '../credssp/der.ts';
import { sameBytes } from '../credssp/ntlm.ts';
import { subjectPublicKeyOf } from '../credssp/public-key.ts';
import { Rc4 } from '../credssp/rc4.ts';
import { PduError, Reader, Writer } from '../pdu/cursor.ts';
import {
  encodeNewLicenseRequest,
  encodePlatformChallengeResponse,
  type IssuedLicense,
  LicenseError,
  type LicensePdu,
  type LicenseRequest,
  type PlatformChallenge,
} from '../pdu/license.ts';
import { decodeServerCertificate } from '../pdu/server-certificate.ts';

/** The target does not license the gateway; `message` says why, without naming the target. */
export class LicenseRefusedError extends Error {
  override readonly name = 'LicenseRefusedError';
}

/** Windows NT after 5.2, Microsoft (2.2.2.2). */
const PLATFORM = 0x0401_0000;
const PREMASTER_BYTES = 48;
const RANDOM_BYTES = 32;
/** Zeros behind the encrypted premaster secret. */
const PREMASTER_PADDING = 8;
const NO_MAC = 'its licensing message was altered on the way';

/** What both sides make of the randoms (5.1.2). */
export interface LicenseKeys {
  readonly macSalt: Uint8Array;
  readonly encryption: Uint8Array;
}

/** 5.1.2. */
export function licenseKeys(
  premaster: Uint8Array,
  clientRandom: Uint8Array,
  serverRandom: Uint8Array,
): LicenseKeys {
  const salted = (secret: Uint8Array, label: string, ...randoms: readonly Uint8Array[]): Buffer =>
    digest('md5', secret, digest('sha1', Buffer.from(label), secret, ...randoms));
  const three = (secret: Uint8Array, ...randoms: readonly Uint8Array[]): Buffer =>
    Buffer.concat(['A', 'BB', 'CCC'].map((label) => salted(secret, label, ...randoms)));
  const master = three(premaster, clientRandom, serverRandom);
  const session = three(master, serverRandom, clientRandom);
  return {
    macSalt: session.subarray(0, 16),
    encryption: digest('md5', session.subarray(16, 32), clientRandom, serverRandom),
  };
}

/** 5.1.5. */
export function licenseMac({ macSalt }: LicenseKeys, ...data: readonly Uint8Array[]): Uint8Array {
  const length = new Writer(4).u32le(data.reduce((sum, { length: bytes }) => sum + bytes, 0)).done();
  const inner = digest('sha1', macSalt, Buffer.alloc(40, 0x36), length, ...data);
  return digest('md5', macSalt, Buffer.alloc(48, 0x5c), inner);
}

/** `send` goes to the server, behind a security header; with `done` licensing is over. */
export interface LicenseStep {
  readonly send: Uint8Array | undefined;
  readonly done: boolean;
}

const DONE: LicenseStep = { send: undefined, done: true };

export class LicenseClient {
  readonly #userName: string;
  readonly #machineName: string;
  #keys: LicenseKeys | undefined;
  #answered = false;

  /** @param machineName of the person's own computer, as its client says */
  constructor({ userName, machineName }: { readonly userName: string; readonly machineName: string }) {
    this.#userName = userName;
    this.#machineName = machineName;
  }

  /** @throws LicenseRefusedError, PduError */
  receive(pdu: LicensePdu): LicenseStep {
    switch (pdu.kind) {
      case 'error':
        if (pdu.code === LicenseError.validClient) return DONE;
        throw new LicenseRefusedError(refusalWords(pdu.code));
      case 'request':
        return this.#ask(pdu);
      case 'challenge':
        return this.#answer(pdu);
      case 'new':
      case 'upgrade':
        return this.#take(pdu);
      case 'client':
        throw new PduError('bMsgType', 0, `is 0x${pdu.messageType.toString(16)}, which servers do not send`);
    }
  }

  #ask({ serverRandom, certificate }: LicenseRequest): LicenseStep {
    if (this.#keys !== undefined) throw new PduError('bMsgType', 0, 'is a second licence request');
    if (certificate.length === 0)
      throw new LicenseRefusedError('it names no certificate to ask for a licence with');
    const clientRandom = randomBytes(RANDOM_BYTES);
    const premaster = randomBytes(PREMASTER_BYTES);
    const encryptedPremaster = encryptPremaster(premaster, certificate);
    this.#keys = licenseKeys(premaster, clientRandom, serverRandom);
    return send((writer) =>
      encodeNewLicenseRequest(writer, {
        platformId: PLATFORM,
        clientRandom,
        encryptedPremaster,
        userName: this.#userName,
        machineName: this.#machineName,
      }),
    );
  }

  #answer({ encryptedChallenge, mac }: PlatformChallenge): LicenseStep {
    const keys = this.#keys;
    if (keys === undefined || this.#answered) throw new PduError('bMsgType', 0, 'is a challenge out of turn');
    this.#answered = true;
    const challenge = decrypt(keys, encryptedChallenge);
    if (!sameBytes(licenseMac(keys, challenge), mac)) throw new LicenseRefusedError(NO_MAC);
    const response = responseData(challenge);
    const hardwareId = hardwareIdOf(this.#machineName);
    return send((writer) =>
      encodePlatformChallengeResponse(writer, {
        encryptedResponse: decrypt(keys, response),
        encryptedHardwareId: decrypt(keys, hardwareId),
        mac: licenseMac(keys, response, hardwareId),
      }),
    );
  }

  #take({ encryptedLicense, mac }: IssuedLicense): LicenseStep {
    const keys = this.#keys;
    if (keys === undefined) throw new PduError('bMsgType', 0, 'is a licence that nobody asked for');
    if (!sameBytes(licenseMac(keys, decrypt(keys, encryptedLicense)), mac))
      throw new LicenseRefusedError(NO_MAC);
    return DONE;
  }
}

function send(write: (writer: Writer) => void): LicenseStep {
  const writer = new Writer(512);
  write(writer);
  return { send: writer.done(), done: false };
}

/** RC4 both ways, each message from the key's beginning (5.1.3, 5.1.4). */
function decrypt({ encryption }: LicenseKeys, bytes: Uint8Array): Uint8Array {
  return new Rc4(encryption).apply(bytes);
}

/** PLATFORM_CHALLENGE_RESPONSE_DATA (2.2.2.5.1): version 1.0, Win32, licences with whole chains. */
function responseData(challenge: Uint8Array): Uint8Array {
  return new Writer(8 + challenge.length)
    .u16le(0x0100)
    .u16le(0x0100)
    .u16le(0x0003)
    .u16le(challenge.length)
    .bytes(challenge)
    .done();
}

/** CLIENT_HARDWARE_ID (2.2.2.3.1): the platform, and 16 bytes that are always the same for a computer. */
function hardwareIdOf(machineName: string): Uint8Array {
  const name = machineName.toLowerCase();
  return new Writer(20)
    .u32le(PLATFORM)
    .bytes(digest('md5', Buffer.from(name)))
    .done();
}

/** RSA without padding, as RDP does it: little-endian, eight zeros behind (5.1.2.1, [MS-RDPBCGR] 5.3.4.1). */
function encryptPremaster(premaster: Uint8Array, certificate: Uint8Array): Uint8Array {
  const { modulus, exponent } = rsaKeyOf(certificate);
  if (modulus.length <= premaster.length)
    throw new PduError('modulus', 0, `has ${modulus.length} bytes, too few for a premaster secret`);
  const plain = Buffer.alloc(modulus.length);
  plain.set(premaster);
  try {
    const key = createPublicKey({
      key: { kty: 'RSA', n: modulus.toString('base64url'), e: exponent.toString('base64url') },
      format: 'jwk',
    });
    const encrypted = publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, plain.reverse());
    return Buffer.concat([encrypted.reverse(), Buffer.alloc(PREMASTER_PADDING)]);
  } catch {
    throw new PduError('modulus', 0, 'is not that of an RSA key');
  }
}

/** Both big-endian. */
function rsaKeyOf(bytes: Uint8Array): { modulus: Buffer; exponent: Buffer } {
  const certificate = decodeServerCertificate(new Reader(bytes));
  if (certificate.kind === 'proprietary') {
    const exponent = Buffer.alloc(4);
    exponent.writeUInt32BE(certificate.exponent);
    return { modulus: trimmed(Buffer.from(certificate.modulus).reverse()), exponent: trimmed(exponent) };
  }
  // The algorithm's identifier is one of Microsoft's own there, so the key is read by itself (RFC 8017 A.1.1).
  const key = readTagged(
    new Reader(subjectPublicKeyOf(certificate.certificate)),
    Tag.sequence,
    'RSAPublicKey',
  );
  const number = (field: string): Buffer => trimmed(Buffer.from(readTagged(key, Tag.integer, field).rest()));
  return { modulus: number('modulus'), exponent: number('publicExponent') };
}

/** Without zeros in front. */
function trimmed(number: Buffer): Buffer {
  const first = number.findIndex((byte) => byte !== 0);
  return number.subarray(first < 0 ? number.length : first);
}

function digest(algorithm: 'md5' | 'sha1', ...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return hash.digest();
}

function refusalWords(code: number): string {
  switch (code) {
    case LicenseError.noLicense:
      return 'it has no licence left to give';
    case LicenseError.noLicenseServer:
      return 'it reaches no licence server';
    case LicenseError.invalidClient:
      return 'it does not license this kind of client';
    case LicenseError.invalidMac:
      return 'it says that a licensing message was altered on the way';
    case LicenseError.invalidServerCertificate:
      return 'its certificate for licensing is not valid';
    default:
      return `licensing failed there (error ${code})`;
  }
}
