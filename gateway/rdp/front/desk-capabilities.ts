/** The gateway's side of the capability exchange on its own desktop ([MS-RDPBCGR] 2.2.1.13.1). */
import { type CapabilitySet, makeCapability } from '../pdu/capabilities.ts';
import {
  bitmapCapability,
  DrawingFlag,
  fontCapability,
  GeneralFlag,
  generalCapability,
  InputFlag,
  inputCapability,
  OrderFlag,
  orderCapability,
  pointerCapability,
  shareCapability,
  virtualChannelCapability,
} from '../pdu/capability-base.ts';
import { type ClientGccBlocks, colourDepthOf, EarlyCapability } from '../pdu/gcc-client.ts';
import { BITS_PER_PIXEL, type BitsPerPixel } from '../pdu/output.ts';
import { SERVER_CHANNEL_ID } from '../pdu/share.ts';
import { screenSize } from '../screen-size.ts';

/** The depth that the client asked for in its core data (2.2.1.3.2); 8 where that was 4. */
export function depthOf({ core }: ClientGccBlocks): BitsPerPixel {
  if (((core.earlyCapabilityFlags ?? 0) & EarlyCapability.want32BppSession) !== 0) return 32;
  const depth = colourDepthOf(core);
  return BITS_PER_PIXEL.find((bits) => bits === depth) ?? 8;
}

/** What the gateway says that its own desktop can, for a client of these blocks. */
export function deskCapabilities(blocks: ClientGccBlocks): CapabilitySet[] {
  const { width: desktopWidth, height: desktopHeight } = screenSize(blocks);
  return [
    makeCapability(shareCapability, { nodeID: SERVER_CHANNEL_ID, pad2octets: 0 }),
    makeCapability(generalCapability, {
      osMajorType: 1,
      osMinorType: 3,
      protocolVersion: 0x0200,
      pad2octetsA: 0,
      generalCompressionTypes: 0,
      extraFlags: GeneralFlag.fastPathOutput | GeneralFlag.longCredentials,
      updateCapabilityFlag: 0,
      remoteUnshareFlag: 0,
      generalCompressionLevel: 0,
      refreshRectSupport: 1,
      suppressOutputSupport: 1,
    }),
    makeCapability(virtualChannelCapability, { flags: 0, VCChunkSize: 1600 }),
    makeCapability(fontCapability, { fontSupportFlags: 1, pad2octets: 0 }),
    makeCapability(bitmapCapability, {
      preferredBitsPerPixel: depthOf(blocks),
      receive1BitPerPixel: 1,
      receive4BitsPerPixel: 1,
      receive8BitsPerPixel: 1,
      desktopWidth,
      desktopHeight,
      pad2octets: 0,
      desktopResizeFlag: 1,
      bitmapCompressionFlag: 1,
      highColorFlags: 0,
      drawingFlags: DrawingFlag.allowSkipAlpha,
      multipleRectangleSupport: 1,
      pad2octetsB: 0,
    }),
    makeCapability(orderCapability, {
      terminalDescriptor: new Uint8Array(16),
      pad4octetsA: 0,
      desktopSaveXGranularity: 1,
      desktopSaveYGranularity: 20,
      pad2octetsA: 0,
      maximumOrderLevel: 1,
      numberFonts: 0,
      orderFlags: OrderFlag.negotiateOrderSupport | OrderFlag.zeroBoundsDeltasSupport,
      orderSupport: new Uint8Array(32),
      textFlags: 0,
      orderSupportExFlags: 0,
      pad4octetsB: 0,
      desktopSaveSize: 0,
      pad2octetsC: 0,
      pad2octetsD: 0,
      textANSICodePage: 0,
      pad2octetsE: 0,
    }),
    makeCapability(pointerCapability, {
      colorPointerFlag: 1,
      colorPointerCacheSize: 25,
      pointerCacheSize: 25,
    }),
    makeCapability(inputCapability, {
      inputFlags:
        InputFlag.scancodes | InputFlag.extendedMouse | InputFlag.unicode | InputFlag.fastPathInput2,
      pad2octetsA: 0,
      keyboardLayout: 0,
      keyboardType: 0,
      keyboardSubType: 0,
      keyboardFunctionKey: 0,
      imeFileName: new Uint8Array(64),
    }),
  ];
}
