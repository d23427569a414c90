/** The machine that figures were measured on: ratios carry over to others, absolutes do not. */
import { execFileSync, spawnSync } from 'node:child_process';
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

let ticksPerSecond: number | undefined;

/** Clock ticks in which /proc counts CPU time (proc(5), sysconf _SC_CLK_TCK). */
export function clockTicks(): number {
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return ticksPerSecond;
}
