/** Programs that tests start: ones that end by themselves, and servers. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, createReadStream, existsSync, openSync, readFileSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { atExit } from './temp.ts';

export interface RunOptions {
  /** What the program reads; without it, nothing (`/dev/null`). `{ file }`: the content of that file. */
  readonly input?: string | Uint8Array | { readonly file: string };
  /** Where standard output goes instead of into the result. */
  readonly outputFile?: string;
  /** Added to the environment of the test; undefined takes one away. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Milliseconds after which the program and its children are killed and the run fails. Default 30,000. */
  readonly timeoutMs?: number;
}

export interface RunResult {
  /** Exit code, or 128 + n after signal n. */
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
  /** Standard output as UTF-8 text. */
  readonly text: string;
}

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

/** Kills a process and all of its group; it may be gone already. */
export function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone.
  }
}

/**
 * Runs a program to its end and collects what it printed. It gets a session of its own, so it
 * has no terminal to ask on. Rejects when it cannot be started or passes its time limit.
 */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  // The program writes the file itself: what it has written by its end is there.
  const file = options.outputFile === undefined ? undefined : openSync(options.outputFile, 'w');
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    detached: true,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', file ?? 'pipe', 'pipe'],
  });
  if (file !== undefined) closeSync(file);
  const withdraw = atExit(() => killGroup(child.pid, 'SIGKILL'));
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
  const { input } = options;
  // A program may end before it has read everything: that shows in its exit code, not here.
  child.stdin?.on('error', () => {});
  if (typeof input === 'object' && 'file' in input) {
    if (child.stdin !== null) createReadStream(input.file).pipe(child.stdin);
  } else if (input !== undefined) child.stdin?.end(input);

  let late = false;
  const limit = options.timeoutMs ?? 30_000;
  const timer = setTimeout(() => {
    late = true;
    killGroup(child.pid, 'SIGKILL');
  }, limit);
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (exit, signal) => resolve(exit ?? 128 + (SIGNAL_NUMBERS[signal ?? ''] ?? 0)));
    });
    const stdout = Buffer.concat(out);
    const stderr = Buffer.concat(err).toString();
    if (late) {
      const tail = `${stdout.subarray(-500).toString()}\n--- stderr: ${stderr.slice(-2000)}`;
      throw new Error(`${command} ${args.join(' ')} did not end within ${limit} ms\n--- stdout: ${tail}`);
    }
    return { code, stdout, stderr, text: stdout.toString() };
  } finally {
    clearTimeout(timer);
    withdraw();
  }
}

/** Like {@link run}, but anything except exit code 0 is an error that shows the output. */
export async function runOk(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const result = await run(command, args, options);
  if (result.code !== 0)
    throw new Error(
      `${command} ${args.join(' ')} ended with ${result.code}\n--- stderr: ${result.stderr.slice(-4000)}\n--- stdout: ${result.text.slice(-4000)}`,
    );
  return result;
}

export interface Daemon {
  readonly pid: number;
  /** Standard output and error so far. */
  output(): string;
  /** Resolves with the exit code (128 + n after signal n) when it ends. */
  readonly exited: Promise<number>;
  /** Sends SIGTERM, after `graceMs` SIGKILL to the whole group; resolves with the exit code. */
  stop(graceMs?: number): Promise<number>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts a server; its output is kept in memory (and is small). Killed with the test process. */
export function startDaemon(
  command: string,
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly cwd?: string } = {},
): Daemon {
  const child: ChildProcess = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command} cannot be started`);
  const withdraw = atExit(() => killGroup(pid, 'SIGKILL'));
  // A test file whose preparation failed must still end; what runs is killed with it.
  child.unref();
  for (const pipe of [child.stdout, child.stderr]) if (pipe instanceof Socket) pipe.unref();
  let text = '';
  const collect = (chunk: Buffer): void => {
    text += chunk.toString();
  };
  child.stdout?.on('data', collect);
  child.stderr?.on('data', collect);
  const exited = new Promise<number>((resolve) => {
    child.on('error', () => resolve(127));
    child.on('exit', (code, signal) => resolve(code ?? 128 + (SIGNAL_NUMBERS[signal ?? ''] ?? 0)));
  });
  return {
    pid,
    output: () => text,
    exited,
    kill: (signal) => {
      child.ref();
      child.kill(signal);
    },
    async stop(graceMs = 5000): Promise<number> {
      child.ref();
      child.kill('SIGTERM');
      const timer = setTimeout(() => killGroup(pid, 'SIGKILL'), graceMs);
      const code = await exited;
      clearTimeout(timer);
      killGroup(pid, 'SIGKILL');
      withdraw();
      return code;
    },
  };
}

/** A TCP port of 127.0.0.1 that was free a moment ago, below the range that clients draw from. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const free = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

/** Asks again every 25 ms until `probe` gives a value; fails with `what` after `timeoutMs`. */
export async function until<T>(
  what: string,
  probe: () => T | undefined | Promise<T | undefined>,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Process ids whose real user is `uid`; those that have ended and wait to be collected do not count. */
export function processesOf(uid: number, list: readonly string[]): number[] {
  return list
    .filter((entry) => /^\d+$/.test(entry) && existsSync(`/proc/${entry}/status`))
    .filter((entry) => {
      try {
        const status = readFileSync(`/proc/${entry}/status`, 'utf8');
        return new RegExp(`^Uid:\\t${uid}\\t`, 'm').test(status) && !/^State:\tZ/m.test(status);
      } catch {
        return false;
      }
    })
    .map(Number);
}
