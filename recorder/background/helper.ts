/** A process of the background pool, as the pool sees it. */
import { type ChildProcess, execFile, fork } from 'node:child_process';
import type { FromProcess, Job, JobEnd, Told, ToProcess } from './job.ts';

/** Heap of one process; recordings are read a segment at a time. A leak ends one job. */
const HEAP_MB = 1_024;
/** What is read are buffers more than objects: without this V8 collects the whole heap for every few of them. */
const V8_FLAGS = [`--max-old-space-size=${HEAP_MB}`, '--external-memory-accounted-in-global-limit'];
/**
 * SCHED_IDLE of [sched(7)]: all others get the core at once, where a thread that is only nice keeps it until its slice
 * is over, 3 ms. It holds for what starts under it: V8's own threads, libuv's, ffmpeg.
 */
const CHRT = ['--idle', '0'];

/** Hears what a job says; `ask` is for more than the chunk that was told. */
export type OnTold = (told: Told, ask: () => void) => void;

interface Run {
  readonly onTold: OnTold;
  readonly end: PromiseWithResolvers<JobEnd>;
}

/** A process that does one job at a time. What it is told goes over IPC: arguments and environment can be read from outside. */
export class Helper {
  readonly #child: ChildProcess;
  #run: Run | undefined;
  /** Resolves when the process is gone. */
  readonly gone: Promise<void>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.gone = promise;
    const ended = (why: string): void => {
      this.#run?.end.reject(new Error(`the process of a background job ended: ${why}`));
      resolve();
    };
    child.on('message', (message: FromProcess) => this.#heard(message));
    child.on('exit', (code, signal) => ended(signal ?? `exit code ${code}`));
    child.on('error', (error) => {
      if (child.pid === undefined) ended(error.message);
    });
    this.#rest();
  }

  static async start(): Promise<Helper> {
    const node = [process.execPath, ...process.execArgv, ...V8_FLAGS];
    const [execPath, ...execArgv] = (await hasChrt()) ? ['chrt', ...CHRT, ...node] : node;
    return new Helper(
      fork(new URL('./process.ts', import.meta.url), {
        execPath,
        execArgv,
        serialization: 'advanced',
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      }),
    );
  }

  /** Does a job; none may be under way. Rejects when the process ends before it. */
  run(job: Job, onTold: OnTold): Promise<JobEnd> {
    this.#run = { onTold, end: Promise.withResolvers() };
    // Whoever wants it waits for this process.
    this.#child.ref();
    this.#child.channel?.ref();
    this.#send({ type: 'job', job });
    return this.#run.end.promise;
  }

  /** The job is to end soon: nobody wants it any more. */
  cancel(): void {
    if (this.#run !== undefined) this.#send({ type: 'cancel' });
  }

  /** Ends the process by itself; no job may be under way. */
  leave(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  /** Ends the process, whatever it is at. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #heard(message: FromProcess): void {
    const run = this.#run;
    if (run === undefined) return;
    if (message.type !== 'end') {
      const ask = (): void => {
        if (this.#run === run) this.#send({ type: 'next' });
      };
      return run.onTold(message, ask);
    }
    this.#rest();
    run.end.resolve(message.end);
  }

  /** Who started the pool may end while its processes have nothing to do. */
  #rest(): void {
    this.#run = undefined;
    this.#child.unref();
    this.#child.channel?.unref();
  }

  #send(message: ToProcess): void {
    // To one that is gone: its exit has been seen, or will be.
    this.#child.send(message, () => {});
  }
}

let chrt: Promise<boolean> | undefined;

/** Whether chrt(1) is here, and may do that. */
function hasChrt(): Promise<boolean> {
  chrt ??= new Promise((resolve) => {
    execFile('chrt', [...CHRT, 'true'], (error) => resolve(error === null));
  });
  return chrt;
}
