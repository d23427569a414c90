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

const OPAQUE = 0xff000000;

export class PlanarDecoder {
  /** Three planes, one behind the other; grows to the largest bitmap seen. */
  #planes = new Uint8Array(3 * 64 * 64);

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
    if (this.#planes.length < 3 * size) this.#planes = new Uint8Array(3 * size);
    const planes = this.#planes;

    const chromaWidth = subsampled ? (width + 1) >> 1 : width;
    const chromaHeight = subsampled ? (height + 1) >> 1 : height;
    const read = encoded ? readEncoded : readRaw;
    let at = 1;
    // Nothing shows the alpha plane: it is decoded into where the next plane goes, for its length alone.
    if ((header & 0x20) === 0) at = read(source, at, width, height, planes, 0);
    at = read(source, at, width, height, planes, 0);
    at = read(source, at, chromaWidth, chromaHeight, planes, size);
    read(source, at, chromaWidth, chromaHeight, planes, 2 * size);

    if (colourLoss === 0) joinColours(planes, size, out);
    else joinLuma(planes, width, height, colourLoss - 1, subsampled ? 1 : 0, out);
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
        for (; to < runEnd; to++) planes[to] = (planes[to - width] as number) + value;
      }
    }
  }
  return at;
}

/** Planes of red, green and blue to RGBA. */
function joinColours(planes: Uint8Array, size: number, out: Uint32Array): void {
  const twice = 2 * size;
  for (let i = 0; i < size; i++)
    out[i] =
      (planes[i] as number) |
      ((planes[size + i] as number) << 8) |
      ((planes[twice + i] as number) << 16) |
      OPAQUE;
}

/**
 * Planes of luma and chroma to RGBA ([MS-RDPEGDI] 3.1.9.1.2): the chroma lost `shift` bits (the
 * inverse transform's halving is in it), and has half the size with `sub` 1.
 */
function joinLuma(
  planes: Uint8Array,
  width: number,
  height: number,
  shift: number,
  sub: number,
  out: Uint32Array,
): void {
  const size = width * height;
  const chromaWidth = (width + sub) >> sub;
  let i = 0;
  for (let y = 0; y < height; y++) {
    const line = size + (y >> sub) * chromaWidth;
    for (let x = 0; x < width; x++, i++) {
      const chroma = line + (x >> sub);
      const luma = planes[i] as number;
      // Bits that are shifted out of the byte are lost before the sign is taken.
      const orange = (((planes[chroma] as number) << shift) << 24) >> 24;
      const green = (((planes[chroma + size] as number) << shift) << 24) >> 24;
      const rest = luma - green;
      out[i] = clamp(rest + orange) | (clamp(luma + green) << 8) | (clamp(rest - orange) << 16) | OPAQUE;
    }
  }
}

function clamp(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}
