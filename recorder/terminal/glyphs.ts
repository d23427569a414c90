/** The glyphs of a terminal's cells: the font's, and drawn ones for what it has not. */
import { font } from '../font/font.ts';

const REGULAR = font(16);
const BOLD = font(16, 'bold');
/** Of a cell, pixels. */
export const CELL_WIDTH: number = REGULAR.width;
export const CELL_HEIGHT: number = REGULAR.height;

const REPLACEMENT = 0xfffd;
const QUADRANTS = 0x2596;
/** U+2596 to U+259F: which quarters are full, 8 upper left, 4 upper right, 2 lower left, 1 lower right. */
const QUARTERS = [2, 1, 8, 11, 9, 14, 13, 4, 6, 7] as const;
/** Dashed lines, and the solid ones that stand in for them. */
const SOLID: ReadonlyMap<number, number> = new Map([
  [0x2504, 0x2500],
  [0x2505, 0x2501],
  [0x2506, 0x2502],
  [0x2507, 0x2503],
  [0x254c, 0x2500],
  [0x254d, 0x2501],
  [0x254e, 0x2502],
  [0x254f, 0x2503],
]);
/** 0 to F, 3 × 5 pixels in 15 bits, the upper left one the highest. */
const DIGITS = [
  0x7b6f, 0x2c97, 0x73e7, 0x73cf, 0x5bc9, 0x79cf, 0x79ef, 0x7249, 0x7bef, 0x7bcf, 0x2bed, 0x6bae, 0x3923,
  0x6b6e, 0x79a7, 0x79a4,
] as const;
const DIGIT_WIDTH = 3;
const DIGIT_HEIGHT = 5;
/** Where the two lines of digits begin. */
const DIGIT_ROWS = [2, 9] as const;

/**
 * The rows of a glyph that is `cells` (1 or 2) cells wide, as many bytes a row, the leftmost pixel in the
 * highest bit. A character that the font has not is drawn as its number in hexadecimal.
 */
export function glyphOf(codePoint: number, cells: number, bold: boolean): Uint8Array {
  const from = bold ? BOLD : REGULAR;
  const drawn = SOLID.get(codePoint) ?? codePoint;
  if (cells > 1) return from.has(drawn) ? widened(from.glyph(drawn)) : numberBox(codePoint, cells);
  if (from.has(drawn)) return from.glyph(drawn);
  const quarters = QUARTERS[codePoint - QUADRANTS];
  if (quarters !== undefined) return quadrants(quarters);
  return codePoint > 0xffff ? from.glyph(REPLACEMENT) : numberBox(codePoint, cells);
}

/** At the left of two cells. */
function widened(rows: Uint8Array): Uint8Array {
  return Uint8Array.from({ length: 2 * CELL_HEIGHT }, (_, at) => (at % 2 === 0 ? (rows[at >> 1] ?? 0) : 0));
}

function quadrants(quarters: number): Uint8Array {
  const half = (pair: number): number => ((pair & 2) === 0 ? 0 : 0xf0) | ((pair & 1) === 0 ? 0 : 0x0f);
  return Uint8Array.from({ length: CELL_HEIGHT }, (_, y) =>
    half(y < CELL_HEIGHT / 2 ? quarters >> 2 : quarters),
  );
}

/** Two lines of digits between two strokes. */
function numberBox(codePoint: number, cells: number): Uint8Array {
  const rows = new Uint8Array(CELL_HEIGHT * cells);
  const digits = codePoint.toString(16).padStart(codePoint > 0xffff ? 6 : 4, '0');
  const inLine = digits.length / 2;
  const left = (CELL_WIDTH * cells - inLine * (DIGIT_WIDTH + 1) + 1) >> 1;
  const set = (x: number, y: number): void => {
    const at = y * cells + (x >> 3);
    rows[at] = (rows[at] ?? 0) | (0x80 >> (x & 7));
  };
  for (const [index, digit] of [...digits].entries()) {
    const bits = DIGITS[Number.parseInt(digit, 16)] ?? 0;
    const x = left + (index % inLine) * (DIGIT_WIDTH + 1);
    const y = DIGIT_ROWS[index < inLine ? 0 : 1];
    for (let bit = 0; bit < DIGIT_WIDTH * DIGIT_HEIGHT; bit++)
      if (((bits << bit) & 0x4000) !== 0) set(x + (bit % DIGIT_WIDTH), y + Math.floor(bit / DIGIT_WIDTH));
  }
  for (let x = 0; x < CELL_WIDTH * cells - 1; x++) {
    set(x, 0);
    set(x, CELL_HEIGHT - 1);
  }
  return rows;
}
