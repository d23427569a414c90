/**
 * RDP 6.0 planar compression, the one for 32 bits per pixel, [MS-RDPEGDI] 2.2.2.5.1: four planes, each
 * with run lengths, rows but the first as differences to the one before.
 *
 * ```
 * formatHeader (1)  alpha  red  green  blue
 * segment: cRawBytes (4 bits)  nRunLength (4 bits)  cRawBytes values; the last is repeated
 *          nRunLength times. nRunLength 1 and 2: no values, 16 or 32 more than cRawBytes times.
 * ```
 */
import { Writer } from './cursor.ts';

/** formatHeader: run lengths; no alpha plane. */
const Format = { rle: 0x10, noAlpha: 0x20 } as const;
const OPAQUE = 0xff;
const MAX_RAW = 15;
/** Of one segment, with values and without. */
const MAX_RUN = 15;
const MAX_LONG_RUN = 47;
/** nRunLength 1 and 2 mean something else. */
const MIN_RUN = 3;

/**
 * Encodes a bitmap.
 *
 * @param pixels 0x00RRGGBB, the bottom row first
 * @param skipAlpha leaves the alpha plane out, for a client whose Bitmap set says DRAW_ALLOW_SKIP_ALPHA.
 *   It should be: one that also says DRAW_ALLOW_DYNAMIC_COLOR_FIDELITY may take red for blue in pictures
 *   with an alpha plane, as some servers do (3.1.9.1.2)
 */
export function encodePlanar(pixels: Uint32Array, width: number, skipAlpha: boolean): Uint8Array {
  const writer = new Writer(1024);
  writer.u8(skipAlpha ? Format.rle | Format.noAlpha : Format.rle);
  const same = sameRows(pixels, width);
  const unchanged = new Writer(width);
  encodeRow(unchanged, new Uint8Array(width));
  for (const shift of skipAlpha ? [16, 8, 0] : [24, 16, 8, 0])
    encodePlane(writer, pixels, width, shift, (y) => (same[y] === true ? unchanged.done() : undefined));
  return writer.done();
}

/** Of each row whether it is the one before again, which most rows are: then all its planes are. */
function sameRows(pixels: Uint32Array, width: number): readonly boolean[] {
  return Array.from({ length: pixels.length / width }, (_, row) => {
    if (row === 0) return false;
    let at = row * width;
    const end = at + width;
    while (at < end && pixels[at] === pixels[at - width]) at += 1;
    return at === end;
  });
}

function encodePlane(
  writer: Writer,
  pixels: Uint32Array,
  width: number,
  shift: number,
  encoded: (y: number) => Uint8Array | undefined,
): void {
  const value = (at: number): number => (shift === 24 ? OPAQUE : ((pixels[at] ?? 0) >> shift) & 0xff);
  const row = new Uint8Array(width);
  for (let y = 0; y * width < pixels.length; y += 1) {
    const known = encoded(y);
    if (known !== undefined) {
      writer.bytes(known);
      continue;
    }
    for (let x = 0; x < width; x += 1) {
      const at = y * width + x;
      // In two's complement, then with the sign in the lowest bit.
      const difference = y === 0 ? 0 : ((value(at) - value(at - width)) << 24) >> 24;
      row[x] = y === 0 ? value(at) : difference < 0 ? -2 * difference - 1 : 2 * difference;
    }
    encodeRow(writer, row);
  }
}

function encodeRow(writer: Writer, row: Uint8Array): void {
  let last = 0;
  for (let x = 0; x < row.length; ) {
    const again = Math.min(runOf(row, x, last), MAX_LONG_RUN);
    if (again >= MIN_RUN) {
      // 3 to 15 stand in the low bits; of what is longer the 16 or the 32 do, as 1 or 2.
      writer.u8(again <= MAX_RUN ? again : ((again & 0x0f) << 4) | (again >> 4));
      x += again;
      continue;
    }
    let end = x;
    let run = 0;
    while (end < row.length && end - x < MAX_RAW && run < MIN_RUN) {
      last = row[end] ?? 0;
      end += 1;
      run = Math.min(runOf(row, end, last), MAX_RUN);
    }
    if (run < MIN_RUN) run = 0;
    writer.u8(((end - x) << 4) | run).bytes(row.subarray(x, end));
    x = end + run;
  }
}

function runOf(row: Uint8Array, from: number, value: number): number {
  let end = from;
  while (end < row.length && row[end] === value) end += 1;
  return end - from;
}
