/** What a process used, from /proc (proc(5)). */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { clockTicks } from './machine.ts';

/** CPU seconds, user and system, of all threads of a process. Steps of 10 ms. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The second field, the command in brackets, may hold anything; fields 14 and 15 count the time.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 13).reduce((sum, field) => sum + Number(field), 0);
  return ticks / clockTicks();
}

/** Ids of a process and of all that it started and that still run, also by way of others. */
export function processTree(root: number): number[] {
  const childrenOf = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    const fields = /^\d+$/.test(entry) ? statFields(Number(entry)) : undefined;
    if (fields === undefined) continue;
    const parent = Number(fields[1]);
    childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), Number(entry)]);
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(childrenOf.get(pid) ?? []));
  return tree;
}

/** CPU seconds of processes, and of those of their children that have ended and were waited for. */
export function cpuWithEnded(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) for (const field of statFields(pid)?.slice(11, 15) ?? []) ticks += Number(field);
  return ticks / clockTicks();
}

/** Fields of /proc/PID/stat from the third on; undefined: the process is gone. */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field, the command in brackets, may hold anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

export interface Memory {
  /** Resident set. */
  readonly rssBytes: number;
  /** Proportional set: pages that processes share are divided among them. */
  readonly pssBytes: number;
}

export function memoryOf(pid: number): Memory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
  const bytes = (name: string): number => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(rollup)?.[1];
    if (kib === undefined) throw new Error(`/proc/${pid}/smaps_rollup has no line ${name}`);
    return Number(kib) * 1024;
  };
  return { rssBytes: bytes('Rss'), pssBytes: bytes('Pss') };
}

/** Of several processes together; those that are gone count nothing. */
export function memoryOfAll(pids: readonly number[]): Memory {
  const sum = { rssBytes: 0, pssBytes: 0 };
  for (const pid of pids) {
    try {
      const { rssBytes, pssBytes } = memoryOf(pid);
      sum.rssBytes += rssBytes;
      sum.pssBytes += pssBytes;
    } catch {
      // It ended meanwhile.
    }
  }
  return sum;
}

/** CPU seconds that a process used for something. */
export interface CpuUse {
  readonly seconds: number;
  /** Of them, those of the thread of its own that used most: what bounds a single stream where cores are free. */
  readonly busiestThread: number;
}

/** Runs `work` and returns what a process used meanwhile, with what it started, when there is such a process. */
export async function cpuOf(pid: number | undefined, work: () => Promise<void>): Promise<CpuUse | undefined> {
  if (pid === undefined) {
    await work();
    return undefined;
  }
  const seconds = (): number => cpuWithEnded(processTree(pid));
  const before = { seconds: seconds(), threads: threadSeconds(pid) };
  await work();
  const used = [...threadSeconds(pid)].map(([thread, all]) => all - (before.threads.get(thread) ?? 0));
  return { seconds: seconds() - before.seconds, busiestThread: Math.max(...used) };
}

/** How long {@link settled} looks at a time, and what share of a core who works on something uses at least. */
const LOOK_MS = 500;
const BUSY = 0.05;
const SETTLE_LIMIT_MS = 60_000;

/**
 * Until what closed sessions leave to be done is done: recordings are sealed, and what stands beside them is made
 * in the background.
 */
export async function settled(pid: number): Promise<void> {
  const deadline = performance.now() + SETTLE_LIMIT_MS;
  for (let before = Number.NaN; performance.now() < deadline; ) {
    const now = cpuWithEnded(processTree(pid));
    if (now - before < (BUSY * LOOK_MS) / 1000) return;
    before = now;
    await sleep(LOOK_MS);
  }
}

/** CPU seconds by thread. */
function threadSeconds(pid: number): ReadonlyMap<string, number> {
  const folder = `/proc/${pid}/task`;
  const seconds = new Map<string, number>();
  for (const thread of readdirSync(folder)) {
    try {
      // The first field counts nanoseconds on a CPU.
      seconds.set(thread, Number.parseInt(readFileSync(`${folder}/${thread}/schedstat`, 'latin1'), 10) / 1e9);
    } catch {
      // It ended meanwhile.
    }
  }
  return seconds;
}
