/**
 * Save Session Info, [MS-RDPBCGR] 2.2.10.1: the server says that somebody has logged on, or why not.
 * Follows a share data header: infoType (4), infoData.
 */
import { PduError, type Reader, type Writer } from './cursor.ts';

export const InfoType = { logon: 0, logonLong: 1, plainNotify: 2, logonExtended: 3 } as const;

/** 2.2.10.1.1.1 (version 1, fixed fields) and 2.2.10.1.1.2 (version 2). */
export interface LogonInfo {
  readonly kind: 'logon';
  readonly version: 1 | 2;
  readonly domain: string;
  readonly userName: string;
  readonly sessionId: number;
}

/** 2.2.10.1.1.3: somebody has logged on, who is not said. */
export interface PlainNotify {
  readonly kind: 'plain';
}

/** 2.2.10.1.1.4. */
export interface ExtendedLogonInfo {
  readonly kind: 'extended';
  readonly autoReconnect?: ServerAutoReconnect | undefined;
  readonly errors?: LogonErrors | undefined;
}

/** ARC_SC_PRIVATE_PACKET, 2.2.4.2. SECRET: with it a client logs on again without a password. */
export interface ServerAutoReconnect {
  readonly logonId: number;
  readonly randomBits: Uint8Array;
}

/** 2.2.10.1.1.4.1.1. */
export interface LogonErrors {
  /** One of {@link LogonNotification}, or an NTSTATUS. */
  readonly type: number;
  /** The session's id, or one of {@link LogonErrorData}. */
  readonly data: number;
}

/** ErrorNotificationType. */
export const LogonNotification = {
  sessionBusyOptions: 0xffff_fff8,
  disconnectRefused: 0xffff_fff9,
  noPermission: 0xffff_fffa,
  bumpOptions: 0xffff_fffb,
  reconnectOptions: 0xffff_fffc,
  sessionTerminate: 0xffff_fffd,
  sessionContinue: 0xffff_fffe,
  accessDenied: 0xffff_ffff,
} as const;

/** ErrorNotificationData. */
export const LogonErrorData = {
  badPassword: 0,
  updatePassword: 1,
  other: 2,
  warning: 3,
} as const;

export type SaveSessionInfo = LogonInfo | PlainNotify | ExtendedLogonInfo;

const DOMAIN_BYTES = 52;
const USER_NAME_BYTES = 512;
const PLAIN_NOTIFY_PAD = 576;
const LOGON_LONG_PAD = 558;
const EXTENDED_PAD = 570;
const VERSION_2 = 1;
/** Of the fixed part of version 2, without its padding. */
const LOGON_LONG_BYTES = 18;
const AUTO_RECONNECT_BYTES = 28;
const FieldPresent = { autoReconnect: 1, logonErrors: 2 } as const;

/** @throws PduError for an unknown infoType too */
export function decodeSaveSessionInfo(reader: Reader): SaveSessionInfo {
  const infoType = reader.u32le('infoType');
  switch (infoType) {
    case InfoType.logon:
      return decodeLogon(reader);
    case InfoType.logonLong:
      return decodeLogonLong(reader);
    case InfoType.plainNotify:
      return { kind: 'plain' };
    case InfoType.logonExtended:
      return decodeExtended(reader);
    default:
      return reader.fail('infoType', `is ${infoType}, must be 0 to 3`, 4);
  }
}

/** cbDomain (4)  Domain (52)  cbUserName (4)  UserName (512)  SessionId (4): lengths with terminators. */
function decodeLogon(reader: Reader): LogonInfo {
  reader.skip('cbDomain', 4);
  const domain = reader.utf16('Domain', DOMAIN_BYTES);
  reader.skip('cbUserName', 4);
  const userName = reader.utf16('UserName', USER_NAME_BYTES);
  return { kind: 'logon', version: 1, domain, userName, sessionId: reader.u32le('SessionId') };
}

/** Version (2)  Size (4)  SessionId (4)  cbDomain (4)  cbUserName (4)  pad (558)  Domain  UserName */
function decodeLogonLong(reader: Reader): LogonInfo {
  reader.skip('Version', 2);
  reader.skip('Size', 4);
  const sessionId = reader.u32le('SessionId');
  const domainBytes = reader.u32le('cbDomain');
  const userNameBytes = reader.u32le('cbUserName');
  reader.skip('Pad', LOGON_LONG_PAD);
  const domain = reader.utf16('Domain', domainBytes);
  return { kind: 'logon', version: 2, domain, userName: reader.utf16('UserName', userNameBytes), sessionId };
}

/** Length (2)  FieldsPresent (4)  fields: each cbFieldData (4), data  pad (570) */
function decodeExtended(reader: Reader): ExtendedLogonInfo {
  reader.skip('Length', 2);
  const present = reader.u32le('FieldsPresent');
  let autoReconnect: ServerAutoReconnect | undefined;
  let errors: LogonErrors | undefined;
  if ((present & FieldPresent.autoReconnect) !== 0) {
    const field = reader.part('AutoReconnectCookie', reader.u32le('cbFieldData'));
    const length = field.u32le('cbLen');
    if (length !== AUTO_RECONNECT_BYTES)
      field.fail('cbLen', `is ${length}, must be ${AUTO_RECONNECT_BYTES}`, 4);
    field.skip('Version', 4);
    autoReconnect = {
      logonId: field.u32le('LogonId'),
      randomBits: new Uint8Array(field.bytes('ArcRandomBits', 16)),
    };
  }
  if ((present & FieldPresent.logonErrors) !== 0) {
    const field = reader.part('LogonNotification', reader.u32le('cbFieldData'));
    errors = { type: field.u32le('ErrorNotificationType'), data: field.u32le('ErrorNotificationData') };
  }
  return { kind: 'extended', autoReconnect, errors };
}

/** @throws PduError when a name is longer than its field */
export function encodeSaveSessionInfo(writer: Writer, info: SaveSessionInfo): void {
  switch (info.kind) {
    case 'plain':
      writer.u32le(InfoType.plainNotify).zeros(PLAIN_NOTIFY_PAD);
      return;
    case 'extended':
      encodeExtended(writer, info);
      return;
    case 'logon':
      checkNames(writer, info);
      if (info.version === 1) encodeLogon(writer, info);
      else encodeLogonLong(writer, info);
  }
}

function checkNames(writer: Writer, { domain, userName }: LogonInfo): void {
  if (domain.length * 2 + 2 > DOMAIN_BYTES)
    throw new PduError('Domain', writer.length, `has more than ${DOMAIN_BYTES} bytes`);
  if (userName.length * 2 + 2 > USER_NAME_BYTES)
    throw new PduError('UserName', writer.length, `has more than ${USER_NAME_BYTES} bytes`);
}

function encodeLogon(writer: Writer, { domain, userName, sessionId }: LogonInfo): void {
  writer
    .u32le(InfoType.logon)
    .u32le(domain.length * 2 + 2)
    .utf16Field(domain, DOMAIN_BYTES)
    .u32le(userName.length * 2 + 2)
    .utf16Field(userName, USER_NAME_BYTES)
    .u32le(sessionId);
}

function encodeLogonLong(writer: Writer, { domain, userName, sessionId }: LogonInfo): void {
  writer
    .u32le(InfoType.logonLong)
    .u16le(VERSION_2)
    .u32le(LOGON_LONG_BYTES)
    .u32le(sessionId)
    .u32le(domain.length * 2 + 2)
    .u32le(userName.length * 2 + 2)
    .zeros(LOGON_LONG_PAD);
  writer.utf16(domain).u16le(0).utf16(userName).u16le(0);
}

function encodeExtended(writer: Writer, { autoReconnect, errors }: ExtendedLogonInfo): void {
  writer.u32le(InfoType.logonExtended);
  const start = writer.length;
  writer
    .u16le(0)
    .u32le(
      (autoReconnect === undefined ? 0 : FieldPresent.autoReconnect) |
        (errors === undefined ? 0 : FieldPresent.logonErrors),
    );
  if (autoReconnect !== undefined)
    writer
      .u32le(AUTO_RECONNECT_BYTES)
      .u32le(AUTO_RECONNECT_BYTES)
      .u32le(1)
      .u32le(autoReconnect.logonId)
      .bytes(autoReconnect.randomBits);
  if (errors !== undefined) writer.u32le(8).u32le(errors.type).u32le(errors.data);
  // The padding is not counted.
  writer.patchU16le(start, writer.length - start);
  writer.zeros(EXTENDED_PAD);
}
