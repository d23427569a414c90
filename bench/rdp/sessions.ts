/** What an RDP session costs: its set-up, a key's way, a desktop that shows text, and memory while it rests. */
import { globSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Gateway } from '../../test/support/gateway.ts';
import { rotated } from '../figures/statistics.ts';
import { type Idle, type IdleSubject, measureIdle as idle } from '../idle.ts';
import { KEY_SPACING_MS, type Latency, measureLatency } from '../latency.ts';
import { sleep } from '../load-process.ts';
import { cpuOf } from '../process-figures.ts';
import type { BenchOptions } from '../report.ts';
import { type Batch, type SetUpFigures, setUpFigures } from '../set-ups.ts';
import { type Bed, directEndpoint, GATEWAY_WORKERS, gatewayEndpoint, startBenchGateway } from './bed.ts';
import { runLoad, startLoad } from './jobs.ts';

const CONCURRENCY = 4;

/** `password`: the gateway too, for people whose clients do no NLA. */
export type SetUpPath = 'direct' | 'gateway' | 'password';

export interface SetUps extends SetUpFigures {
  readonly path: SetUpPath;
  readonly ratioToDirect: number;
}

/** `count` log-ons per round and path. */
export async function measureSetUps(bed: Bed, count: number, options: BenchOptions): Promise<SetUps[]> {
  const byPassword = await startBenchGateway(bed.target, false);
  const runs = (['direct', 'gateway', 'password'] as const).map((path) => ({
    path,
    gateway: path === 'direct' ? undefined : path === 'gateway' ? bed.gateway : byPassword,
    batches: [] as Batch[],
    cpu: [] as number[],
  }));
  for (let round = 0; round < options.rounds; round += 1) {
    for (const { path, gateway, batches, cpu } of rotated(runs, round)) {
      const endpoint =
        gateway === undefined
          ? directEndpoint(bed.target, 'idle')
          : gatewayEndpoint(gateway, 'alice', 'idle');
      const load = await startLoad({ kind: 'set-ups', endpoint, count, concurrency: CONCURRENCY });
      const used = await cpuOf(gateway?.pid, async () => {
        batches.push(await load.outcome());
        await load.stop();
        // Sessions end on the gateway a moment after their clients have left.
        await sleep(500);
      });
      const batch = batches.at(-1);
      if (used !== undefined && batch !== undefined) cpu.push(used.seconds / batch.millis.length);
      if (batch?.errors[0] !== undefined) options.progress(`set-ups, ${path}: ${batch.errors[0]}`);
    }
    options.progress(`set-ups: round ${round + 1} of ${options.rounds}`);
  }
  await byPassword.stop();
  const rows = runs.map(({ path, batches, cpu }) => ({ path, ...setUpFigures(batches, cpu, count) }));
  return rows.map((row) => ({ ...row, ratioToDirect: row.perSecond / (rows[0]?.perSecond ?? Number.NaN) }));
}

const LATENCY_PATHS = ['direct', 'gateway'] as const;
export type DesktopLatency = Latency<(typeof LATENCY_PATHS)[number]>;

/** Keys that the target answers with an update each. */
export function measureDesktopLatency(
  bed: Bed,
  keys: number,
  options: BenchOptions,
): Promise<DesktopLatency[]> {
  const endpointOf = {
    direct: directEndpoint(bed.target, 'echo'),
    gateway: gatewayEndpoint(bed.gateway, 'alice', 'echo'),
  };
  const press = async (paths: readonly DesktopLatency['path'][]) => {
    const endpoints = paths.map((path) => endpointOf[path]);
    return (await runLoad({ kind: 'latency', endpoints, keys, spacingMs: KEY_SPACING_MS })).millis;
  };
  return measureLatency(LATENCY_PATHS, press, keys, options);
}

export interface Typing {
  readonly sessions: number;
  readonly seconds: number;
  /** CPU of the gateway per session and second. */
  readonly cpuMsPerSecond: number;
  /** Per session: what the target sent, and what that takes in the archive. */
  readonly bytesPerMinute: number;
  readonly recordedBytesPerMinute: number;
}

/** Desktops that show ten lines of text a second each, recorded. */
export async function measureTyping(bed: Bed, count: number, options: BenchOptions): Promise<Typing> {
  const seconds = options.quick ? 5 : 30;
  options.progress(`typing: ${count} desktops for ${seconds} s`);
  const endpoint = gatewayEndpoint(bed.gateway, 'alice', 'typing');
  const load = await startLoad({ kind: 'typing', endpoint, count, seconds });
  // What logging on leaves to be done, and the compiler's share of it.
  await sleep(3000);
  const archived = archiveBytes(bed.gateway);
  let [bytes, recorded] = [0, 0];
  const used = await cpuOf(bed.gateway.pid, async () => {
    ({ bytes } = await load.outcome());
    recorded = archiveBytes(bed.gateway) - archived;
  });
  await load.stop();
  const perMinute = 60 / seconds / count;
  return {
    sessions: count,
    seconds,
    cpuMsPerSecond: ((used?.seconds ?? Number.NaN) * 1000) / seconds / count,
    bytesPerMinute: bytes * perMinute,
    recordedBytesPerMinute: recorded * perMinute,
  };
}

function archiveBytes({ dataDir }: Gateway): number {
  return globSync('archive/*/*/*/*.slr', { cwd: dataDir }).reduce(
    (sum, name) => sum + statSync(join(dataDir, name)).size,
    0,
  );
}

/** Desktops on which nothing happens. */
export function measureIdle(bed: Bed, count: number, options: BenchOptions): Promise<Idle> {
  const subject: IdleSubject = {
    start: () => startBenchGateway(bed.target),
    workers: GATEWAY_WORKERS,
    open(gateway, desktops) {
      const endpoint = gatewayEndpoint(gateway, 'alice', 'idle');
      return startLoad({ kind: 'idle', endpoint, count: desktops, concurrency: CONCURRENCY });
    },
  };
  return idle(subject, count, options);
}
