/** What was measured of log-ons: rate, duration, CPU. */
import { median, percentile } from './figures/statistics.ts';
import { figure, type Table } from './figures/table.ts';
import type { ManyOutcome } from './start-load.ts';

export type Batch = Omit<ManyOutcome, 'kind'>;

export interface SetUpFigures {
  /** By the clock, client and servers on the same cores. */
  readonly perSecond: number;
  /** From TCP connect to the end of the set-up, or of the command that was run. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of the server that the client connects to, where it was counted. */
  readonly cpuMsPerSetUp: number | undefined;
  /** How many a second one core of that server would do. */
  readonly perSecondAndCore: number | undefined;
  readonly count: number;
  readonly failures: number;
}

/** @param cpu seconds per set-up, one of each batch that was counted */
export function setUpFigures(
  batches: readonly Batch[],
  cpu: readonly number[],
  countPerBatch: number,
): SetUpFigures {
  const each = cpu.length === 0 ? undefined : median(cpu);
  const millis = batches.flatMap((batch) => batch.millis);
  return {
    perSecond: median(batches.map((batch) => batch.millis.length / batch.seconds)),
    p50Ms: percentile(millis, 50),
    p99Ms: percentile(millis, 99),
    cpuMsPerSetUp: each === undefined ? undefined : each * 1000,
    perSecondAndCore: each === undefined ? undefined : 1 / each,
    count: countPerBatch * batches.length,
    failures: batches.reduce((sum, batch) => sum + batch.errors.length, 0),
  };
}

/** @param first title of the column that `name` fills */
export function setUpTable<Row extends SetUpFigures & { readonly ratioToDirect: number }>(
  first: string,
  note: string,
  rows: readonly Row[],
  name: (row: Row) => string,
): Table {
  return {
    title: 'Connection set-up',
    note,
    columns: [first, 'per s', 'ratio', 'p50 ms', 'p99 ms', 'CPU ms each', 'per s and core', 'failed'],
    rows: rows.map((row) => [
      name(row),
      figure(row.perSecond),
      figure(row.ratioToDirect),
      figure(row.p50Ms),
      figure(row.p99Ms),
      figure(row.cpuMsPerSetUp),
      figure(row.perSecondAndCore),
      `${row.failures} of ${row.count}`,
    ]),
  };
}
