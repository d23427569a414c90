/** What keys took that somebody typed, and whether that is still what it was just before. */
import assert from 'node:assert/strict';
import { percentile } from '../../bench/figures/statistics.ts';

/**
 * How much later keys may come back while there is much else to do: the half of them, and the last. Far above what
 * a busy machine does, and far below what people wait for whose worker does something else: seconds, each time.
 */
const LATER_MS = { half: 400, last: 2_500 } as const;
/** Where the machine itself is slow, all is. */
const TIMES = 5;

/** @param took ms from each key to its echo */
export function keyFigures(took: readonly number[]): string {
  const at = (percent: number): string => percentile(took, percent).toFixed(1);
  return `${took.length} keys, echoed after ms p50 ${at(50)}, p99 ${at(99)}, max ${at(100)}`;
}

/** Keys came back about as soon as before. */
export function assertPrompt(before: readonly number[], during: readonly number[]): void {
  for (const [percent, later] of [
    [50, LATER_MS.half],
    [100, LATER_MS.last],
  ] as const) {
    const [was, is] = [percentile(before, percent), percentile(during, percent)];
    assert.ok(is <= later + TIMES * was, `p${percent}: ${is.toFixed(0)} ms, ${was.toFixed(0)} ms before`);
  }
}
