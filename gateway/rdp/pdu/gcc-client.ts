/**
 * The client's data blocks ([MS-RDPBCGR] 2.2.1.3.2 to 2.2.1.3.10): what it is, what it can show, which channels
 * it wants. Blocks that stand in a ClientGccBlocks are read field by field, all others are kept as they came.
 */

import { type Reader, Writer } from './cursor.ts';
import { type RawBlock, readBlocks, writeBlock } from './gcc.ts';

/** TS_UD_HEADER types of the client (2.2.1.3.1). */
export const ClientBlockType = {
  core: 0xc001,
  security: 0xc002,
  network: 0xc003,
  cluster: 0xc004,
  monitor: 0xc005,
  messageChannel: 0xc006,
  monitorEx: 0xc008,
  multitransport: 0xc00a,
} as const;

/** CS_CORE earlyCapabilityFlags (2.2.1.3.2). */
export const EarlyCapability = {
  supportErrInfoPdu: 0x0001,
  want32BppSession: 0x0002,
  supportStatusInfoPdu: 0x0004,
  strongAsymmetricKeys: 0x0008,
  validConnectionType: 0x0020,
  supportMonitorLayoutPdu: 0x0040,
  supportNetcharAutodetect: 0x0080,
  supportDynvcGfxProtocol: 0x0100,
  supportDynamicTimeZone: 0x0200,
  supportHeartbeatPdu: 0x0400,
  supportSkipChannelJoin: 0x0800,
} as const;

/** CHANNEL_DEF options (2.2.1.3.4.1). */
export const ChannelOption = {
  initialized: 0x80000000,
  encryptRdp: 0x40000000,
  encryptServerToClient: 0x20000000,
  encryptClientToServer: 0x10000000,
  priorityHigh: 0x08000000,
  priorityMedium: 0x04000000,
  priorityLow: 0x02000000,
  compressRdp: 0x00800000,
  compress: 0x00400000,
  showProtocol: 0x00200000,
  remoteControlPersistent: 0x00100000,
} as const;

/** CS_CLUSTER flags (2.2.1.3.5); bits 2 to 5 are the redirection's version less one. */
export const ClusterFlag = {
  redirectionSupported: 0x01,
  redirectedSessionIdValid: 0x02,
  versionMask: 0x3c,
  redirectedSmartcard: 0x40,
} as const;

/** CS_CORE (2.2.1.3.2). The optional fields end at the first that is absent. */
export interface ClientCore extends Readonly<Partial<Record<CoreNumber, number>>> {
  readonly version: number;
  /** Pixels. */
  readonly desktopWidth: number;
  readonly desktopHeight: number;
  /** RNS_UD_COLOR_4BPP (ca00) or _8BPP (ca01); the later fields count. */
  readonly colorDepth: number;
  readonly sasSequence: number;
  /** Input locale identifier. */
  readonly keyboardLayout: number;
  readonly clientBuild: number;
  /** At most 15 characters. */
  readonly clientName: string;
  readonly keyboardType: number;
  readonly keyboardSubType: number;
  readonly keyboardFunctionKey: number;
  /** At most 31 characters. */
  readonly imeFileName: string;
  /** At most 31 characters; between earlyCapabilityFlags and connectionType. */
  readonly clientDigProductId?: string;
}

/** Bits per pixel by RNS_UD_COLOR_*, from ca00 on. */
const OLD_DEPTHS = [4, 8, 15, 16, 24] as const;

/** Bits per pixel that the client asks for, but for 32: of the fields that say so the last one counts (2.2.1.3.2). */
export function colourDepthOf({ colorDepth, postBeta2ColorDepth, highColorDepth }: ClientCore): number {
  return highColorDepth ?? OLD_DEPTHS[(postBeta2ColorDepth ?? colorDepth) - 0xca00] ?? 8;
}

/** CS_SECURITY (2.2.1.3.3): methods of Standard RDP Security. */
export interface ClientSecurity {
  readonly encryptionMethods: number;
  /** For the French locale. */
  readonly extEncryptionMethods: number;
}

/** CHANNEL_DEF (2.2.1.3.4.1). */
export interface ChannelDefinition {
  /** At most 7 characters. */
  readonly name: string;
  /** Bits of ChannelOption. */
  readonly options: number;
}

/** CS_CLUSTER (2.2.1.3.5). */
export interface ClientCluster {
  readonly flags: number;
  readonly redirectedSessionId: number;
}

/** TS_MONITOR_DEF (2.2.1.3.6.1); the edges are inclusive. */
export interface MonitorDefinition {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  /** 1: the primary monitor. */
  readonly flags: number;
}

/** CS_MONITOR (2.2.1.3.6). */
export interface ClientMonitor {
  readonly flags: number;
  /** At most 16. */
  readonly monitors: readonly MonitorDefinition[];
}

/** TS_MONITOR_ATTRIBUTES (2.2.1.3.9.1). */
export interface MonitorAttributes {
  /** Millimetres. */
  readonly physicalWidth: number;
  readonly physicalHeight: number;
  /** Degrees. */
  readonly orientation: number;
  /** Per cent. */
  readonly desktopScaleFactor: number;
  readonly deviceScaleFactor: number;
}

/** CS_MONITOR_EX (2.2.1.3.9). */
export interface ClientMonitorEx {
  readonly flags: number;
  /** In CS_MONITOR's order. */
  readonly monitors: readonly MonitorAttributes[];
}

/** The blocks of a Connect Initial; written in this order, in which current clients send them. */
export interface ClientGccBlocks {
  readonly core: ClientCore;
  readonly cluster?: ClientCluster;
  readonly security?: ClientSecurity;
  /** CS_NET (2.2.1.3.4): the static channels, at most 31. */
  readonly channels?: readonly ChannelDefinition[];
  readonly monitor?: ClientMonitor;
  readonly monitorEx?: ClientMonitorEx;
  /** CS_MCS_MSGCHANNEL (2.2.1.3.7) flags. */
  readonly messageChannel?: number;
  /** CS_MULTITRANSPORT (2.2.1.3.8) flags. */
  readonly multitransport?: number;
  readonly unknown: readonly RawBlock[];
}

const MAX_CHANNELS = 31;
const MAX_MONITORS = 16;
const NAME_BYTES = 8;
const MONITOR_ATTRIBUTE_BYTES = 20;

/** CS_CORE's optional fields in order, with their bytes. connectionType: its high byte is pad1octet. */
const CORE_OPTIONS = [
  ['postBeta2ColorDepth', 2],
  ['clientProductId', 2],
  ['serialNumber', 4],
  ['highColorDepth', 2],
  ['supportedColorDepths', 2],
  ['earlyCapabilityFlags', 2],
  ['clientDigProductId', 64],
  ['connectionType', 2],
  ['serverSelectedProtocol', 4],
  ['desktopPhysicalWidth', 4],
  ['desktopPhysicalHeight', 4],
  ['desktopOrientation', 2],
  ['desktopScaleFactor', 4],
  ['deviceScaleFactor', 4],
] as const;

type CoreNumber = Exclude<(typeof CORE_OPTIONS)[number][0], 'clientDigProductId'>;
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Reads all blocks. Copies what it keeps. */
export function decodeClientBlocks(reader: Reader): ClientGccBlocks {
  const raw = readBlocks(reader);
  const take = <T>(type: number, decode: (body: Reader) => T): T | undefined => {
    const body = raw.get(type);
    raw.delete(type);
    return body === undefined ? undefined : decode(body);
  };
  const core = take(ClientBlockType.core, decodeCore) ?? reader.fail('CS_CORE', 'is missing');
  const cluster = take(ClientBlockType.cluster, decodeCluster);
  const security = take(ClientBlockType.security, decodeSecurity);
  const channels = take(ClientBlockType.network, decodeChannels);
  const monitor = take(ClientBlockType.monitor, decodeMonitor);
  const monitorEx = take(ClientBlockType.monitorEx, decodeMonitorEx);
  const messageChannel = take(ClientBlockType.messageChannel, (body) => body.u32le('flags'));
  const multitransport = take(ClientBlockType.multitransport, (body) => body.u32le('flags'));
  return {
    core,
    ...(cluster && { cluster }),
    ...(security && { security }),
    ...(channels && { channels }),
    ...(monitor && { monitor }),
    ...(monitorEx && { monitorEx }),
    ...(messageChannel !== undefined && { messageChannel }),
    ...(multitransport !== undefined && { multitransport }),
    unknown: Array.from(raw, ([type, body]) => ({ type, body: new Uint8Array(body.rest()) })),
  };
}

/** @returns the blocks' bytes, for encodeConferenceCreateRequest */
export function encodeClientBlocks(blocks: ClientGccBlocks): Uint8Array {
  const { core, cluster, security, channels, monitor, monitorEx, messageChannel, multitransport } = blocks;
  const writer = new Writer(512);
  const block = (type: number, write: (writer: Writer) => void) => writeBlock(writer, type, write);
  block(ClientBlockType.core, (body) => encodeCore(body, core));
  if (cluster)
    block(ClientBlockType.cluster, (body) => body.u32le(cluster.flags).u32le(cluster.redirectedSessionId));
  if (security)
    block(ClientBlockType.security, (body) =>
      body.u32le(security.encryptionMethods).u32le(security.extEncryptionMethods),
    );
  if (channels) block(ClientBlockType.network, (body) => encodeChannels(body, channels));
  if (monitor) block(ClientBlockType.monitor, (body) => encodeMonitor(body, monitor));
  if (monitorEx) block(ClientBlockType.monitorEx, (body) => encodeMonitorEx(body, monitorEx));
  if (messageChannel !== undefined)
    block(ClientBlockType.messageChannel, (body) => body.u32le(messageChannel));
  if (multitransport !== undefined)
    block(ClientBlockType.multitransport, (body) => body.u32le(multitransport));
  for (const { type, body } of blocks.unknown) block(type, (into) => into.bytes(body));
  return writer.done();
}

function decodeCore(reader: Reader): ClientCore {
  const core: Mutable<ClientCore> = {
    version: reader.u32le('version'),
    desktopWidth: reader.u16le('desktopWidth'),
    desktopHeight: reader.u16le('desktopHeight'),
    colorDepth: reader.u16le('colorDepth'),
    sasSequence: reader.u16le('SASSequence'),
    keyboardLayout: reader.u32le('keyboardLayout'),
    clientBuild: reader.u32le('clientBuild'),
    clientName: text(reader, 'clientName', 32),
    keyboardType: reader.u32le('keyboardType'),
    keyboardSubType: reader.u32le('keyboardSubType'),
    keyboardFunctionKey: reader.u32le('keyboardFunctionKey'),
    imeFileName: text(reader, 'imeFileName', 64),
  };
  for (const [name, bytes] of CORE_OPTIONS) {
    if (reader.left === 0) break;
    if (name === 'clientDigProductId') core.clientDigProductId = text(reader, name, bytes);
    else core[name] = bytes === 2 ? reader.u16le(name) : reader.u32le(name);
  }
  if (core.connectionType !== undefined) core.connectionType &= 0xff;
  return core;
}

function encodeCore(writer: Writer, core: ClientCore): void {
  writer
    .u32le(core.version)
    .u16le(core.desktopWidth)
    .u16le(core.desktopHeight)
    .u16le(core.colorDepth)
    .u16le(core.sasSequence)
    .u32le(core.keyboardLayout)
    .u32le(core.clientBuild)
    .utf16Field(core.clientName, 32)
    .u32le(core.keyboardType)
    .u32le(core.keyboardSubType)
    .u32le(core.keyboardFunctionKey)
    .utf16Field(core.imeFileName, 64);
  for (const [name, bytes] of CORE_OPTIONS) {
    const value = core[name];
    if (value === undefined) break;
    if (typeof value === 'string') writer.utf16Field(value, bytes);
    else if (bytes === 2) writer.u16le(value);
    else writer.u32le(value);
  }
}

/** A field whose last character is its NUL, whatever stands there: what is judged by is what is passed on. */
function text(reader: Reader, field: string, bytes: number): string {
  return reader.utf16(field, bytes).slice(0, bytes / 2 - 1);
}

function decodeCluster(reader: Reader): ClientCluster {
  return { flags: reader.u32le('flags'), redirectedSessionId: reader.u32le('redirectedSessionID') };
}

function decodeSecurity(reader: Reader): ClientSecurity {
  return {
    encryptionMethods: reader.u32le('encryptionMethods'),
    extEncryptionMethods: reader.u32le('extEncryptionMethods'),
  };
}

function decodeChannels(reader: Reader): ChannelDefinition[] {
  return readList(reader, 'channelCount', MAX_CHANNELS, () => ({
    name: reader.latin1('name', NAME_BYTES).slice(0, NAME_BYTES - 1),
    options: reader.u32le('options'),
  }));
}

function encodeChannels(writer: Writer, channels: readonly ChannelDefinition[]): void {
  writer.u32le(channels.length);
  for (const { name, options } of channels) {
    const cut = name.slice(0, NAME_BYTES - 1);
    writer
      .latin1(cut)
      .zeros(NAME_BYTES - cut.length)
      .u32le(options);
  }
}

function decodeMonitor(reader: Reader): ClientMonitor {
  const flags = reader.u32le('flags');
  const monitors = readList(reader, 'monitorCount', MAX_MONITORS, () => ({
    left: reader.i32le('left'),
    top: reader.i32le('top'),
    right: reader.i32le('right'),
    bottom: reader.i32le('bottom'),
    flags: reader.u32le('flags'),
  }));
  return { flags, monitors };
}

function encodeMonitor(writer: Writer, { flags, monitors }: ClientMonitor): void {
  writer.u32le(flags).u32le(monitors.length);
  for (const monitor of monitors)
    writer
      .u32le(monitor.left)
      .u32le(monitor.top)
      .u32le(monitor.right)
      .u32le(monitor.bottom)
      .u32le(monitor.flags);
}

function decodeMonitorEx(reader: Reader): ClientMonitorEx {
  const flags = reader.u32le('flags');
  const size = reader.u32le('monitorAttributeSize');
  if (size !== MONITOR_ATTRIBUTE_BYTES)
    reader.fail('monitorAttributeSize', `is ${size}, not ${MONITOR_ATTRIBUTE_BYTES}`, 4);
  const monitors = readList(reader, 'monitorCount', MAX_MONITORS, () => ({
    physicalWidth: reader.u32le('physicalWidth'),
    physicalHeight: reader.u32le('physicalHeight'),
    orientation: reader.u32le('orientation'),
    desktopScaleFactor: reader.u32le('desktopScaleFactor'),
    deviceScaleFactor: reader.u32le('deviceScaleFactor'),
  }));
  return { flags, monitors };
}

function encodeMonitorEx(writer: Writer, { flags, monitors }: ClientMonitorEx): void {
  writer.u32le(flags).u32le(MONITOR_ATTRIBUTE_BYTES).u32le(monitors.length);
  for (const monitor of monitors)
    writer
      .u32le(monitor.physicalWidth)
      .u32le(monitor.physicalHeight)
      .u32le(monitor.orientation)
      .u32le(monitor.desktopScaleFactor)
      .u32le(monitor.deviceScaleFactor);
}

function readList<T>(reader: Reader, field: string, most: number, read: () => T): T[] {
  const count = reader.u32le(field);
  if (count > most) reader.fail(field, `is ${count}, at most ${most} are allowed`, 4);
  return Array.from({ length: count }, read);
}
