/**
 * The X.224 TPDUs of class 0 that RDP uses, without their TPKT header ([MS-RDPBCGR] 2.2.1.1, 2.2.1.2; X.224
 * sections 13.3, 13.4, 13.5 and 13.7).
 *
 * ```text
 * | length indicator (without itself) | code | destination 2 | source 2 | class | variable part |   CR, CC
 * | 2 | 0xf0 | 0x80 (end of TSDU) | user data |                                                   data
 * ```
 *
 * The variable part of a request: one line that ends in CR LF (cookie or routing token), then RDP_NEG_REQ, then
 * RDP_NEG_CORRELATION_INFO, each of them optional.
 */

import { PduError, Reader, type Writer } from './cursor.ts';
import { TPKT_HEADER_BYTES, tpktLength, withTpkt } from './tpkt.ts';

/** requestedProtocols and selectedProtocol (2.2.1.1.1, 2.2.1.2.1): bits that a client asks for, one that is chosen. */
export const Protocol = {
  /** Standard RDP Security: no bit at all. */
  rdp: 0,
  /** TLS. */
  ssl: 1,
  /** CredSSP over TLS. */
  hybrid: 2,
  rdstls: 4,
  /** CredSSP with the Early User Authorization Result PDU. */
  hybridEx: 8,
  /** RDS-AAD-Auth. */
  rdsAad: 0x10,
} as const;

/** RDP_NEG_REQ flags (2.2.1.1.1). */
export const RequestFlag = {
  restrictedAdminModeRequired: 0x01,
  redirectedAuthenticationModeRequired: 0x02,
  correlationInfoPresent: 0x08,
} as const;

/** RDP_NEG_RSP flags (2.2.1.2.1). */
export const ResponseFlag = {
  extendedClientDataSupported: 0x01,
  dynvcGfxProtocolSupported: 0x02,
  restrictedAdminModeSupported: 0x08,
  redirectedAuthenticationModeSupported: 0x10,
} as const;

/** RDP_NEG_FAILURE failureCode (2.2.1.2.2). */
export const FailureCode = {
  sslRequiredByServer: 1,
  sslNotAllowedByServer: 2,
  sslCertNotOnServer: 3,
  inconsistentFlags: 4,
  hybridRequiredByServer: 5,
  sslWithUserAuthRequiredByServer: 6,
} as const;

/** TPDU codes. */
export const TpduCode = {
  connectionRequest: 0xe0,
  connectionConfirm: 0xd0,
  disconnectRequest: 0x80,
  data: 0xf0,
} as const;

/** Client X.224 Connection Request (2.2.1.1). Texts are bytes, one character each. */
export interface ConnectionRequest {
  /** What stands behind `Cookie: mstshash=`. Never together with `routingToken`. */
  readonly cookie?: string;
  /** The whole line, without CR LF, when it is no such cookie: a routing token or a load balancer's text. */
  readonly routingToken?: string;
  /** Absent from clients that know only Standard RDP Security. */
  readonly negotiation?: NegotiationRequest;
  /** RDP_NEG_CORRELATION_INFO correlationId (2.2.1.1.2), 16 bytes; only with `negotiation`. */
  readonly correlationId?: Uint8Array;
}

/** RDP_NEG_REQ (2.2.1.1.1). */
export interface NegotiationRequest {
  /** RequestFlag, without correlationInfoPresent: encoding sets that one. */
  readonly flags: number;
  /** Bits of Protocol. */
  readonly requestedProtocols: number;
}

/** Server X.224 Connection Confirm (2.2.1.2). */
export interface ConnectionConfirm {
  /** Absent when the client did not negotiate or the server cannot: Standard RDP Security then. */
  readonly negotiation?: NegotiationResult;
}

/** RDP_NEG_RSP (2.2.1.2.1) or RDP_NEG_FAILURE (2.2.1.2.2). */
export type NegotiationResult =
  | { readonly kind: 'selected'; readonly flags: number; readonly selectedProtocol: number }
  | { readonly kind: 'failed'; readonly failureCode: number };

const COOKIE = 'Cookie: mstshash=';
/** The length indicator is one byte, and 255 is reserved (X.224 13.2.1). */
const MAX_INDICATOR = 254;
/** Code, references and class: what the length indicator counts before the variable part. */
const FIXED_BYTES = 6;
const DATA_HEADER_BYTES = 3;
const END_OF_TSDU = 0x80;
const CR = 0x0d;
const LF = 0x0a;
/** What Windows names itself in a confirm; nobody reads it. */
const SERVER_REFERENCE = 0x1234;

const NegotiationType = { request: 1, response: 2, failure: 3, correlationInfo: 6 } as const;
const NEGOTIATION_BYTES = 8;
const CORRELATION_BYTES = 36;
const CORRELATION_ID_BYTES = 16;

export function decodeConnectionRequest(reader: Reader): ConnectionRequest {
  const part = readVariablePart(reader, TpduCode.connectionRequest);
  const line = readLine(part);
  const text =
    line === undefined
      ? {}
      : line.startsWith(COOKIE)
        ? { cookie: line.slice(COOKIE.length) }
        : { routingToken: line };
  if (part.left === 0) return text;

  const flags = readNegotiationHeader(part, NegotiationType.request, NEGOTIATION_BYTES);
  const requestedProtocols = part.u32le('requestedProtocols');
  const withCorrelation = (flags & RequestFlag.correlationInfoPresent) !== 0;
  const negotiation = { flags: flags & ~RequestFlag.correlationInfoPresent, requestedProtocols };
  if (!withCorrelation) {
    if (part.left > 0) part.fail('variable part', `has ${part.left} bytes behind RDP_NEG_REQ`);
    return { ...text, negotiation };
  }
  readNegotiationHeader(part, NegotiationType.correlationInfo, CORRELATION_BYTES);
  const correlationId = new Uint8Array(part.bytes('correlationId', CORRELATION_ID_BYTES));
  part.skip('reserved', 16);
  if (part.left > 0) part.fail('variable part', `has ${part.left} bytes behind RDP_NEG_CORRELATION_INFO`);
  return { ...text, negotiation, correlationId };
}

/** @throws RangeError when the texts hold a line end or are too long for the length indicator */
export function encodeConnectionRequest(writer: Writer, request: ConnectionRequest): void {
  const line = request.cookie === undefined ? request.routingToken : COOKIE + request.cookie;
  writeTpdu(writer, TpduCode.connectionRequest, 0, () => {
    if (line !== undefined) {
      if (/[\r\n]/.test(line)) throw new RangeError('cookie or routing token holds a line end');
      writer.latin1(line).u8(CR).u8(LF);
    }
    const { negotiation, correlationId } = request;
    if (negotiation === undefined) return;
    const correlationFlag = correlationId === undefined ? 0 : RequestFlag.correlationInfoPresent;
    writer
      .u8(NegotiationType.request)
      .u8(negotiation.flags | correlationFlag)
      .u16le(NEGOTIATION_BYTES)
      .u32le(negotiation.requestedProtocols);
    if (correlationId === undefined) return;
    writer.u8(NegotiationType.correlationInfo).u8(0).u16le(CORRELATION_BYTES).bytes(correlationId).zeros(16);
  });
}

export function decodeConnectionConfirm(reader: Reader): ConnectionConfirm {
  const part = readVariablePart(reader, TpduCode.connectionConfirm);
  if (part.left === 0) return {};
  const type = part.u8('type');
  const flags = part.u8('flags');
  const length = part.u16le('length');
  if (length !== NEGOTIATION_BYTES) part.fail('length', `is ${length}, not ${NEGOTIATION_BYTES}`, 2);
  const value = part.u32le('selectedProtocol or failureCode');
  if (part.left > 0) part.fail('variable part', `has ${part.left} bytes too many`);
  if (type === NegotiationType.response)
    return { negotiation: { kind: 'selected', flags, selectedProtocol: value } };
  if (type === NegotiationType.failure) return { negotiation: { kind: 'failed', failureCode: value } };
  return part.fail('type', `is ${type}, neither RDP_NEG_RSP (2) nor RDP_NEG_FAILURE (3)`, NEGOTIATION_BYTES);
}

export function encodeConnectionConfirm(writer: Writer, confirm: ConnectionConfirm): void {
  writeTpdu(writer, TpduCode.connectionConfirm, SERVER_REFERENCE, () => {
    const { negotiation } = confirm;
    if (negotiation === undefined) return;
    if (negotiation.kind === 'selected')
      writer
        .u8(NegotiationType.response)
        .u8(negotiation.flags)
        .u16le(NEGOTIATION_BYTES)
        .u32le(negotiation.selectedProtocol);
    else writer.u8(NegotiationType.failure).u8(0).u16le(NEGOTIATION_BYTES).u32le(negotiation.failureCode);
  });
}

/**
 * Code of the TPDU in a whole TPKT: a value of TpduCode, or one RDP does not use.
 * @throws PduError when there is none
 */
export function tpduCode(bytes: Uint8Array, offset = 0, end = bytes.length): number {
  const reader = new Reader(bytes, offset, end);
  reader.skip('TPKT header', TPKT_HEADER_BYTES);
  reader.skip('length indicator', 1);
  return reader.u8('code') & 0xf0;
}

/** Reads the three bytes before the user data of a data TPDU. */
export function readDataHeader(reader: Reader): void {
  const indicator = reader.u8('length indicator');
  if (indicator !== DATA_HEADER_BYTES - 1) reader.fail('length indicator', `is ${indicator}, not 2`, 1);
  const code = reader.u8('code');
  if (code !== TpduCode.data) reader.fail('code', `is ${code}, a data TPDU has ${TpduCode.data}`, 1);
  const end = reader.u8('EOT');
  if (end !== END_OF_TSDU)
    reader.fail('EOT', 'says that the data go on in another TPDU, which RDP never does', 1);
}

export function writeDataHeader(writer: Writer): void {
  writer
    .u8(DATA_HEADER_BYTES - 1)
    .u8(TpduCode.data)
    .u8(END_OF_TSDU);
}

/**
 * Reader of the user data in a whole PDU, from its TPKT header at `offset` to `end`.
 * @throws PduError when it is no data TPDU, or the TPKT's length is another than that of the bytes given
 */
export function dataReader(bytes: Uint8Array, offset = 0, end = bytes.length): Reader {
  const length = tpktLength(bytes, offset, end);
  if (length !== end - offset)
    throw new PduError('length', offset + 2, `is ${length ?? 'missing'} for a PDU of ${end - offset} bytes`);
  const reader = new Reader(bytes, offset + TPKT_HEADER_BYTES, end);
  readDataHeader(reader);
  return reader;
}

/** A whole PDU, TPKT and data TPDU, around the user data that `write` writes. */
export function withData(write: (writer: Writer) => void): Uint8Array {
  return withTpkt((writer) => {
    writeDataHeader(writer);
    write(writer);
  });
}

/** Disconnect Request (X.224 13.5). @returns its reason */
export function decodeDisconnectRequest(reader: Reader): number {
  const indicator = reader.u8('length indicator');
  if (indicator < FIXED_BYTES)
    reader.fail('length indicator', `is ${indicator}, at least ${FIXED_BYTES} are needed`, 1);
  const code = reader.u8('code');
  if (code !== TpduCode.disconnectRequest) reader.fail('code', `is ${code}, no disconnect request`, 1);
  reader.skip('references', 4);
  return reader.u8('reason');
}

/** Disconnect Request (X.224 13.5); reason 0 names none. */
export function encodeDisconnectRequest(writer: Writer, reason = 0): void {
  writer.u8(FIXED_BYTES).u8(TpduCode.disconnectRequest).u16be(0).u16be(0).u8(reason);
}

/** Reads the fixed part of a request or a confirm. @returns a reader of what follows */
function readVariablePart(reader: Reader, expected: number): Reader {
  const indicator = reader.u8('length indicator');
  if (indicator !== reader.left || indicator > MAX_INDICATOR)
    reader.fail('length indicator', `is ${indicator} before ${reader.left} bytes`, 1);
  const code = reader.u8('code');
  // The low half is the credit, which class 0 does not have.
  if ((code & 0xf0) !== expected) reader.fail('code', `is ${code}, not ${expected}`, 1);
  reader.skip('references', 4);
  reader.skip('class', 1);
  return reader;
}

function writeTpdu(writer: Writer, code: number, source: number, writeVariablePart: () => void): void {
  const start = writer.length;
  writer.u8(0).u8(code).u16be(0).u16be(source).u8(0);
  writeVariablePart();
  const indicator = writer.length - start - 1;
  if (indicator > MAX_INDICATOR)
    throw new RangeError(`cookie or routing token is ${indicator - MAX_INDICATOR} bytes too long`);
  writer.patchU8(start, indicator);
}

/** The cookie or the token; undefined when RDP_NEG_REQ, whose first byte no text begins with, or nothing stands there. */
function readLine(part: Reader): string | undefined {
  if (part.left === 0) return undefined;
  const start = part.offset;
  const rest = part.rest();
  part.offset = start;
  if (rest[0] === NegotiationType.request) return undefined;
  const length = rest.findIndex((byte, at) => byte === CR && rest[at + 1] === LF);
  if (length < 0) part.fail('cookie or routing token', 'does not end in CR LF');
  let line = '';
  for (const byte of part.bytes('cookie or routing token', length)) line += String.fromCharCode(byte);
  part.skip('CR LF', 2);
  return line;
}

/** @returns the flags */
function readNegotiationHeader(part: Reader, expectedType: number, expectedLength: number): number {
  const type = part.u8('type');
  if (type !== expectedType) part.fail('type', `is ${type}, not ${expectedType}`, 1);
  const flags = part.u8('flags');
  const length = part.u16le('length');
  if (length !== expectedLength) part.fail('length', `is ${length}, not ${expectedLength}`, 2);
  return flags;
}
