/** Throughput of a relayed desktop, by the clock and per core, beside a proxy that knows only TLS. */
import { globSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { median, rotated } from '../figures/statistics.ts';
import { figure, type Table } from '../figures/table.ts';
import { type CpuUse, cpuOf, settled } from '../process-figures.ts';
import type { BenchOptions } from '../report.ts';
import { type Bed, directEndpoint, gatewayEndpoint, PATHS, type Path } from './bed.ts';
import type { FloodKind } from './content.ts';
import { type Endpoint, runLoad, startLoad } from './jobs.ts';

export interface Relayed {
  readonly path: Path;
  readonly content: FloodKind;
  /** Median over the rounds, 10^6 bytes of RDP per second. */
  readonly mbPerSecond: number;
  readonly ratioToDirect: number;
  /** CPU seconds per 10^9 bytes of what stands between client and target, and of its busiest thread. */
  readonly cpuSecondsPerGb: number | undefined;
  readonly busiestThreadPerGb: number | undefined;
  /** Bytes a CPU second, as a ratio to HAProxy's. */
  readonly perCoreToHaproxy: number | undefined;
  /** Bytes of the recordings to those of the target. */
  readonly recordedRatio: number | undefined;
}

const CONTENTS = ['dense', 'compressible'] as const;
/** Each content on each path once per round, in a rotating order, after one round that compares every byte. */
export async function measureRelay(bed: Bed, options: BenchOptions): Promise<Relayed[]> {
  const runs = CONTENTS.flatMap((content) => PATHS.map((path) => ({ content, path })));
  for (const { content, path } of runs)
    await runLoad({
      kind: 'flood',
      endpoint: endpointOf(bed, path, content),
      flood: content,
      bytes: bed.floodBytes,
      verify: true,
    });
  await settled(bed.gateway.pid);
  discardRecordings(bed);
  options.progress('relay: every path brings the right bytes');
  const samples = runs.map((run) => ({
    ...run,
    rates: [] as number[],
    cpu: [] as CpuUse[],
    recorded: [] as number[],
  }));
  for (let round = 0; round < options.rounds; round += 1) {
    for (const { path, content, rates, cpu, recorded } of rotated(samples, round)) {
      const load = await startLoad({
        kind: 'flood',
        endpoint: endpointOf(bed, path, content),
        flood: content,
        bytes: bed.floodBytes,
        verify: false,
      });
      const used = await cpuOf(bed.servers[path], async () => {
        const { bytes, seconds } = await load.outcome();
        rates.push(bytes / seconds / 1e6);
      });
      if (used !== undefined) cpu.push(used);
      await load.stop();
      await settled(bed.gateway.pid);
      if (path === 'recorded') recorded.push(discardRecordings(bed));
    }
    options.progress(`relay: round ${round + 1} of ${options.rounds}`);
  }
  const perGb = (seconds: readonly number[]): number | undefined =>
    seconds.length === 0 ? undefined : median(seconds) / (bed.floodBytes / 1e9);
  const rows = samples.map(({ path, content, rates, cpu, recorded }) => ({
    path,
    content,
    mbPerSecond: median(rates),
    cpuSecondsPerGb: perGb(cpu.map(({ seconds }) => seconds)),
    busiestThreadPerGb: perGb(cpu.map(({ busiestThread }) => busiestThread)),
    recordedRatio: recorded.length === 0 ? undefined : median(recorded) / bed.floodBytes,
  }));
  return rows.map((row) => {
    const of = (path: Path) => rows.find((each) => each.path === path && each.content === row.content);
    const haproxy = of('haproxy')?.cpuSecondsPerGb;
    const ratioToDirect = row.mbPerSecond / (of('direct')?.mbPerSecond ?? Number.NaN);
    const perCoreToHaproxy =
      row.cpuSecondsPerGb === undefined || haproxy === undefined ? undefined : haproxy / row.cpuSecondsPerGb;
    return { ...row, ratioToDirect, perCoreToHaproxy };
  });
}

function endpointOf(bed: Bed, path: Path, content: FloodKind): Endpoint {
  switch (path) {
    case 'direct':
      return directEndpoint(bed.target, content);
    case 'haproxy':
      return { protocol: 'tls', port: bed.haproxyPort, login: content };
    default:
      return gatewayEndpoint(bed.gateway, path === 'plain' ? 'bob' : 'alice', content);
  }
}

/** Floods would fill the disk; those that are over are of no more use. @returns bytes that they took */
export function discardRecordings(bed: Bed): number {
  let bytes = 0;
  for (const name of globSync('archive/*/*/*/*.slr', { cwd: bed.gateway.dataDir })) {
    const file = join(bed.gateway.dataDir, name);
    bytes += statSync(file).size;
    rmSync(file, { force: true });
  }
  return bytes;
}

const NAMES: Readonly<Record<Path, string>> = {
  direct: 'direct',
  haproxy: 'HAProxy, TLS',
  plain: 'Sallyport, not recorded',
  recorded: 'Sallyport, recorded',
};

export function relayTable(bed: Bed, rows: readonly Relayed[]): Table {
  return {
    title: 'Relay throughput',
    note: `${figure(bed.floodBytes / 2 ** 20)} MiB of fast-path bitmap updates of up to 16 KiB from a synthetic RDP server, TLS 1.3 with AES-256-GCM on every leg; log-on not counted. Dense: random bytes, as pixels look that are compressed; compressible: raw pixels of text. HAProxy passes the same PDUs on between TLS and TLS, in one thread. CPU: of the process between client and target, all its threads; per core: bytes a CPU second, to HAProxy's; recording: its bytes, to the target's. The key frames that the gateway makes of a recording in the background once a session has ended are not counted.`,
    columns: ['content and path', 'MB/s', 'ratio', 'CPU s/GB', 'one thread', 'per core', 'recording'],
    rows: rows.map((row) => [
      `${row.content}, ${NAMES[row.path]}`,
      figure(row.mbPerSecond),
      figure(row.ratioToDirect),
      figure(row.cpuSecondsPerGb),
      figure(row.busiestThreadPerGb),
      figure(row.perCoreToHaproxy),
      figure(row.recordedRatio),
    ]),
  };
}
