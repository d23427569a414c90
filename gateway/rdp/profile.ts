/**
 * What the gateway lets the two sides agree on: nothing that the recorder could not decode
 * ("no RDPGFX": bitmaps, interleaved RLE, planar, pointers), nothing that would leave the
 * gateway (UDP), nothing compressed so that it could not be seen.
 */

import type { Side } from './channels/policy.ts';
import type { StaticChannel } from './front/accept.ts';
import type { ConfirmActive, DemandActive } from './pdu/activation.ts';
import { type CapabilitySet, CapabilityType } from './pdu/capabilities.ts';
import { DrawingFlag, GeneralFlag } from './pdu/capability-base.ts';
import { CacheFlag } from './pdu/capability-cache.ts';
import {
  ChannelOption,
  type ClientCore,
  type ClientGccBlocks,
  ClusterFlag,
  colourDepthOf,
  EarlyCapability,
} from './pdu/gcc-client.ts';
import { DataType } from './pdu/share.ts';

/** Not RDPGFX, nothing that needs a message channel, no skipped joins; bits to come are unknown here. */
const EARLY_CAPABILITIES =
  EarlyCapability.supportErrInfoPdu |
  EarlyCapability.want32BppSession |
  EarlyCapability.supportStatusInfoPdu |
  EarlyCapability.strongAsymmetricKeys |
  EarlyCapability.validConnectionType |
  EarlyCapability.supportMonitorLayoutPdu |
  EarlyCapability.supportDynamicTimeZone;

/** The client's blocks as the target is told of them. `selected`: the protocol that the target chose. */
export function clientBlocksForTarget(
  blocks: ClientGccBlocks,
  channels: readonly StaticChannel[],
  selected: number,
): ClientGccBlocks {
  const { core, cluster, monitor, monitorEx } = blocks;
  return {
    core: coreForTarget(core, selected),
    // The gateway logs on with a password, whatever the client has.
    ...(cluster && { cluster: { ...cluster, flags: cluster.flags & ~ClusterFlag.redirectedSmartcard } }),
    security: { encryptionMethods: 0, extEncryptionMethods: 0 },
    channels: channels.map(({ name, options }) => ({
      name,
      options: (options & ~(ChannelOption.compressRdp | ChannelOption.compress)) >>> 0,
    })),
    ...(monitor && { monitor }),
    ...(monitorEx && { monitorEx }),
    // No message channel and no multitransport: no UDP, no heartbeat. Unknown blocks: nobody knows.
    unknown: [],
  };
}

/** RNS_UD_*BPP_SUPPORT (2.2.1.3.2) of each depth that is no palette's. */
const SUPPORTED_DEPTHS: ReadonlyMap<number, number> = new Map([
  [24, 0x1],
  [16, 0x2],
  [15, 0x4],
]);

/**
 * The core data with the protocol that the target selected, which it compares with what it knows: an old
 * client that ends before that field says by what it leaves out what stands in its place here.
 */
function coreForTarget(core: ClientCore, selected: number): ClientCore {
  const depth = colourDepthOf(core);
  const early = (core.earlyCapabilityFlags ?? 0) & EARLY_CAPABILITIES;
  return {
    postBeta2ColorDepth: core.colorDepth,
    clientProductId: 1,
    serialNumber: 0,
    highColorDepth: depth,
    supportedColorDepths: SUPPORTED_DEPTHS.get(depth) ?? 0,
    clientDigProductId: '',
    connectionType: 0,
    ...core,
    earlyCapabilityFlags:
      core.connectionType === undefined ? early & ~EarlyCapability.validConnectionType : early,
    serverSelectedProtocol: selected,
  };
}

/** What the target's Demand Active says to the client. */
export function demandForClient(demand: DemandActive): DemandActive {
  return { ...demand, capabilitySets: masked(demand.capabilitySets) };
}

/** What the client's Confirm Active says to the target. */
export function confirmForTarget(confirm: ConfirmActive): ConfirmActive {
  return { ...confirm, capabilitySets: masked(confirm.capabilitySets) };
}

/** Sets that are left out altogether. Codecs of the picture, and what the recorder does not follow. */
const LEFT_OUT: ReadonlySet<number> = new Set([
  CapabilityType.drawNineGridCache,
  CapabilityType.drawGdiPlus,
  CapabilityType.rail,
  CapabilityType.windowList,
  CapabilityType.desktopComposition,
  CapabilityType.bitmapCodecs,
  CapabilityType.surfaceCommands,
  CapabilityType.frameAcknowledge,
]);

function masked(sets: readonly CapabilitySet[]): CapabilitySet[] {
  return sets
    .filter(({ type }) => !LEFT_OUT.has(type))
    .map(({ type, body }) => ({ type, body: maskBody(type, body) }));
}

/** Where the fields stand in the body, behind the header of four bytes. */
const BITMAP_DRAWING_FLAGS = 19;
const ORDER_SUPPORT = 32;
const ORDER_SUPPORT_BYTES = 32;
const ORDER_FLAGS = 30;
const ORDER_EX_FLAGS = 66;
const GENERAL_COMPRESSION_TYPES = 8;
const GENERAL_EXTRA_FLAGS = 10;
const GENERAL_COMPRESSION_LEVEL = 16;
/** NEGOTIATEORDERSUPPORT and ZEROBOUNDSDELTASSUPPORT, which must be set (2.2.7.1.3). */
const ORDER_FLAGS_KEPT = 0x000a;

/**
 * DRAW_ALLOW_DYNAMIC_COLOR_FIDELITY and DRAW_ALLOW_COLOR_SUBSAMPLING (2.2.7.1.2): colours that lose
 * something, in an order of planes that implementations do not agree on ([MS-RDPEGDI] 3.1.9.1.2).
 */
const LOSSY_COLOURS = DrawingFlag.allowDynamicColorFidelity | DrawingFlag.allowColorSubsampling;
/** INPUT_FLAG_MOUSE_RELATIVE, TS_INPUT_FLAG_QOE_TIMESTAMPS (2.2.7.1.6). */
const REFUSED_INPUT = 0x0080 | 0x0200;

function maskBody(type: number, body: Uint8Array): Uint8Array {
  const own = body.slice();
  const view = new DataView(own.buffer);
  const zero = (at: number, length: number): void => {
    own.fill(0, Math.min(at, own.length), Math.min(at + length, own.length));
  };
  const clear = (at: number, bits: number): void => {
    if (own.length >= at + 2) view.setUint16(at, view.getUint16(at, true) & ~bits, true);
  };
  switch (type) {
    case CapabilityType.general:
      zero(GENERAL_COMPRESSION_TYPES, 2);
      zero(GENERAL_COMPRESSION_LEVEL, 2);
      clear(GENERAL_EXTRA_FLAGS, GeneralFlag.autoReconnect);
      break;
    case CapabilityType.bitmap:
      if (own.length > BITMAP_DRAWING_FLAGS)
        own[BITMAP_DRAWING_FLAGS] = (own[BITMAP_DRAWING_FLAGS] ?? 0) & ~LOSSY_COLOURS;
      break;
    case CapabilityType.order:
      clear(ORDER_FLAGS, 0xffff & ~ORDER_FLAGS_KEPT);
      zero(ORDER_SUPPORT, ORDER_SUPPORT_BYTES);
      zero(ORDER_EX_FLAGS, 2);
      break;
    case CapabilityType.input:
      clear(0, REFUSED_INPUT);
      break;
    case CapabilityType.bitmapCacheRev2:
      // The list of persistent keys does not reach the target (relay.ts).
      clear(0, CacheFlag.persistentKeysExpected);
      break;
    case CapabilityType.virtualChannel:
      // VCCAPS_NO_COMPR; the chunk size behind it stays.
      zero(0, 4);
      break;
    case CapabilityType.glyphCache:
    case CapabilityType.offscreenCache:
    case CapabilityType.brush:
      zero(0, own.length);
      break;
  }
  return own;
}

/**
 * Share data PDUs that go on, as [MS-RDPBCGR] 2.2.8.1.1.1.2 lists them for each side. Others
 * are dropped: a peer ignores what it does not know, so nothing that works misses them, and
 * nothing passes that nobody here has looked at.
 */
const DATA_TYPES: Readonly<Record<Side, ReadonlySet<number>>> = {
  // Without the list of persistent keys: the recorder would never see what the client has kept.
  client: new Set([
    DataType.synchronize,
    DataType.control,
    DataType.fontList,
    DataType.input,
    DataType.refreshRect,
    DataType.suppressOutput,
    DataType.shutdownRequest,
    DataType.bitmapCacheError,
    DataType.offscreenCacheError,
    DataType.drawNineGridError,
    DataType.drawGdiPlusError,
  ]),
  target: new Set([
    DataType.synchronize,
    DataType.control,
    DataType.fontMap,
    DataType.update,
    DataType.pointer,
    DataType.playSound,
    DataType.shutdownDenied,
    DataType.saveSessionInfo,
    DataType.setKeyboardIndicators,
    DataType.setKeyboardImeStatus,
    DataType.setErrorInfo,
    DataType.autoReconnectStatus,
    DataType.statusInfo,
    DataType.monitorLayout,
  ]),
};

/** Whether `from` may send a share data PDU of this type. */
export function dataTypeAllowed(from: Side, type: number): boolean {
  return DATA_TYPES[from].has(type);
}
