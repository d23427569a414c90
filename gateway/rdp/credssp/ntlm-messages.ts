/**
 * [MS-NLMP] 2.2.1: the three messages of an NTLM log-on, in Unicode and with a version field, as everything since
 * Windows XP writes them. Every message begins with "NTLMSSP\0" and its type; variable parts stand behind, each
 * found by a field of length, maximum length and offset (2.2.1: `Len u16, MaxLen u16, BufferOffset u32`).
 */
import { PduError, Reader, Writer } from '../pdu/cursor.ts';

/** [MS-NLMP] 2.2.2.5, those that matter here. */
export const NtlmFlag = {
  unicode: 0x00000001,
  requestTarget: 0x00000004,
  sign: 0x00000010,
  seal: 0x00000020,
  ntlm: 0x00000200,
  alwaysSign: 0x00008000,
  targetTypeServer: 0x00020000,
  extendedSessionSecurity: 0x00080000,
  targetInfo: 0x00800000,
  version: 0x02000000,
  key128: 0x20000000,
  keyExchange: 0x40000000,
  key56: 0x80000000,
} as const;

/** [MS-NLMP] 2.2.2.1. */
export const AvId = {
  eol: 0,
  nbComputerName: 1,
  nbDomainName: 2,
  dnsComputerName: 3,
  dnsDomainName: 4,
  flags: 6,
  timestamp: 7,
  targetName: 9,
  channelBindings: 10,
} as const;

/** The bit of MsvAvFlags that says that the AUTHENTICATE message has a MIC. */
export const AV_FLAG_MIC = 2;

/** [MS-NLMP] 2.2.2.1, without the pair that ends a list. */
export interface AvPair {
  readonly id: number;
  readonly value: Uint8Array;
}

/** [MS-NLMP] 2.2.1.2. */
export interface ChallengeMessage {
  readonly flags: number;
  readonly targetName: string;
  /** 8 bytes. */
  readonly serverChallenge: Uint8Array;
  readonly targetInfo: readonly AvPair[];
}

/** [MS-NLMP] 2.2.1.3. */
export interface AuthenticateMessage {
  readonly flags: number;
  readonly domain: string;
  readonly user: string;
  readonly workstation: string;
  readonly lmResponse: Uint8Array;
  /** [MS-NLMP] 2.2.2.8: 16 bytes of proof, then the client's challenge. */
  readonly ntResponse: Uint8Array;
  readonly encryptedSessionKey: Uint8Array;
}

/** Where an AUTHENTICATE message has its MIC, when it has one. */
export const MIC_OFFSET = 72;
export const MIC_BYTES = 16;
const NEGOTIATE_BYTES = 40;
const CHALLENGE_BYTES = 56;
const AUTHENTICATE_BYTES = MIC_OFFSET + MIC_BYTES;
const SIGNATURE = 'NTLMSSP\0';
/** Windows 10 and NTLMSSP revision 15 ([MS-NLMP] 2.2.2.10): for debugging only, says the specification. */
const VERSION = Uint8Array.of(10, 0, 0x61, 0x4a, 0, 0, 0, 15);

/** Whether a token is a bare NTLM message and not one wrapped in SPNEGO. */
export function isNtlmMessage(token: Uint8Array): boolean {
  return new Writer(8)
    .latin1(SIGNATURE)
    .done()
    .every((byte, index) => token[index] === byte);
}

/** The flags of a NEGOTIATE message ([MS-NLMP] 2.2.1.1); its names are hints that nothing depends on. */
export function decodeNegotiate(bytes: Uint8Array): number {
  return open(bytes, 1).u32le('NegotiateFlags');
}

/**
 *     0 Signature  8 MessageType=1  12 NegotiateFlags  16 DomainNameFields  24 WorkstationFields  32 Version
 */
export function encodeNegotiate(flags: number): Uint8Array {
  return begin(1).u32le(flags).zeros(16).bytes(VERSION).done();
}

/**
 *     0 Signature  8 MessageType=2  12 TargetNameFields  20 NegotiateFlags  24 ServerChallenge  32 Reserved
 *     40 TargetInfoFields  48 Version  56 Payload
 */
export function decodeChallenge(bytes: Uint8Array): ChallengeMessage {
  const reader = open(bytes, 2);
  const targetName = payload(bytes, reader, 'TargetName');
  const flags = reader.u32le('NegotiateFlags');
  const serverChallenge = reader.bytes('ServerChallenge', 8);
  reader.skip('Reserved', 8);
  const targetInfo = decodeAvPairs(payload(bytes, reader, 'TargetInfo'));
  return { flags, targetName: targetName.utf16('TargetName', targetName.left), serverChallenge, targetInfo };
}

/** Layout: see `decodeChallenge`. */
export function encodeChallenge(message: ChallengeMessage): Uint8Array {
  const name = utf16(message.targetName);
  const info = encodeAvPairs(message.targetInfo);
  const writer = begin(2);
  field(writer, name.length, CHALLENGE_BYTES);
  writer.u32le(message.flags).bytes(message.serverChallenge).zeros(8);
  field(writer, info.length, CHALLENGE_BYTES + name.length);
  return writer.bytes(VERSION).bytes(name).bytes(info).done();
}

/**
 *     0 Signature  8 MessageType=3  12 LmChallengeResponseFields  20 NtChallengeResponseFields  28 DomainNameFields
 *     36 UserNameFields  44 WorkstationFields  52 EncryptedRandomSessionKeyFields  60 NegotiateFlags  64 Version
 *     72 MIC  88 Payload
 */
export function decodeAuthenticate(bytes: Uint8Array): AuthenticateMessage {
  const reader = open(bytes, 3);
  const lmResponse = payload(bytes, reader, 'LmChallengeResponse').rest();
  const ntResponse = payload(bytes, reader, 'NtChallengeResponse').rest();
  const domain = payload(bytes, reader, 'DomainName');
  const user = payload(bytes, reader, 'UserName');
  const workstation = payload(bytes, reader, 'Workstation');
  const encryptedSessionKey = payload(bytes, reader, 'EncryptedRandomSessionKey').rest();
  const flags = reader.u32le('NegotiateFlags');
  return {
    flags,
    domain: domain.utf16('DomainName', domain.left),
    user: user.utf16('UserName', user.left),
    workstation: workstation.utf16('Workstation', workstation.left),
    lmResponse,
    ntResponse,
    encryptedSessionKey,
  };
}

/** Layout: see `decodeAuthenticate`. The MIC is 16 zero bytes, to be patched in at `MIC_OFFSET`. */
export function encodeAuthenticate(message: AuthenticateMessage): Uint8Array {
  const parts = [
    message.lmResponse,
    message.ntResponse,
    utf16(message.domain),
    utf16(message.user),
    utf16(message.workstation),
    message.encryptedSessionKey,
  ];
  const writer = begin(3);
  let at = AUTHENTICATE_BYTES;
  for (const part of parts) {
    field(writer, part.length, at);
    at += part.length;
  }
  writer.u32le(message.flags).bytes(VERSION).zeros(MIC_BYTES);
  for (const part of parts) writer.bytes(part);
  return writer.done();
}

/** [MS-NLMP] 2.2.2.1: pairs up to the one that ends the list; what follows it is padding. */
export function decodeAvPairs(reader: Reader): AvPair[] {
  const pairs: AvPair[] = [];
  // A list that is not there is what a peer sends that negotiated none.
  if (reader.left === 0) return pairs;
  for (;;) {
    const id = reader.u16le('AvId');
    const value = reader.bytes('AV value', reader.u16le('AvLen'));
    if (id === AvId.eol) return pairs;
    pairs.push({ id, value });
  }
}

/** The list with the pair that ends it. */
export function encodeAvPairs(pairs: readonly AvPair[]): Uint8Array {
  const writer = new Writer();
  for (const { id, value } of pairs) writer.u16le(id).u16le(value.length).bytes(value);
  return writer.u16le(AvId.eol).u16le(0).done();
}

/** UTF-16LE without a terminator. */
export function utf16(text: string): Uint8Array {
  return new Writer(text.length * 2).utf16(text).done();
}

/** Checks signature and type; the reader stands behind them. */
function open(bytes: Uint8Array, type: number): Reader {
  const reader = new Reader(bytes);
  reader.skip('Signature', 8);
  if (!isNtlmMessage(bytes)) throw new PduError('Signature', 0, 'is not NTLMSSP');
  const found = reader.u32le('MessageType');
  if (found !== type) throw new PduError('MessageType', 8, `is ${found} instead of ${type}`);
  return reader;
}

function begin(type: number): Writer {
  return new Writer(NEGOTIATE_BYTES).latin1(SIGNATURE).u32le(type);
}

function field(writer: Writer, length: number, offset: number): void {
  writer.u16le(length).u16le(length).u32le(offset);
}

/** A reader of the part that the field at the reader points to. */
function payload(bytes: Uint8Array, reader: Reader, name: string): Reader {
  const length = reader.u16le(`${name}Len`);
  reader.skip(`${name}MaxLen`, 2);
  const offset = reader.u32le(`${name}BufferOffset`);
  if (offset + length > bytes.length) {
    if (length > 0)
      reader.fail(`${name}BufferOffset`, `is ${offset} for ${length} bytes in ${bytes.length}`, 4);
    return new Reader(bytes, 0, 0);
  }
  return new Reader(bytes, offset, offset + length);
}
