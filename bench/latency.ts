/** A key's way to what it makes the target show, on several paths at the same time. */
import { median, percentile, rotated } from './figures/statistics.ts';
import { figure, type Table } from './figures/table.ts';
import type { BenchOptions } from './report.ts';

/** Between two keys on a path. */
export const KEY_SPACING_MS = 20;

export interface Latency<Path extends string> {
  readonly path: Path;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** To the first path, the direct one. */
  readonly addedP50Ms: number;
  readonly addedP99Ms: number;
  readonly keys: number;
}

/**
 * @param press presses `keys` keys on each path, all at the same time from one client; resolves
 *   with ms from each key to its answer, per path in the order given
 */
export async function measureLatency<Path extends string>(
  paths: readonly Path[],
  press: (paths: readonly Path[]) => Promise<readonly (readonly number[])[]>,
  keys: number,
  options: BenchOptions,
): Promise<Latency<Path>[]> {
  const rounds: (readonly (readonly number[])[])[] = [];
  for (let round = 0; round < options.rounds; round += 1) {
    const order = rotated(paths, round);
    const millis = await press(order);
    rounds.push(paths.map((path) => millis[order.indexOf(path)] ?? []));
    options.progress(`keys: round ${round + 1} of ${options.rounds}`);
  }
  const over = (index: number, percent: number): number =>
    median(rounds.map((millis) => percentile(millis[index] ?? [], percent)));
  return paths.map((path, index) => ({
    path,
    p50Ms: over(index, 50),
    p99Ms: over(index, 99),
    addedP50Ms: over(index, 50) - over(0, 50),
    addedP99Ms: over(index, 99) - over(0, 99),
    keys: keys * options.rounds,
  }));
}

/** @param answered what answers a key, for the note */
export function latencyTable<Path extends string>(
  title: string,
  answered: string,
  rows: readonly Latency<Path>[],
  names: Readonly<Record<Path, string>>,
): Table {
  return {
    title,
    note: `${rows[0]?.keys ?? 0} keys a path, one every ${KEY_SPACING_MS} ms, ${answered}; all paths at the same time from one client.`,
    columns: ['path', 'p50 ms', 'p99 ms', 'added p50', 'added p99'],
    rows: rows.map((row) => [
      names[row.path],
      figure(row.p50Ms),
      figure(row.p99Ms),
      figure(row.addedP50Ms),
      figure(row.addedP99Ms),
    ]),
  };
}
