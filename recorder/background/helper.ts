/** A process of the background pool, as the pool sees it. */
import { type ChildProcess, execFile, fork } from 'node:child_process';
import type { FromProcess, Job, JobEnd, Told, ToProcess } from './job.ts';

/** Heap of one process; recordings are read a segment at a time. A leak ends one job. */
const HEAP_MB = 1_024;
/** What is read are buffers more than objects: without this V8 collects the whole heap for every few of them. */
const V8_FLAGS = [`--max-old-space-size=${HEAP_MB}`, '--external-memory-accounted-in-global-limit'];
/**
 * What a process is started by: all its threads, those of V8 and libuv and ffmpeg, too, let sessions go first. Under
 * SCHED_IDLE ([sched(7)]) they leave the core at once, and get one only where nobody else wants it; being as nice as
 * can be they keep it until their slice of 3 ms is over, and always get a little.
 */
const STARTED_BY = { idle: ['chrt', '--idle', '0'], nice: ['nice', '-n', '39'] } as const;
export type Scheduling = keyof typeof STARTED_BY;

/** Hears what a job says; `ask` is for more than the chunk that was told. */
export type OnTold = (told: Told, ask: () => void) => void;

interface Run {
  readonly onTold: OnTold;
  readonly end: PromiseWithResolvers<JobEnd>;
}

/**
 * A process that does one job at a time. What it is told goes over IPC: arguments and environment can be read
 * from outside.
 */
export class Helper {
  readonly scheduling: Scheduling;
  /** Resolves when the process is gone. */
  readonly gone: Promise<void>;
  readonly #child: ChildProcess;
  #run: Run | undefined;
  /** Why the process is gone. */
  #ended: Error | undefined;

  private constructor(child: ChildProcess, scheduling: Scheduling) {
    this.#child = child;
    this.scheduling = scheduling;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.gone = promise;
    const ended = (why: string): void => {
      this.#ended = new Error(`the process of a background job ended: ${why}`);
      this.#run?.end.reject(this.#ended);
      resolve();
    };
    child.on('message', (message: FromProcess) => this.#heard(message));
    child.on('exit', (code, signal) => ended(signal ?? `exit code ${code}`));
    child.on('error', (error) => {
      if (child.pid === undefined) ended(error.message);
    });
    this.#rest();
  }

  static async start(scheduling: Scheduling): Promise<Helper> {
    const by = scheduling === 'idle' && !(await mayBeIdle()) ? 'nice' : scheduling;
    const [execPath, ...args] = STARTED_BY[by];
    const child = fork(new URL('./process.ts', import.meta.url), {
      execPath,
      execArgv: [...args, process.execPath, ...process.execArgv, ...V8_FLAGS],
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    return new Helper(child, scheduling);
  }

  /** Does a job; none may be under way. Rejects when the process ends before it. */
  run(job: Job, onTold: OnTold): Promise<JobEnd> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
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
    // Whoever waits until it is gone stays for that.
    this.#child.ref();
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

let idle: Promise<boolean> | undefined;

/** Whether chrt(1) is here, and may do that. */
function mayBeIdle(): Promise<boolean> {
  idle ??= new Promise((resolve) => {
    const [chrt, ...args] = STARTED_BY.idle;
    execFile(chrt, [...args, 'true'], (error) => resolve(error === null));
  });
  return idle;
}
