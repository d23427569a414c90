/**
 * `npm run bench -- rdp`: what the gateway costs people who use RDP, beside a direct connection and
 * a proxy that passes TLS on; and what their recordings cost those who watch them. One synthetic
 * target, everything on loopback and interleaved, so that whatever else the machine does meets all alike.
 */
import type { Idle } from './idle.ts';
import { cpuSeconds, memoryOf } from './process-figures.ts';
import { type Bed, startBed } from './rdp/bed.ts';
import { goalsOf } from './rdp/goals.ts';
import { measureRelay, type Relayed } from './rdp/relay.ts';
import { measureCodecs, measureRendering, type Painted, type Rendered } from './rdp/rendering.ts';
import {
  type DesktopLatency,
  measureDesktopLatency,
  measureIdle,
  measureSetUps,
  measureTyping,
  type SetUps,
  type Typing,
} from './rdp/sessions.ts';
import { tablesOf } from './rdp/tables.ts';
import type { Benchmark, BenchOptions, LoadFigures, Outcome } from './report.ts';

const PARTS = ['relay', 'latency', 'set-ups', 'typing', 'idle', 'video', 'codecs'] as const;
type Part = (typeof PARTS)[number];

/** What was measured; a part that was not asked for is absent. */
export interface RdpFigures {
  readonly relay?: readonly Relayed[];
  readonly latency?: readonly DesktopLatency[];
  readonly setUps?: readonly SetUps[];
  readonly typing?: Typing;
  readonly idle?: Idle;
  readonly video?: Rendered;
  readonly codecs?: readonly Painted[];
}

export const rdpBenchmark: Benchmark = {
  name: 'rdp',
  summary: 'throughput, latency, set-ups, memory and recordings of RDP sessions',
  parts: PARTS,
  run,
};

async function run(options: BenchOptions): Promise<Outcome> {
  const wanted = (part: Part): boolean => options.only.length === 0 || options.only.includes(part);
  const mib = options.mib ?? (options.quick ? 64 : 512);
  const quick = options.quick;

  options.progress('servers');
  const bed = await startBed(mib);
  try {
    const figures: RdpFigures = {
      ...(wanted('relay') && { relay: await measureRelay(bed, options) }),
      ...(wanted('latency') && { latency: await measureDesktopLatency(bed, quick ? 100 : 500, options) }),
      ...(wanted('set-ups') && { setUps: await measureSetUps(bed, quick ? 20 : 100, options) }),
      ...(wanted('typing') && { typing: await measureTyping(bed, quick ? 5 : 20, options) }),
      ...(wanted('idle') && { idle: await measureIdle(bed, quick ? 25 : 150, options) }),
      ...(wanted('video') && { video: await measureRendering(options) }),
      ...(wanted('codecs') && { codecs: measureCodecs(options) }),
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

function loadOf(figures: RdpFigures, bed: Bed): LoadFigures {
  const setUps = figures.setUps?.find(({ path }) => path === 'gateway');
  const latency = figures.latency?.find(({ path }) => path === 'gateway');
  const { idle, typing } = figures;
  return {
    sessions:
      (setUps?.count ?? 0) +
      (typing?.sessions ?? 0) +
      (idle === undefined ? 0 : idle.earlier + idle.sessions + idle.failures),
    failures: (setUps?.failures ?? 0) + (idle?.failures ?? 0),
    addedP50Ms: latency?.addedP50Ms,
    addedP99Ms: latency?.addedP99Ms,
    cpuSeconds: cpuSeconds(bed.gateway.pid) + (idle?.cpuSeconds ?? 0),
    rssBytes: Math.max(memoryOf(bed.gateway.pid).rssBytes, idle?.after.rssBytes ?? 0),
  };
}
