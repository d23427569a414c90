/**
 * `npm run bench -- archive`: what it costs to stream recordings to an archive, beside recording to nowhere;
 * what many sessions of typing ask of it; what people who type notice of recordings that are sealed, compacted
 * and indexed; how fast a moment of a recording is found again. A gateway with SSH sessions for the first and the
 * fourth, else the recorder alone in this process; a folder and a real S3 server on this machine.
 */
import { type Background, measureBackground } from './archive/background.ts';
import { measureSeeking, type Seeking } from './archive/seeking.ts';
import { type InSessions, measureSessions } from './archive/sessions.ts';
import { startSite } from './archive/sites.ts';
import { goalsOf, tablesOf } from './archive/tables.ts';
import { measureThroughput, type Throughput } from './archive/throughput.ts';
import { measureTyping, type Typing } from './archive/typing.ts';
import type { Benchmark, BenchOptions, Outcome } from './report.ts';

const PARTS = ['sessions', 'throughput', 'typing', 'background', 'seeking'] as const;
type Part = (typeof PARTS)[number];

/** What was measured; a part that was not asked for is absent. */
export interface ArchiveFigures {
  readonly sessions?: readonly InSessions[];
  readonly throughput?: readonly Throughput[];
  readonly typing?: readonly Typing[];
  readonly background?: readonly Background[];
  readonly seeking?: readonly Seeking[];
}

export const archiveBenchmark: Benchmark = {
  name: 'archive',
  summary: 'throughput of recordings to their archives, objects a second, seeking',
  parts: PARTS,
  run,
};

async function run(options: BenchOptions): Promise<Outcome> {
  const wanted = (part: Part): boolean => options.only.length === 0 || options.only.includes(part);
  const mib = options.mib ?? (options.quick ? 64 : 512);
  const { quick } = options;
  options.progress('archives');
  const site = await startSite(options.progress);
  try {
    const figures: ArchiveFigures = {
      ...(wanted('sessions') && { sessions: await measureSessions(site, mib, options) }),
      ...(wanted('throughput') && { throughput: await measureThroughput(site, mib, options) }),
      ...(wanted('typing') && { typing: await measureTyping(site, quick ? 100 : 600, options) }),
      ...(wanted('background') && { background: await measureBackground(site, options) }),
      ...(wanted('seeking') && { seeking: await measureSeeking(site, quick ? 10 : 200, options) }),
    };
    const goals = goalsOf(figures);
    return { results: { ...figures }, goals, tables: tablesOf(figures, goals, mib) };
  } finally {
    options.progress('stopping the servers');
    await site.stop();
  }
}
