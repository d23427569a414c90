/**
 * The server's data blocks ([MS-RDPBCGR] 2.2.1.4.2 to 2.2.1.4.6). Blocks that stand in a ServerGccBlocks are read
 * field by field, all others are kept as they came.
 */

import { type Reader, Writer } from './cursor.ts';
import { type RawBlock, readBlocks, writeBlock } from './gcc.ts';

/** TS_UD_HEADER types of the server (2.2.1.3.1). */
export const ServerBlockType = {
  core: 0x0c01,
  security: 0x0c02,
  network: 0x0c03,
  messageChannel: 0x0c04,
  multitransport: 0x0c08,
} as const;

/** SC_CORE earlyCapabilityFlags (2.2.1.4.2). */
export const ServerCapability = {
  edgeActionsSupportedV1: 0x01,
  dynamicDstSupported: 0x02,
  edgeActionsSupportedV2: 0x04,
  skipChannelJoinSupported: 0x08,
} as const;

/** SC_CORE (2.2.1.4.2). The optional fields end at the first that is absent. */
export interface ServerCore {
  readonly version: number;
  /** What the client asked for in its X.224 request, unchanged: a client checks it. */
  readonly clientRequestedProtocols?: number;
  /** ServerCapability. */
  readonly earlyCapabilityFlags?: number;
}

/** SC_SECURITY (2.2.1.4.3): Standard RDP Security; method and level are 0 under TLS. */
export interface ServerSecurity {
  readonly encryptionMethod: number;
  readonly encryptionLevel: number;
  /** Under TLS absent, or both of them empty. */
  readonly keys?: {
    readonly serverRandom: Uint8Array;
    /** Kept as it came. */
    readonly serverCertificate: Uint8Array;
  };
}

/** SC_NET (2.2.1.4.4). */
export interface ServerNetwork {
  /** The I/O channel, 1003 nearly everywhere. */
  readonly ioChannelId: number;
  /** Of the client's static channels, in its order; 0 where the server has no such channel. */
  readonly channelIds: readonly number[];
}

/** The blocks of a Connect Response; written in this order, in which Windows servers send them. */
export interface ServerGccBlocks {
  readonly core: ServerCore;
  readonly network: ServerNetwork;
  readonly security: ServerSecurity;
  /** SC_MCS_MSGCHANNEL (2.2.1.4.5): the message channel's id. */
  readonly messageChannelId?: number;
  /** SC_MULTITRANSPORT (2.2.1.4.6) flags. */
  readonly multitransport?: number;
  readonly unknown: readonly RawBlock[];
}

const MAX_CHANNELS = 31;
/** A random of 32 bytes is the rule and certificate chains stay far below; the block itself ends at 64 KiB. */
const MAX_KEY_BYTES = 16384;

/** Reads all blocks. Copies what it keeps. */
export function decodeServerBlocks(reader: Reader): ServerGccBlocks {
  const raw = readBlocks(reader);
  const take = <T>(type: number, decode: (body: Reader) => T): T | undefined => {
    const body = raw.get(type);
    raw.delete(type);
    return body === undefined ? undefined : decode(body);
  };
  const core = take(ServerBlockType.core, decodeCore) ?? reader.fail('SC_CORE', 'is missing');
  const network = take(ServerBlockType.network, decodeNetwork) ?? reader.fail('SC_NET', 'is missing');
  const security = take(ServerBlockType.security, decodeSecurity) ?? reader.fail('SC_SECURITY', 'is missing');
  const messageChannelId = take(ServerBlockType.messageChannel, (body) => body.u16le('MCSChannelID'));
  const multitransport = take(ServerBlockType.multitransport, (body) => body.u32le('flags'));
  return {
    core,
    network,
    security,
    ...(messageChannelId !== undefined && { messageChannelId }),
    ...(multitransport !== undefined && { multitransport }),
    unknown: Array.from(raw, ([type, body]) => ({ type, body: new Uint8Array(body.rest()) })),
  };
}

/** @returns the blocks' bytes, for encodeConferenceCreateResponse */
export function encodeServerBlocks(blocks: ServerGccBlocks): Uint8Array {
  const { core, network, security, messageChannelId, multitransport, unknown } = blocks;
  const writer = new Writer(256);
  const block = (type: number, write: (writer: Writer) => void) => writeBlock(writer, type, write);
  block(ServerBlockType.core, (body) => encodeCore(body, core));
  block(ServerBlockType.network, (body) => encodeNetwork(body, network));
  block(ServerBlockType.security, (body) => encodeSecurity(body, security));
  if (messageChannelId !== undefined)
    block(ServerBlockType.messageChannel, (body) => body.u16le(messageChannelId));
  if (multitransport !== undefined)
    block(ServerBlockType.multitransport, (body) => body.u32le(multitransport));
  for (const { type, body } of unknown) block(type, (into) => into.bytes(body));
  return writer.done();
}

function decodeCore(reader: Reader): ServerCore {
  const version = reader.u32le('version');
  if (reader.left === 0) return { version };
  const clientRequestedProtocols = reader.u32le('clientRequestedProtocols');
  if (reader.left === 0) return { version, clientRequestedProtocols };
  return { version, clientRequestedProtocols, earlyCapabilityFlags: reader.u32le('earlyCapabilityFlags') };
}

function encodeCore(writer: Writer, core: ServerCore): void {
  writer.u32le(core.version);
  if (core.clientRequestedProtocols === undefined) return;
  writer.u32le(core.clientRequestedProtocols);
  if (core.earlyCapabilityFlags !== undefined) writer.u32le(core.earlyCapabilityFlags);
}

function decodeNetwork(reader: Reader): ServerNetwork {
  const ioChannelId = reader.u16le('MCSChannelId');
  const count = reader.u16le('channelCount');
  if (count > MAX_CHANNELS)
    reader.fail('channelCount', `is ${count}, at most ${MAX_CHANNELS} are allowed`, 2);
  return { ioChannelId, channelIds: Array.from({ length: count }, () => reader.u16le('channelIdArray')) };
}

function encodeNetwork(writer: Writer, { ioChannelId, channelIds }: ServerNetwork): void {
  writer.u16le(ioChannelId).u16le(channelIds.length);
  for (const id of channelIds) writer.u16le(id);
  // The block's length is a multiple of four.
  if (channelIds.length % 2 !== 0) writer.u16le(0);
}

function decodeSecurity(reader: Reader): ServerSecurity {
  const encryptionMethod = reader.u32le('encryptionMethod');
  const encryptionLevel = reader.u32le('encryptionLevel');
  if (reader.left === 0) return { encryptionMethod, encryptionLevel };
  const randomLength = readKeyLength(reader, 'serverRandomLen');
  const certificateLength = readKeyLength(reader, 'serverCertLen');
  const serverRandom = new Uint8Array(reader.bytes('serverRandom', randomLength));
  const serverCertificate = new Uint8Array(reader.bytes('serverCertificate', certificateLength));
  return { encryptionMethod, encryptionLevel, keys: { serverRandom, serverCertificate } };
}

function encodeSecurity(writer: Writer, { encryptionMethod, encryptionLevel, keys }: ServerSecurity): void {
  writer.u32le(encryptionMethod).u32le(encryptionLevel);
  if (keys === undefined) return;
  writer.u32le(keys.serverRandom.length).u32le(keys.serverCertificate.length);
  writer.bytes(keys.serverRandom).bytes(keys.serverCertificate);
}

function readKeyLength(reader: Reader, field: string): number {
  const length = reader.u32le(field);
  if (length > MAX_KEY_BYTES) reader.fail(field, `is ${length}, more than ${MAX_KEY_BYTES}`, 4);
  return length;
}
