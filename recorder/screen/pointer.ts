/** The mouse pointer: its shapes as the server sends them ([MS-RDPBCGR] 2.2.9.1.1.4), its cache, its place. */
import type { Cursor } from './cursor.ts';
import { ScreenError } from './cursor.ts';
import type { Rectangle } from './dirty.ts';
import { bytesPerPixel, OPAQUE, readRaw, rgba, toRgba } from './pixels.ts';

const WHITE = 0xffffff;
/** Longest side of a large pointer ([MS-RDPBCGR] 2.2.9.1.2.1.11). */
const MAX_SIDE = 384;
/** Pixels of all cached shapes together: room for 50 of the largest, or 800 of the usual 96 × 96. */
const MAX_CACHED_PIXELS = 50 * MAX_SIDE * MAX_SIDE;

/** Shapes that are cached: clients offer to keep some 20 to 130. */
const MAX_CACHED = 1000;

/** A shape as it is kept: RGBA; a pixel with alpha 0 inverts what is below it by its red, green and blue. */
export interface PointerShape {
  readonly width: number;
  readonly height: number;
  readonly hotSpotX: number;
  readonly hotSpotY: number;
  readonly pixels: Uint32Array;
}

/** What the system's own pointer looks like here: `#` black, `.` white. */
const ARROW = [
  '#           ',
  '##          ',
  '#.#         ',
  '#..#        ',
  '#...#       ',
  '#....#      ',
  '#.....#     ',
  '#......#    ',
  '#.......#   ',
  '#........#  ',
  '#.........# ',
  '#......#####',
  '#...#..#    ',
  '#..##..#    ',
  '#.#  #..#   ',
  '##   #..#   ',
  '#     #..#  ',
  '      #..#  ',
  '       ##   ',
];

const DEFAULT_SHAPE: PointerShape = {
  width: 12,
  height: ARROW.length,
  hotSpotX: 0,
  hotSpotY: 0,
  pixels: Uint32Array.from(ARROW.join(''), (dot) =>
    dot === '#' ? rgba(0, 0, 0) : dot === '.' ? rgba(255, 255, 255) : 0,
  ),
};

export class Pointer {
  /** Of the hot spot. The server says only where it put the pointer itself; the rest is the client's input. */
  x = 0;
  y = 0;
  visible = true;
  shape: PointerShape = DEFAULT_SHAPE;
  /** Shapes by the index that the server gave them. */
  readonly cache = new Map<number, PointerShape>();

  /** The system's own pointer. */
  showDefault(): void {
    this.shape = DEFAULT_SHAPE;
    this.visible = true;
  }

  hide(): void {
    this.visible = false;
  }

  moveTo(x: number, y: number): void {
    this.x = x;
    this.y = y;
  }

  /** @throws ScreenError: nothing is cached there */
  showCached(index: number): void {
    const shape = this.cache.get(index);
    if (shape === undefined) throw new ScreenError('cacheIndex', 0, `names no pointer (${index})`);
    this.shape = shape;
    this.visible = true;
  }

  /** @throws ScreenError: more than any client offers to keep */
  show(index: number, shape: PointerShape): void {
    if (index >= MAX_CACHED) throw new ScreenError('cacheIndex', 0, `is ${index}, over ${MAX_CACHED - 1}`);
    let pixels = shape.pixels.length - (this.cache.get(index)?.pixels.length ?? 0);
    for (const cached of this.cache.values()) pixels += cached.pixels.length;
    if (pixels > MAX_CACHED_PIXELS) throw new ScreenError('cacheIndex', 0, 'is of a full pointer cache');
    this.cache.set(index, shape);
    this.shape = shape;
    this.visible = true;
  }

  /** What it covers of a picture of this size; undefined: nothing. */
  area(width: number, height: number): Rectangle | undefined {
    const left = Math.max(0, this.x - this.shape.hotSpotX);
    const top = Math.max(0, this.y - this.shape.hotSpotY);
    const right = Math.min(width, this.x - this.shape.hotSpotX + this.shape.width);
    const bottom = Math.min(height, this.y - this.shape.hotSpotY + this.shape.height);
    return this.visible && left < right && top < bottom ? { left, top, right, bottom } : undefined;
  }

  /** Draws the pointer onto a picture of `width` pixels a line, RGBA, opaque. */
  drawOn(target: Uint32Array, width: number): void {
    if (!this.visible) return;
    const { shape } = this;
    const left = this.x - shape.hotSpotX;
    const top = this.y - shape.hotSpotY;
    const height = Math.floor(target.length / width);
    const fromX = Math.max(0, -left);
    const toX = Math.min(shape.width, width - left);
    const toY = Math.min(shape.height, height - top);
    for (let y = Math.max(0, -top); y < toY; y++) {
      for (let x = fromX; x < toX; x++) {
        const at = (top + y) * width + left + x;
        target[at] = blend(target[at] as number, shape.pixels[y * shape.width + x] as number);
      }
    }
  }
}

function blend(below: number, above: number): number {
  const alpha = above >>> 24;
  if (alpha === 0) return below ^ above;
  if (alpha === 255) return above;
  const mix = (shift: number) => {
    const from = (below >> shift) & 0xff;
    return from + Math.round((((above >> shift) & 0xff) - from) * (alpha / 255));
  };
  return rgba(mix(0), mix(8), mix(16));
}

/**
 * Reads a shape from its hot spot on: TS_COLORPOINTERATTRIBUTE (2.2.9.1.1.4.4), whose lengths have 16 bits,
 * or TS_FP_LARGEPOINTERATTRIBUTE (2.2.9.1.2.1.11), where they have 32.
 *
 *     hotSpot x, y u16, width, height u16, lengthAndMask, lengthXorMask, xorMaskData, andMaskData
 *
 * Lines are padded to two bytes; the bottom one comes first, except at one bit per pixel.
 *
 * @throws ScreenError: it is cut, too large or of a depth that is none
 */
export function readShape(
  cursor: Cursor,
  bitsPerPixel: number,
  large: boolean,
  palette: Uint32Array,
): PointerShape {
  const hotSpotX = cursor.u16('hotSpotX');
  const hotSpotY = cursor.u16('hotSpotY');
  const width = cursor.u16('pointerWidth');
  const height = cursor.u16('pointerHeight');
  if (width > MAX_SIDE || height > MAX_SIDE)
    cursor.fail('pointer', `has ${width} × ${height} pixels, more than ${MAX_SIDE} × ${MAX_SIDE}`, 4);
  const andLength = large ? cursor.u32('lengthAndMask') : cursor.u16('lengthAndMask');
  const xorLength = large ? cursor.u32('lengthXorMask') : cursor.u16('lengthXorMask');
  const xor = cursor.bytes('xorMaskData', xorLength);
  const and = cursor.bytes('andMaskData', andLength);
  const pixels = new Uint32Array(width * height);
  if (width === 0 || height === 0) return { width, height, hotSpotX, hotSpotY, pixels };

  const andStride = ((width + 15) >> 4) * 2;
  if (and.length > 0 && and.length < andStride * height)
    cursor.fail('andMaskData', `has ${and.length} bytes, needs ${andStride * height}`, and.length);
  const native = new Uint32Array(pixels.length);
  if (bitsPerPixel === 1) {
    if (xor.length < andStride * height)
      cursor.fail(
        'xorMaskData',
        `has ${xor.length} bytes, needs ${andStride * height}`,
        xor.length + and.length,
      );
    for (let i = 0; i < native.length; i++)
      native[i] = bitAt(xor, andStride, Math.floor(i / width), i % width) === 1 ? 0xffffffff : OPAQUE;
  } else {
    const stride = (width * bytesPerPixel(bitsPerPixel) + 1) & ~1;
    readRaw(xor, bitsPerPixel, width, height, stride, native);
  }
  // At 32 bits the alpha channel says what shows, unless it is empty: then the AND mask does, as below it.
  const alphas = bitsPerPixel === 32 ? native.map((pixel) => pixel >>> 24) : undefined;
  const hasAlpha = alphas?.some((alpha) => alpha > 0) ?? false;
  if (bitsPerPixel !== 1) toRgba(native, native.length, bitsPerPixel, palette);

  for (let y = 0; y < height; y++) {
    const line = bitsPerPixel === 1 ? y : height - 1 - y;
    for (let x = 0; x < width; x++) {
      const from = line * width + x;
      const colour = (native[from] as number) & ~OPAQUE;
      const masked = and.length > 0 && bitAt(and, andStride, line, x) === 1;
      const alpha = hasAlpha ? (alphas?.[from] as number) : masked ? 0 : 255;
      // A masked pixel inverts; with an alpha channel only black and white ones can, if they are opaque.
      const inverts = masked && (!hasAlpha || (alpha === 255 && (colour === 0 || colour === WHITE)));
      pixels[y * width + x] = inverts ? colour : alpha === 0 ? 0 : (alpha << 24) | colour;
    }
  }
  return { width, height, hotSpotX, hotSpotY, pixels };
}

function bitAt(mask: Uint8Array, stride: number, line: number, x: number): number {
  return ((mask[line * stride + (x >> 3)] as number) >> (7 - (x & 7))) & 1;
}
