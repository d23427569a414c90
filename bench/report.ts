/** What every benchmark hands over, and how it is shown. */
import type { Option } from 'commander';
import { type Goal, goalLine } from './figures/goals.ts';
import { formatTable, type Table } from './figures/table.ts';
import { describeMachine, type Machine, machineLine } from './machine.ts';

export interface Benchmark {
  readonly name: string;
  /** What `--help` says about it. */
  readonly summary: string;
  /** Names of what can be measured alone (`--only`). */
  readonly parts: readonly string[];
  /** Its own, in the place of those for rounds and sizes. */
  readonly options?: readonly Option[];
  run(options: BenchOptions): Promise<Outcome>;
}

export interface BenchOptions {
  /** Odd, so that the median is a round that really was. */
  readonly rounds: number;
  /** A smoke test: everything runs once and small; the figures mean little. */
  readonly quick: boolean;
  /** Size of one bulk transfer in MiB; undefined: the benchmark's own. */
  readonly mib: number | undefined;
  /** Which of its parts to run; empty: all. */
  readonly only: readonly string[];
  /** Values of {@link Benchmark.options}, by their names. */
  readonly own: Readonly<Record<string, unknown>>;
  /** A line of progress for standard error. */
  progress(line: string): void;
}

export interface Outcome {
  /** The figures as data, for programs. */
  readonly results: Readonly<Record<string, unknown>>;
  /** The figures for people, each beside its baselines. */
  readonly tables: readonly Table[];
  /** What was wanted of them. */
  readonly goals: readonly Goal[];
  readonly load?: LoadFigures;
  /** Of what was asked for: a section of its own in RESULTS.md. */
  readonly variant?: string;
}

/** Of benchmarks that put sessions through the gateway. */
export interface LoadFigures {
  /** Sessions that were set up through the gateway, and those of them that failed. */
  readonly sessions: number;
  readonly failures: number;
  /** Round trip of a keystroke through the gateway less that of a direct one, ms. */
  readonly addedP50Ms: number | undefined;
  readonly addedP99Ms: number | undefined;
  /** CPU seconds of the gateway over the whole benchmark. */
  readonly cpuSeconds: number;
  /** Resident set of the gateway: the largest of those that were looked at. */
  readonly rssBytes: number;
}

export interface Report extends Partial<LoadFigures> {
  readonly name: string;
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly machine: Machine;
  /** Share of the machine's CPU time that its host spent on others meanwhile. */
  readonly stolen: number;
  readonly results: Outcome['results'];
}

export function makeReport(name: string, outcome: Outcome, stolen: number): Report {
  return {
    name,
    date: new Date().toISOString(),
    machine: describeMachine(),
    stolen,
    results: { ...outcome.results, goals: outcome.goals },
    ...outcome.load,
  };
}

/** The report as Markdown without its heading. */
export function reportText(report: Report, { tables, goals }: Outcome): string {
  const stolen = `of its CPU time its host spent ${percent(report.stolen)} on others`;
  const head = `${report.date.slice(0, 10)}, ${machineLine(report.machine)}; ${stolen}; ${goalLine(goals)}`;
  return `${head}\n\n${tables.map(formatTable).join('\n')}`;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
