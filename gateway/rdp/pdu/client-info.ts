/**
 * Client Info, [MS-RDPBCGR] 2.2.1.11: who logs on, how, with which shell.
 *
 * ```
 * CodePage (4)  flags (4)  cbDomain cbUserName cbPassword cbAlternateShell cbWorkingDir (2 each,
 * terminators not counted)  the five texts, each with its terminator  extended info (RDP 5.0 on)
 * ```
 */
import { PduError, type Reader, type Writer } from './cursor.ts';

export const InfoFlag = {
  mouse: 0x0000_0001,
  disableCtrlAltDel: 0x0000_0002,
  autologon: 0x0000_0008,
  unicode: 0x0000_0010,
  maximizeShell: 0x0000_0020,
  logonNotify: 0x0000_0040,
  compression: 0x0000_0080,
  enableWindowsKey: 0x0000_0100,
  /** Four bits: the best bulk compressor the client has. */
  compressionTypeMask: 0x0000_1e00,
  remoteConsoleAudio: 0x0000_2000,
  forceEncryptedClientPdu: 0x0000_4000,
  rail: 0x0000_8000,
  logonErrors: 0x0001_0000,
  mouseHasWheel: 0x0002_0000,
  passwordIsSmartCardPin: 0x0004_0000,
  noAudioPlayback: 0x0008_0000,
  usingSavedCredentials: 0x0010_0000,
  audioCapture: 0x0020_0000,
  videoDisable: 0x0040_0000,
  hiDefRailSupported: 0x0200_0000,
} as const;

export const PerformanceFlag = {
  disableWallpaper: 0x01,
  disableFullWindowDrag: 0x02,
  disableMenuAnimations: 0x04,
  disableTheming: 0x08,
  disableCursorShadow: 0x20,
  disableCursorSettings: 0x40,
  enableFontSmoothing: 0x80,
  enableDesktopComposition: 0x100,
} as const;

/**
 * TS_INFO_PACKET with the password in the clear, as the wire has it. Whoever decodes it wraps
 * the password in a secret at once and drops this object: it must not be kept, logged or sent.
 */
export interface ClientInfoWithPassword {
  /** The active input locale when `flags` has unicode, else the code page of the texts. */
  readonly codePage: number;
  readonly flags: number;
  readonly domain: string;
  readonly userName: string;
  /** SECRET in the clear. Under CredSSP clients leave it empty. */
  readonly password: string;
  readonly alternateShell: string;
  readonly workingDir: string;
  /** Left out by RDP 4.0 clients. */
  readonly extended?: ExtendedInfo | undefined;
}

/** TS_EXTENDED_INFO_PACKET, 2.2.1.11.1.1.1. A client may end it before any optional field. */
export interface ExtendedInfo {
  /** 2 is IPv4, 0x17 IPv6. */
  readonly clientAddressFamily: number;
  /** What the client takes for its own address: told by it, hence worth nothing as evidence. */
  readonly clientAddress: string;
  readonly clientDir: string;
  /** TS_TIME_ZONE_INFORMATION, 172 bytes, as it came: nothing here changes it. */
  readonly timeZone?: Uint8Array | undefined;
  readonly sessionId?: number | undefined;
  /** See {@link PerformanceFlag}. */
  readonly performanceFlags?: number | undefined;
  /** ARC_CS_PRIVATE_PACKET, 2.2.4.3; SECRET: it stands for a log-on. Empty when there is none. */
  readonly autoReconnectCookie?: Uint8Array | undefined;
  /**
   * All that stands behind, as it came: the two reserved fields, the dynamic daylight saving time
   * (key name and switch), what versions to come add. Nothing here changes it.
   */
  readonly tail?: Uint8Array | undefined;
}

const TIME_ZONE_BYTES = 172;
/** The one size of an auto-reconnect cookie, 2.2.4.3. */
const COOKIE_BYTES = 28;

/** Decodes what follows the security header, up to the end of the reader. */
export function decodeClientInfo(reader: Reader): ClientInfoWithPassword {
  const codePage = reader.u32le('CodePage');
  const flags = reader.u32le('flags');
  const unicode = (flags & InfoFlag.unicode) !== 0;
  const lengths = ['cbDomain', 'cbUserName', 'cbPassword', 'cbAlternateShell', 'cbWorkingDir'].map((field) =>
    reader.u16le(field),
  );
  const text = (field: string, index: number): string => {
    const length = lengths[index] ?? 0;
    const value = unicode ? reader.utf16(field, length) : reader.latin1(field, length);
    reader.skip(`${field} terminator`, unicode ? 2 : 1);
    return value;
  };
  return {
    codePage,
    flags,
    domain: text('Domain', 0),
    userName: text('UserName', 1),
    password: text('Password', 2),
    alternateShell: text('AlternateShell', 3),
    workingDir: text('WorkingDir', 4),
    extended: reader.left === 0 ? undefined : decodeExtended(reader),
  };
}

function decodeExtended(reader: Reader): ExtendedInfo {
  const clientAddressFamily = reader.u16le('clientAddressFamily');
  // These two lengths count the terminator, and the texts are UTF-16 whatever the flags say.
  const clientAddress = reader.utf16('clientAddress', reader.u16le('cbClientAddress'));
  const clientDir = reader.utf16('clientDir', reader.u16le('cbClientDir'));
  const timeZone =
    reader.left === 0 ? undefined : new Uint8Array(reader.bytes('clientTimeZone', TIME_ZONE_BYTES));
  const sessionId = reader.left === 0 ? undefined : reader.u32le('clientSessionId');
  const performanceFlags = reader.left === 0 ? undefined : reader.u32le('performanceFlags');
  const autoReconnectCookie = reader.left === 0 ? undefined : decodeCookie(reader);
  const tail = reader.left === 0 ? undefined : new Uint8Array(reader.rest());
  return {
    clientAddressFamily,
    clientAddress,
    clientDir,
    timeZone,
    sessionId,
    performanceFlags,
    autoReconnectCookie,
    tail,
  };
}

function decodeCookie(reader: Reader): Uint8Array {
  const length = reader.u16le('cbAutoReconnectCookie');
  if (length !== 0 && length !== COOKIE_BYTES)
    throw new PduError(
      'cbAutoReconnectCookie',
      reader.offset - 2,
      `is ${length}, must be 0 or ${COOKIE_BYTES}`,
    );
  return new Uint8Array(reader.bytes('autoReconnectCookie', length));
}

/**
 * Encodes what follows the security header. The first optional field that is missing ends the packet.
 *
 * @throws PduError when a text is longer than its length field can tell
 */
export function encodeClientInfo(writer: Writer, info: ClientInfoWithPassword): void {
  const unicode = (info.flags & InfoFlag.unicode) !== 0;
  writer.u32le(info.codePage).u32le(info.flags);
  const texts = [info.domain, info.userName, info.password, info.alternateShell, info.workingDir];
  for (const [index, text] of texts.entries()) {
    const length = text.length * (unicode ? 2 : 1);
    if (length > 0xffff)
      throw new PduError('TS_INFO_PACKET', writer.length, `text ${index} is too long: ${length} bytes`);
    writer.u16le(length);
  }
  for (const text of texts) {
    if (unicode) writer.utf16(text).u16le(0);
    else writer.latin1(text).u8(0);
  }
  if (info.extended !== undefined) encodeExtended(writer, info.extended);
}

function encodeExtended(writer: Writer, info: ExtendedInfo): void {
  writer.u16le(info.clientAddressFamily);
  for (const text of [info.clientAddress, info.clientDir])
    writer
      .u16le((text.length + 1) * 2)
      .utf16(text)
      .u16le(0);
  if (info.timeZone === undefined) return;
  writer.bytes(info.timeZone);
  if (info.sessionId === undefined) return;
  writer.u32le(info.sessionId);
  if (info.performanceFlags === undefined) return;
  writer.u32le(info.performanceFlags);
  if (info.autoReconnectCookie === undefined) return;
  writer.u16le(info.autoReconnectCookie.length).bytes(info.autoReconnectCookie);
  if (info.tail !== undefined) writer.bytes(info.tail);
}
