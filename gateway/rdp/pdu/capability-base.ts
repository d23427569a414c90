/** Capability sets every peer sends, and those of input and sound, [MS-RDPBCGR] 2.2.7; fields as the specification names them. */
import { CapabilityType, type Decoded, layout } from './capabilities.ts';

/** extraFlags of the General set. */
export const GeneralFlag = {
  fastPathOutput: 0x0001,
  noBitmapCompressionHeader: 0x0400,
  longCredentials: 0x0004,
  autoReconnect: 0x0008,
  encryptedSaltedChecksum: 0x0010,
} as const;

/** 2.2.7.1.1. */
export const generalCapability = layout(CapabilityType.general, [
  ['osMajorType', 'u16'],
  ['osMinorType', 'u16'],
  ['protocolVersion', 'u16'],
  ['pad2octetsA', 'u16'],
  ['generalCompressionTypes', 'u16'],
  ['extraFlags', 'u16'],
  ['updateCapabilityFlag', 'u16'],
  ['remoteUnshareFlag', 'u16'],
  ['generalCompressionLevel', 'u16'],
  ['refreshRectSupport', 'u8'],
  ['suppressOutputSupport', 'u8'],
]);
export type GeneralCapability = Decoded<typeof generalCapability>;

/** drawingFlags of the Bitmap set. */
export const DrawingFlag = {
  allowDynamicColorFidelity: 0x02,
  allowColorSubsampling: 0x04,
  allowSkipAlpha: 0x08,
} as const;

/** 2.2.7.1.2. */
export const bitmapCapability = layout(CapabilityType.bitmap, [
  ['preferredBitsPerPixel', 'u16'],
  ['receive1BitPerPixel', 'u16'],
  ['receive4BitsPerPixel', 'u16'],
  ['receive8BitsPerPixel', 'u16'],
  ['desktopWidth', 'u16'],
  ['desktopHeight', 'u16'],
  ['pad2octets', 'u16'],
  ['desktopResizeFlag', 'u16'],
  ['bitmapCompressionFlag', 'u16'],
  ['highColorFlags', 'u8'],
  ['drawingFlags', 'u8'],
  ['multipleRectangleSupport', 'u16'],
  ['pad2octetsB', 'u16'],
]);
export type BitmapCapability = Decoded<typeof bitmapCapability>;

/** orderFlags of the Order set. */
export const OrderFlag = {
  negotiateOrderSupport: 0x0002,
  zeroBoundsDeltasSupport: 0x0008,
  colorIndexSupport: 0x0020,
  solidPatternBrushOnly: 0x0040,
  extraFlags: 0x0080,
} as const;

/** Places in orderSupport, one byte each. */
export const OrderIndex = {
  dstBlt: 0,
  patBlt: 1,
  scrBlt: 2,
  memBlt: 3,
  mem3Blt: 4,
  drawNineGrid: 7,
  lineTo: 8,
  multiDrawNineGrid: 9,
  saveBitmap: 0x0b,
  multiDstBlt: 0x0f,
  multiPatBlt: 0x10,
  multiScrBlt: 0x11,
  multiOpaqueRect: 0x12,
  fastIndex: 0x13,
  polygonSc: 0x14,
  polygonCb: 0x15,
  polyline: 0x16,
  fastGlyph: 0x18,
  ellipseSc: 0x19,
  ellipseCb: 0x1a,
  index: 0x1b,
} as const;

/** 2.2.7.1.3. */
export const orderCapability = layout(CapabilityType.order, [
  ['terminalDescriptor', 16],
  ['pad4octetsA', 'u32'],
  ['desktopSaveXGranularity', 'u16'],
  ['desktopSaveYGranularity', 'u16'],
  ['pad2octetsA', 'u16'],
  ['maximumOrderLevel', 'u16'],
  ['numberFonts', 'u16'],
  ['orderFlags', 'u16'],
  ['orderSupport', 32],
  ['textFlags', 'u16'],
  ['orderSupportExFlags', 'u16'],
  ['pad4octetsB', 'u32'],
  ['desktopSaveSize', 'u32'],
  ['pad2octetsC', 'u16'],
  ['pad2octetsD', 'u16'],
  ['textANSICodePage', 'u16'],
  ['pad2octetsE', 'u16'],
]);
export type OrderCapability = Decoded<typeof orderCapability>;

/** 2.2.7.1.5; pointerCacheSize (new pointers) is missing from old peers. */
export const pointerCapability = layout(
  CapabilityType.pointer,
  [
    ['colorPointerFlag', 'u16'],
    ['colorPointerCacheSize', 'u16'],
  ],
  [['pointerCacheSize', 'u16']],
);
export type PointerCapability = Decoded<typeof pointerCapability>;

/** inputFlags of the Input set. */
export const InputFlag = {
  scancodes: 0x0001,
  extendedMouse: 0x0004,
  fastPathInput: 0x0008,
  unicode: 0x0010,
  fastPathInput2: 0x0020,
  mouseHorizontalWheel: 0x0100,
  qoeTimestamps: 0x0200,
  relativeMouse: 0x0080,
} as const;

/** 2.2.7.1.6. Servers fill only inputFlags. */
export const inputCapability = layout(
  CapabilityType.input,
  [
    ['inputFlags', 'u16'],
    ['pad2octetsA', 'u16'],
  ],
  [
    ['keyboardLayout', 'u32'],
    ['keyboardType', 'u32'],
    ['keyboardSubType', 'u32'],
    ['keyboardFunctionKey', 'u32'],
    ['imeFileName', 64],
  ],
);
export type InputCapability = Decoded<typeof inputCapability>;

/** 2.2.7.1.7: how large a brush the client can draw: default 0, 8x8 colour 1, full 2. */
export const brushCapability = layout(CapabilityType.brush, [['brushSupportLevel', 'u32']]);
export type BrushCapability = Decoded<typeof brushCapability>;

/** flags of the Virtual Channel set: which direction may be compressed. */
export const VirtualChannelCompression = { none: 0, serverToClient: 1, clientToServer: 2 } as const;

/** 2.2.7.1.10; VCChunkSize is the server's word, the default is 1600. */
export const virtualChannelCapability = layout(
  CapabilityType.virtualChannel,
  [['flags', 'u32']],
  [['VCChunkSize', 'u32']],
);
export type VirtualChannelCapability = Decoded<typeof virtualChannelCapability>;

/** soundFlags of the Sound set: the client plays beeps. */
export const SOUND_BEEPS = 0x0001;

/** 2.2.7.1.11. */
export const soundCapability = layout(CapabilityType.sound, [
  ['soundFlags', 'u16'],
  ['pad2octetsA', 'u16'],
]);
export type SoundCapability = Decoded<typeof soundCapability>;

/** 2.2.7.2.1. */
export const controlCapability = layout(CapabilityType.control, [
  ['controlFlags', 'u16'],
  ['remoteDetachFlag', 'u16'],
  ['controlInterest', 'u16'],
  ['detachInterest', 'u16'],
]);
export type ControlCapability = Decoded<typeof controlCapability>;

/** 2.2.7.2.2. */
export const windowActivationCapability = layout(CapabilityType.windowActivation, [
  ['helpKeyFlag', 'u16'],
  ['helpKeyIndexFlag', 'u16'],
  ['helpExtendedKeyFlag', 'u16'],
  ['windowManagerKeyFlag', 'u16'],
]);
export type WindowActivationCapability = Decoded<typeof windowActivationCapability>;

/** 2.2.7.2.3. */
export const shareCapability = layout(CapabilityType.share, [
  ['nodeID', 'u16'],
  ['pad2octets', 'u16'],
]);
export type ShareCapability = Decoded<typeof shareCapability>;

/** 2.2.7.2.4; some peers send the header alone. */
export const fontCapability = layout(
  CapabilityType.font,
  [],
  [
    ['fontSupportFlags', 'u16'],
    ['pad2octets', 'u16'],
  ],
);
export type FontCapability = Decoded<typeof fontCapability>;
