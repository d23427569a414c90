/**
 * RDP 6.0 planar compression, the one for 32 bits per pixel ([MS-RDPEGDI] 2.2.2.5.1; decoding: 3.1.9).
 *
 *     formatHeader  bits 0-2 CLL  colour loss level; 0: the planes are alpha, red, green, blue,
 *                                 else alpha, luma, orange chroma (Co), green chroma (Cg)
 *                   bit 3    CS   chroma planes have half the width and height
 *                   bit 4    RLE  planes are run-length encoded
 *                   bit 5    NA   there is no alpha plane
 *     planes, one after the other; unencoded ones are followed by a byte of padding
 *
 * An encoded plane is a sequence of segments that do not cross lines: a control byte with a number of raw
 * values (high half) and how often the last one is repeated (low half; 1 and 2 mean 16 and 32 more than
 * the high half, without raw values), then the raw values. Below the first line a value is the
 * difference to the value above, its sign in the lowest bit.
 */
import { ScreenError } from './cursor.ts';
import { OPAQUE } from './pixels.ts';

/** Up to this length a loop is quicker than a call. */
const SHORT_RUN = 12;

export class PlanarDecoder {
  /** Three planes, one behind the other; grows to the largest bitmap seen. */
  #planes = new Uint8Array(3 * 64 * 64);
  /** The same memory, four values at a time. */
  #words = new Int32Array(this.#planes.buffer);

  /**
   * Decodes `source` into the first `width` × `height` pixels of `out` as RGBA, opaque, in the order of
   * the stream (bottom row first in bitmap updates).
   *
   * @throws ScreenError: the stream is cut or a run leaves its line
   */
  decode(source: Uint8Array, width: number, height: number, out: Uint32Array): void {
    const header = source[0];
    if (header === undefined) throw new ScreenError('formatHeader', 0, 'is missing');
    const colourLoss = header & 7;
    const subsampled = (header & 0x08) !== 0;
    const encoded = (header & 0x10) !== 0;
    if (subsampled && colourLoss === 0)
      throw new ScreenError('formatHeader', 0, 'has subsampled chroma without a colour loss level');
    const size = width * height;
    // From one plane to the next: whole words.
    const pitch = (size + 3) & ~3;
    if (this.#planes.length < 3 * pitch) {
      this.#planes = new Uint8Array(3 * pitch);
      this.#words = new Int32Array(this.#planes.buffer);
    }
    const planes = this.#planes;

    const chromaWidth = subsampled ? (width + 1) >> 1 : width;
    const chromaHeight = subsampled ? (height + 1) >> 1 : height;
    const read = encoded ? readEncoded : readRaw;
    let at = 1;
    // Nothing shows the alpha plane: only its end is looked for.
    if ((header & 0x20) === 0) at = encoded ? skipEncoded(source, at, width, height) : at + size;
    const green = read(source, at, width, height, planes, 0);
    if (colourLoss === 0 && isGrey(source, at, green)) return joinGrey(planes, size, out);
    at = read(source, green, chromaWidth, chromaHeight, planes, pitch);
    read(source, at, chromaWidth, chromaHeight, planes, 2 * pitch);

    if (colourLoss === 0) joinColours(this.#words, pitch >> 2, size, out);
    else joinLuma(planes, pitch, width, height, colourLoss - 1, subsampled ? 1 : 0, out);
  }
}

/** Copies a plane to `planes[to]`; returns where the next one begins. */
function readRaw(
  source: Uint8Array,
  at: number,
  width: number,
  height: number,
  planes: Uint8Array,
  to: number,
): number {
  const size = width * height;
  if (size > source.length - at) throw new ScreenError('plane', at, `needs ${size} bytes`);
  planes.set(source.subarray(at, at + size), to);
  return at + size;
}

/** Decodes a plane to `planes[from]`; returns where the next one begins. */
function readEncoded(
  source: Uint8Array,
  from: number,
  width: number,
  height: number,
  planes: Uint8Array,
  start: number,
): number {
  const end = source.length;
  let at = from;
  let to = start;
  for (let y = 0; y < height; y++) {
    const lineEnd = to + width;
    // What a run repeats: a value on the first line, a difference below it.
    let value = 0;
    while (to < lineEnd) {
      if (at >= end) throw new ScreenError('plane', at, `ends in line ${y} of ${height}`);
      const control = source[at] as number;
      at += 1;
      let run = control & 0x0f;
      let raw = control >> 4;
      if (run === 1 || run === 2) {
        run = run * 16 + raw;
        raw = 0;
      }
      if (raw + run > lineEnd - to)
        throw new ScreenError('plane', at - 1, `writes ${raw + run} values where ${lineEnd - to} are left`);
      if (raw > end - at) throw new ScreenError('plane', at, `needs ${raw} raw values`);
      const rawEnd = to + raw;
      const runEnd = rawEnd + run;
      if (y === 0) {
        for (; to < rawEnd; to++, at++) {
          value = source[at] as number;
          planes[to] = value;
        }
        for (; to < runEnd; to++) planes[to] = value;
      } else {
        for (; to < rawEnd; to++, at++) {
          const coded = source[at] as number;
          value = (coded >> 1) ^ -(coded & 1);
          planes[to] = (planes[to - width] as number) + value;
        }
        if (value === 0 && run > SHORT_RUN) {
          planes.copyWithin(to, to - width, runEnd - width);
          to = runEnd;
        }
        for (; to < runEnd; to++) planes[to] = (planes[to - width] as number) + value;
      }
    }
  }
  return at;
}

/** Where the plane behind an encoded one begins. Its runs are looked at when a plane is shown, not here. */
function skipEncoded(source: Uint8Array, from: number, width: number, height: number): number {
  let at = from;
  for (let left = width * height; left > 0; ) {
    if (at >= source.length) throw new ScreenError('alphaPlane', at, `ends ${left} values before its end`);
    const control = source[at] as number;
    const run = control & 0x0f;
    const raw = control >> 4;
    const long = run === 1 || run === 2;
    left -= long ? run * 16 + raw : run + raw;
    at += long ? 1 : 1 + raw;
  }
  return at;
}

/** Whether the red plane, from `red` to `green`, comes twice again: plain text and its ground often have no colour. */
function isGrey(source: Uint8Array, red: number, green: number): boolean {
  const blue = green + (green - red);
  if (blue + (green - red) > source.length) return false;
  for (let i = 0; red + i < green; i++)
    if (source[green + i] !== source[red + i] || source[blue + i] !== source[red + i]) return false;
  return true;
}

/** One plane that is red, green and blue to RGBA. */
function joinGrey(plane: Uint8Array, size: number, out: Uint32Array): void {
  for (let i = 0; i < size; i++) {
    const value = plane[i] as number;
    out[i] = value | (value << 8) | (value << 16) | OPAQUE;
  }
}

/** Planes of red, green and blue, `pitch` words apart, to RGBA: four pixels at a time, then the rest. */
function joinColours(words: Int32Array, pitch: number, size: number, out: Uint32Array): void {
  for (let i = 0, to = 0; to < size; i++, to += 4) {
    const red = words[i] as number;
    const green = words[pitch + i] as number;
    const blue = words[2 * pitch + i] as number;
    out[to] = (red & 0xff) | ((green & 0xff) << 8) | ((blue & 0xff) << 16) | OPAQUE;
    if (to + 3 < size) {
      out[to + 1] = ((red >> 8) & 0xff) | (green & 0xff00) | ((blue & 0xff00) << 8) | OPAQUE;
      out[to + 2] = ((red >> 16) & 0xff) | ((green >> 8) & 0xff00) | (blue & 0xff0000) | OPAQUE;
      out[to + 3] = (red >>> 24) | ((green >> 16) & 0xff00) | ((blue >> 8) & 0xff0000) | OPAQUE;
      continue;
    }
    for (let rest = 1; to + rest < size; rest++) {
      const shift = 8 * rest;
      out[to + rest] =
        ((red >> shift) & 0xff) |
        (((green >> shift) & 0xff) << 8) |
        (((blue >> shift) & 0xff) << 16) |
        OPAQUE;
    }
  }
}

/**
 * Planes of luma and chroma to RGBA ([MS-RDPEGDI] 3.1.9.1.2): the chroma lost `shift` bits (the
 * inverse transform's halving is in it), and has half the size with `sub` 1.
 */
function joinLuma(
  planes: Uint8Array,
  pitch: number,
  width: number,
  height: number,
  shift: number,
  sub: number,
  out: Uint32Array,
): void {
  const chromaWidth = (width + sub) >> sub;
  let i = 0;
  for (let y = 0; y < height; y++) {
    const line = pitch + (y >> sub) * chromaWidth;
    for (let x = 0; x < width; x++, i++) {
      const chroma = line + (x >> sub);
      const luma = planes[i] as number;
      // Bits that are shifted out of the byte are lost before the sign is taken.
      const orange = (((planes[chroma] as number) << shift) << 24) >> 24;
      const green = (((planes[chroma + pitch] as number) << shift) << 24) >> 24;
      const rest = luma - green;
      out[i] = clamp(rest + orange) | (clamp(luma + green) << 8) | (clamp(rest - orange) << 16) | OPAQUE;
    }
  }
}

function clamp(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}
