/**
 * A screen as bytes, from which it goes on as if it had seen all that came before:
 *
 *     version u8 (1), bitsPerPixel u8, width u16, height u16
 *     pixels: width × height × (red, green, blue), palette: 256 × (red, green, blue)
 *     pointer: x i32, y i32, visible u8, shape, number of cached shapes u16, of each: index u16, shape
 *       shape: width u16, height u16, hotSpotX u16, hotSpotY u16, pixels u32 (RGBA)
 *     unfinished update: code u8 (0xff: none), length u32, bytes
 *
 * All little-endian. It is not compressed: the container compresses.
 */
import { Cursor } from './cursor.ts';
import { MAX_UPDATE_BYTES, type Partial } from './fast-path.ts';
import { Framebuffer } from './framebuffer.ts';
import { OPAQUE } from './pixels.ts';
import { Pointer, type PointerShape } from './pointer.ts';

const VERSION = 1;
const NO_PARTIAL = 0xff;
const COLOURS = 256;

/** All that the next updates build on. */
export interface ScreenState {
  readonly bitsPerPixel: number;
  readonly framebuffer: Framebuffer;
  readonly palette: Uint32Array;
  readonly pointer: Pointer;
  readonly partial: Partial | undefined;
}

export function encodeSnapshot(state: ScreenState): Uint8Array {
  const { framebuffer, pointer, palette, partial } = state;
  let length = 6 + 3 * framebuffer.pixels.length + 3 * COLOURS + 9 + shapeLength(pointer.shape) + 2 + 5;
  for (const shape of pointer.cache.values()) length += 2 + shapeLength(shape);
  length += partial?.bytes.length ?? 0;

  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes[0] = VERSION;
  bytes[1] = state.bitsPerPixel;
  view.setUint16(2, framebuffer.width, true);
  view.setUint16(4, framebuffer.height, true);
  let at = writeColours(bytes, 6, framebuffer.pixels);
  at = writeColours(bytes, at, palette);
  view.setInt32(at, pointer.x, true);
  view.setInt32(at + 4, pointer.y, true);
  bytes[at + 8] = pointer.visible ? 1 : 0;
  at = writeShape(view, at + 9, pointer.shape);
  view.setUint16(at, pointer.cache.size, true);
  at += 2;
  for (const [index, shape] of pointer.cache) {
    view.setUint16(at, index, true);
    at = writeShape(view, at + 2, shape);
  }
  bytes[at] = partial?.code ?? NO_PARTIAL;
  view.setUint32(at + 1, partial?.bytes.length ?? 0, true);
  if (partial !== undefined) bytes.set(partial.bytes, at + 5);
  return bytes;
}

/** @throws ScreenError: the bytes are no snapshot */
export function decodeSnapshot(bytes: Uint8Array): ScreenState {
  const cursor = new Cursor(bytes);
  const version = cursor.u8('version');
  if (version !== VERSION) cursor.fail('version', `is ${version}, not ${VERSION}`, 1);
  const bitsPerPixel = cursor.u8('bitsPerPixel');
  const width = cursor.u16('width');
  const height = cursor.u16('height');
  // The pixels must be there before memory is reserved for them.
  const pixels = cursor.bytes('pixels', 3 * width * height);
  const framebuffer = new Framebuffer(width, height);
  readColours(pixels, framebuffer.pixels);
  const palette = new Uint32Array(COLOURS);
  readColours(cursor.bytes('palette', 3 * COLOURS), palette);

  const pointer = new Pointer();
  pointer.moveTo(cursor.u32('x') | 0, cursor.u32('y') | 0);
  const visible = cursor.u8('visible') !== 0;
  const shape = readShape(cursor);
  for (let left = cursor.u16('numberCached'); left > 0; left--)
    pointer.show(cursor.u16('cacheIndex'), readShape(cursor));
  pointer.shape = shape;
  pointer.visible = visible;

  const code = cursor.u8('updateCode');
  const length = cursor.u32('updateLength');
  if (length > MAX_UPDATE_BYTES) cursor.fail('updateLength', `is ${length}, over ${MAX_UPDATE_BYTES}`, 4);
  const update = cursor.bytes('update', length);
  if (cursor.left > 0) cursor.fail('snapshot', `has ${cursor.left} bytes too many`);
  const partial = code === NO_PARTIAL ? undefined : { code, bytes: update };
  return { bitsPerPixel, framebuffer, palette, pointer, partial };
}

function writeColours(bytes: Uint8Array, from: number, colours: Uint32Array): number {
  let at = from;
  // Read once: called for whole screens and seldom, these loops run before they are compiled well.
  const { length } = colours;
  for (let i = 0; i < length; i++, at += 3) {
    const colour = colours[i] as number;
    bytes[at] = colour;
    bytes[at + 1] = colour >> 8;
    bytes[at + 2] = colour >> 16;
  }
  return at;
}

/** @param bytes three for each of `colours` */
function readColours(bytes: Uint8Array, colours: Uint32Array): void {
  const { length } = colours;
  for (let i = 0, at = 0; i < length; i++, at += 3)
    colours[i] =
      (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | OPAQUE;
}

function shapeLength(shape: PointerShape): number {
  return 8 + 4 * shape.pixels.length;
}

function writeShape(view: DataView, at: number, shape: PointerShape): number {
  view.setUint16(at, shape.width, true);
  view.setUint16(at + 2, shape.height, true);
  view.setUint16(at + 4, shape.hotSpotX, true);
  view.setUint16(at + 6, shape.hotSpotY, true);
  shape.pixels.forEach((pixel, i) => {
    view.setUint32(at + 8 + 4 * i, pixel, true);
  });
  return at + shapeLength(shape);
}

function readShape(cursor: Cursor): PointerShape {
  const width = cursor.u16('pointerWidth');
  const height = cursor.u16('pointerHeight');
  const hotSpotX = cursor.u16('hotSpotX');
  const hotSpotY = cursor.u16('hotSpotY');
  const pixels = new Cursor(cursor.bytes('pointerPixels', 4 * width * height));
  return {
    width,
    height,
    hotSpotX,
    hotSpotY,
    pixels: Uint32Array.from({ length: width * height }, () => pixels.u32('pointerPixels')),
  };
}
