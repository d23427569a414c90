/** What many sessions of ordinary typing ask of an archive, before any compaction. */
import { EventKind, type Recording } from '../../recorder/index.ts';
import { percentile } from '../figures/statistics.ts';
import { sleep } from '../load-process.ts';
import type { BenchOptions } from '../report.ts';
import { initOf, type RealSink, type Site, type Tally } from './sites.ts';

export interface Typing {
  readonly sink: RealSink;
  readonly sessions: number;
  readonly seconds: number;
  /** Objects, or appends where a recording is one file. */
  readonly writesPerSecond: number;
  /** CPU ms a second of this process, per session. */
  readonly cpuMsPerSession: number;
  /** The longest that this thread was busy with something else when a key was to be recorded, ms. */
  readonly lateP99Ms: number;
  /** Sessions that were paused or failed. */
  readonly disturbed: number;
}

/** Threads that a node of two cores has, each with its own way to the archive. */
const WORKERS = 2;
/** As a node with so many workers sets it. */
const GROUP_MS = 150;
/** Keys a second of who types all the time, each with its echo. */
const KEYS_PER_SECOND = 2;

export async function measureTyping(site: Site, sessions: number, options: BenchOptions): Promise<Typing[]> {
  const results: Typing[] = [];
  for (const sink of site.sinks) {
    options.progress(`typing: ${sessions} sessions to ${sink}`);
    results.push(await typeTo(site, sink, sessions, options.quick ? 5 : 60));
  }
  return results;
}

async function typeTo(site: Site, sink: RealSink, sessions: number, seconds: number): Promise<Typing> {
  const tally: Tally = { writes: 0 };
  const recorders = Array.from({ length: WORKERS }, () => site.recorder(site.writing(sink, tally, GROUP_MS)));
  let disturbed = 0;
  const signals = {
    pause: () => {
      disturbed += 1;
    },
    resume: () => {},
    failed: () => {},
  };
  const recordings: Recording[] = [];
  for (let i = 0; i < sessions; i += 1) {
    const recorder = recorders[i % WORKERS];
    if (recorder !== undefined) recordings.push(await recorder.open(initOf(crypto.randomUUID()), signals));
  }
  const late: number[] = [];
  const everyMs = 1000 / KEYS_PER_SECOND;
  const timers: NodeJS.Timeout[] = [];
  const begin = (recording: Recording, first: number): void => {
    let due = first;
    const key = (): void => {
      late.push(performance.now() - due);
      recording.write(EventKind.input, 0, Buffer.from('k'));
      recording.write(EventKind.output, 0, Buffer.from('\u001b[1mk\u001b[0m'));
      due += everyMs;
      timers[index] = setTimeout(key, Math.max(0, due - performance.now()));
    };
    const index = timers.push(setTimeout(key, first - performance.now())) - 1;
  };
  // Spread, as people are; the first seconds are for all to have begun.
  for (const [i, recording] of recordings.entries())
    begin(recording, performance.now() + 1000 + (i * everyMs) / sessions);
  await sleep(3000);
  late.length = 0;
  disturbed = 0;
  tally.writes = 0;
  const cpu = process.cpuUsage();
  const started = performance.now();
  await sleep(seconds * 1000);
  const elapsed = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const { writes } = tally;
  for (const timer of timers) clearTimeout(timer);
  const result = {
    sink,
    sessions,
    seconds: elapsed,
    writesPerSecond: writes / elapsed,
    cpuMsPerSession: (user + system) / 1000 / elapsed / sessions,
    lateP99Ms: percentile(late, 99),
    disturbed,
  };
  for (const recording of recordings) await recording.seal('measured');
  return result;
}
