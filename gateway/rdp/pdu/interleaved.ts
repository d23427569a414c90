/**
 * Interleaved RLE for 8, 15, 16 and 24 bits per pixel, [MS-RDPBCGR] 2.2.9.1.1.3.1.2.4: as much of it
 * as pictures of flat areas and text need. Of its orders three are written:
 *
 * ```
 * background 000 lllll         pixels like those of the row before
 * colour     011 lllll  pixel  pixels of one colour
 * image      100 lllll  pixels pixels as they are
 * ```
 *
 * A length of 0 says that it is in the next byte, less 32; the mega mega form 1111 0ccc has it in two.
 */
import { PduError, Writer } from './cursor.ts';

const Order = { background: 0, colour: 3, image: 4 } as const;
const MEGA_MEGA = 0xf0;
/** Longest length in the header's five bits, and in the byte behind it. */
const SHORT = 0x1f;
const LONGER = 32 + 0xff;
const LONGEST = 0xffff;
/** A shorter run is not worth to end an image for. */
const WORTH = 4;

/**
 * Encodes a bitmap.
 *
 * @param pixels native values in the order of the stream: the bottom row first
 * @param pixelBytes of one pixel
 * @throws PduError above 65535 pixels, which one order can fill
 */
export function encodeInterleaved(pixels: Uint32Array, width: number, pixelBytes: number): Uint8Array {
  if (pixels.length > LONGEST)
    throw new PduError('bitmapDataStream', 0, `would have ${pixels.length} pixels, at most ${LONGEST}`);
  const writer = new Writer();
  /** Where what no order has written yet begins. */
  let open = 0;
  const image = (end: number): void => {
    if (end === open) return;
    writeHeader(writer, Order.image, end - open);
    for (; open < end; open += 1) writePixel(writer, pixels[open] ?? 0, pixelBytes);
  };
  for (let at = 0; at < pixels.length; ) {
    // A run is as long as can be, so that none follows another, which would mean something else (3.1.9).
    const above = runAbove(pixels, at, width);
    const same = runOf(pixels, at);
    const length = Math.max(above, same);
    if (length < WORTH) {
      at += 1;
      continue;
    }
    image(at);
    if (above === length) writeHeader(writer, Order.background, length);
    else {
      writeHeader(writer, Order.colour, length);
      writePixel(writer, pixels[at] ?? 0, pixelBytes);
    }
    at += length;
    open = at;
  }
  image(pixels.length);
  return writer.done();
}

/** 0 in the first row, which has none above. */
function runAbove(pixels: Uint32Array, at: number, width: number): number {
  let end = at;
  while (end < pixels.length && pixels[end] === pixels[end - width]) end += 1;
  return end - at;
}

function runOf(pixels: Uint32Array, at: number): number {
  let end = at + 1;
  while (end < pixels.length && pixels[end] === pixels[at]) end += 1;
  return end - at;
}

function writeHeader(writer: Writer, order: number, length: number): void {
  if (length <= SHORT) writer.u8((order << 5) | length);
  else if (length <= LONGER) writer.u8(order << 5).u8(length - 32);
  else writer.u8(MEGA_MEGA | order).u16le(length);
}

/** Lowest byte first. */
function writePixel(writer: Writer, pixel: number, bytes: number): void {
  for (let shift = 0; shift < bytes * 8; shift += 8) writer.u8((pixel >> shift) & 0xff);
}
