/**
 * The background pool: threads for work on recordings that may wait. They run at a lower priority than
 * the threads that sessions live on, and none of them is there while there is nothing to do. What waits for
 * them is bounded and has an order (queue.ts); every job can be cancelled, while it waits and while it runs.
 */
import { MessageChannel, type StructuredSerializeOptions, type Transferable } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import type { ArchiveSettings } from '../archive/open.ts';
import type { Side } from '../archive/port.ts';
import type { SealedRecording } from '../container/seal.ts';
import type { VerifyOptions, VerifyReport } from '../container/verify.ts';
import { Cancellation } from './cancellation.ts';
import {
  decodeJobError,
  type Job,
  type JobEnd,
  type JobOrder,
  kindOf,
  NEXT,
  type RecordingSource,
  type Rendered,
  type RenderedPart,
  type SealingOrder,
  type Verified,
} from './job.ts';
import { type JobFigures, type JobKind, type JobOutcome, JobQueue, type Queued } from './queue.ts';

export interface PoolOptions {
  /** Jobs at a time; 1 by default. */
  readonly threads?: number;
  /** Of them, those that neither renderings alone nor what may wait longest ever takes; 0 by default. */
  readonly spare?: number;
}

export interface RenderOptions extends RenderedPart {
  /** Told while a video is made: µs of the recording that are encoded, of all. */
  readonly onProgress?: (at: number, duration: number) => void;
  /** Told once when a terminal had a size that no picture has, and what it is shown as. */
  readonly onCut?: (text: string) => void;
  /** Whoever reads may leave while the job waits, too. */
  readonly signal?: AbortSignal;
}

/** Threads with nothing to do end after this, ms: to start one takes 0.1 s of a core and more, begun at sessions' priority. */
const IDLE_MS = 60_000;
/** How much nicer than sessions ([nice(2)]): they get all they ask for first. */
const NICE = 19;
/** A job that was cancelled gets so long to end by itself; then its thread is ended. ms. */
const CANCEL_MS = 2_000;
/** Heap of one thread; recordings are read a segment at a time. A leak ends one job, not the node. */
const HEAP_MB = 1_024;

interface Entry extends Queued {
  readonly order: JobOrder;
  readonly transferList: Transferable[];
  readonly end: PromiseWithResolvers<JobEnd>;
  /** Ends the thread that the job is on. */
  readonly thread: AbortController;
  /** Why nobody wants it any more. */
  cancelled: { readonly reason: unknown } | undefined;
}

export class BackgroundPool implements AsyncDisposable {
  readonly #threads: number;
  readonly #queue: JobQueue<Entry>;
  /** Those that wait, and those that run with their end. */
  readonly #entries = new Map<Entry, Promise<void> | undefined>();
  #closed = false;
  #pool: Promise<Piscina<JobOrder, JobEnd>> | undefined;

  /** Starts nothing. */
  constructor({ threads = 1, spare = 0 }: PoolOptions = {}) {
    this.#threads = threads;
    this.#queue = new JobQueue(threads, spare);
  }

  /**
   * A recording as MP4 ({@link exportMp4}) or PNG ({@link exportPng}), as it is made; the thread waits
   * while nobody asks for more, and gives up when nobody will. Rejects as they do, as
   * {@link openRecording} does, and as {@link seal} does.
   */
  async *render(
    source: RecordingSource,
    type: 'mp4' | 'png',
    { onProgress, onCut, signal, ...part }: RenderOptions = {},
  ): AsyncGenerator<Uint8Array, void, void> {
    const { port1: port, port2 } = new MessageChannel();
    const left = new AbortController();
    let next = nextChunk();
    port.on('message', (rendered: Rendered) => {
      if (rendered.type === 'chunk') next.resolve(rendered.bytes);
      else if (rendered.type === 'progress') onProgress?.(rendered.at, rendered.duration);
      else onCut?.(rendered.text);
    });
    const leave = (): void => {
      left.abort(signal?.reason);
      port.close();
      // Told at once, not when the thread has noticed.
      next.reject(left.signal.reason);
    };
    signal?.addEventListener('abort', leave, { once: true });
    try {
      signal?.throwIfAborted();
      // The job ends only after its last chunk was asked for.
      this.#run({ type, source, part, port: port2 }, [port2], left.signal).then(
        () => next.resolve(undefined),
        (error: unknown) => next.reject(error),
      );
      for (;;) {
        const chunk = await next.promise;
        if (chunk === undefined) return;
        yield chunk;
        signal?.throwIfAborted();
        next = nextChunk();
        port.postMessage(NEXT);
      }
    } finally {
      signal?.removeEventListener('abort', leave);
      leave();
    }
  }

  /**
   * Makes what is to stand beside a recording, its index and its text, where it is missing; resolves with
   * what was made ({@link putSides}). Else as {@link seal}.
   */
  async putSides(source: RecordingSource, signal?: AbortSignal): Promise<readonly Side[]> {
    const { made = [] } = await this.#run({ type: 'sides', source }, [], signal);
    return made;
  }

  /**
   * Seals a recording whose writer is gone ({@link sealRecording}). Rejects also with
   * {@link QueueFullError}, and with the reason of `signal` once the job is given up; one that is done
   * before it is asked counts.
   */
  async seal(
    archive: ArchiveSettings,
    sessionId: string,
    order: SealingOrder,
    signal?: AbortSignal,
  ): Promise<SealedRecording> {
    const { sealed } = await this.#run({ type: 'seal', archive, sessionId, order }, [], signal);
    if (sealed === undefined) throw new Error(`job seal: it gave no result for ${sessionId}`);
    return sealed;
  }

  /** Compacts a sealed recording ({@link compactRecording}). Else as {@link seal}. */
  async compact(archive: ArchiveSettings, sessionId: string, signal?: AbortSignal): Promise<void> {
    await this.#run({ type: 'compact', archive, sessionId }, [], signal);
  }

  /** Checks a recording ({@link verifyRecording}). Else as {@link seal}. */
  async verify(
    archive: ArchiveSettings,
    sessionId: string,
    { onProgress, ...options }: VerifyOptions,
    signal?: AbortSignal,
  ): Promise<VerifyReport> {
    const { port1, port2 } = new MessageChannel();
    port1.on('message', ({ checked, all }: Verified) => onProgress?.(checked, all));
    try {
      const job: Job = { type: 'verify', archive, sessionId, options, port: port2 };
      const { report } = await this.#run(job, [port2], signal);
      if (report === undefined) throw new Error(`job verify: it gave no result for ${sessionId}`);
      return report;
    } finally {
      port1.close();
    }
  }

  /** What became of all jobs so far, and what waits and runs now. */
  figures(): Readonly<Record<JobKind, JobFigures>> {
    return this.#queue.figures();
  }

  /** Gives up what waits, and soon what runs; all that is asked for from now on rejects. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    const running = [...this.#entries.values()];
    for (const entry of this.#entries.keys()) this.#cancel(entry, closedError());
    await Promise.all(running);
    await (await this.#pool)?.destroy();
  }

  /** Resolves with the end of a job that went well. */
  async #run(job: Job, transferList: Transferable[], signal?: AbortSignal): Promise<JobEnd> {
    if (this.#closed) throw closedError();
    signal?.throwIfAborted();
    const entry: Entry = {
      kind: kindOf(job),
      since: performance.now(),
      startedAt: undefined,
      order: { job, cancellation: new Cancellation().memory },
      transferList,
      end: Promise.withResolvers<JobEnd>(),
      thread: new AbortController(),
      cancelled: undefined,
    };
    this.#queue.push(entry);
    this.#entries.set(entry, undefined);
    const cancel = (): void => this.#cancel(entry, signal?.reason);
    signal?.addEventListener('abort', cancel, { once: true });
    this.#dispatch();
    try {
      const end = await entry.end.promise;
      if (end.error !== undefined) throw decodeJobError(end.error);
      return end;
    } catch (error) {
      throw entry.cancelled === undefined ? error : entry.cancelled.reason;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  #cancel(entry: Entry, reason: unknown): void {
    entry.cancelled ??= { reason };
    if (entry.startedAt === undefined) {
      this.#ended(entry, 'cancelled');
      entry.end.reject(reason);
      return;
    }
    new Cancellation(entry.order.cancellation).request();
    const timer = setTimeout(() => entry.thread.abort(), CANCEL_MS);
    void entry.end.promise.catch(() => {}).then(() => clearTimeout(timer));
  }

  #dispatch(): void {
    for (;;) {
      const entry = this.#queue.next(performance.now());
      if (entry === undefined) return;
      this.#entries.set(entry, this.#perform(entry));
    }
  }

  #ended(entry: Entry, outcome: JobOutcome): void {
    this.#entries.delete(entry);
    this.#queue.ended(entry, outcome, performance.now());
    this.#dispatch();
  }

  /** Never rejects. */
  async #perform(entry: Entry): Promise<void> {
    const failed = (): JobOutcome => (entry.cancelled === undefined ? 'failed' : 'cancelled');
    try {
      this.#pool ??= startPool(this.#threads);
      const end = await (await this.#pool).run(entry.order, {
        // Piscina wants an array, but its type is taken from an overload that wants options.
        transferList: entry.transferList as StructuredSerializeOptions,
        signal: entry.thread.signal,
      });
      this.#ended(entry, end.error === undefined ? 'done' : failed());
      entry.end.resolve(end);
    } catch (error) {
      // Its thread died, or was ended.
      this.#ended(entry, failed());
      entry.end.reject(error);
    }
  }
}

const closedError = (): Error => new DOMException('the background pool is closed', 'AbortError');

/** Loaded when it is needed: every thread that records comes by this file. */
async function startPool(threads: number): Promise<Piscina<JobOrder, JobEnd>> {
  const { Piscina } = await import('piscina');
  const pool = new Piscina<JobOrder, JobEnd>({
    filename: new URL('./thread.ts', import.meta.url).href,
    name: 'run',
    minThreads: 0,
    maxThreads: threads,
    idleTimeout: IDLE_MS,
    niceIncrement: NICE,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    // Jobs wait for files and for their reader: a thread that blocks between jobs would not hear them.
    atomics: 'disabled',
  });
  // Told when a thread dies, whose jobs reject.
  pool.on('error', () => {});
  return pool;
}

function nextChunk(): PromiseWithResolvers<Uint8Array | undefined> {
  const next = Promise.withResolvers<Uint8Array | undefined>();
  // Who stopped reading is not told how it ended.
  next.promise.catch(() => {});
  return next;
}
