/** Whether memory grew while many sessions were held for long. */
import type { Goals } from './goals.ts';
import { blockMeans, trend } from './statistics.ts';

export interface Leak {
  /** As a line of least squares has it; NaN, like what follows from it: it was not held for long enough to tell. */
  readonly mibPerHour: number;
  readonly standardError: number;
  /** More growth than this is ruled out, with 95 % confidence. */
  readonly atMostMibPerHour: number;
  /** The same, to the mean. */
  readonly atMostSharePerHour: number;
  /** What the line was drawn through. */
  readonly blocks: number;
  readonly fromSecond: number;
  readonly toSecond: number;
  readonly meanMib: number;
}

/** Caches fill and the compiler works: left out, but for no longer than {@link WARM_UP_SECONDS}. */
const WARM_UP_SHARE = 1 / 3;
const WARM_UP_SECONDS = 1_200;
/** Garbage comes and goes over tens of seconds: samples of one block are no independent ones, blocks nearly are. */
const BLOCK_SECONDS = 60;
const MOST_BLOCKS = 12;
const FEWEST_BLOCKS = 6;
/**
 * One-sided 95 % of Student's t, by degrees of freedom from that of the fewest blocks: what a slope's error
 * is to be multiplied by where it was itself estimated from so few.
 */
const STUDENT_95 = [2.132, 2.015, 1.943, 1.895, 1.86, 1.833, 1.812];

/** @param samples seconds and bytes, also of before `from` and after `to` */
export function leakOf(
  samples: readonly (readonly [second: number, bytes: number])[],
  from: number,
  to: number,
): Leak {
  const fromSecond = from + Math.min((to - from) * WARM_UP_SHARE, WARM_UP_SECONDS);
  const points = samples
    .filter(([second]) => second >= fromSecond && second <= to)
    .map(([second, bytes]) => [second / 3600, bytes / 2 ** 20] as const);
  const blocks = blockMeans(points, Math.min(MOST_BLOCKS, Math.floor((to - fromSecond) / BLOCK_SECONDS)));
  const { slope, standardError } =
    blocks.length < FEWEST_BLOCKS ? { slope: Number.NaN, standardError: Number.NaN } : trend(blocks);
  const meanMib = blocks.reduce((sum, [, mib]) => sum + mib, 0) / blocks.length;
  const atMost = slope + standardError * (STUDENT_95[blocks.length - FEWEST_BLOCKS] ?? Number.NaN);
  return {
    mibPerHour: slope,
    standardError,
    atMostMibPerHour: atMost,
    atMostSharePerHour: atMost / meanMib,
    blocks: blocks.length,
    fromSecond,
    toSecond: to,
    meanMib,
  };
}

/** A node that grew so fast would be twice as large after ten hours; less is lost in the garbage of one. */
const GROWTH_PERCENT_PER_HOUR = 10;

/** A run that is too short, or too noisy, to rule growth out has not reached it. */
export function wantNoGrowth(goals: Goals, { atMostSharePerHour }: Leak): void {
  goals.atMost(
    'growth of memory that is not ruled out, % an hour',
    GROWTH_PERCENT_PER_HOUR,
    100 * atMostSharePerHour,
  );
}
