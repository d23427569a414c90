/** What the operating system says of the processes of a node (proc(5)). */
import { readdir, readFile } from 'node:fs/promises';

export interface ProcessFigures {
  readonly residentBytes: number;
  readonly openFds: number;
}

/** Pages of proc(5)'s statm; Linux has 4 KiB on all machines that Node's packages run on. */
const PAGE_BYTES = 4096;

/** All together; a process that is gone counts nothing. */
export async function processFigures(pids: Iterable<number>): Promise<ProcessFigures> {
  const each = await Promise.all([...pids].map((pid) => figuresOf(pid)));
  return each.reduce(
    (sum, one) => ({
      residentBytes: sum.residentBytes + one.residentBytes,
      openFds: sum.openFds + one.openFds,
    }),
    NONE,
  );
}

/** How many descriptors this process may have open; its children have the same limit. Undefined: no limit. */
export async function maxFds(): Promise<number | undefined> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

const NONE: ProcessFigures = { residentBytes: 0, openFds: 0 };

async function figuresOf(pid: number): Promise<ProcessFigures> {
  try {
    const [memory, fds] = await Promise.all([
      readFile(`/proc/${pid}/statm`, 'utf8'),
      readdir(`/proc/${pid}/fd`),
    ]);
    return { residentBytes: Number(memory.split(' ')[1]) * PAGE_BYTES, openFds: fds.length };
  } catch {
    return NONE;
  }
}
