/**
 * Native pixels to RGBA. A picture here is a Uint32Array, one element per pixel, red in the lowest byte:
 * on the little-endian machines that Node runs on, the bytes R, G, B, A that PNG and ffmpeg take.
 */

import { ScreenError } from './cursor.ts';
import { copyPixels } from './interleaved.ts';

export const OPAQUE = 0xff000000;

/** Opaque RGBA of one pixel. */
export function rgba(red: number, green: number, blue: number): number {
  return (red | (green << 8) | (blue << 16) | OPAQUE) >>> 0;
}

/** A colour of 5 or 6 bits on 8: its high bits fill the low ones, so that all set stays all set. */
function widen(value: number, bits: number): number {
  return (value << (8 - bits)) | (value >> (2 * bits - 8));
}

function highColours(greenBits: number): Uint32Array {
  const colours = new Uint32Array(1 << (10 + greenBits));
  for (let i = 0; i < colours.length; i++)
    colours[i] = rgba(
      widen((i >> (5 + greenBits)) & 0x1f, 5),
      widen((i >> 5) & ((1 << greenBits) - 1), greenBits),
      widen(i & 0x1f, 5),
    );
  return colours;
}

/** What the pixels of 15 and 16 bits look like. */
const COLOURS_15 = highColours(5);
const COLOURS_16 = highColours(6);

/** Colours of 8 bits; RGBA, 256 of them. Greys until the server sends its own. */
export function initialPalette(): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, i) => rgba(i, i, i));
}

/** Replaces the first `count` native pixels of `bitsPerPixel` with opaque RGBA. */
export function toRgba(pixels: Uint32Array, count: number, bitsPerPixel: number, palette: Uint32Array): void {
  switch (bitsPerPixel) {
    case 8:
      for (let i = 0; i < count; i++) pixels[i] = palette[pixels[i] as number] as number;
      break;
    case 15:
      for (let i = 0; i < count; i++) pixels[i] = COLOURS_15[(pixels[i] as number) & 0x7fff] as number;
      break;
    case 16:
      for (let i = 0; i < count; i++) pixels[i] = COLOURS_16[pixels[i] as number] as number;
      break;
    default:
      for (let i = 0; i < count; i++) {
        const pixel = pixels[i] as number;
        pixels[i] = ((pixel >> 16) & 0xff) | (pixel & 0xff00) | ((pixel & 0xff) << 16) | OPAQUE;
      }
  }
}

/** Bytes of a native pixel of 8, 15, 16, 24 or 32 bits. */
export function bytesPerPixel(bitsPerPixel: number): number {
  switch (bitsPerPixel) {
    case 8:
      return 1;
    case 15:
    case 16:
      return 2;
    case 24:
      return 3;
    case 32:
      return 4;
    default:
      throw new ScreenError('bitsPerPixel', 0, `is ${bitsPerPixel}, not 8, 15, 16, 24 or 32`);
  }
}

/**
 * Reads an uncompressed bitmap as native pixels, in the order of the stream. `stride`: bytes from one line to
 * the next, padding included ([MS-RDPBCGR] 2.2.9.1.1.3.1.2.2).
 *
 * @throws ScreenError: `source` is too short, or the depth is none
 */
export function readRaw(
  source: Uint8Array,
  bitsPerPixel: number,
  width: number,
  height: number,
  stride: number,
  out: Uint32Array,
): void {
  const bytes = bytesPerPixel(bitsPerPixel);
  const needed = stride * (height - 1) + width * bytes;
  if (source.length < needed)
    throw new ScreenError('bitmapDataStream', 0, `has ${source.length} bytes, needs ${needed}`);
  if (bytes === 4) {
    const view = new DataView(source.buffer, source.byteOffset);
    for (let y = 0, to = 0; y < height; y++)
      for (let x = 0, at = y * stride; x < width; x++, at += 4, to++) out[to] = view.getInt32(at, true);
    return;
  }
  for (let y = 0; y < height; y++) copyPixels(source, y * stride, bytes, out, y * width, (y + 1) * width);
}
