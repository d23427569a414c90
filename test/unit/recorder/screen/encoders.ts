/** Encoders that choose at random among all ways to say the same: what decoders are tested with. */
import type { Random } from '../../../support/random.ts';

export const u16 = (value: number): number[] => [value & 0xff, value >> 8];
export const u32 = (value: number): number[] => [...u16(value & 0xffff), ...u16(value >>> 16)];

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Native pixels of `bits` bits. */
  readonly pixels: Uint32Array;
}

/** Runs, lines like the one above, patterns and noise. */
export function randomPicture(random: Random, bits: number, width: number, height: number): Picture {
  const pixels = new Uint32Array(width * height);
  const colour = () => [0, 2 ** bits - 1, random(2 ** bits), random(2 ** bits)][random(4)] ?? 0;
  for (let i = 0; i < pixels.length; ) {
    const length = Math.min(pixels.length - i, 1 + random([4, 20, 100, 600][random(4)] ?? 4));
    const kind = random(6);
    const one = colour();
    const other = colour();
    for (const stop = i + length; i < stop; i += 1) {
      const above = pixels[i - width] ?? 0;
      pixels[i] =
        [
          one,
          above,
          above ^ one,
          i % 2 === 0 ? one : other,
          random(2) === 0 ? above : above ^ other,
          random(2 ** bits),
        ][kind] ?? 0;
    }
  }
  return { width, height, pixels };
}

/** Interleaved RLE ([MS-RDPBCGR] 3.1.9). Orders that refer to the line above do not leave the first line. */
export function encodeInterleaved(random: Random, bits: number, picture: Picture): Uint8Array {
  const { width, pixels } = picture;
  const total = pixels.length;
  const white = 2 ** bits - 1;
  const out: number[] = [];
  const bytesOf = (pixel: number) => u32(pixel).slice(0, (bits + 7) >> 3);
  const at = (i: number) => pixels[i] ?? 0;
  const above = (i: number) => (i < width ? 0 : at(i - width));
  let foreground = white;
  let i = 0;
  let afterBackground = false;

  /** How many pixels from `from` on are as `fits` says, of those that one order may take. */
  const reach = (from: number, limit: number, fits: (i: number) => boolean) => {
    let to = from;
    while (to < limit && to - i < 65535 && fits(to)) to += 1;
    return to - from;
  };
  /** A header in one of the forms that can say `length`; `regular`, `lite`: their codes, if there are any. */
  const header = (code: number, length: number, regular?: number, lite?: number) => {
    const forms: number[][] = [[0xf0 | code, ...u16(length)]];
    if (regular !== undefined && length < 32) forms.push([(regular << 5) | length]);
    if (regular !== undefined && length >= 32 && length < 288) forms.push([regular << 5, length - 32]);
    if (lite !== undefined && length < 16) forms.push([(lite << 4) | length]);
    if (lite !== undefined && length >= 16 && length < 272) forms.push([lite << 4, length - 16]);
    out.push(...(forms[random(forms.length)] ?? []));
  };
  const bitsHeader = (code: number, length: number, regular?: number, lite?: number) => {
    const forms: number[][] = [[0xf0 | code, ...u16(length)]];
    const short = length % 8 === 0 ? length / 8 : 0;
    for (const [form, shift, most] of [
      [regular, 5, 31],
      [lite, 4, 15],
    ] as const) {
      if (form === undefined) continue;
      if (short > 0 && short <= most) forms.push([(form << shift) | short]);
      if (length <= 256) forms.push([form << shift, length - 1]);
    }
    out.push(...(forms[random(forms.length)] ?? []));
  };
  const masks = (length: number) => {
    for (let from = i; from < i + length; from += 8) {
      let mask = 0;
      for (let bit = 0; bit < 8 && from + bit < i + length; bit += 1)
        if (at(from + bit) !== above(from + bit)) mask |= 1 << bit;
      out.push(mask);
    }
  };

  while (i < total) {
    if (i === width) afterBackground = false;
    if (i > width && i - 1 < width) afterBackground = false;
    const lineLimit = i < width ? Math.min(width, total) : total;
    const other = at(i) ^ above(i);
    const likeAbove = (n: number) => at(n) === above(n);
    const inForeground = (n: number) => at(n) === (above(n) ^ foreground);
    const options: (() => number)[] = [];
    const cut = (most: number) => (random(3) === 0 ? 1 + random(most) : most);

    const first = afterBackground ? (inForeground(i) ? 1 : 0) : likeAbove(i) ? 1 : 0;
    if (first === 1) {
      const run = 1 + reach(i + 1, lineLimit, likeAbove);
      options.push(() => {
        const length = cut(run);
        header(0x0, length, 0x0);
        return -length;
      });
    }
    const runForeground = reach(i, lineLimit, inForeground);
    if (runForeground > 0)
      options.push(() => {
        const length = cut(runForeground);
        header(0x1, length, 0x1);
        return length;
      });
    const runOther = reach(i, lineLimit, (n) => at(n) === (above(n) ^ other));
    options.push(() => {
      const length = cut(runOther);
      header(0x6, length, undefined, 0xc);
      out.push(...bytesOf(other));
      foreground = other;
      return length;
    });
    const bitsRun = reach(i, lineLimit, (n) => likeAbove(n) || inForeground(n));
    if (bitsRun > 0)
      options.push(() => {
        const length = cut(bitsRun);
        bitsHeader(0x2, length, 0x2);
        masks(length);
        return length;
      });
    const bitsOther = reach(i, lineLimit, (n) => likeAbove(n) || at(n) === (above(n) ^ other));
    options.push(() => {
      const length = cut(bitsOther);
      bitsHeader(0x7, length, undefined, 0xd);
      out.push(...bytesOf(other));
      foreground = other;
      masks(length);
      return length;
    });
    for (const [special, mask] of [
      [0xf9, 0x03],
      [0xfa, 0x05],
    ] as const) {
      const fits = (n: number) => ((mask >> (n - i)) & 1 ? inForeground(n) : likeAbove(n));
      if (reach(i, Math.min(lineLimit, i + 8), fits) === 8)
        options.push(() => {
          out.push(special);
          return 8;
        });
    }
    const colourRun = reach(i, total, (n) => at(n) === at(i));
    options.push(() => {
      const length = cut(colourRun);
      header(0x3, length, 0x3);
      out.push(...bytesOf(at(i)));
      return length;
    });
    options.push(() => {
      const length = Math.min(total - i, 1 + random(80));
      header(0x4, length, 0x4);
      for (let n = i; n < i + length; n += 1) out.push(...bytesOf(at(n)));
      return length;
    });
    const pairs = Math.floor(reach(i, total, (n) => at(n) === at(i + ((n - i) % 2))) / 2);
    if (pairs > 0)
      options.push(() => {
        const length = cut(pairs);
        header(0x8, length, undefined, 0xe);
        out.push(...bytesOf(at(i)), ...bytesOf(at(i + 1)));
        return 2 * length;
      });
    if (at(i) === white || at(i) === 0)
      options.push(() => {
        out.push(at(i) === 0 ? 0xfe : 0xfd);
        return 1;
      });
    const written = options[random(options.length)]?.() ?? 0;
    // A negative length says that it was a background run.
    afterBackground = written < 0 && !(i < width && i - written >= width);
    i += Math.abs(written);
  }
  return Uint8Array.from(out);
}

/** One plane of RDP 6.0 planar RLE ([MS-RDPEGDI] 3.1.9.1). */
export function encodePlane(random: Random, plane: Uint8Array, width: number): number[] {
  const out: number[] = [];
  for (let line = 0; line < plane.length; line += width) {
    let value = 0;
    const coded = (x: number) => {
      const here = plane[line + x] ?? 0;
      if (line === 0) return here;
      const difference = ((here - (plane[line - width + x] ?? 0)) << 24) >> 24;
      return difference < 0 ? -difference * 2 - 1 : difference * 2;
    };
    for (let x = 0; x < width; ) {
      let most = 0;
      while (most < 47 && x + most < width && coded(x + most) === value) most += 1;
      if (most >= 16 && random(4) > 0) {
        const run = 16 + random(most - 15);
        out.push(run < 32 ? ((run - 16) << 4) | 1 : ((run - 32) << 4) | 2);
        x += run;
        continue;
      }
      if (most >= 3 && random(4) > 0) {
        const run = 3 + random(Math.min(most, 15) - 2);
        out.push(run);
        x += run;
        continue;
      }
      const raw = 1 + random(Math.min(15, width - x));
      const values = Array.from({ length: raw }, (_, n) => coded(x + n));
      value = values.at(-1) ?? 0;
      x += raw;
      let run = 0;
      while (run < 15 && x + run < width && coded(x + run) === value) run += 1;
      run = run < 3 ? 0 : 3 + random(run - 2);
      out.push((raw << 4) | run, ...values);
      x += run;
    }
  }
  return out;
}
