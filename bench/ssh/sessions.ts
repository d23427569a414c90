/** What a session costs: its set-up, a keystroke's way, and memory while nothing happens. */
import { run } from '../../test/support/process.ts';
import { rotated } from '../figures/statistics.ts';
import { type Idle, type IdleSubject, measureIdle as idle } from '../idle.ts';
import { KEY_SPACING_MS, type Latency, measureLatency } from '../latency.ts';
import { many, sleep } from '../load-process.ts';
import { cpuOf } from '../process-figures.ts';
import type { BenchOptions } from '../report.ts';
import { type Batch, type SetUpFigures, setUpFigures } from '../set-ups.ts';
import { type Bed, GATEWAY_WORKERS, gatewayEndpoint, startBenchGateway } from './bed.ts';
import { runLoad, startLoad } from './jobs.ts';

export type SetUpClient = 'light' | 'openssh';
export type SetUpPath = 'direct' | 'jump' | 'haproxy' | 'gateway';

export interface SetUps extends SetUpFigures {
  readonly client: SetUpClient;
  readonly path: SetUpPath;
  readonly ratioToDirect: number;
}

const CONCURRENCY = 8;
/** Log-ons before the first that counts: what a running node does is compiled by then, what a new one does is not. */
const WARM_UP = 1000;
const SET_UP_PATHS = {
  light: ['direct', 'haproxy', 'gateway'],
  openssh: ['direct', 'jump', 'gateway'],
} as const;

/** `count` log-ons per round and path with the light client, a fifth of that with OpenSSH's. */
export async function measureSetUps(bed: Bed, count: number, options: BenchOptions): Promise<SetUps[]> {
  const runs = (['light', 'openssh'] as const).flatMap((client) =>
    SET_UP_PATHS[client].map((path) => ({
      client,
      path,
      count: client === 'light' ? count : Math.ceil(count / 5),
      batches: [] as Batch[],
      cpu: [] as number[],
    })),
  );
  options.progress(`set-ups: ${WARM_UP} that do not count`);
  await byLight(bed, 'gateway', WARM_UP);
  for (let round = 0; round < options.rounds; round += 1) {
    for (const { client, path, count, batches, cpu } of rotated(runs, round)) {
      const used = await cpuOf(bed.servers[path], async () => {
        const openssh = path === 'jump' || client === 'openssh';
        batches.push(await (openssh ? byOpenssh(bed, path, count) : byLight(bed, path, count)));
        // Sessions end on the gateway a moment after their clients have left.
        await sleep(500);
      });
      const batch = batches.at(-1);
      if (used !== undefined && batch !== undefined) cpu.push(used.seconds / batch.millis.length);
      if (batch?.errors[0] !== undefined) options.progress(`set-ups, ${path}: ${batch.errors[0]}`);
    }
    options.progress(`set-ups: round ${round + 1} of ${options.rounds}`);
  }
  const rows = runs.map(({ client, path, count, batches, cpu }) => ({
    client,
    path,
    ...setUpFigures(batches, cpu, count),
  }));
  return rows.map((row) => {
    const base = rows.find((each) => each.client === row.client && each.path === 'direct');
    return { ...row, ratioToDirect: row.perSecond / (base?.perSecond ?? Number.NaN) };
  });
}

async function byLight(bed: Bed, path: Exclude<SetUpPath, 'jump'>, count: number): Promise<Batch> {
  return await runLoad({ kind: 'set-ups', endpoint: bed.endpoints[path], count, concurrency: CONCURRENCY });
}

async function byOpenssh(bed: Bed, path: SetUpPath, count: number): Promise<Batch> {
  return await many(count, CONCURRENCY, async () => {
    const { code, stderr } = await run('ssh', ['-F', bed.sshConfig, path, 'true']);
    if (code !== 0) throw new Error(`ssh ended with ${code}: ${stderr.trim()}`);
  });
}

const ECHO_PATHS = ['direct', 'haproxy', 'gateway'] as const;
export type Echo = Latency<(typeof ECHO_PATHS)[number]>;

/** Keys that the target's terminal echoes. */
export function measureEcho(bed: Bed, keys: number, options: BenchOptions): Promise<Echo[]> {
  const press = async (paths: readonly Echo['path'][]) => {
    const endpoints = paths.map((path) => bed.endpoints[path]);
    return (await runLoad({ kind: 'echo', endpoints, keys, spacingMs: KEY_SPACING_MS })).millis;
  };
  return measureLatency(ECHO_PATHS, press, keys, options);
}

/** Shells that nobody types in. */
export function measureIdle(bed: Bed, count: number, options: BenchOptions): Promise<Idle> {
  const subject: IdleSubject = {
    start: () => startBenchGateway(bed.target),
    workers: GATEWAY_WORKERS,
    open(gateway, shells) {
      const endpoint = gatewayEndpoint(gateway, bed.target, 'alice');
      return startLoad({ kind: 'idle', endpoint, count: shells, concurrency: CONCURRENCY });
    },
  };
  return idle(subject, count, options);
}
