/**
 * `npm run bench -- ssh`: what the gateway costs people who use SSH, beside a direct connection,
 * a jump host and a TCP load balancer. One target, one cipher, everything on loopback and
 * interleaved, so that whatever else the machine does meets all paths alike.
 */
import type { Idle } from './idle.ts';
import { cpuSeconds, memoryOf } from './process-figures.ts';
import type { Benchmark, BenchOptions, LoadFigures, Outcome } from './report.ts';
import { type Bed, startBed } from './ssh/bed.ts';
import { measureBulk, measureLongLine, type Throughput } from './ssh/bulk.ts';
import { goalsOf } from './ssh/goals.ts';
import { type Echo, measureEcho, measureIdle, measureSetUps, type SetUps } from './ssh/sessions.ts';
import { tablesOf } from './ssh/tables.ts';

const PARTS = ['bulk', 'long-line', 'set-ups', 'echo', 'idle'] as const;
type Part = (typeof PARTS)[number];

/** What was measured; a part that was not asked for is absent. */
export interface SshFigures {
  readonly throughput?: readonly Throughput[];
  readonly longLine?: readonly Throughput[];
  readonly setUps?: readonly SetUps[];
  readonly echo?: readonly Echo[];
  readonly idle?: Idle;
}

export const sshBenchmark: Benchmark = {
  name: 'ssh',
  summary: 'throughput, set-ups, echo latency and memory of SSH sessions',
  parts: PARTS,
  run,
};

async function run(options: BenchOptions): Promise<Outcome> {
  const wanted = (part: Part): boolean => options.only.length === 0 || options.only.includes(part);
  const mib = options.mib ?? (options.quick ? 64 : 512);
  const quick = options.quick;

  options.progress(`servers, and ${mib} MiB of random bytes`);
  const bed = await startBed(mib);
  try {
    const figures: SshFigures = {
      ...(wanted('bulk') && { throughput: await measureBulk(bed, options) }),
      ...(wanted('long-line') && { longLine: await measureLongLine(bed, options) }),
      ...(wanted('set-ups') && { setUps: await measureSetUps(bed, quick ? 40 : 200, options) }),
      ...(wanted('echo') && { echo: await measureEcho(bed, quick ? 100 : 500, options) }),
      ...(wanted('idle') && { idle: await measureIdle(bed, quick ? 50 : 300, options) }),
    };
    const goals = goalsOf(figures);
    return {
      results: { ...figures },
      goals,
      tables: tablesOf(figures, goals, bed),
      load: loadOf(figures, bed),
    };
  } finally {
    options.progress('stopping the servers');
    await bed.stop();
  }
}

function loadOf(figures: SshFigures, bed: Bed): LoadFigures {
  const setUps = (figures.setUps ?? []).filter((row) => row.path === 'gateway');
  const echo = figures.echo?.find((row) => row.path === 'gateway');
  const { idle } = figures;
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    sessions:
      sum(setUps.map((row) => row.count)) +
      (idle === undefined ? 0 : idle.earlier + idle.sessions + idle.failures),
    failures: sum(setUps.map((row) => row.failures)) + (idle?.failures ?? 0),
    addedP50Ms: echo?.addedP50Ms,
    addedP99Ms: echo?.addedP99Ms,
    cpuSeconds: cpuSeconds(bed.gateway.pid) + (idle?.cpuSeconds ?? 0),
    rssBytes: Math.max(memoryOf(bed.gateway.pid).rssBytes, idle?.after.rssBytes ?? 0),
  };
}
