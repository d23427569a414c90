/**
 * [MS-CSSP] 2.2.1: the messages of CredSSP, in DER.
 *
 *     TSRequest ::= SEQUENCE {
 *       version [0] INTEGER, negoTokens [1] NegoData OPTIONAL, authInfo [2] OCTET STRING OPTIONAL,
 *       pubKeyAuth [3] OCTET STRING OPTIONAL, errorCode [4] INTEGER OPTIONAL, clientNonce [5] OCTET STRING OPTIONAL }
 *     NegoData ::= SEQUENCE OF SEQUENCE { negoToken [0] OCTET STRING }
 *     TSCredentials ::= SEQUENCE { credType [0] INTEGER, credentials [1] OCTET STRING }
 *     TSPasswordCreds ::= SEQUENCE { domainName [0], userName [1], password [2] OCTET STRING }  -- UTF-16LE
 */
import { PduError, type Reader, Writer } from '../pdu/cursor.ts';
import { contextTag, der, derSmall, readElements, readNumber, readOctets, readTagged, Tag } from './der.ts';

/** The highest version that is known, and ours; lower ones are spoken with older peers. */
export const CREDSSP_VERSION = 6;
/** From this version on the key is bound by a hash over a nonce (CVE-2018-0886). */
export const HASH_BINDING_VERSION = 5;
/** A Kerberos ticket full of group memberships stays below it; nothing larger is a TSRequest. */
export const MAX_TS_REQUEST_BYTES = 64 * 1024;

/** [MS-CSSP] 2.2.1. */
export interface TsRequest {
  readonly version: number;
  /** The first of negoTokens: there is never more than one. */
  readonly negoToken?: Uint8Array;
  /** TSCredentials, sealed. */
  readonly authInfo?: Uint8Array;
  /** The binding to the server's key, sealed. */
  readonly pubKeyAuth?: Uint8Array;
  /** NTSTATUS, unsigned. */
  readonly errorCode?: number;
  /** 32 random bytes, from version 5 on. */
  readonly clientNonce?: Uint8Array;
}

/** [MS-CSSP] 2.2.1.2.1. */
export interface TsPasswordCreds {
  readonly domain: string;
  readonly user: string;
  readonly password: string;
}

/**
 * The length of the TSRequest with which `bytes` begin, whether all of it is there or not; undefined while there
 * is too little to say.
 *
 * @throws PduError when it is no TSRequest, or longer than `MAX_TS_REQUEST_BYTES`
 */
export function tsRequestLength(bytes: Uint8Array): number | undefined {
  const [tag, first] = bytes;
  if (tag === undefined) return undefined;
  if (tag !== Tag.sequence)
    throw new PduError('TSRequest', 0, `has the tag 0x${tag.toString(16)} instead of 0x30`);
  if (first === undefined) return undefined;
  const more = first < 0x80 ? 0 : first & 0x7f;
  if (first === 0x80 || more > 4) throw new PduError('TSRequest length', 1, 'is indefinite or too long');
  if (bytes.length < 2 + more) return undefined;
  let content = more === 0 ? first : 0;
  for (const byte of bytes.subarray(2, 2 + more)) content = content * 256 + byte;
  const length = 2 + more + content;
  if (length > MAX_TS_REQUEST_BYTES)
    throw new PduError(
      'TSRequest length',
      1,
      `is ${length} where ${MAX_TS_REQUEST_BYTES} is the most allowed`,
    );
  return length;
}

/** Fields are views of the reader's bytes; unknown fields are skipped. */
export function decodeTsRequest(reader: Reader): TsRequest {
  const start = reader.offset;
  const request: { -readonly [Key in keyof TsRequest]: TsRequest[Key] } = { version: 0 };
  for (const { tag, content } of readElements(
    readTagged(reader, Tag.sequence, 'TSRequest'),
    'TSRequest field',
  )) {
    switch (tag) {
      case contextTag(0):
        request.version = readNumber(content, Tag.integer, 'version');
        break;
      case contextTag(1): {
        const data = readTagged(content, Tag.sequence, 'negoTokens');
        const item = readTagged(data, Tag.sequence, 'negoTokens item');
        request.negoToken = readOctets(readTagged(item, contextTag(0), 'negoToken'), 'negoToken');
        break;
      }
      case contextTag(2):
        request.authInfo = readOctets(content, 'authInfo');
        break;
      case contextTag(3):
        request.pubKeyAuth = readOctets(content, 'pubKeyAuth');
        break;
      case contextTag(4):
        request.errorCode = readNumber(content, Tag.integer, 'errorCode');
        break;
      case contextTag(5):
        request.clientNonce = readOctets(content, 'clientNonce');
        break;
    }
  }
  if (request.version < 2)
    throw new PduError('version', start, `is ${request.version} where 2 is the least that is secure`);
  return request;
}

/** A whole TSRequest. */
export function encodeTsRequest(request: TsRequest): Uint8Array {
  const fields = [der(contextTag(0), derSmall(Tag.integer, request.version))];
  if (request.negoToken) {
    const token = der(contextTag(0), der(Tag.octetString, request.negoToken));
    fields.push(der(contextTag(1), der(Tag.sequence, der(Tag.sequence, token))));
  }
  if (request.authInfo) fields.push(der(contextTag(2), der(Tag.octetString, request.authInfo)));
  if (request.pubKeyAuth) fields.push(der(contextTag(3), der(Tag.octetString, request.pubKeyAuth)));
  if (request.errorCode !== undefined) {
    // Four bytes always: every error has its top bit set, which makes it a negative INTEGER of 32 bits.
    const status = new Writer(4).u32be(request.errorCode).done();
    fields.push(der(contextTag(4), der(Tag.integer, status)));
  }
  if (request.clientNonce) fields.push(der(contextTag(5), der(Tag.octetString, request.clientNonce)));
  return der(Tag.sequence, ...fields);
}

/** TSCredentials ([MS-CSSP] 2.2.1.2) types. */
export const CredType = { password: 1, smartCard: 2, remoteGuard: 6 } as const;

/**
 * TSCredentials with a password. Restricted administration sends an empty one.
 *
 * @throws PduError also for other kinds of credentials
 */
export function decodeTsCredentials(reader: Reader): TsPasswordCreds {
  const outer = readTagged(reader, Tag.sequence, 'TSCredentials');
  const type = readNumber(readTagged(outer, contextTag(0), 'credType'), Tag.integer, 'credType');
  if (type !== CredType.password)
    outer.fail('credType', `is ${type}: log on with a password instead of a smart card or remote guard`);
  const inner = readTagged(readTagged(outer, contextTag(1), 'credentials'), Tag.octetString, 'credentials');
  const fields = readTagged(inner, Tag.sequence, 'TSPasswordCreds');
  const text = (number: number, field: string) => {
    const content = readTagged(readTagged(fields, contextTag(number), field), Tag.octetString, field);
    return content.utf16(field, content.left);
  };
  return { domain: text(0, 'domainName'), user: text(1, 'userName'), password: text(2, 'password') };
}

/** TSCredentials with a password. */
export function encodeTsCredentials(credentials: TsPasswordCreds): Uint8Array {
  const text = (number: number, value: string) =>
    der(contextTag(number), der(Tag.octetString, new Writer(value.length * 2).utf16(value).done()));
  const password = der(
    Tag.sequence,
    text(0, credentials.domain),
    text(1, credentials.user),
    text(2, credentials.password),
  );
  const type = der(contextTag(0), derSmall(Tag.integer, CredType.password));
  return der(Tag.sequence, type, der(contextTag(1), der(Tag.octetString, password)));
}
