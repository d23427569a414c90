/** What an RDP session costs: its set-up, a key's way, a desktop that shows text, and memory while it rests. */
import { globSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Gateway } from '../../test/support/gateway.ts';
import { median, percentile, rotated } from '../figures/statistics.ts';
import { cpuOf, cpuSeconds, type Memory, memoryOf } from '../process-figures.ts';
import type { BenchOptions } from '../report.ts';
import { collectGarbage, INSPECTABLE } from '../ssh/collect-garbage.ts';
import { type Bed, directEndpoint, GATEWAY_WORKERS, gatewayEndpoint, startBenchGateway } from './bed.ts';
import { type ManyOutcome, runLoad, startLoad } from './jobs.ts';

const CONCURRENCY = 4;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** `password`: the gateway too, for people whose clients do no NLA. */
export type SetUpPath = 'direct' | 'gateway' | 'password';

export interface SetUps {
  readonly path: SetUpPath;
  /** By the clock, client and servers on the same cores. */
  readonly perSecond: number;
  readonly ratioToDirect: number;
  /** From TCP connect to the active desktop. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of the gateway. */
  readonly cpuMsPerSetUp: number | undefined;
  /** How many a second one core of it would do. */
  readonly perSecondAndCore: number | undefined;
  readonly count: number;
  readonly failures: number;
}

/** `count` log-ons per round and path. */
export async function measureSetUps(bed: Bed, count: number, options: BenchOptions): Promise<SetUps[]> {
  const byPassword = await startBenchGateway(bed.target, false);
  const runs = (['direct', 'gateway', 'password'] as const).map((path) => ({
    path,
    gateway: path === 'direct' ? undefined : path === 'gateway' ? bed.gateway : byPassword,
    batches: [] as ManyOutcome[],
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
  const rows = runs.map(({ path, batches, cpu }) => {
    const each = cpu.length === 0 ? undefined : median(cpu);
    const millis = batches.flatMap((batch) => batch.millis);
    return {
      path,
      perSecond: median(batches.map((batch) => batch.millis.length / batch.seconds)),
      p50Ms: percentile(millis, 50),
      p99Ms: percentile(millis, 99),
      cpuMsPerSetUp: each === undefined ? undefined : each * 1000,
      perSecondAndCore: each === undefined ? undefined : 1 / each,
      count: count * batches.length,
      failures: batches.reduce((sum, batch) => sum + batch.errors.length, 0),
    };
  });
  return rows.map((row) => ({ ...row, ratioToDirect: row.perSecond / (rows[0]?.perSecond ?? Number.NaN) }));
}

export interface Latency {
  readonly path: 'direct' | 'gateway';
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** To the direct path. */
  readonly addedP50Ms: number;
  readonly addedP99Ms: number;
  readonly keys: number;
}

/** One key every 20 ms on each path, both at the same time from one client; the target answers each with an update. */
export async function measureLatency(bed: Bed, keys: number, options: BenchOptions): Promise<Latency[]> {
  const paths = ['direct', 'gateway'] as const;
  const endpointOf = {
    direct: directEndpoint(bed.target, 'echo'),
    gateway: gatewayEndpoint(bed.gateway, 'alice', 'echo'),
  };
  const rounds: (readonly (readonly number[])[])[] = [];
  for (let round = 0; round < options.rounds; round += 1) {
    const order = rotated(paths, round);
    const endpoints = order.map((path) => endpointOf[path]);
    const { millis } = await runLoad({ kind: 'latency', endpoints, keys, spacingMs: 20 });
    rounds.push(paths.map((path) => millis[order.indexOf(path)] ?? []));
    options.progress(`latency: round ${round + 1} of ${options.rounds}`);
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
  /** Of which per second while nothing happens. */
  readonly idleCpuMsPerSecond: number;
}

/**
 * A gateway of its own with some desktops on which nothing happens, then `count` more: those are
 * what is measured. Garbage is collected before each look at memory.
 */
export async function measureIdle(bed: Bed, count: number, options: BenchOptions): Promise<Idle> {
  const settleMs = options.quick ? 2000 : 10_000;
  const gateway = await startInspectable(bed);
  const endpoint = gatewayEndpoint(gateway, 'alice', 'idle');
  const open = async (desktops: number) => {
    const load = await startLoad({ kind: 'idle', endpoint, count: desktops, concurrency: CONCURRENCY });
    return { outcome: await load.outcome(), stop: load.stop };
  };
  const look = async (): Promise<Memory> => {
    await collectGarbage(gateway.pid, GATEWAY_WORKERS, gateway.log);
    await sleep(1000);
    return memoryOf(gateway.pid);
  };
  try {
    const first = await open(Math.ceil(count / 6));
    await sleep(settleMs);
    const before = await look();
    options.progress(`idle: opening ${count} desktops`);
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
