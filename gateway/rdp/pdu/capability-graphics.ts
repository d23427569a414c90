/** Capability sets of newer graphics and of RemoteApp, [MS-RDPBCGR] 2.2.7.2, [MS-RDPERP] 2.2.1.1, [MS-RDPRFX] 2.2.1.3. */
import { type CapabilityCodec, CapabilityType, type Decoded, layout } from './capabilities.ts';

/** 2.2.7.2.8: the server supports desktop composition over this connection. */
export const desktopCompositionCapability = layout(CapabilityType.desktopComposition, [
  ['CompDeskSupportLevel', 'u16'],
]);
export type DesktopCompositionCapability = Decoded<typeof desktopCompositionCapability>;

/** 2.2.7.2.6: bytes of the largest fast-path update, put together again, that the sender takes. */
export const multifragmentUpdateCapability = layout(CapabilityType.multifragmentUpdate, [
  ['MaxRequestSize', 'u32'],
]);
export type MultifragmentUpdateCapability = Decoded<typeof multifragmentUpdateCapability>;

/** largePointerSupportFlags. */
export const LargePointerFlag = { upTo96: 1, upTo384: 2 } as const;

/** 2.2.7.2.7. */
export const largePointerCapability = layout(CapabilityType.largePointer, [
  ['largePointerSupportFlags', 'u16'],
]);
export type LargePointerCapability = Decoded<typeof largePointerCapability>;

/** cmdFlags of the Surface Commands set. */
export const SurfaceCommandFlag = {
  setSurfaceBits: 0x02,
  frameMarker: 0x10,
  streamSurfaceBits: 0x40,
} as const;

/** 2.2.7.2.9. */
export const surfaceCommandsCapability = layout(CapabilityType.surfaceCommands, [
  ['cmdFlags', 'u32'],
  ['reserved', 'u32'],
]);
export type SurfaceCommandsCapability = Decoded<typeof surfaceCommandsCapability>;

/** [MS-RDPRFX] 2.2.1.3. */
export const frameAcknowledgeCapability = layout(CapabilityType.frameAcknowledge, [
  ['maxUnacknowledgedFrameCount', 'u32'],
]);
export type FrameAcknowledgeCapability = Decoded<typeof frameAcknowledgeCapability>;

/** RailSupportLevel, [MS-RDPERP] 2.2.1.1.1. */
export const RailSupport = {
  supported: 0x01,
  dockedLanguageBar: 0x02,
  shellIntegration: 0x04,
  languageImeSync: 0x08,
  serverToClientImeSync: 0x10,
  hideMinimizedApps: 0x20,
  windowCloaking: 0x40,
  handshakeEx: 0x80,
} as const;

/** [MS-RDPERP] 2.2.1.1.1. */
export const railCapability = layout(CapabilityType.rail, [['RailSupportLevel', 'u32']]);
export type RailCapability = Decoded<typeof railCapability>;

/** WndSupportLevel. */
export const WindowSupport = { none: 0, supported: 1, supportedEx: 2 } as const;

/** [MS-RDPERP] 2.2.1.1.2. */
export const windowListCapability = layout(CapabilityType.windowList, [
  ['WndSupportLevel', 'u32'],
  ['NumIconCaches', 'u8'],
  ['NumIconCacheEntries', 'u16'],
]);
export type WindowListCapability = Decoded<typeof windowListCapability>;

/** codecGUID as it stands on the wire, in hexadecimal (2.2.7.2.10.1.1). */
export const CodecGuid = {
  nsCodec: 'b91b8dca0f004f15589fae2d1a87e2d6',
  remoteFx: '122f777672bd6344afb3b73c9c6f7886',
  imageRemoteFx: 'd4cc44278a9d744e803c0ecbeea19c54',
  ignore: 'a651439c3535ae42910ccdfce5760b58',
  jpeg: 'ed9e0c43af1bce4c869acb8b37b66237',
} as const;

/** TS_BITMAPCODEC. */
export interface BitmapCodec {
  /** 32 lower-case hexadecimal digits; see {@link CodecGuid}. */
  readonly guid: string;
  /** The id in surface commands; in a client's set its own choice (NSCodec always 1). */
  readonly id: number;
  readonly properties: Uint8Array;
}

/** 2.2.7.2.10. */
export interface BitmapCodecsCapability {
  readonly codecs: readonly BitmapCodec[];
  /** What stands behind the last codec. */
  readonly rest: Uint8Array;
}

const GUID_BYTES = 16;

/** bitmapCodecCount (1), then codecGUID (16), codecID (1), codecPropertiesLength (2), codecProperties. */
export const bitmapCodecsCapability: CapabilityCodec<BitmapCodecsCapability> = {
  type: CapabilityType.bitmapCodecs,
  decode: (reader) => {
    const codecs = Array.from({ length: reader.u8('bitmapCodecCount') }, () => ({
      guid: hex(reader.bytes('codecGUID', GUID_BYTES)),
      id: reader.u8('codecID'),
      properties: new Uint8Array(reader.bytes('codecProperties', reader.u16le('codecPropertiesLength'))),
    }));
    return { codecs, rest: new Uint8Array(reader.rest()) };
  },
  encode: (writer, { codecs, rest }) => {
    writer.u8(codecs.length);
    for (const { guid, id, properties } of codecs) {
      for (let n = 0; n < GUID_BYTES; n += 1) writer.u8(Number.parseInt(guid.slice(2 * n, 2 * n + 2), 16));
      writer.u8(id).u16le(properties.length).bytes(properties);
    }
    writer.bytes(rest);
  },
};

function hex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}
