/**
 * What the gateway lets the two sides agree on: nothing that the recorder could not decode
 * ("no RDPGFX": bitmaps, interleaved RLE, planar, pointers), nothing that would leave the
 * gateway (UDP), nothing compressed so that it could not be seen.
 */
import type { StaticChannel } from './accept.ts';
import type { ConfirmActive, DemandActive } from './pdu/activation.ts';
import { type CapabilitySet, CapabilityType } from './pdu/capabilities.ts';
import { ChannelOption, type ClientGccBlocks, EarlyCapability } from './pdu/gcc-client.ts';

const REFUSED_EARLY_CAPABILITIES =
  EarlyCapability.supportDynvcGfxProtocol |
  EarlyCapability.supportNetcharAutodetect |
  EarlyCapability.supportHeartbeatPdu |
  EarlyCapability.supportSkipChannelJoin;

/** The client's blocks as the target is told of them. `selected`: the protocol that the target chose. */
export function clientBlocksForTarget(
  blocks: ClientGccBlocks,
  channels: readonly StaticChannel[],
  selected: number,
): ClientGccBlocks {
  const { core, cluster, monitor, monitorEx } = blocks;
  const flags = core.earlyCapabilityFlags;
  return {
    core: {
      ...core,
      ...(flags === undefined ? {} : { earlyCapabilityFlags: flags & ~REFUSED_EARLY_CAPABILITIES }),
      ...(core.serverSelectedProtocol === undefined ? {} : { serverSelectedProtocol: selected }),
    },
    ...(cluster && { cluster }),
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
const ORDER_SUPPORT = 32;
const ORDER_SUPPORT_BYTES = 32;
const ORDER_FLAGS = 30;
const ORDER_EX_FLAGS = 66;
const GENERAL_COMPRESSION_TYPES = 8;
const GENERAL_COMPRESSION_LEVEL = 16;
/** NEGOTIATEORDERSUPPORT and ZEROBOUNDSDELTASSUPPORT, which must be set (2.2.7.1.3). */
const ORDER_FLAGS_KEPT = 0x000a;

/** INPUT_FLAG_MOUSE_RELATIVE, TS_INPUT_FLAG_QOE_TIMESTAMPS (2.2.7.1.6). */
const REFUSED_INPUT = 0x0080 | 0x0200;

function maskBody(type: number, body: Uint8Array): Uint8Array {
  const own = body.slice();
  const view = new DataView(own.buffer);
  const zero = (at: number, length: number): void => {
    own.fill(0, Math.min(at, own.length), Math.min(at + length, own.length));
  };
  switch (type) {
    case CapabilityType.general:
      zero(GENERAL_COMPRESSION_TYPES, 2);
      zero(GENERAL_COMPRESSION_LEVEL, 2);
      break;
    case CapabilityType.order:
      if (own.length >= ORDER_FLAGS + 2)
        view.setUint16(ORDER_FLAGS, view.getUint16(ORDER_FLAGS, true) & ORDER_FLAGS_KEPT, true);
      zero(ORDER_SUPPORT, ORDER_SUPPORT_BYTES);
      zero(ORDER_EX_FLAGS, 2);
      break;
    case CapabilityType.input:
      if (own.length >= 2) view.setUint16(0, view.getUint16(0, true) & ~REFUSED_INPUT, true);
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
