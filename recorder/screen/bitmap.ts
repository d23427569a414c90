/**
 * Bitmap updates ([MS-RDPBCGR] 2.2.9.1.1.3.1.2), the same on the slow and the fast path:
 *
 *     updateType u16 (1), numberRectangles u16, rectangles: TS_BITMAP_DATA
 *       destLeft, destTop, destRight, destBottom u16 (right and bottom inside)
 *       width, height, bitsPerPixel, flags, bitmapLength u16
 *       compressed and without flag 0x0400: TS_CD_HEADER, 8 bytes
 *       bitmapDataStream
 */
import type { Cursor } from './cursor.ts';
import { ScreenError } from './cursor.ts';
import type { Framebuffer } from './framebuffer.ts';
import { decodeInterleaved } from './interleaved.ts';
import { bytesPerPixel, readRaw, toRgba } from './pixels.ts';
import { PlanarDecoder } from './planar.ts';

const COMPRESSED = 0x0001;
const NO_COMPRESSION_HEADER = 0x0400;
const COMPRESSION_HEADER_BYTES = 8;
/** How far a bitmap may stand out of the desktop: servers pad widths, and send whole tiles at the edges. */
const MAX_OVERHANG = 256;

export class BitmapDecoder {
  readonly #planar = new PlanarDecoder();
  /** The bitmap in work; grows to the largest one seen, which the desktop bounds. */
  #scratch = new Uint32Array(64 * 64);

  /**
   * Draws the rectangles of an update, whose updateType has been read. One that does not decode goes to
   * `skipped`, the next ones are drawn.
   *
   * @throws ScreenError: the update is cut
   */
  update(
    cursor: Cursor,
    framebuffer: Framebuffer,
    palette: Uint32Array,
    skipped: (error: ScreenError) => void,
  ): void {
    for (let left = cursor.u16('numberRectangles'); left > 0; left--) {
      const destLeft = cursor.u16('destLeft');
      const destTop = cursor.u16('destTop');
      const columns = cursor.u16('destRight') + 1 - destLeft;
      const lines = cursor.u16('destBottom') + 1 - destTop;
      const width = cursor.u16('width');
      const height = cursor.u16('height');
      const bitsPerPixel = cursor.u16('bitsPerPixel');
      const flags = cursor.u16('flags');
      let data = cursor.bytes('bitmapDataStream', cursor.u16('bitmapLength'));
      const compressed = (flags & COMPRESSED) !== 0;
      if (compressed && (flags & NO_COMPRESSION_HEADER) === 0) data = data.subarray(COMPRESSION_HEADER_BYTES);
      try {
        const pixels = this.#room(width, height, framebuffer);
        if (!compressed) {
          const stride = (width * bytesPerPixel(bitsPerPixel) + 3) & ~3;
          readRaw(data, bitsPerPixel, width, height, stride, pixels);
          toRgba(pixels, width * height, bitsPerPixel, palette);
        } else if (bitsPerPixel === 32) {
          this.#planar.decode(data, width, height, pixels);
        } else {
          decodeInterleaved(data, bitsPerPixel, width, height, pixels);
          toRgba(pixels, width * height, bitsPerPixel, palette);
        }
        framebuffer.put(
          pixels,
          width,
          destLeft,
          destTop,
          Math.min(columns, width),
          Math.min(lines, height),
          height - 1,
        );
      } catch (error) {
        if (!(error instanceof ScreenError)) throw error;
        skipped(error);
      }
    }
  }

  /**
   * Draws an uncompressed bitmap of a surface command, bottom line first.
   *
   * @throws ScreenError: its data is too short, or its depth is none
   */
  surface(
    data: Uint8Array,
    bitsPerPixel: number,
    width: number,
    height: number,
    left: number,
    top: number,
    framebuffer: Framebuffer,
    palette: Uint32Array,
  ): void {
    const pixels = this.#room(width, height, framebuffer);
    readRaw(data, bitsPerPixel, width, height, width * bytesPerPixel(bitsPerPixel), pixels);
    toRgba(pixels, width * height, bitsPerPixel, palette);
    framebuffer.put(pixels, width, left, top, width, height, height - 1);
  }

  /** Memory for a bitmap; a hostile size is refused before anything is reserved for it. */
  #room(width: number, height: number, framebuffer: Framebuffer): Uint32Array {
    if (
      width === 0 ||
      height === 0 ||
      width > framebuffer.width + MAX_OVERHANG ||
      height > framebuffer.height + MAX_OVERHANG
    )
      throw new ScreenError('bitmap', 0, `of ${width} × ${height} pixels does not fit the desktop`);
    if (this.#scratch.length < width * height) this.#scratch = new Uint32Array(width * height);
    return this.#scratch;
  }
}
