/** How many cells characters take, as the C libraries and terminals of today count. */

/** Cells of East Asian Width W and F (UAX #11); emoji are found by their property. */
const WIDE: readonly (readonly [first: number, last: number])[] = [
  [0x1100, 0x115f],
  [0x2329, 0x232a],
  [0x2e80, 0x303e],
  [0x3041, 0xa4cf],
  [0xa960, 0xa97c],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18cff],
  [0x1aff0, 0x1b2ff],
  [0x1f200, 0x1f265],
  [0x20000, 0x2fffd],
  [0x30000, 0x3fffd],
];
/** Marks, formatting characters, and the vowels and final consonants that join Hangul syllables. */
const JOINS = /^[\p{Mn}\p{Me}\p{Cf}\u1160-\u11ff]$/u;
const EMOJI = /^\p{Emoji_Presentation}$/u;
/** A format character that is shown all the same. */
const SOFT_HYPHEN = 0xad;

const UNKNOWN = 3;
/** By code point of the basic plane; filled as they come. */
const known = new Uint8Array(0x10000).fill(UNKNOWN);

/** 0: stands in the cell of the character before it, or nowhere. */
export function widthOf(codePoint: number): 0 | 1 | 2 {
  if (codePoint >= 0x20 && codePoint < 0x7f) return 1;
  const width = known[codePoint];
  if (width === 0 || width === 1 || width === 2) return width;
  const measured = measure(codePoint);
  if (width === UNKNOWN) known[codePoint] = measured;
  return measured;
}

function measure(codePoint: number): 0 | 1 | 2 {
  if (codePoint < 0x20 || (codePoint >= 0x7f && codePoint < 0xa0)) return 0;
  if (codePoint === SOFT_HYPHEN) return 1;
  const character = String.fromCodePoint(codePoint);
  if (JOINS.test(character)) return 0;
  const wide = WIDE.some(([first, last]) => codePoint >= first && codePoint <= last);
  return wide || EMOJI.test(character) ? 2 : 1;
}

/** The Stream-Safe Text Format allows as many marks in a row (UAX #15 §13): no language has more. */
const MAX_MARKS = 30;

/**
 * Whether a character joins the one before it, and the width of both, in the emulator's packing: a state of
 * ours (here the marks so far) from bit 3, the width in bits 1 and 2, joining in bit 0.
 */
export function joining(codePoint: number, preceding: number): number {
  const width = widthOf(codePoint);
  const before = (preceding >> 1) & 3;
  const marks = preceding >> 3;
  // A cell's text must not grow without end.
  if (width !== 0 || before === 0 || marks === MAX_MARKS) return width << 1;
  return ((marks + 1) << 3) | (before << 1) | 1;
}
