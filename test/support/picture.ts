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

/** A share for people: `99.95 %`, never rounded up to what it does not reach. */
export function percent(share: number): string {
  return `${(Math.floor(share * 100_000) / 1000).toFixed(3)} %`;
}
