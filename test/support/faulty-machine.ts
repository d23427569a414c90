/** Faults of the machine below a gateway: an archive that writes slowly or not at all, a clock that jumps. */
import { openSync, writeFileSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { runOk } from './process.ts';
import { temporaryFolder } from './temp.ts';

/** What the machine below a process does, set from outside or by the process itself. */
export interface FaultControls {
  /** From now on each write below the folder takes this long; 0: no longer. */
  slow(ms: number): void;
  /** From now on each write below the folder fails with this error; undefined: no longer. */
  refuse(error: keyof typeof constants.errno | undefined): void;
  /** The server of the folder restarts: writes to what is open fail with ESTALE, what is opened anew is well. */
  restart(): void;
  /** From now on the time of day is this far from the real one; the monotonic clock is not touched. */
  jump(seconds: number): void;
}

export interface FaultyMachine extends FaultControls {
  /** What `serve` is started with. */
  readonly env: Readonly<Record<string, string>>;
}

/** Builds what is put between a process and its C library. Of its writes, those `below` a folder can be slow. */
export async function faultyMachine(below: string): Promise<FaultyMachine> {
  const folder = temporaryFolder('machine');
  const library = join(folder, 'faulty-libc.so');
  const source = join(import.meta.dirname, 'faulty-libc.c');
  await runOk('gcc', ['-O2', '-Wall', '-Werror', '-shared', '-fPIC', '-o', library, source, '-ldl']);
  const file = join(folder, 'control');
  const env = { LD_PRELOAD: library, FAULTY_CONTROL: file, FAULTY_BELOW: below };
  writeFileSync(file, '');
  return { env, ...controlsOf(file) };
}

/** `file`: FAULTY_CONTROL */
export function controlsOf(file: string): FaultControls {
  const control = openSync(file, 'r+');
  const values = new Int32Array(4);
  const put = (index: number, value: number): void => {
    values[index] = value;
    // It is mapped by who reads it: written in place, it holds at once.
    writeSync(control, values, 0, values.byteLength, 0);
  };
  put(0, 0);
  return {
    slow: (ms) => put(0, ms),
    refuse: (error) => put(1, error === undefined ? 0 : constants.errno[error]),
    restart: () => put(3, (values[3] ?? 0) + 1),
    jump: (seconds) => put(2, seconds),
  };
}
