/**
 * Licensing, [MS-RDPBCGR] 2.2.1.12 and [MS-RDPELE] 2.2.2: behind a security header with the
 * license flag. Most servers say STATUS_VALID_CLIENT and that is all; a session host with
 * per-device licences asks for one, and a client that has none asks for a new one.
 *
 * ```
 * preamble: bMsgType (1)  flags (1: version in 4 bits, 0x80 extended errors)  wMsgSize (2, all)
 * blob:     wBlobType (2)  wBlobLen (2)  data
 * ```
 */
import { PduError, type Reader, type Writer } from './cursor.ts';

export const LicenseMessage = {
  licenseRequest: 0x01,
  platformChallenge: 0x02,
  newLicense: 0x03,
  upgradeLicense: 0x04,
  licenseInfo: 0x12,
  newLicenseRequest: 0x13,
  platformChallengeResponse: 0x15,
  errorAlert: 0xff,
} as const;

export const LicenseError = {
  invalidServerCertificate: 1,
  noLicense: 2,
  invalidMac: 3,
  invalidScope: 4,
  noLicenseServer: 6,
  validClient: 7,
  invalidClient: 8,
  invalidProductId: 0x0b,
  invalidMessageLength: 0x0c,
} as const;

/** dwStateTransition of an error alert. */
export const LicenseTransition = { totalAbort: 1, none: 2, resetToStart: 3, resendLast: 4 } as const;

/** wBlobType, 2.2.1.12.1.2. */
export const LicenseBlob = {
  any: 0,
  data: 1,
  random: 2,
  certificate: 3,
  error: 4,
  encryptedData: 9,
  keyExchange: 0x0d,
  scope: 0x0e,
  clientUserName: 0x0f,
  clientMachineName: 0x10,
} as const;

const PREAMBLE_BYTES = 4;
const EXTENDED_ERRORS = 0x80;
const VERSION_3 = 3;
const MAC_BYTES = 16;
const RANDOM_BYTES = 32;
/** KEY_EXCHANGE_ALG_RSA, the only one there is. */
const KEY_EXCHANGE_RSA = 1;
/** A server lists one scope ("microsoft.com"); more than a few is a mistake or an attack. */
const MAX_SCOPES = 16;

/** 2.2.1.12.1.3. The error blob has no meaning for any code in use. */
export interface LicenseErrorAlert {
  readonly kind: 'error';
  /** One of {@link LicenseError}. */
  readonly code: number;
  readonly transition: number;
  readonly blobType: number;
  readonly blob: Uint8Array;
}

/** [MS-RDPELE] 2.2.2.1: what a client needs to make the session keys of licensing. */
export interface LicenseRequest {
  readonly kind: 'request';
  readonly serverRandom: Uint8Array;
  readonly productVersion: number;
  readonly companyName: string;
  readonly productId: string;
  readonly keyExchangeList: Uint8Array;
  /** A proprietary certificate or a chain of X.509 ones (2.2.1.4.3); empty when the server has sent it in SC_SECURITY. */
  readonly certificate: Uint8Array;
  readonly scopes: readonly Uint8Array[];
}

/** [MS-RDPELE] 2.2.2.4. */
export interface PlatformChallenge {
  readonly kind: 'challenge';
  readonly encryptedChallenge: Uint8Array;
  readonly mac: Uint8Array;
}

/** [MS-RDPELE] 2.2.2.6 and 2.2.2.7: encrypted, with the MAC behind; the same layout for both. */
export interface IssuedLicense {
  readonly kind: 'new' | 'upgrade';
  readonly encryptedLicense: Uint8Array;
  readonly mac: Uint8Array;
}

/** What the client says: only told apart, since the gateway as a server never asks for it. */
export interface ClientLicense {
  readonly kind: 'client';
  readonly messageType: number;
}

export type LicensePdu =
  | LicenseErrorAlert
  | LicenseRequest
  | PlatformChallenge
  | IssuedLicense
  | ClientLicense;

/** Decodes what follows the security header. @throws PduError for an unknown message too */
export function decodeLicense(reader: Reader): LicensePdu {
  const messageType = reader.u8('bMsgType');
  reader.skip('flags', 1);
  const size = reader.u16le('wMsgSize');
  if (size < PREAMBLE_BYTES) reader.fail('wMsgSize', `is ${size}, less than its preamble`, 2);
  const body = reader.part('licensing message', size - PREAMBLE_BYTES);
  switch (messageType) {
    case LicenseMessage.errorAlert:
      return decodeErrorAlert(body);
    case LicenseMessage.licenseRequest:
      return decodeRequest(body);
    case LicenseMessage.platformChallenge:
      body.skip('ConnectFlags', 4);
      return { kind: 'challenge', encryptedChallenge: decodeBlob(body).data, mac: decodeMac(body) };
    case LicenseMessage.newLicense:
    case LicenseMessage.upgradeLicense:
      return {
        kind: messageType === LicenseMessage.newLicense ? 'new' : 'upgrade',
        encryptedLicense: decodeBlob(body).data,
        mac: decodeMac(body),
      };
    case LicenseMessage.licenseInfo:
    case LicenseMessage.newLicenseRequest:
    case LicenseMessage.platformChallengeResponse:
      return { kind: 'client', messageType };
    default:
      return reader.fail('bMsgType', `is 0x${messageType.toString(16)}, no message of licensing`, size);
  }
}

function decodeErrorAlert(body: Reader): LicenseErrorAlert {
  const code = body.u32le('dwErrorCode');
  const transition = body.u32le('dwStateTransition');
  // Some servers end the alert before its blob.
  const blob = body.left === 0 ? { type: LicenseBlob.any, data: new Uint8Array() } : decodeBlob(body);
  return { kind: 'error', code, transition, blobType: blob.type, blob: blob.data };
}

function decodeRequest(body: Reader): LicenseRequest {
  const serverRandom = new Uint8Array(body.bytes('ServerRandom', RANDOM_BYTES));
  const productVersion = body.u32le('dwVersion');
  const companyName = body.utf16('pbCompanyName', body.u32le('cbCompanyName'));
  const productId = body.utf16('pbProductId', body.u32le('cbProductId'));
  const keyExchangeList = decodeBlob(body).data;
  const certificate = decodeBlob(body).data;
  const count = body.u32le('ScopeCount');
  if (count > MAX_SCOPES) body.fail('ScopeCount', `is ${count}, at most ${MAX_SCOPES} are read`, 4);
  const scopes = Array.from({ length: count }, () => decodeBlob(body).data);
  return {
    kind: 'request',
    serverRandom,
    productVersion,
    companyName,
    productId,
    keyExchangeList,
    certificate,
    scopes,
  };
}

function decodeBlob(body: Reader): { readonly type: number; readonly data: Uint8Array } {
  const type = body.u16le('wBlobType');
  return { type, data: new Uint8Array(body.bytes('blobData', body.u16le('wBlobLen'))) };
}

function decodeMac(body: Reader): Uint8Array {
  return new Uint8Array(body.bytes('MACData', MAC_BYTES));
}

/** The alert that ends licensing at once: "you are licensed", 2.2.1.12.1.3. */
export const VALID_CLIENT: LicenseErrorAlert = {
  kind: 'error',
  code: LicenseError.validClient,
  transition: LicenseTransition.none,
  blobType: LicenseBlob.error,
  blob: new Uint8Array(),
};

export function encodeErrorAlert(writer: Writer, alert: LicenseErrorAlert): void {
  encodeMessage(writer, LicenseMessage.errorAlert, () => {
    writer.u32le(alert.code).u32le(alert.transition);
    encodeBlob(writer, alert.blobType, alert.blob);
  });
}

/** [MS-RDPELE] 2.2.2.2, of a client that holds no licence. */
export interface NewLicenseRequest {
  /** Operating system and vendor, 2.2.2.2: 0x04010000 is Windows NT post 5.2, Microsoft. */
  readonly platformId: number;
  readonly clientRandom: Uint8Array;
  /** SECRET before: the premaster secret, encrypted with the server's RSA key, little-endian, 8 zeros behind. */
  readonly encryptedPremaster: Uint8Array;
  readonly userName: string;
  readonly machineName: string;
}

export function encodeNewLicenseRequest(writer: Writer, request: NewLicenseRequest): void {
  if (request.clientRandom.length !== RANDOM_BYTES)
    throw new PduError('ClientRandom', writer.length, `must have ${RANDOM_BYTES} bytes`);
  encodeMessage(writer, LicenseMessage.newLicenseRequest, () => {
    writer.u32le(KEY_EXCHANGE_RSA).u32le(request.platformId).bytes(request.clientRandom);
    encodeBlob(writer, LicenseBlob.random, request.encryptedPremaster);
    // Both names are 8-bit and end in a NUL.
    encodeBlob(writer, LicenseBlob.clientUserName, latin1z(request.userName));
    encodeBlob(writer, LicenseBlob.clientMachineName, latin1z(request.machineName));
  });
}

/** [MS-RDPELE] 2.2.2.5: both parts encrypted with the session's licensing key, the MAC over both in the clear. */
export interface PlatformChallengeResponse {
  readonly encryptedResponse: Uint8Array;
  readonly encryptedHardwareId: Uint8Array;
  readonly mac: Uint8Array;
}

export function encodePlatformChallengeResponse(writer: Writer, response: PlatformChallengeResponse): void {
  if (response.mac.length !== MAC_BYTES)
    throw new PduError('MACData', writer.length, `must have ${MAC_BYTES} bytes`);
  encodeMessage(writer, LicenseMessage.platformChallengeResponse, () => {
    encodeBlob(writer, LicenseBlob.encryptedData, response.encryptedResponse);
    encodeBlob(writer, LicenseBlob.encryptedData, response.encryptedHardwareId);
    writer.bytes(response.mac);
  });
}

function encodeMessage(writer: Writer, type: number, body: () => void): void {
  const start = writer.length;
  writer
    .u8(type)
    .u8(EXTENDED_ERRORS | VERSION_3)
    .u16le(0);
  body();
  writer.patchU16le(start + 2, writer.length - start);
}

function encodeBlob(writer: Writer, type: number, data: Uint8Array): void {
  writer.u16le(type).u16le(data.length).bytes(data);
}

function latin1z(text: string): Uint8Array {
  return Uint8Array.from([...text, '\0'], (char) => char.charCodeAt(0) & 0xff);
}
