/**
 * `npm run bench -- capacity`: how many recorded sessions a gateway carries, what that costs and what its
 * people feel of it, beside direct connections at the same moment; and what a recording OpenSSH bastion
 * costs for the same.
 */
import { writeFileSync } from 'node:fs';
import { Option } from 'commander';
import { BASTION_SESSIONS, compareCosts } from './capacity/compare.ts';
import { type CapacityFigures, goalsOf, worstAdded } from './capacity/goals.ts';
import { type Held, holdSessions } from './capacity/hold.ts';
import { pictureOf } from './capacity/picture.ts';
import { tablesOf } from './capacity/tables.ts';
import { leakOf } from './figures/leak.ts';
import { duration, positive } from './numbers.ts';
import { MIXES, type Mix } from './people/mix.ts';
import type { Benchmark, BenchOptions, LoadFigures, Outcome } from './report.ts';

const PARTS = ['gateway', 'bastion'] as const;
type Part = (typeof PARTS)[number];

export const capacityBenchmark: Benchmark = {
  name: 'capacity',
  summary:
    'many recorded sessions at once: latency, CPU, memory; up to 300, or with --only bastion, beside a recording OpenSSH bastion',
  parts: PARTS,
  options: [
    new Option('--sessions <n>', 'sessions at once').argParser(positive).default(600),
    new Option('--mix <mix>', 'of which protocol').choices(MIXES).default('mixed'),
    new Option('--seconds <n>', 'how long all of them are held').argParser(positive).default(60),
    new Option(
      '--soak <time>',
      'hold them so long instead (1h, 8h), some renewed, and look for leaks',
    ).argParser(duration),
    new Option('--plot <file>', 'draw the run as SVG'),
  ],
  run,
};

/** Values of the options above. */
interface Own {
  readonly sessions: number;
  readonly mix: Mix;
  readonly seconds: number;
  readonly soak?: number;
  readonly plot?: string;
}

/** In a soak each session lives so long on average, s: what a session leaves behind shows too. */
const LIFE_SECONDS = 600;

async function run(options: BenchOptions): Promise<Outcome> {
  const own = options.own as unknown as Own;
  const { sessions, mix, soak } = own;
  const wanted = (part: Part): boolean => options.only.length === 0 || options.only.includes(part);
  const seconds = options.quick ? Math.min(own.seconds, 10) : own.seconds;
  const holding = {
    sessions,
    mix,
    seconds: soak ?? seconds,
    renewedPerSecond: soak === undefined ? 0 : sessions / LIFE_SECONDS,
  };
  const held = wanted('gateway') ? await holdSessions(holding, options) : undefined;
  // Beside what a bastion can carry, too, and no soak, which is about memory alone; or where it is asked for.
  const comparable = soak === undefined && sessions <= BASTION_SESSIONS;
  const compared = wanted('bastion') && (comparable || options.only.length > 0);
  const figures: CapacityFigures = {
    ...(held && { held }),
    ...(held && soak !== undefined && { leak: leakOf(memoryOf(held), held.allOpenAt, held.endedAt) }),
    ...(compared && { costs: await compareCosts(sessions, seconds, options) }),
  };
  if (held !== undefined && own.plot !== undefined) writeFileSync(own.plot, pictureOf(held, mix));
  const goals = goalsOf(figures);
  return {
    results: { sessions, mix, seconds: holding.seconds, ...figures },
    goals,
    tables: tablesOf(figures, goals),
    variant: `${sessions} ${mix}${soak === undefined ? '' : ', soak'}`,
    ...(held && { load: loadOf(held) }),
  };
}

/** Seconds and bytes. */
const memoryOf = ({ samples }: Held): (readonly [number, number])[] =>
  samples.map(({ second, pssBytes }) => [second, pssBytes] as const);

function loadOf(held: Held): LoadFigures {
  return {
    sessions: held.sessions,
    failures: held.failures,
    addedP50Ms: worstAdded(held, 'p50Ms'),
    addedP99Ms: worstAdded(held, 'p99Ms'),
    cpuSeconds: held.gatewayCpuSeconds,
    rssBytes: held.rssBytes,
  };
}
