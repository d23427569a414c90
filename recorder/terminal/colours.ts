/** The colours of a terminal, RGBA as framebuffers have them: opaque, red in the lowest byte. */

const OPAQUE = 0xff000000;

/** A colour of 24 bits, 0xRRGGBB, as it lies in a framebuffer. */
export function opaque(rgb: number): number {
  return (OPAQUE | ((rgb & 0xff) << 16) | (rgb & 0xff00) | ((rgb >> 16) & 0xff)) >>> 0;
}

/** The 16 that have names: legible on the dark background, also where a video blurs colours. */
const NAMED = [
  0x1c1c1c, 0xd9534f, 0x4fb253, 0xc9a227, 0x4a8ae8, 0xb565d8, 0x2fb3b8, 0xcfcfcf, 0x6e6e6e, 0xff7b72,
  0x7ee787, 0xf2cc60, 0x79b8ff, 0xd8a6ff, 0x66e0e0, 0xffffff,
];
/** Levels of the colour cube 6 × 6 × 6 behind them; then come 24 greys. */
const LEVELS = [0x00, 0x5f, 0x87, 0xaf, 0xd7, 0xff] as const;

/** The 256 colours of SGR 38;5 and 48;5. */
export const PALETTE: Uint32Array = Uint32Array.from({ length: 256 }, (_, index) => {
  const level = (at: number): number => LEVELS[at % 6] ?? 0;
  if (index < 16) return opaque(NAMED[index] ?? 0);
  if (index >= 232) return opaque((8 + 10 * (index - 232)) * 0x010101);
  const at = index - 16;
  return opaque((level(Math.floor(at / 36)) << 16) | (level(Math.floor(at / 6)) << 8) | level(at));
});

export const FOREGROUND: number = opaque(0xd4d4d4);
export const BACKGROUND: number = opaque(0x101010);

/** Halfway from `colour` to `ground`: faint text (SGR 2). */
export function faint(colour: number, ground: number): number {
  // Each byte on its own: halves without the bit that would fall into the next.
  return ((((colour >>> 1) & 0x7f7f7f7f) + ((ground >>> 1) & 0x7f7f7f7f)) | OPAQUE) >>> 0;
}
