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

function ordered(samples: readonly number[]): number[] {
  if (samples.some((sample) => Number.isNaN(sample))) throw new RangeError('a sample is not a number');
  return [...samples].sort((a, b) => a - b);
}

/** `items` begun at the `by`-th, so that over the rounds each takes every place in the order. */
export function rotated<T>(items: readonly T[], by: number): T[] {
  const start = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}
