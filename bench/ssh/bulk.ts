/** Bulk throughput beside the baselines: on loopback, and on a line of 50 ms. */
import { globSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { median, rotated } from '../figures/statistics.ts';
import { figure, type Table } from '../figures/table.ts';
import { type CpuUse, cpuOf, settled } from '../process-figures.ts';
import type { BenchOptions } from '../report.ts';
import { type Bed, type Line, PATHS, type Path } from './bed.ts';
import { type Direction, transfer, verifyTransfers } from './transfer.ts';

export interface Throughput {
  readonly path: Path | Line;
  readonly direction: Direction;
  /** Median over the rounds, 10^6 bytes per second. */
  readonly mbPerSecond: number;
  /** To the direct path of the same direction. */
  readonly ratioToDirect: number;
  /** CPU seconds per 10^9 bytes of the server that the client connects to, where they were counted. */
  readonly cpuSecondsPerGb: number | undefined;
  /** Of them, those of its busiest thread. */
  readonly busiestThreadPerGb: number | undefined;
}

const DIRECTIONS = ['download', 'upload'] as const;

/** Each path in each direction once per round, in a rotating order, after one round that only verifies. */
export async function measureBulk(bed: Bed, options: BenchOptions): Promise<Throughput[]> {
  for (const path of PATHS) await verifyTransfers(bed, path, bed.short);
  options.progress('bulk: every path moves the right bytes');
  const runs = DIRECTIONS.flatMap((direction) => PATHS.map((path) => ({ path, direction })));
  const samples = runs.map((run) => ({ ...run, rates: [] as number[], cpu: [] as CpuUse[] }));
  for (let round = 0; round < options.rounds; round += 1) {
    for (const { path, direction, rates, cpu } of rotated(samples, round)) {
      const server = bed.servers[path];
      const used = await cpuOf(server, async () => {
        rates.push(bed.bulk.bytes / (await transfer(bed, path, direction, bed.bulk)) / 1e6);
        // What it leaves to be done is its own, and disturbs no other.
        if (server !== undefined) await settled(server);
      });
      if (used !== undefined) cpu.push(used);
      if (path === 'gateway-full') discardRecordings(bed);
    }
    options.progress(`bulk: round ${round + 1} of ${options.rounds}`);
  }
  const perGb = (seconds: readonly number[]): number | undefined =>
    seconds.length === 0 ? undefined : median(seconds) / (bed.bulk.bytes / 1e9);
  return compared(
    samples.map(({ path, direction, rates, cpu }) => ({
      path,
      direction,
      mbPerSecond: median(rates),
      cpuSecondsPerGb: perGb(cpu.map(({ seconds }) => seconds)),
      busiestThreadPerGb: perGb(cpu.map(({ busiestThread }) => busiestThread)),
    })),
    'direct',
  );
}

/** The same over 50 ms, direct and through the gateway; and what the relay itself can carry. */
export async function measureLongLine(bed: Bed, options: BenchOptions): Promise<Throughput[]> {
  const lines = ['direct-50ms', 'gateway-50ms', 'relay'] as const;
  const runs = DIRECTIONS.flatMap((direction) => lines.map((path) => ({ path, direction })));
  const samples = runs.map((run) => ({ ...run, rates: [] as number[] }));
  for (let round = 0; round < options.rounds; round += 1) {
    for (const { path, direction, rates } of rotated(samples, round))
      rates.push(bed.short.bytes / (await transfer(bed, path, direction, bed.short)) / 1e6);
    options.progress(`50 ms: round ${round + 1} of ${options.rounds}`);
  }
  return compared(
    samples.map(({ path, direction, rates }) => ({
      path,
      direction,
      mbPerSecond: median(rates),
      cpuSecondsPerGb: undefined,
      busiestThreadPerGb: undefined,
    })),
    'direct-50ms',
  );
}

/** Sessions recorded in full would fill the disk; those that are over are of no more use. */
function discardRecordings(bed: Bed): void {
  for (const file of globSync('archive/*/*/*/*.slr', { cwd: bed.gateway.dataDir }))
    rmSync(join(bed.gateway.dataDir, file), { force: true });
}

function compared(rows: readonly Omit<Throughput, 'ratioToDirect'>[], baseline: Path | Line): Throughput[] {
  return rows.map((row) => {
    const base = rows.find((each) => each.path === baseline && each.direction === row.direction);
    return { ...row, ratioToDirect: row.mbPerSecond / (base?.mbPerSecond ?? Number.NaN) };
  });
}

const NAMES: Readonly<Record<Path | Line, string>> = {
  direct: 'direct',
  jump: 'ssh -J',
  haproxy: 'HAProxy, tcp',
  gateway: 'Sallyport, recorded',
  'gateway-full': 'Sallyport, recorded in full',
  'direct-50ms': 'direct',
  'gateway-50ms': 'Sallyport, recorded',
  relay: 'the relay without delay',
};

/** One row per path; both directions side by side. */
export function throughputTable(title: string, note: string, rows: readonly Throughput[]): Table {
  const down = rows.filter((row) => row.direction === 'download');
  const withCpu = rows.some((row) => row.cpuSecondsPerGb !== undefined);
  const cells = (row: Throughput | undefined): string[] => [
    figure(row?.mbPerSecond),
    figure(row?.ratioToDirect),
    ...(withCpu ? [figure(row?.cpuSecondsPerGb), figure(row?.busiestThreadPerGb)] : []),
  ];
  const columns = (direction: string): string[] => [
    `${direction} MB/s`,
    'ratio',
    ...(withCpu ? ['CPU s/GB', 'one thread'] : []),
  ];
  return {
    title,
    note,
    columns: ['path', ...columns('down'), ...columns('up')],
    rows: down.map((row) => {
      const up = rows.find((each) => each.path === row.path && each.direction === 'upload');
      return [NAMES[row.path], ...cells(row), ...cells(up)];
    }),
  };
}
