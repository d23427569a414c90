/** What the synthetic desktops show: lines of made-up text, and floods of full updates. */

import { Writer } from '../../gateway/rdp/pdu/cursor.ts';
import { UpdateCode } from '../../gateway/rdp/pdu/fast-path.ts';
import { bitmapUpdates, encodeFastPathOutput, type Picture } from '../../gateway/rdp/pdu/output.ts';
import { seeded } from '../../test/support/random.ts';

/** Of the desktops here. */
export const DESKTOP = { width: 1280, height: 800 } as const;
export const CELL = { width: 8, height: 16 } as const;

const INK = 0x1e1e1e;
const PAPER = 0xfafafa;

/**
 * `text` as pixels, a cell a character. The glyphs are strokes at random places, the same for each
 * character every time: what encoders find in it is what they find in text.
 */
export function textPicture(text: string, ink = INK, paper = PAPER): Picture {
  const width = text.length * CELL.width;
  const pixels = new Uint32Array(width * CELL.height).fill(paper);
  for (let at = 0; at < text.length; at += 1) {
    const rows = glyph(text.charCodeAt(at));
    for (let y = 0; y < CELL.height; y += 1)
      for (let x = 0; x < CELL.width; x += 1)
        if ((((rows[y] ?? 0) >> x) & 1) !== 0) pixels[y * width + at * CELL.width + x] = ink;
  }
  return { width, height: CELL.height, pixels };
}

const glyphs = new Map<number, Uint8Array>();

/** A bit a pixel: two stems and three bars within the cell's margins; nothing for a space. */
function glyph(code: number): Uint8Array {
  const known = glyphs.get(code);
  if (known !== undefined) return known;
  const rows = new Uint8Array(CELL.height);
  if (code !== 0x20) {
    const random = seeded(code);
    const below = (limit: number): number => Math.floor(random() * limit);
    for (let stem = 0; stem < 2; stem += 1) {
      const column = 1 << (1 + below(5));
      const top = 3 + below(4);
      for (let y = top; y < top + 4 + below(4); y += 1) rows[y] = (rows[y] ?? 0) | column;
    }
    for (let bar = 0; bar < 3; bar += 1) rows[3 + below(10)] = 0x3e;
  }
  glyphs.set(code, rows);
  return rows;
}

const WORDS =
  'the quick brown fox jumps over a lazy dog while servers answer 200 OK in 12 ms -- [info] main.c:42'.split(
    ' ',
  );

/** Line `n` of a log that never ends. */
export function logLine(n: number, columns: number): string {
  const random = seeded(n + 1);
  let line = `${String(n).padStart(6, '0')} `;
  while (line.length < columns) line += `${WORDS[Math.floor(random() * WORDS.length)]} `;
  // Lines of text end where they end.
  return line.slice(0, columns - Math.floor(random() * columns * 0.6)).padEnd(columns);
}

/** Whole fast-path PDUs that paint `picture` at `left`, `top`, planar at 32 bits per pixel. */
export function paintPdus(picture: Picture, left: number, top: number): Uint8Array[] {
  return [...bitmapUpdates(picture, 32, left, top)].map((update) => {
    const writer = new Writer(update.data.length + 8);
    encodeFastPathOutput(writer, update);
    return writer.done();
  });
}

/** What a key makes the desktops show that answer keys, and nothing else does: one PDU. */
export const ECHO = paintPdus(textPicture('k'), 0, 0);

/** Whether a fast-path PDU is {@link ECHO}. */
export const isEcho = (pdu: Uint8Array): boolean =>
  ECHO[0]?.length === pdu.length && Buffer.compare(ECHO[0], pdu) === 0;

/** `dense`: pixels that look compressed; `compressible`: text as raw pixels. */
export type FloodKind = 'dense' | 'compressible';

/** PDUs sent one after the other, over and over, until so many have been sent. */
export interface Flood {
  readonly pdus: readonly Uint8Array[];
  readonly count: number;
  /** Of all that are sent. */
  readonly bytes: number;
}

/** Windows, xrdp and FreeRDP fill updates to 16 KiB while much changes; what is left over is smaller. */
const FULL_BYTES = 16_320;
const FLOOD_PDUS = 64;

/** The same for everybody: both ends know what goes over the line. `bytes`: at least so many. */
export function floodOf(kind: FloodKind, bytes: number): Flood {
  const random = seeded(kind === 'dense' ? 1 : 2);
  const text = textPicture(logLine(0, 100));
  const pdus = Array.from({ length: FLOOD_PDUS }, (_, index) => {
    const length = index % 4 === 3 ? 256 + Math.floor(random() * FULL_BYTES * 0.9) : FULL_BYTES;
    const data = kind === 'dense' ? denseBytes(random, length) : rawBytes(text, index * 331, length);
    return floodPdu(data, kind === 'dense');
  });
  let [count, sum] = [0, 0];
  for (; sum < bytes; count += 1) sum += pdus[count % FLOOD_PDUS]?.length ?? 0;
  return { pdus, count, bytes: sum };
}

function denseBytes(random: () => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random() * 256);
}

/** Pixels of the picture from the `start`-th on, over and over. */
function rawBytes({ pixels }: Picture, start: number, length: number): Uint8Array {
  const words = Uint32Array.from(
    { length: length >> 2 },
    (_, at) => pixels[(start + at) % pixels.length] ?? 0,
  );
  return new Uint8Array(words.buffer);
}

const BITMAP = 1;
/** BITMAP_COMPRESSION and NO_BITMAP_COMPRESSION_HDR (2.2.9.1.1.3.1.2.2). */
const COMPRESSED = 0x0401;

/** A fast-path bitmap update of one rectangle, 64 pixels wide. */
function floodPdu(data: Uint8Array, compressed: boolean): Uint8Array {
  const height = 64;
  const update = new Writer(data.length + 22).u16le(BITMAP).u16le(1);
  update
    .u16le(0)
    .u16le(0)
    .u16le(63)
    .u16le(height - 1)
    .u16le(64)
    .u16le(height)
    .u16le(32);
  update
    .u16le(compressed ? COMPRESSED : 0)
    .u16le(data.length)
    .bytes(data);
  const pdu = new Writer(update.length + 8);
  encodeFastPathOutput(pdu, { code: UpdateCode.bitmap, data: update.done() });
  return pdu.done();
}
