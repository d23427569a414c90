/**
 * What the gateway draws by itself (its log-on screen, messages): bitmaps, palette and pointers,
 * [MS-RDPBCGR] 2.2.9.1.1.3, 2.2.9.1.1.4 and 2.2.9.1.2.1, in fast-path or slow-path PDUs.
 */
import { PduError, Writer } from './cursor.ts';
import { encodeFastPath, encodeFastPathUpdate, UpdateCode } from './fast-path.ts';
import { encodeInterleaved } from './interleaved.ts';
import { encodePlanar } from './planar.ts';
import { DataType, encodeShareData } from './share.ts';

export const BITS_PER_PIXEL = [8, 15, 16, 24, 32] as const;
export type BitsPerPixel = (typeof BITS_PER_PIXEL)[number];

/** `width` × `height` pixels, row by row from the top, 0xAARRGGBB; only pointers have an alpha. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint32Array;
}

/** How pixels are sent, where it is not the usual way. */
export interface PixelForm {
  /** Without the alpha plane of 32 bits per pixel, which not every client can do without ({@link encodePlanar}). */
  readonly skipAlpha?: boolean;
  /** The native pixel of 0x00RRGGBB. */
  colour?(rgb: number): number;
}

/** An update in the fast-path's terms, to be wrapped by one of the two functions below. */
export interface Update {
  /** One of {@link UpdateCode}. */
  readonly code: number;
  readonly data: Uint8Array;
}

/**
 * Pixel bytes in one update before they are compressed, if that makes them less at all. Clients without
 * a Multifragment Update set need not take more than 16 KiB in one PDU (2.2.7.2.6, and mstsc's
 * buffers); the headers of either path take less than 64.
 */
const MAX_PIXEL_BYTES = 16 * 1024 - 64;
/** Of a rectangle: some rows of it fit into an update at any depth, so that one can build on the other. */
const MAX_WIDTH = 256;
/** flags of a rectangle: compressed, with a header. */
const BITMAP_COMPRESSION = 0x0001;
const COMPRESSION_HEADER_BYTES = 8;
/** TS_UPDATE_*: first field of bitmap and palette data on both paths. */
const UpdateType = { bitmap: 1, palette: 2, synchronize: 3 } as const;
/** TS_PTRMSGTYPE_*: a slow-path pointer PDU's type by fast-path code. */
const POINTER_TYPE: ReadonlyMap<number, number> = new Map([
  [UpdateCode.pointerHidden, 1],
  [UpdateCode.pointerDefault, 1],
  [UpdateCode.pointerPosition, 3],
  [UpdateCode.pointerCached, 7],
  [UpdateCode.pointerNew, 8],
]);
const SystemPointer = { hidden: 0, default: 0x7f00 } as const;
/** Both sides of a pointer without the Large Pointer set. */
const MAX_POINTER = 32;

/** Encodes a fast-path output PDU with one update. */
export function encodeFastPathOutput(writer: Writer, update: Update): void {
  encodeFastPath(writer, 0, () => encodeFastPathUpdate(writer, update.code, update.data));
}

/** Encodes a slow-path PDU with one update, from its share control header on. */
export function encodeSlowPathOutput(
  writer: Writer,
  share: { readonly shareId: number; readonly source: number },
  update: Update,
): void {
  const pointerType = POINTER_TYPE.get(update.code);
  if (pointerType === undefined) {
    encodeShareData(writer, { ...share, type: DataType.update }, () => {
      // Fast-path says it with the code alone.
      if (update.code === UpdateCode.synchronize) writer.u16le(UpdateType.synchronize).u16le(0);
      writer.bytes(update.data);
    });
    return;
  }
  encodeShareData(writer, { ...share, type: DataType.pointer }, () => {
    writer.u16le(pointerType).u16le(0);
    if (update.code === UpdateCode.pointerHidden) writer.u32le(SystemPointer.hidden);
    if (update.code === UpdateCode.pointerDefault) writer.u32le(SystemPointer.default);
    writer.bytes(update.data);
  });
}

/**
 * Bitmap updates that paint `picture` with its corner at `left`, `top`, each small enough for one
 * PDU. One rectangle per update: some versions of mstsc draw only the first right. Compressed, and
 * with the header that clients may do without but need not (2.2.9.1.1.3.1.2.3):
 *
 * ```
 * updateType (2)  numberRectangles (2)  destLeft  destTop  destRight  destBottom  width  height
 * bitsPerPixel  flags  bitmapLength (2 each)
 * [cbCompFirstRowSize  cbCompMainBodySize  cbScanWidth  cbUncompressedSize (2 each)]  bitmapDataStream
 * ```
 *
 * With 8 bits per pixel, {@link paletteUpdate} or the palette that `form.colour` knows must have gone
 * before.
 *
 * @throws PduError when the picture has not the pixels that its size needs
 */
export function* bitmapUpdates(
  picture: Picture,
  bitsPerPixel: BitsPerPixel,
  left: number,
  top: number,
  form: PixelForm = {},
): Generator<Update, void, undefined> {
  checkPicture(picture);
  const { skipAlpha = false, colour = COLOURS[bitsPerPixel] } = form;
  const pixelBytes = (bitsPerPixel + 7) >> 3;
  for (let x = 0; x < picture.width; x += MAX_WIDTH) {
    const width = Math.min(MAX_WIDTH, picture.width - x);
    // Multiples of four pixels: old clients want them, and every row then ends on four bytes as it must.
    const padded = (width + 3) & ~3;
    const tallest = Math.floor(MAX_PIXEL_BYTES / (padded * pixelBytes));
    for (let y = 0; y < picture.height; y += tallest) {
      const height = Math.min(tallest, picture.height - y);
      const pixels = nativePixels(picture, { x, y, width, height }, padded, colour);
      const bytes = pixels.length * pixelBytes;
      const packed =
        bitsPerPixel === 32
          ? encodePlanar(pixels, padded, skipAlpha)
          : encodeInterleaved(pixels, padded, pixelBytes);
      const smaller = packed.length + COMPRESSION_HEADER_BYTES < bytes;
      const writer = new Writer(30 + (smaller ? packed.length : bytes));
      writer.u16le(UpdateType.bitmap).u16le(1);
      writer
        .u16le(left + x)
        .u16le(top + y)
        .u16le(left + x + width - 1)
        .u16le(top + y + height - 1);
      writer.u16le(padded).u16le(height).u16le(bitsPerPixel);
      if (smaller)
        writer
          .u16le(BITMAP_COMPRESSION)
          .u16le(COMPRESSION_HEADER_BYTES + packed.length)
          .u16le(0)
          .u16le(packed.length)
          .u16le(padded)
          .u16le(bytes)
          .bytes(packed);
      else {
        writer.u16le(0).u16le(bytes);
        for (const pixel of pixels)
          for (let shift = 0; shift < pixelBytes * 8; shift += 8) writer.u8((pixel >> shift) & 0xff);
      }
      yield { code: UpdateCode.bitmap, data: writer.done() };
    }
  }
}

function checkPicture({ width, height, pixels }: Picture): void {
  if (pixels.length !== width * height)
    throw new PduError('pixels', 0, `are ${pixels.length}, ${width} by ${height} need ${width * height}`);
}

/** A part of `picture`, the bottom row first, each row filled up to `padded` pixels with its last one. */
function nativePixels(
  picture: Picture,
  part: { readonly x: number; readonly y: number; readonly width: number; readonly height: number },
  padded: number,
  colour: (rgb: number) => number,
): Uint32Array {
  const native = new Uint32Array(padded * part.height);
  let to = 0;
  for (let row = part.y + part.height - 1; row >= part.y; row -= 1) {
    const from = row * picture.width + part.x;
    for (let column = 0; column < part.width; column += 1, to += 1)
      native[to] = colour(picture.pixels[from + column] ?? 0);
    native.fill(native[to - 1] ?? 0, to, to + padded - part.width);
    to += padded - part.width;
  }
  return native;
}

/** Red in the high bits; 8 bits are an index into {@link paletteUpdate}. */
const COLOURS: Readonly<Record<BitsPerPixel, (rgb: number) => number>> = {
  8: (rgb) => ((rgb >> 16) & 0xe0) | ((rgb >> 11) & 0x1c) | ((rgb >> 6) & 0x03),
  15: (rgb) => ((rgb >> 9) & 0x7c00) | ((rgb >> 6) & 0x03e0) | ((rgb >> 3) & 0x001f),
  16: (rgb) => ((rgb >> 8) & 0xf800) | ((rgb >> 5) & 0x07e0) | ((rgb >> 3) & 0x001f),
  24: (rgb) => rgb & 0xff_ffff,
  32: (rgb) => rgb & 0xff_ffff,
};

/**
 * The palette that 8-bit pictures here are drawn with: three bits of red, three of green, two of
 * blue (2.2.9.1.1.3.1.1: updateType (2), pad (2), numberColors (4), red, green, blue each).
 */
export function paletteUpdate(): Update {
  const writer = new Writer(776);
  writer.u16le(UpdateType.palette).u16le(0).u32le(256);
  for (let index = 0; index < 256; index += 1)
    writer
      .u8(Math.round(((index >> 5) * 255) / 7))
      .u8(Math.round((((index >> 2) & 7) * 255) / 7))
      .u8((index & 3) * 85);
  return { code: UpdateCode.palette, data: writer.done() };
}

/** Begins drawing: some clients show nothing before it. */
export function synchronizeUpdate(): Update {
  return { code: UpdateCode.synchronize, data: new Uint8Array() };
}

export function hiddenPointer(): Update {
  return { code: UpdateCode.pointerHidden, data: new Uint8Array() };
}

/** The client's own arrow. */
export function defaultPointer(): Update {
  return { code: UpdateCode.pointerDefault, data: new Uint8Array() };
}

export function pointerPosition(x: number, y: number): Update {
  return { code: UpdateCode.pointerPosition, data: new Writer(4).u16le(x).u16le(y).done() };
}

/** Shows again what {@link newPointer} has put into the client's cache. */
export function cachedPointer(cacheIndex: number): Update {
  return { code: UpdateCode.pointerCached, data: new Writer(2).u16le(cacheIndex).done() };
}

/**
 * 2.2.9.1.1.4.5: a pointer of 32 bits per pixel with alpha; its AND mask is empty.
 *
 * @throws PduError above 32 by 32 pixels
 */
export function newPointer(picture: Picture, hotSpot: { x: number; y: number }, cacheIndex: number): Update {
  checkPicture(picture);
  const { width, height, pixels } = picture;
  if (width > MAX_POINTER || height > MAX_POINTER)
    throw new PduError('width', 0, `of a pointer is ${width} by ${height}, at most ${MAX_POINTER} each`);
  // Rows of either mask end on two bytes.
  const andBytes = ((width + 15) >> 4) * 2 * height;
  const writer = new Writer(32 + width * height * 4 + andBytes);
  writer.u16le(32).u16le(cacheIndex).u16le(hotSpot.x).u16le(hotSpot.y).u16le(width).u16le(height);
  writer.u16le(andBytes).u16le(width * height * 4);
  for (let y = height - 1; y >= 0; y -= 1)
    for (let x = 0; x < width; x += 1) writer.u32le(pixels[y * width + x] ?? 0);
  writer.zeros(andBytes).u8(0);
  return { code: UpdateCode.pointerNew, data: writer.done() };
}
