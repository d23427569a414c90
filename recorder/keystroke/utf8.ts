/** Decodes UTF-8 byte by byte (RFC 3629), across chunks and without allocation. */

/** More bytes are needed. */
export const MORE = -1;
/** The sequence before this byte was cut: it stands for one U+FFFD, and the byte is to be fed again. */
export const CUT = -2;
export const REPLACEMENT = 0xfffd;

export class Utf8 {
  #left = 0;
  #point = 0;
  #least = 0;

  /** Whether a sequence has begun and is not complete. */
  get open(): boolean {
    return this.#left > 0;
  }

  /** A code point, {@link REPLACEMENT} for a byte that begins nothing, {@link MORE} or {@link CUT}. */
  feed(byte: number): number {
    if (this.#left === 0) {
      if (byte < 0x80) return byte;
      if (byte >= 0xc2 && byte <= 0xdf) return this.#begin(1, byte & 0x1f, 0x80);
      if (byte >= 0xe0 && byte <= 0xef) return this.#begin(2, byte & 0x0f, 0x800);
      if (byte >= 0xf0 && byte <= 0xf4) return this.#begin(3, byte & 0x07, 0x10000);
      return REPLACEMENT;
    }
    if ((byte & 0xc0) !== 0x80) {
      this.#left = 0;
      return CUT;
    }
    this.#point = (this.#point << 6) | (byte & 0x3f);
    this.#left--;
    if (this.#left > 0) return MORE;
    const point = this.#point;
    const valid = point >= this.#least && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    return valid ? point : REPLACEMENT;
  }

  #begin(left: number, bits: number, least: number): number {
    this.#left = left;
    this.#point = bits;
    this.#least = least;
    return MORE;
  }
}

/** Columns of a code point, roughly: 0 combining, 2 East Asian wide and emoji, else 1. */
export function widthOf(point: number): number {
  if (point < 0x300) return 1;
  if (
    point <= 0x36f ||
    (point >= 0x200b && point <= 0x200f) ||
    (point >= 0x20d0 && point <= 0x20ff) ||
    (point >= 0xfe00 && point <= 0xfe0f)
  ) {
    return 0;
  }
  if (
    (point >= 0x1100 && point <= 0x115f) ||
    (point >= 0x2e80 && point <= 0xa4cf) ||
    (point >= 0xac00 && point <= 0xd7a3) ||
    (point >= 0xf900 && point <= 0xfaff) ||
    (point >= 0xfe30 && point <= 0xfe6f) ||
    (point >= 0xff00 && point <= 0xff60) ||
    (point >= 0xffe0 && point <= 0xffe6) ||
    (point >= 0x1f300 && point <= 0x1f64f) ||
    (point >= 0x1f900 && point <= 0x1f9ff) ||
    (point >= 0x20000 && point <= 0x3fffd)
  ) {
    return 2;
  }
  return 1;
}
