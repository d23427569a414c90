/** Capability sets of the client's caches, [MS-RDPBCGR] 2.2.7.1.4, .8, .9, 2.2.7.2.4 and [MS-RDPEGDI] 2.2.1. */
import { CapabilityType, type Decoded, layout } from './capabilities.ts';

/** 2.2.7.1.4.1. */
export const bitmapCacheCapability = layout(CapabilityType.bitmapCache, [
  ['pad1', 'u32'],
  ['pad2', 'u32'],
  ['pad3', 'u32'],
  ['pad4', 'u32'],
  ['pad5', 'u32'],
  ['pad6', 'u32'],
  ['cache0Entries', 'u16'],
  ['cache0MaximumCellSize', 'u16'],
  ['cache1Entries', 'u16'],
  ['cache1MaximumCellSize', 'u16'],
  ['cache2Entries', 'u16'],
  ['cache2MaximumCellSize', 'u16'],
]);
export type BitmapCacheCapability = Decoded<typeof bitmapCacheCapability>;

/** cacheFlags of the revision 2 set. */
export const CacheFlag = { persistentKeysExpected: 0x0001, allowCacheWaitingList: 0x0002 } as const;
/** In a cell's info: the cache is kept on disk; the other 31 bits count its entries. */
export const CELL_PERSISTENT = 0x8000_0000;

/** 2.2.7.1.4.2. */
export const bitmapCacheRev2Capability = layout(CapabilityType.bitmapCacheRev2, [
  ['cacheFlags', 'u16'],
  ['pad2', 'u8'],
  ['numCellCaches', 'u8'],
  ['bitmapCache0CellInfo', 'u32'],
  ['bitmapCache1CellInfo', 'u32'],
  ['bitmapCache2CellInfo', 'u32'],
  ['bitmapCache3CellInfo', 'u32'],
  ['bitmapCache4CellInfo', 'u32'],
  ['pad3', 12],
]);
export type BitmapCacheRev2Capability = Decoded<typeof bitmapCacheRev2Capability>;

/** CAPSETTYPE_BITMAPCACHE_V3_CODEC_ID: in no specification, sent by FreeRDP: the codec of cached bitmaps. */
export const bitmapCacheV3Capability = layout(CapabilityType.bitmapCacheV3, [['codecId', 'u8']]);
export type BitmapCacheV3Capability = Decoded<typeof bitmapCacheV3Capability>;

/** 2.2.7.2.5: the server takes a revision 2 set. */
export const bitmapCacheHostSupportCapability = layout(CapabilityType.bitmapCacheHostSupport, [
  ['cacheVersion', 'u8'],
  ['pad1', 'u8'],
  ['pad2', 'u16'],
]);
export type BitmapCacheHostSupportCapability = Decoded<typeof bitmapCacheHostSupportCapability>;

/** glyphSupportLevel of the Glyph Cache set. */
export const GlyphSupport = { none: 0, partial: 1, full: 2, encode: 3 } as const;

/** 2.2.7.1.8; glyphCache is ten times cacheEntries (2), cacheMaximumCellSize (2). */
export const glyphCacheCapability = layout(CapabilityType.glyphCache, [
  ['glyphCache', 40],
  ['fragCache', 'u32'],
  ['glyphSupportLevel', 'u16'],
  ['pad2octets', 'u16'],
]);
export type GlyphCacheCapability = Decoded<typeof glyphCacheCapability>;

/** 2.2.7.1.9. */
export const offscreenCacheCapability = layout(CapabilityType.offscreenCache, [
  ['offscreenSupportLevel', 'u32'],
  ['offscreenCacheSize', 'u16'],
  ['offscreenCacheEntries', 'u16'],
]);
export type OffscreenCacheCapability = Decoded<typeof offscreenCacheCapability>;

/** [MS-RDPEGDI] 2.2.1.1. */
export const colorCacheCapability = layout(CapabilityType.colorCache, [
  ['colorTableCacheSize', 'u16'],
  ['pad2octets', 'u16'],
]);
export type ColorCacheCapability = Decoded<typeof colorCacheCapability>;

/** [MS-RDPEGDI] 2.2.1.2. */
export const drawNineGridCapability = layout(CapabilityType.drawNineGridCache, [
  ['drawNineGridSupportLevel', 'u32'],
  ['drawNineGridCacheSize', 'u16'],
  ['drawNineGridCacheEntries', 'u16'],
]);
export type DrawNineGridCapability = Decoded<typeof drawNineGridCapability>;

/**
 * [MS-RDPEGDI] 2.2.1.3; the cache fields are u16 each: entries of graphics, brush, pen, image, image
 * attributes; chunk sizes of graphics, brush, pen, image attributes; chunk, total, maximum of images.
 */
export const drawGdiPlusCapability = layout(CapabilityType.drawGdiPlus, [
  ['drawGDIPlusSupportLevel', 'u32'],
  ['GdipVersion', 'u32'],
  ['drawGdiplusCacheLevel', 'u32'],
  ['GdipCacheEntries', 10],
  ['GdipCacheChunkSize', 8],
  ['GdipImageCacheProperties', 6],
]);
export type DrawGdiPlusCapability = Decoded<typeof drawGdiPlusCapability>;
