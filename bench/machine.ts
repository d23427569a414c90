/** The machine that figures were measured on: ratios carry over to others, absolutes do not. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly node: string;
  /** As `ssh -V` prints it. */
  readonly openssh: string;
  readonly kernel: string;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    node: process.version,
    openssh: spawnSync('ssh', ['-V'], { encoding: 'utf8' }).stderr?.split(',')[0]?.trim() ?? 'none',
    kernel: release(),
  };
}

/** One line for people. */
export function machineLine(machine: Machine): string {
  const gib = (machine.memoryBytes / 2 ** 30).toFixed(0);
  return `${machine.cores} cores ${machine.cpu}, ${gib} GiB, Linux ${machine.kernel}, Node ${machine.node}, ${machine.openssh}`;
}

/**
 * Counts from now on; the function returned gives the share of this machine's CPU time that its host spent on
 * others since (steal time, proc(5)): what was measured then is slower by more than that.
 */
export function watchSteal(): () => number {
  const before = machineTicks();
  return () => {
    const now = machineTicks();
    return (now.stolen - before.stolen) / Math.max(1, now.all - before.all);
  };
}

function machineTicks(): { readonly stolen: number; readonly all: number } {
  const [line = ''] = readFileSync('/proc/stat', 'latin1').split('\n', 1);
  // user, nice, system, idle, iowait, irq, softirq, steal; those of guests are in the first two already.
  const ticks = line.split(/ +/).slice(1, 9).map(Number);
  return { stolen: ticks[7] ?? 0, all: ticks.reduce((sum, count) => sum + count, 0) };
}

/** [sched(7)]: the processes of each terminal session get the same share together, whatever their priorities. */
const AUTOGROUPS = '/proc/sys/kernel/sched_autogroup_enabled';

/**
 * Switches those off, where this machine has any and lets us, until the function returned is called. A service has a
 * control group instead, and no clients and targets beside it on its machine.
 */
export function withoutAutogroups(): () => void {
  try {
    const before = readFileSync(AUTOGROUPS, 'latin1');
    writeFileSync(AUTOGROUPS, '0');
    return () => writeFileSync(AUTOGROUPS, before);
  } catch {
    return () => {};
  }
}

let ticksPerSecond: number | undefined;

/** Clock ticks in which /proc counts CPU time (proc(5), sysconf _SC_CLK_TCK). */
export function clockTicks(): number {
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return ticksPerSecond;
}
