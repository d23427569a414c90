/**
 * Server Redirection, [MS-RDPBCGR] 2.2.13: "go to that server". Standard security (2.2.13.2.1) puts
 * it behind a security header with the redirection flag, enhanced security (2.2.13.3.1) behind a
 * share control header and two bytes of padding. The gateway acts on it and never relays it: the
 * client would leave.
 *
 * ```
 * Flags (2: 0x0400)  Length (2, of all)  SessionID (4)  RedirFlags (4)
 * then, for each flag set, in this order: length (4), data
 * ```
 */
import { PduError, Reader, type Writer } from './cursor.ts';
import { readShareControl, ShareType } from './share.ts';

/** RedirFlags. */
export const RedirectionFlag = {
  targetNetAddress: 0x0000_0001,
  loadBalanceInfo: 0x0000_0002,
  userName: 0x0000_0004,
  domain: 0x0000_0008,
  password: 0x0000_0010,
  /** The user name is to be kept, but the user shall be asked for the password. */
  dontStoreUserName: 0x0000_0020,
  smartCardLogon: 0x0000_0040,
  /** Informational: the client stays where it is. */
  noRedirect: 0x0000_0080,
  targetFqdn: 0x0000_0100,
  targetNetBiosName: 0x0000_0200,
  targetNetAddresses: 0x0000_0800,
  clientTsvUrl: 0x0000_1000,
  serverTsvCapable: 0x0000_2000,
  passwordIsEncrypted: 0x0000_4000,
  redirectionGuid: 0x0000_8000,
  targetCertificate: 0x0001_0000,
} as const;

/** RDP_SERVER_REDIRECTION_PACKET, 2.2.13.1; what its flag does not announce is absent. */
export interface ServerRedirectionWithPassword {
  readonly sessionId: number;
  /** See {@link RedirectionFlag}. */
  readonly flags: number;
  readonly targetNetAddress?: string;
  /** The routing token for the X.224 request of the new connection. */
  readonly loadBalanceInfo?: Uint8Array;
  readonly userName?: string;
  readonly domain?: string;
  /**
   * SECRET: UTF-16LE with its terminator; with `passwordIsEncrypted` an opaque blob for RDSTLS.
   * Whoever decodes it wraps it in a secret at once.
   */
  readonly password?: Uint8Array;
  readonly targetFqdn?: string;
  readonly targetNetBiosName?: string;
  readonly clientTsvUrl?: string;
  readonly redirectionGuid?: Uint8Array;
  /** TARGET_CERTIFICATE_CONTAINER in base64 (UTF-16LE), 2.2.13.1.2. */
  readonly targetCertificate?: Uint8Array;
  /** 2.2.13.1.1: addresses to try one after the other. */
  readonly targetNetAddresses?: readonly string[];
}

const HEADER_BYTES = 12;
const SEC_REDIRECTION_PKT = 0x0400;
/** PDUTYPE_SERVER_REDIR_PKT with its version: other share PDUs have less here. */
const LARGEST_PDU_TYPE = 0x1a;
/** A server has a handful of addresses; each costs at least four bytes. */
const MAX_ADDRESSES = 64;

/**
 * Decodes behind the share control header of a PDU of type `serverRedirection`: two bytes of
 * padding, the packet, maybe a byte more.
 */
export function decodeEnhancedRedirection(reader: Reader): ServerRedirectionWithPassword {
  reader.skip('pad2Octets', 2);
  return decodeRedirection(reader);
}

/**
 * Decodes the packet itself. In standard security its Flags are the low half of the security
 * header, so the reader begins at that header.
 */
export function decodeRedirection(reader: Reader): ServerRedirectionWithPassword {
  const flags = reader.u16le('Flags');
  if ((flags & SEC_REDIRECTION_PKT) === 0)
    throw new PduError('Flags', reader.offset - 2, `is 0x${flags.toString(16)}, must have 0x0400`);
  const length = reader.u16le('Length');
  if (length < HEADER_BYTES) reader.fail('Length', `is ${length}, less than its header`, 2);
  const body = reader.part('redirection packet', length - 4);
  const sessionId = body.u32le('SessionID');
  const redirFlags = body.u32le('RedirFlags');
  const has = (flag: number): boolean => (redirFlags & flag) !== 0;
  const bytes = (field: string): Uint8Array =>
    new Uint8Array(body.bytes(field, body.u32le(`${field}Length`)));
  const text = (field: string): string => body.utf16(field, body.u32le(`${field}Length`));
  const flag = RedirectionFlag;
  // The properties are evaluated in the order of the wire.
  return {
    sessionId,
    flags: redirFlags,
    ...(has(flag.targetNetAddress) && { targetNetAddress: text('TargetNetAddress') }),
    ...(has(flag.loadBalanceInfo) && { loadBalanceInfo: bytes('LoadBalanceInfo') }),
    ...(has(flag.userName) && { userName: text('UserName') }),
    ...(has(flag.domain) && { domain: text('Domain') }),
    ...(has(flag.password) && { password: bytes('Password') }),
    ...(has(flag.targetFqdn) && { targetFqdn: text('TargetFQDN') }),
    ...(has(flag.targetNetBiosName) && { targetNetBiosName: text('TargetNetBiosName') }),
    ...(has(flag.clientTsvUrl) && { clientTsvUrl: text('TsvUrl') }),
    ...(has(flag.redirectionGuid) && { redirectionGuid: bytes('RedirectionGuid') }),
    ...(has(flag.targetCertificate) && { targetCertificate: bytes('TargetCertificate') }),
    ...(has(flag.targetNetAddresses) && { targetNetAddresses: decodeAddresses(body) }),
  };
}

/**
 * The redirection that the data of an I/O channel begin with, in either envelope; undefined: they
 * are something else.
 */
export function readRedirection(
  bytes: Uint8Array,
  offset: number,
  end: number = bytes.length,
): ServerRedirectionWithPassword | undefined {
  if (isStandardRedirection(bytes, offset, end)) return decodeRedirection(new Reader(bytes, offset, end));
  const control = readShareControl(bytes, offset, end);
  return control.type === ShareType.serverRedirection
    ? decodeEnhancedRedirection(new Reader(bytes, control.dataOffset, control.end))
    : undefined;
}

/**
 * Whether the data of an I/O channel are a redirection behind a security header. Its flags could
 * also be the length of a share PDU, 1024, but what follows there is a type, far below the
 * length of any redirection that leads somewhere.
 */
export function isStandardRedirection(bytes: Uint8Array, offset: number, end: number): boolean {
  if (end - offset < HEADER_BYTES) return false;
  const flags = (bytes[offset] ?? 0) | ((bytes[offset + 1] ?? 0) << 8);
  const length = (bytes[offset + 2] ?? 0) | ((bytes[offset + 3] ?? 0) << 8);
  return flags === SEC_REDIRECTION_PKT && length > LARGEST_PDU_TYPE && length <= end - offset;
}

/** Whether it only informs (LB_NOREDIRECT): the client stays where it is. */
export function leadsNowhere({ flags }: ServerRedirectionWithPassword): boolean {
  return (flags & RedirectionFlag.noRedirect) !== 0;
}

/** Writes pad, packet and the byte that may follow: what stands behind a share control header. */
export function encodeEnhancedRedirection(writer: Writer, packet: ServerRedirectionWithPassword): void {
  writer.u16le(0);
  encodeRedirection(writer, packet);
  writer.u8(0);
}

/** Writes the packet; a field that its flags announce and that is missing is written empty. */
export function encodeRedirection(writer: Writer, packet: ServerRedirectionWithPassword): void {
  const start = writer.length;
  writer.u16le(SEC_REDIRECTION_PKT).u16le(0).u32le(packet.sessionId).u32le(packet.flags);
  const flag = RedirectionFlag;
  const has = (one: number): boolean => (packet.flags & one) !== 0;
  const bytes = (one: number, value: Uint8Array = new Uint8Array()): void => {
    if (has(one)) writer.u32le(value.length).bytes(value);
  };
  const text = (one: number, value = ''): void => {
    if (has(one)) encodeText(writer, value);
  };
  text(flag.targetNetAddress, packet.targetNetAddress);
  bytes(flag.loadBalanceInfo, packet.loadBalanceInfo);
  text(flag.userName, packet.userName);
  text(flag.domain, packet.domain);
  bytes(flag.password, packet.password);
  text(flag.targetFqdn, packet.targetFqdn);
  text(flag.targetNetBiosName, packet.targetNetBiosName);
  text(flag.clientTsvUrl, packet.clientTsvUrl);
  bytes(flag.redirectionGuid, packet.redirectionGuid);
  bytes(flag.targetCertificate, packet.targetCertificate);
  if (has(flag.targetNetAddresses)) encodeAddresses(writer, packet.targetNetAddresses ?? []);
  writer.patchU16le(start + 2, writer.length - start);
}

function encodeText(writer: Writer, text: string): void {
  writer
    .u32le((text.length + 1) * 2)
    .utf16(text)
    .u16le(0);
}

function encodeAddresses(writer: Writer, addresses: readonly string[]): void {
  const start = writer.length;
  writer.u32le(0).u32le(addresses.length);
  for (const address of addresses) encodeText(writer, address);
  writer.patchU32le(start, writer.length - start - 4);
}

/** TARGET_NET_ADDRESSES: length (4), addressCount (4), each: addressLength (4), address. */
function decodeAddresses(body: Reader): string[] {
  const part = body.part('TargetNetAddresses', body.u32le('TargetNetAddressesLength'));
  const count = part.u32le('addressCount');
  if (count > MAX_ADDRESSES) part.fail('addressCount', `is ${count}, at most ${MAX_ADDRESSES} are read`, 4);
  return Array.from({ length: count }, () => part.utf16('address', part.u32le('addressLength')));
}
