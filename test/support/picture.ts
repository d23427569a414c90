/** How alike two pictures are. */
import type { Picture } from './x11.ts';

/** Pixels that do not count: `reach` to each side of (x, y). */
export interface Blind {
  readonly x: number;
  readonly y: number;
  readonly reach: number;
}

/**
 * Share of the pixels of two pictures of one size, those of `blind` left out, in which red, green and
 * blue are each at most `tolerance` (of 255) apart; 0 where the sizes differ.
 */
export function sameShare(one: Picture, other: Picture, tolerance: number, blind?: Blind): number {
  if (one.width !== other.width || one.height !== other.height) return 0;
  const [a, b] = [one.rgb, other.rgb];
  let all = 0;
  let same = 0;
  for (let y = 0, at = 0; y < one.height; y++) {
    for (let x = 0; x < one.width; x++, at += 3) {
      if (blind && Math.abs(x - blind.x) <= blind.reach && Math.abs(y - blind.y) <= blind.reach) continue;
      all += 1;
      if (near(a, b, at, tolerance) && near(a, b, at + 1, tolerance) && near(a, b, at + 2, tolerance))
        same += 1;
    }
  }
  return same / all;
}

function near(a: Uint8Array, b: Uint8Array, at: number, tolerance: number): boolean {
  return Math.abs((a[at] as number) - (b[at] as number)) <= tolerance;
}

/** Share of the pixels of `mixed` that are those of one of two pictures, all of one size. */
export function mixedShare(mixed: Picture, one: Picture, other: Picture): number {
  let same = 0;
  for (let at = 0; at < mixed.rgb.length; at += 3)
    if (isSame(mixed.rgb, one.rgb, at) || isSame(mixed.rgb, other.rgb, at)) same += 1;
  return (3 * same) / mixed.rgb.length;
}

function isSame(a: Uint8Array, b: Uint8Array, at: number): boolean {
  return a[at] === b[at] && a[at + 1] === b[at + 1] && a[at + 2] === b[at + 2];
}

/** A share for people: `99.95 %`, never rounded up to what it does not reach. */
export function percent(share: number): string {
  return `${(Math.floor(share * 100_000) / 1000).toFixed(3)} %`;
}

/** How much the brightness of two pictures of one size is apart. */
export interface LumaDistance {
  /** Peak signal-to-noise ratio, dB: over 40 is hardly seen, below 20 is another picture. */
  readonly psnr: number;
  /** Share of the pixels that are at most the given distance (of 255) apart. */
  readonly near: number;
}

/** Compares what a video keeps of each pixel, its luma (ITU-R BT.709). */
export function lumaDistance(one: Picture, other: Picture, distance: number): LumaDistance {
  const pixels = one.width * one.height;
  let squares = 0;
  let near = 0;
  for (let at = 0; at < 3 * pixels; at += 3) {
    const apart = luma(one.rgb, at) - luma(other.rgb, at);
    squares += apart * apart;
    if (Math.abs(apart) <= distance) near += 1;
  }
  return { psnr: 10 * Math.log10((255 * 255 * pixels) / squares), near: near / pixels };
}

function luma(rgb: Uint8Array, at: number): number {
  return 0.2126 * (rgb[at] as number) + 0.7152 * (rgb[at + 1] as number) + 0.0722 * (rgb[at + 2] as number);
}
