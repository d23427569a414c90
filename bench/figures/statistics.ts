/** Figures of a benchmark out of its samples. Samples come in any order and are not changed. */

/**
 * Nearest-rank percentile: the smallest sample that at least `percent` per cent of all
 * samples do not exceed, so that every figure is one that was really measured.
 *
 * @param percent above 0, up to 100
 * @throws RangeError when there are no samples, one is not a number, or `percent` is out of range
 */
export function percentile(samples: readonly number[], percent: number): number {
  if (!(percent > 0 && percent <= 100))
    throw new RangeError(`percentile ${percent} is not above 0 and up to 100`);
  const sorted = ordered(samples);
  const value = sorted[Math.ceil((percent / 100) * sorted.length) - 1];
  if (value === undefined) throw new RangeError('no samples: nothing was measured');
  return value;
}

/** The middle sample; of an even number the mean of the two in the middle. @throws RangeError as above */
export function median(samples: readonly number[]): number {
  const sorted = ordered(samples);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  if (upper === undefined || lower === undefined) throw new RangeError('no samples: nothing was measured');
  return (lower + upper) / 2;
}

export interface Trend {
  /** Of y per unit of x. */
  readonly slope: number;
  /** Of the slope. */
  readonly standardError: number;
}

/**
 * Line of least squares through points. The error is that of independent points: samples that follow each
 * other closely are to be averaged first, or it comes out too small.
 *
 * @throws RangeError when there are fewer than three, or all have one x
 */
export function trend(points: readonly (readonly [x: number, y: number])[]): Trend {
  const count = points.length;
  const mean = (of: 0 | 1): number => points.reduce((sum, point) => sum + point[of], 0) / count;
  const [x, y] = [mean(0), mean(1)];
  const spread = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  if (count < 3 || spread === 0) throw new RangeError('a trend wants three points apart');
  const slope = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0) / spread;
  const rest = points.reduce((sum, point) => sum + (point[1] - y - slope * (point[0] - x)) ** 2, 0);
  return { slope, standardError: Math.sqrt(rest / (count - 2) / spread) };
}

/** Means of so many runs of neighbours, about as long as each other. */
export function blockMeans(
  points: readonly (readonly [x: number, y: number])[],
  blocks: number,
): (readonly [x: number, y: number])[] {
  const of = (block: readonly (readonly [number, number])[], at: 0 | 1): number =>
    block.reduce((sum, point) => sum + point[at], 0) / block.length;
  return Array.from({ length: blocks }, (_, index) =>
    points.slice((index * points.length) / blocks, ((index + 1) * points.length) / blocks),
  )
    .filter((block) => block.length > 0)
    .map((block) => [of(block, 0), of(block, 1)] as const);
}

function ordered(samples: readonly number[]): number[] {
  if (samples.some((sample) => Number.isNaN(sample))) throw new RangeError('a sample is not a number');
  return [...samples].sort((a, b) => a - b);
}

/** `items` begun at the `by`-th, so that over the rounds each takes every place in the order. */
export function rotated<T>(items: readonly T[], by: number): T[] {
  const start = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}
