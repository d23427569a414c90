/** What a process used, from /proc (proc(5)). */
import { readdirSync, readFileSync } from 'node:fs';
import { clockTicks } from './machine.ts';

/** CPU seconds, user and system, of all threads of a process. Steps of 10 ms. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The second field, the command in brackets, may hold anything; fields 14 and 15 count the time.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 13).reduce((sum, field) => sum + Number(field), 0);
  return ticks / clockTicks();
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

/** CPU seconds that a process used for something. */
export interface CpuUse {
  readonly seconds: number;
  /** Of them, those of the thread that used most: what bounds a single stream where cores are free. */
  readonly busiestThread: number;
}

/** Runs `work` and returns what a process used meanwhile, when there is such a process. */
export async function cpuOf(pid: number | undefined, work: () => Promise<void>): Promise<CpuUse | undefined> {
  if (pid === undefined) {
    await work();
    return undefined;
  }
  const before = { all: cpuSeconds(pid), threads: threadSeconds(pid) };
  await work();
  const used = [...threadSeconds(pid)].map(([thread, all]) => all - (before.threads.get(thread) ?? 0));
  return { seconds: cpuSeconds(pid) - before.all, busiestThread: Math.max(...used) };
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
