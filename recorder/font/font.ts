/**
 * Character-cell fonts of one bit per pixel, in three sizes and two weights. The smallest has all that a
 * terminal shows in the alphabets of Europe, in boxes, blocks and Braille; the others have what names and
 * messages are written in.
 */
import { BOLD_16, REGULAR_16 } from './size-16.ts';
import { BOLD_24, REGULAR_24 } from './size-24.ts';
import { BOLD_32, REGULAR_32 } from './size-32.ts';

/** What scripts/make-font.ts writes. */
export interface FontData {
  /** Of a cell, in pixels. */
  readonly width: number;
  readonly height: number;
  /** First and last code point of each run, in the order of the glyphs. */
  readonly ranges: readonly (readonly number[])[];
  /** The glyphs' rows in base64: whole bytes, the leftmost pixel in the highest bit. */
  readonly rows: string;
}

export interface Font {
  /** Of a cell, in pixels. */
  readonly width: number;
  readonly height: number;
  /** Bytes of one row of a glyph. */
  readonly stride: number;
  /** Whether it has a glyph of its own for a code point. */
  has(codePoint: number): boolean;
  /** A glyph's rows; a code point that the font has not gets the replacement character's. */
  glyph(codePoint: number): Uint8Array;
}

export type FontSize = 16 | 24 | 32;

const REPLACEMENT = 0xfffd;

function load(data: FontData, fallback?: Font): Font {
  const rows = Uint8Array.from(atob(data.rows), (character) => character.charCodeAt(0));
  const stride = Math.ceil(data.width / 8);
  const size = stride * data.height;
  const glyphs = new Map<number, Uint8Array>();
  for (const [first = 0, last = first] of data.ranges)
    for (let codePoint = first; codePoint <= last; codePoint++)
      glyphs.set(codePoint, rows.subarray(glyphs.size * size, (glyphs.size + 1) * size));
  const missing = glyphs.get(REPLACEMENT) ?? new Uint8Array(size);
  return {
    width: data.width,
    height: data.height,
    stride,
    has: (codePoint) => glyphs.has(codePoint) || fallback?.has(codePoint) === true,
    glyph: (codePoint) => glyphs.get(codePoint) ?? fallback?.glyph(codePoint) ?? missing,
  };
}

const REGULAR: Readonly<Record<FontSize, Font>> = {
  16: load(REGULAR_16),
  24: load(REGULAR_24),
  32: load(REGULAR_32),
};
/** Where bold has no glyph, the regular one, of the same cell, stands in. */
const BOLD: Readonly<Record<FontSize, Font>> = {
  16: load(BOLD_16, REGULAR[16]),
  24: load(BOLD_24, REGULAR[24]),
  32: load(BOLD_32, REGULAR[32]),
};

/** The font whose cell is `size` pixels high. */
export function font(size: FontSize, weight: 'regular' | 'bold' = 'regular'): Font {
  return weight === 'bold' ? BOLD[size] : REGULAR[size];
}

/** `font` with each pixel four: headings on the largest screens. */
export function doubled(font: Font): Font {
  const stride = font.stride * 2;
  return {
    width: font.width * 2,
    height: font.height * 2,
    stride,
    has: (codePoint) => font.has(codePoint),
    glyph: (codePoint) => {
      const from = font.glyph(codePoint);
      const rows = new Uint8Array(stride * font.height * 2);
      for (let y = 0; y < font.height * 2; y++)
        for (let x = 0; x < font.width * 2; x++) {
          const set = ((from[(y >> 1) * font.stride + (x >> 4)] ?? 0) & (0x80 >> ((x >> 1) & 7))) !== 0;
          if (set) rows[y * stride + (x >> 3)] = (rows[y * stride + (x >> 3)] ?? 0) | (0x80 >> (x & 7));
        }
      return rows;
    },
  };
}
