/** The memory of sessions in which nothing happens. */
import type { Gateway } from '../test/support/gateway.ts';
import { collectGarbage, INSPECTABLE } from './collect-garbage.ts';
import { figure, type Table } from './figures/table.ts';
import { sleep } from './load-process.ts';
import { cpuSeconds, type Memory, memoryOf } from './process-figures.ts';
import type { BenchOptions } from './report.ts';
import type { ManyOutcome, RunningLoad } from './start-load.ts';

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

export interface IdleSubject {
  /** Starts a gateway of its own. */
  readonly start: () => Promise<Gateway>;
  /** Its session workers. */
  readonly workers: number;
  /** Opens `count` sessions and leaves them open. */
  readonly open: (gateway: Gateway, count: number) => Promise<RunningLoad<ManyOutcome>>;
}

/**
 * A gateway of its own with some sessions in which nothing happens, then `count` more: those are
 * what is measured. Garbage is collected before each look at memory: there is more of it after a
 * start than some hundred sessions hold.
 */
export async function measureIdle(
  { start, workers, open }: IdleSubject,
  count: number,
  options: BenchOptions,
): Promise<Idle> {
  const settleMs = options.quick ? 2000 : 10_000;
  const gateway = await inspectable(start);
  const look = async (): Promise<Memory> => {
    await collectGarbage(gateway.pid, workers, gateway.log);
    await sleep(1000);
    return memoryOf(gateway.pid);
  };
  try {
    const first = await open(gateway, Math.ceil(count / 6));
    const earlier = await first.outcome();
    await sleep(settleMs);
    const before = await look();
    options.progress(`idle: opening ${count} sessions`);
    const load = await open(gateway, count);
    const { millis, errors, seconds } = await load.outcome();
    await sleep(settleMs);
    const cpu = cpuSeconds(gateway.pid);
    await sleep(settleMs);
    const idleCpu = cpuSeconds(gateway.pid) - cpu;
    const after = await look();
    if (errors[0] !== undefined) options.progress(`idle: ${errors[0]}`);
    await Promise.all([first.stop(), load.stop()]);
    return {
      earlier: earlier.millis.length,
      sessions: millis.length,
      failures: earlier.errors.length + errors.length,
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

async function inspectable(start: () => Promise<Gateway>): Promise<Gateway> {
  const before = process.env['NODE_OPTIONS'];
  process.env['NODE_OPTIONS'] = `${before ?? ''} ${INSPECTABLE}`;
  try {
    return await start();
  } finally {
    if (before === undefined) delete process.env['NODE_OPTIONS'];
    else process.env['NODE_OPTIONS'] = before;
  }
}

/** @param what the sessions are */
export function idleTable(idle: Idle, what: string): Table {
  const { before, after, earlier, sessions } = idle;
  const mib = (bytes: number): string => `${figure(bytes / 2 ** 20)} MiB`;
  return {
    title: 'Idle sessions',
    note: `${sessions} ${what} beside ${earlier} that were open before; opened in ${figure(idle.openedInSeconds)} s, ${idle.failures} failed; CPU of the gateway while all of them rest: ${figure(idle.idleCpuMsPerSecond)} ms a second. Garbage was collected before each look.`,
    columns: ['memory of the gateway', 'before', 'after', 'KB per session'],
    rows: [
      ['resident', mib(before.rssBytes), mib(after.rssBytes), figure(idle.rssBytesPerSession / 1000)],
      ['proportional', mib(before.pssBytes), mib(after.pssBytes), figure(idle.pssBytesPerSession / 1000)],
    ],
  };
}
