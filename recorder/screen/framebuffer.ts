/** The picture that a session's screen shows. */

import { ScreenError } from './cursor.ts';
import { DirtyTiles, type Rectangle } from './dirty.ts';
import { OPAQUE } from './pixels.ts';

/** Largest desktop: as many pixels as the largest that RDP has, 8192 × 8192, at half of it. */
const MAX_PIXELS = 32 * 1024 * 1024;
/** Longest side that a monitor layout allows ([MS-RDPBCGR] 2.2.1.3.6). */
const MAX_SIDE = 32_766;

/** Up to so many pixels a loop is quicker than a call. */
const SHORT_LINE = 128;

export class Framebuffer {
  readonly width: number;
  readonly height: number;
  /** RGBA, opaque, the top line first: see pixels.ts. */
  readonly pixels: Uint32Array;
  readonly #dirty: DirtyTiles;

  /**
   * Black, and all of it dirty.
   *
   * @throws ScreenError: a size that no desktop has
   */
  constructor(width: number, height: number) {
    const fits = (side: number) => Number.isInteger(side) && side > 0 && side <= MAX_SIDE;
    if (!fits(width) || !fits(height) || width * height > MAX_PIXELS)
      throw new ScreenError('desktop', 0, `is ${width} × ${height} pixels, more than can be followed`);
    this.width = width;
    this.height = height;
    this.pixels = new Uint32Array(width * height).fill(OPAQUE);
    this.#dirty = new DirtyTiles(width, height);
  }

  /** The same memory as bytes: R, G, B, A. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.pixels.buffer);
  }

  /**
   * Draws the first `width` × `height` pixels of a picture whose lines have `sourceWidth` pixels, at
   * `left`, `top`; what lies outside is cut. With `lastLine` given the picture's lines go upwards from that
   * one, else downwards from the first.
   */
  put(
    source: Uint32Array,
    sourceWidth: number,
    left: number,
    top: number,
    width: number,
    height: number,
    lastLine?: number,
  ): void {
    const columns = Math.min(width, this.width - left);
    const lines = Math.min(height, this.height - top);
    if (columns <= 0 || lines <= 0) return;
    const pixels = this.pixels;
    const step = lastLine === undefined ? sourceWidth : -sourceWidth;
    let from = (lastLine ?? 0) * sourceWidth;
    let to = top * this.width + left;
    for (let y = 0; y < lines; y++) {
      for (let x = 0; x < columns; x++) pixels[to + x] = source[from + x] as number;
      from += step;
      to += this.width;
    }
    this.#dirty.mark(left, top, left + columns, top + lines);
  }

  /** Copies a part into a picture of the same size. */
  copy({ left, top, right, bottom }: Rectangle, target: Uint32Array): void {
    const { pixels, width } = this;
    for (let y = top; y < bottom; y++) {
      const end = y * width + right;
      if (right - left > SHORT_LINE) target.set(pixels.subarray(end - right + left, end), end - right + left);
      else for (let at = end - right + left; at < end; at++) target[at] = pixels[at] as number;
    }
  }

  /** What was drawn on since the last call, at most: whole tiles, which do not overlap. */
  takeDirty(): Rectangle[] {
    return this.#dirty.take();
  }
}
