/** What a session costs: its set-up, a keystroke's way, and memory while nothing happens. */
import type { Gateway } from '../../test/support/gateway.ts';
import { run } from '../../test/support/process.ts';
import { median, percentile, rotated } from '../figures/statistics.ts';
import { cpuOf, cpuSeconds, type Memory, memoryOf } from '../process-figures.ts';
import type { BenchOptions } from '../report.ts';
import { type Bed, GATEWAY_WORKERS, gatewayEndpoint, startBenchGateway } from './bed.ts';
import { collectGarbage, INSPECTABLE } from './collect-garbage.ts';
import { runLoad, startLoad } from './jobs.ts';

export type SetUpClient = 'light' | 'openssh';
export type SetUpPath = 'direct' | 'jump' | 'haproxy' | 'gateway';

export interface SetUps {
  readonly client: SetUpClient;
  readonly path: SetUpPath;
  /** By the clock, client and servers on the same cores. */
  readonly perSecond: number;
  readonly ratioToDirect: number;
  /** From TCP connect to the command's end. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of the server that the client connects to, where it was counted. */
  readonly cpuMsPerSetUp: number | undefined;
  /** How many a second one core of that server would do. */
  readonly perSecondAndCore: number | undefined;
  readonly count: number;
  readonly failures: number;
}

const CONCURRENCY = 8;
/** Log-ons before the first that counts: what a running node does is compiled by then, what a new one does is not. */
const WARM_UP = 1000;
const SET_UP_PATHS = {
  light: ['direct', 'haproxy', 'gateway'],
  openssh: ['direct', 'jump', 'gateway'],
} as const;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Batch {
  readonly seconds: number;
  readonly millis: readonly number[];
  readonly errors: readonly string[];
}

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
  const rows = runs.map(({ client, path, count, batches, cpu }) => {
    const rate = median(batches.map((batch) => batch.millis.length / batch.seconds));
    const each = cpu.length === 0 ? undefined : median(cpu);
    const millis = batches.flatMap((batch) => batch.millis);
    return {
      client,
      path,
      perSecond: rate,
      p50Ms: percentile(millis, 50),
      p99Ms: percentile(millis, 99),
      cpuMsPerSetUp: each === undefined ? undefined : each * 1000,
      perSecondAndCore: each === undefined ? undefined : 1 / each,
      count: count * batches.length,
      failures: batches.reduce((sum, batch) => sum + batch.errors.length, 0),
    };
  });
  return rows.map((row) => {
    const base = rows.find((each) => each.client === row.client && each.path === 'direct');
    return { ...row, ratioToDirect: row.perSecond / (base?.perSecond ?? Number.NaN) };
  });
}

async function byLight(bed: Bed, path: Exclude<SetUpPath, 'jump'>, count: number): Promise<Batch> {
  return await runLoad({ kind: 'set-ups', endpoint: bed.endpoints[path], count, concurrency: CONCURRENCY });
}

async function byOpenssh(bed: Bed, path: SetUpPath, count: number): Promise<Batch> {
  const started = performance.now();
  const millis: number[] = [];
  const errors: string[] = [];
  let left = count;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const begun = performance.now();
      const { code, stderr } = await run('ssh', ['-F', bed.sshConfig, path, 'true']);
      if (code === 0) millis.push(performance.now() - begun);
      else errors.push(`ssh ended with ${code}: ${stderr.trim()}`);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, lane));
  return { seconds: (performance.now() - started) / 1000, millis, errors };
}

export interface Echo {
  readonly path: 'direct' | 'haproxy' | 'gateway';
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** To the direct path. */
  readonly addedP50Ms: number;
  readonly addedP99Ms: number;
  readonly keys: number;
}

/** One key every 20 ms at each path, all paths at the same time from one client. */
export async function measureEcho(bed: Bed, keys: number, options: BenchOptions): Promise<Echo[]> {
  const paths = ['direct', 'haproxy', 'gateway'] as const;
  const rounds: (readonly (readonly number[])[])[] = [];
  for (let round = 0; round < options.rounds; round += 1) {
    const order = rotated(paths, round);
    const endpoints = order.map((path) => bed.endpoints[path]);
    const { millis } = await runLoad({ kind: 'echo', endpoints, keys, spacingMs: 20 });
    rounds.push(paths.map((path) => millis[order.indexOf(path)] ?? []));
    options.progress(`echo: round ${round + 1} of ${options.rounds}`);
  }
  const over = (index: number, percent: number): number =>
    median(rounds.map((millis) => percentile(millis[index] ?? [], percent)));
  return paths.map((path, index) => ({
    path,
    p50Ms: over(index, 50),
    p99Ms: over(index, 99),
    addedP50Ms: over(index, 50) - over(0, 50),
    addedP99Ms: over(index, 99) - over(0, 99),
    keys: keys * options.rounds,
  }));
}

export interface Idle {
  /** Sessions that were open before memory was first looked at. */
  readonly earlier: number;
  /** Sessions opened after that. */
  readonly sessions: number;
  readonly failures: number;
  readonly openedInSeconds: number;
  readonly before: Memory;
  readonly after: Memory;
  readonly rssBytesPerSession: number;
  readonly pssBytesPerSession: number;
  /** CPU seconds of the gateway over the measurement. */
  readonly cpuSeconds: number;
  /** Of which per second and session while nothing happens. */
  readonly idleCpuMsPerSecond: number;
}

/**
 * A gateway of its own with some shells that nobody types in, then `count` more: those are what
 * is measured. Garbage is collected before each look at memory: there is more of it after a start
 * than some hundred sessions hold.
 */
export async function measureIdle(bed: Bed, count: number, options: BenchOptions): Promise<Idle> {
  const settleMs = options.quick ? 2000 : 10_000;
  const gateway = await startInspectable(bed);
  const endpoint = gatewayEndpoint(gateway, bed.target, 'alice');
  const open = (shells: number) =>
    startLoad({ kind: 'idle', endpoint, count: shells, concurrency: CONCURRENCY });
  const look = async (): Promise<Memory> => {
    await collectGarbage(gateway.pid, GATEWAY_WORKERS, gateway.log);
    await sleep(1000);
    return memoryOf(gateway.pid);
  };
  try {
    const first = await open(Math.ceil(count / 6));
    await sleep(settleMs);
    const before = await look();
    options.progress(`idle: opening ${count} shells`);
    const load = await open(count);
    await sleep(settleMs);
    const cpu = cpuSeconds(gateway.pid);
    await sleep(settleMs);
    const idleCpu = cpuSeconds(gateway.pid) - cpu;
    const after = await look();
    const { millis, errors, seconds } = load.outcome;
    if (errors[0] !== undefined) options.progress(`idle: ${errors[0]}`);
    await Promise.all([first.stop(), load.stop()]);
    return {
      earlier: first.outcome.millis.length,
      sessions: millis.length,
      failures: first.outcome.errors.length + errors.length,
      openedInSeconds: seconds,
      before,
      after,
      rssBytesPerSession: (after.rssBytes - before.rssBytes) / millis.length,
      pssBytesPerSession: (after.pssBytes - before.pssBytes) / millis.length,
      cpuSeconds: cpuSeconds(gateway.pid),
      idleCpuMsPerSecond: (idleCpu / settleMs) * 1e6,
    };
  } finally {
    await gateway.stop();
  }
}

async function startInspectable(bed: Bed): Promise<Gateway> {
  const before = process.env['NODE_OPTIONS'];
  process.env['NODE_OPTIONS'] = `${before ?? ''} ${INSPECTABLE}`;
  try {
    return await startBenchGateway(bed.target);
  } finally {
    if (before === undefined) delete process.env['NODE_OPTIONS'];
    else process.env['NODE_OPTIONS'] = before;
  }
}
