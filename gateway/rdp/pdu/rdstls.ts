/**
 * RDSTLS, [MS-RDPBCGR] 2.2.17 and 5.4.5.3: how a client that was sent on proves itself over TLS with
 * what the redirection gave it. Neither TPKT nor X.224 is around these PDUs.
 *
 * ```
 * capabilities: Version (2: 1)  PduType (2: 1)  DataType (2: 1)  SupportedVersions (2)
 * request:      Version (2: 1)  PduType (2: 2)  DataType (2: 1)  RedirectionGuid  UserName  Domain
 *               Password, each with its length (2) in front
 * response:     Version (2: 1)  PduType (2: 4)  DataType (2: 1)  ResultCode (4)
 * ```
 */
import { PduError, Reader, type Writer } from './cursor.ts';

const VERSION_1 = 1;
const PduType = { capabilities: 1, authenticationRequest: 2, authenticationResponse: 4 } as const;
/** DataType of all three: capabilities, password credentials, result code. */
const DATA_TYPE = 1;
const HEADER_BYTES = 6;
const CAPABILITIES_BYTES = 8;
const RESPONSE_BYTES = 10;

/** ResultCode, 2.2.17.4: Win32 errors. */
export const RdstlsResult = {
  success: 0,
  accessDenied: 0x005,
  logonFailure: 0x52e,
  invalidLogonHours: 0x530,
  passwordExpired: 0x532,
  accountDisabled: 0x533,
  passwordMustChange: 0x773,
  accountLockedOut: 0x775,
} as const;

/** What the redirection gave, 2.2.17.2. */
export interface RdstlsCredentials {
  /** As it stood in the redirection packet. */
  readonly redirectionGuid: Uint8Array;
  readonly userName: string;
  readonly domain: string;
  /** SECRET: opaque, as it stood in the redirection packet. */
  readonly password: Uint8Array;
}

/**
 * Length of what a server sends, from its header at `offset`; undefined: more bytes are needed.
 * @throws PduError when it is neither capabilities nor a response
 */
export function rdstlsLength(bytes: Uint8Array, offset: number, end: number): number | undefined {
  if (end - offset < HEADER_BYTES) return undefined;
  return readHeader(new Reader(bytes, offset, end)) === PduType.capabilities
    ? CAPABILITIES_BYTES
    : RESPONSE_BYTES;
}

/** The server's first word, 2.2.17.1. @returns SupportedVersions, a bit each */
export function decodeRdstlsCapabilities(reader: Reader): number {
  if (readHeader(reader) !== PduType.capabilities)
    reader.fail('PduType', 'is a response, not capabilities', 4);
  return reader.u16le('SupportedVersions');
}

export function encodeRdstlsRequest(writer: Writer, credentials: RdstlsCredentials): void {
  writer.u16le(VERSION_1).u16le(PduType.authenticationRequest).u16le(DATA_TYPE);
  encodeBytes(writer, 'RedirectionGuid', credentials.redirectionGuid);
  for (const text of [credentials.userName, credentials.domain])
    writer
      .u16le((text.length + 1) * 2)
      .utf16(text)
      .u16le(0);
  encodeBytes(writer, 'Password', credentials.password);
}

/** 2.2.17.4. @returns ResultCode, one of {@link RdstlsResult} or another Win32 error */
export function decodeRdstlsResponse(reader: Reader): number {
  if (readHeader(reader) !== PduType.authenticationResponse)
    reader.fail('PduType', 'is capabilities, not a response', 4);
  return reader.u32le('ResultCode');
}

/** @returns the PduType */
function readHeader(reader: Reader): number {
  const version = reader.u16le('Version');
  if (version !== VERSION_1) reader.fail('Version', `is ${version}, not ${VERSION_1}`, 2);
  const type = reader.u16le('PduType');
  if (type !== PduType.capabilities && type !== PduType.authenticationResponse)
    reader.fail('PduType', `is ${type}, which servers do not send`, 2);
  const dataType = reader.u16le('DataType');
  if (dataType !== DATA_TYPE) reader.fail('DataType', `is ${dataType}, not ${DATA_TYPE}`, 2);
  return type;
}

function encodeBytes(writer: Writer, field: string, bytes: Uint8Array): void {
  if (bytes.length > 0xffff)
    throw new PduError(field, writer.length, `has ${bytes.length} bytes, at most 65535`);
  writer.u16le(bytes.length).bytes(bytes);
}
