/**
 * `npm run bench -- rdp`: what the gateway costs people who use RDP, beside a direct connection and
 * a proxy that passes TLS on; and what their recordings cost those who watch them. One synthetic
 * target, everything on loopback and interleaved, so that whatever else the machine does meets all alike.
 */

import { startBed } from './rdp/bed.ts';
import { measureRelay, type Relayed, relayTable } from './rdp/relay.ts';
import type { Benchmark, BenchOptions, Outcome } from './report.ts';

const PARTS = ['relay'] as const;
type Part = (typeof PARTS)[number];

/** What was measured; a part that was not asked for is absent. */
export interface RdpFigures {
  readonly relay?: readonly Relayed[];
}

export const rdpBenchmark: Benchmark = {
  name: 'rdp',
  summary: 'throughput, latency, set-ups, memory and recordings of RDP sessions',
  parts: PARTS,
  run,
};

async function run(options: BenchOptions): Promise<Outcome> {
  const wanted = (part: Part): boolean => options.only.length === 0 || options.only.includes(part);
  const mib = options.mib ?? (options.quick ? 64 : 256);
  options.progress('servers');
  const bed = await startBed(mib);
  try {
    const figures: RdpFigures = {
      ...(wanted('relay') && { relay: await measureRelay(bed, options) }),
    };
    return {
      results: { ...figures },
      tables: figures.relay === undefined ? [] : [relayTable(bed, figures.relay)],
    };
  } finally {
    options.progress('stopping the servers');
    await bed.stop();
  }
}
