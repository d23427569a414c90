/**
 * A server with all that it starts, counted together: what sessions use that end is lost nowhere. By a
 * control group (cgroups(7), version 2) where there are any; else by the processes' own counts, which miss
 * those that nobody waited for.
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cpuWithEnded, type Memory, memoryOfAll, processTree } from './process-figures.ts';

export class ProcessGroup {
  readonly #root: number;
  readonly #folder: string | undefined;

  /** @param root process id; what it has started is counted too. */
  constructor(root: number) {
    this.#root = root;
    this.#folder = makeGroup(`sallyport-bench-${root}`, processTree(root));
  }

  /** What all of them have used so far. */
  get cpuSeconds(): number {
    if (this.#folder === undefined) return cpuWithEnded(processTree(this.#root));
    const used = /^usage_usec (\d+)$/m.exec(readFileSync(join(this.#folder, 'cpu.stat'), 'latin1'))?.[1];
    return Number(used) / 1e6;
  }

  get memory(): Memory {
    return memoryOfAll(processTree(this.#root));
  }

  /** Nothing is counted any more. */
  close(): void {
    const folder = this.#folder;
    if (folder === undefined) return;
    try {
      const inside = readFileSync(join(folder, 'cgroup.procs'), 'latin1').split('\n').filter(Boolean);
      for (const pid of inside) writeFileSync(join(dirname(folder), 'cgroup.procs'), pid);
      rmdirSync(folder);
    } catch {
      // One began or ended meanwhile: the empty group is left behind.
    }
  }
}

/** Undefined: there are no control groups here, or we may make none. */
function makeGroup(name: string, pids: readonly number[]): string | undefined {
  const mount = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/self/mounts', 'latin1'))?.[1];
  if (mount === undefined) return undefined;
  const folder = join(mount, name);
  try {
    mkdirSync(folder);
    for (const pid of pids) writeFileSync(join(folder, 'cgroup.procs'), String(pid));
    return folder;
  } catch {
    return undefined;
  }
}
