/** Whether memory grew while many sessions were held for long. */
import { blockMeans, trend } from './statistics.ts';

export interface Leak {
  /** As a line of least squares has it. */
  readonly mibPerHour: number;
  readonly standardError: number;
  /** What the line was drawn through. */
  readonly blocks: number;
  readonly fromSecond: number;
  readonly toSecond: number;
  readonly meanMib: number;
}

/** Caches fill and the compiler works: left out. */
const WARM_UP_SHARE = 1 / 3;
/** Garbage comes and goes over tens of seconds: samples of one block are no independent ones. */
const BLOCKS = 12;

/** @param samples seconds and bytes, also of before `from` and after `to`; undefined: too few between them */
export function leakOf(
  samples: readonly (readonly [second: number, bytes: number])[],
  from: number,
  to: number,
): Leak | undefined {
  const fromSecond = from + (to - from) * WARM_UP_SHARE;
  const points = samples
    .filter(([second]) => second >= fromSecond && second <= to)
    .map(([second, bytes]) => [second / 3600, bytes / 2 ** 20] as const);
  const blocks = blockMeans(points, BLOCKS);
  if (blocks.length < BLOCKS) return undefined;
  const { slope, standardError } = trend(blocks);
  return {
    mibPerHour: slope,
    standardError,
    blocks: blocks.length,
    fromSecond,
    toSecond: to,
    meanMib: blocks.reduce((sum, [, mib]) => sum + mib, 0) / blocks.length,
  };
}
