/**
 * Interleaved RLE, the bitmap compression for 8, 15, 16 and 24 bits per pixel ([MS-RDPBCGR]
 * 2.2.9.1.1.3.1.2.4; decoding: 3.1.9). A stream of orders, each a header with a length, and data:
 *
 *     regular    ccc lllll            length 0: the next byte + 32 (images of bits: + 1)
 *     lite       cccc llll            length 0: the next byte + 16 (images of bits: + 1)
 *     mega mega  1111 cccc  u16       the length as it is
 *     special    1111 1xxx            no length
 *
 * The low four bits of a mega order name it; regular and lite orders are mapped to the same names.
 */
import { ScreenError } from './cursor.ts';

const Order = {
  background: 0x0,
  foreground: 0x1,
  bits: 0x2,
  colour: 0x3,
  image: 0x4,
  setForeground: 0x6,
  setBits: 0x7,
  dithered: 0x8,
  bits1: 0x9,
  bits2: 0xa,
  white: 0xd,
  black: 0xe,
} as const;

/** What each depth's pixels take, and its white. */
const DEPTHS = new Map([
  [8, { bytes: 1, white: 0xff }],
  [15, { bytes: 2, white: 0x7fff }],
  [16, { bytes: 2, white: 0xffff }],
  [24, { bytes: 3, white: 0xffffff }],
]);

/**
 * Decodes `source` into the first `width` × `height` pixels of `out`, as native values of
 * `bitsPerPixel` (8, 15, 16 or 24), in the order of the stream (bottom row first).
 *
 * @throws ScreenError: the stream is cut, writes past the bitmap or does not fill it
 */
export function decodeInterleaved(
  source: Uint8Array,
  bitsPerPixel: number,
  width: number,
  height: number,
  out: Uint32Array,
): void {
  const depth = DEPTHS.get(bitsPerPixel);
  if (depth === undefined)
    throw new ScreenError('bitsPerPixel', 0, `is ${bitsPerPixel}, not 8, 15, 16 or 24`);
  const { bytes, white } = depth;
  const end = source.length;
  const total = width * height;
  let foreground = white;
  let firstLine = true;
  // A background run right behind another one begins with a pixel of the foreground.
  let insert = false;
  let at = 0;
  let to = 0;

  while (at < end) {
    // Where an order begins decides, as in the specification: one that crosses the line keeps its meaning.
    if (firstLine && to >= width) {
      firstLine = false;
      insert = false;
    }
    const header = source[at] as number;
    const start = at;
    at += 1;
    let order: number;
    let length: number;
    if (header >= 0xf0) {
      order = header & 0x0f;
      if (order > Order.dithered) {
        length = order <= Order.bits2 ? 8 : 1;
      } else {
        if (end - at < 2) throw new ScreenError('rleOrder', start, 'is cut in its length');
        length = (source[at] as number) | ((source[at + 1] as number) << 8);
        at += 2;
      }
    } else {
      const lite = header >= 0xc0;
      order = lite ? (header >> 4) - 6 : header >> 5;
      length = header & (lite ? 0x0f : 0x1f);
      const ofBits = order === Order.bits || order === Order.setBits;
      if (length === 0) {
        if (at === end) throw new ScreenError('rleOrder', start, 'is cut in its length');
        length = (source[at] as number) + (ofBits ? 1 : lite ? 16 : 32);
        at += 1;
      } else if (ofBits) {
        length *= 8;
      }
    }
    const pixels = order === Order.dithered ? length * 2 : length;
    if (pixels > total - to)
      throw new ScreenError('rleOrder', start, `writes ${pixels} pixels where ${total - to} are left`);

    if (order === Order.background) {
      const stop = to + length;
      if (insert && length > 0) {
        out[to] = firstLine ? foreground : (out[to - width] as number) ^ foreground;
        to += 1;
      }
      if (firstLine) out.fill(0, to, stop);
      else copyAbove(out, to, stop, width);
      to = stop;
      insert = true;
      continue;
    }
    insert = false;

    switch (order) {
      case Order.setForeground:
      case Order.setBits:
        foreground = pixelAt(source, at, bytes);
        at += bytes;
        break;
      default:
    }
    switch (order) {
      case Order.foreground:
      case Order.setForeground: {
        const stop = to + length;
        if (firstLine) out.fill(foreground, to, stop);
        else for (let i = to; i < stop; i++) out[i] = (out[i - width] as number) ^ foreground;
        to = stop;
        break;
      }
      case Order.bits:
      case Order.setBits: {
        const masks = (length + 7) >> 3;
        if (masks > end - at) throw new ScreenError('rleOrder', start, `needs ${masks} bytes of bits`);
        const stop = to + length;
        for (; to < stop; at += 1) {
          to = writeBits(
            out,
            to,
            Math.min(to + 8, stop),
            source[at] as number,
            foreground,
            firstLine ? 0 : width,
          );
        }
        break;
      }
      case Order.bits1:
      case Order.bits2:
        to = writeBits(
          out,
          to,
          to + 8,
          order === Order.bits1 ? 0x03 : 0x05,
          foreground,
          firstLine ? 0 : width,
        );
        break;
      case Order.colour: {
        const colour = pixelAt(source, at, bytes);
        at += bytes;
        out.fill(colour, to, to + length);
        to += length;
        break;
      }
      case Order.image:
        if (length * bytes > end - at) throw new ScreenError('rleOrder', start, `needs ${length} pixels`);
        copyPixels(source, at, bytes, out, to, to + length);
        at += length * bytes;
        to += length;
        break;
      case Order.dithered: {
        const one = pixelAt(source, at, bytes);
        const other = pixelAt(source, at + bytes, bytes);
        at += 2 * bytes;
        for (const stop = to + pixels; to < stop; to += 2) {
          out[to] = one;
          out[to + 1] = other;
        }
        break;
      }
      case Order.white:
        out[to] = white;
        to += 1;
        break;
      case Order.black:
        out[to] = 0;
        to += 1;
        break;
      default:
        throw new ScreenError('rleOrder', start, `is 0x${header.toString(16)}, which is none`);
    }
  }
  if (to < total) throw new ScreenError('rleStream', end, `ends after ${to} of ${total} pixels`);
}

/** Copies the pixels of the line above, also over more than one line. */
function copyAbove(out: Uint32Array, from: number, stop: number, width: number): void {
  // Up to this length a loop is quicker than the call.
  if (stop - from <= 24) {
    for (let i = from; i < stop; i++) out[i] = out[i - width] as number;
    return;
  }
  for (let i = from; i < stop; i += width) out.copyWithin(i, i - width, Math.min(i, stop - width));
}

/**
 * Pixels `to` to `stop` of the line above, those of set bits (lowest first) changed by the foreground.
 * `width` 0: there is no line above. Returns `stop`.
 */
function writeBits(
  out: Uint32Array,
  to: number,
  stop: number,
  mask: number,
  foreground: number,
  width: number,
): number {
  let bits = mask;
  if (width === 0) for (let i = to; i < stop; i++, bits >>= 1) out[i] = (bits & 1) === 1 ? foreground : 0;
  else
    for (let i = to; i < stop; i++, bits >>= 1)
      out[i] = (out[i - width] as number) ^ ((bits & 1) === 1 ? foreground : 0);
  return stop;
}

/** One pixel of `bytes` bytes, lowest first. */
function pixelAt(source: Uint8Array, at: number, bytes: number): number {
  if (bytes > source.length - at) throw new ScreenError('rlePixel', at, `needs ${bytes} bytes`);
  let pixel = source[at] as number;
  if (bytes > 1) pixel |= (source[at + 1] as number) << 8;
  if (bytes > 2) pixel |= (source[at + 2] as number) << 16;
  return pixel;
}

/** Packed pixels of 1, 2 or 3 bytes from `source[at]` on; there are enough. */
export function copyPixels(
  source: Uint8Array,
  at: number,
  bytes: number,
  out: Uint32Array,
  from: number,
  stop: number,
): void {
  let next = at;
  switch (bytes) {
    case 1:
      for (let i = from; i < stop; i++, next += 1) out[i] = source[next] as number;
      break;
    case 2:
      for (let i = from; i < stop; i++, next += 2)
        out[i] = (source[next] as number) | ((source[next + 1] as number) << 8);
      break;
    default:
      for (let i = from; i < stop; i++, next += 3)
        out[i] =
          (source[next] as number) |
          ((source[next + 1] as number) << 8) |
          ((source[next + 2] as number) << 16);
  }
}
