/**
 * The background pool: threads for work on recordings that may wait. They run at a lower priority than
 * the threads that sessions live on, and none of them is there while there is nothing to do.
 */
import { MessageChannel, type StructuredSerializeOptions, type Transferable } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import type { ArchiveSettings } from '../archive/open.ts';
import type { SealedRecording } from '../container/seal.ts';
import {
  decodeJobError,
  type Job,
  type JobEnd,
  NEXT,
  type RecordingSource,
  type Rendered,
  type RenderedPart,
  type SealingOrder,
} from './job.ts';

export interface RenderOptions extends RenderedPart {
  /** Told while a video is made: µs of the recording that are encoded, of all. */
  readonly onProgress?: (at: number, duration: number) => void;
  /** Told once when a terminal had a size that no picture has, and what it is shown as. */
  readonly onCut?: (text: string) => void;
}

/** Threads with nothing to do end after this, ms. */
const IDLE_MS = 10_000;
/** Jobs that wait; what is not made beside a recording is missed by nobody but who seeks or searches. */
const MAX_QUEUE = 10_000;
/** How much nicer than sessions ([nice(2)]): they get all they ask for first. */
const NICE = 19;
/** A job that runs when the pool is closed gets so long to end, ms. */
const CLOSE_MS = 2_000;

export class BackgroundPool implements AsyncDisposable {
  readonly #threads: number;
  #pool: Promise<Piscina<Job, JobEnd>> | undefined;

  /** `threads`: jobs at a time. Starts nothing. */
  constructor(threads = 1) {
    this.#threads = threads;
  }

  /**
   * A recording as MP4 ({@link exportMp4}) or PNG ({@link exportPng}), as it is made; the thread waits
   * while nobody asks for more, and gives up when nobody will. Rejects as they do, and as
   * {@link openRecording} does.
   */
  async *render(
    source: RecordingSource,
    type: 'mp4' | 'png',
    { onProgress, onCut, ...part }: RenderOptions = {},
  ): AsyncGenerator<Uint8Array, void, void> {
    const { port1: port, port2 } = new MessageChannel();
    let next = nextChunk();
    port.on('message', (rendered: Rendered) => {
      if (rendered.type === 'chunk') next.resolve(rendered.bytes);
      else if (rendered.type === 'progress') onProgress?.(rendered.at, rendered.duration);
      else onCut?.(rendered.text);
    });
    // The job ends only after its last chunk was asked for.
    this.#run({ type, source, part, port: port2 }, [port2]).then(
      () => next.resolve(undefined),
      (error: unknown) => next.reject(error),
    );
    try {
      for (;;) {
        const chunk = await next.promise;
        if (chunk === undefined) return;
        yield chunk;
        next = nextChunk();
        port.postMessage(NEXT);
      }
    } finally {
      port.close();
    }
  }

  /** Makes what stands beside a recording: its index and its text ({@link putSides}). */
  async putSides(source: RecordingSource): Promise<void> {
    await this.#run({ type: 'sides', source }, []);
  }

  /** Seals a recording whose writer is gone ({@link sealRecording}). */
  async seal(archive: ArchiveSettings, sessionId: string, order: SealingOrder): Promise<SealedRecording> {
    const { sealed } = await this.#run({ type: 'seal', archive, sessionId, order }, []);
    if (sealed === undefined) throw new Error(`job seal: it gave no result for ${sessionId}`);
    return sealed;
  }

  /** Compacts a sealed recording ({@link compactRecording}). */
  async compact(archive: ArchiveSettings, sessionId: string): Promise<void> {
    await this.#run({ type: 'compact', archive, sessionId }, []);
  }

  /** Gives up what waits, and soon what runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    const pool = await this.#pool;
    await pool?.close({ force: true });
  }

  async #run(job: Job, transferList: Transferable[]): Promise<JobEnd> {
    this.#pool ??= startPool(this.#threads);
    // Piscina wants an array, but its type is taken from an overload that wants options.
    const options = { transferList: transferList as StructuredSerializeOptions };
    const end = await (await this.#pool).run(job, options);
    if (end.error !== undefined) throw decodeJobError(end.error);
    return end;
  }
}

/** Loaded when it is needed: every thread that records comes by this file. */
async function startPool(threads: number): Promise<Piscina<Job, JobEnd>> {
  const { Piscina } = await import('piscina');
  const pool = new Piscina<Job, JobEnd>({
    filename: new URL('./thread.ts', import.meta.url).href,
    name: 'run',
    minThreads: 0,
    maxThreads: threads,
    maxQueue: MAX_QUEUE,
    idleTimeout: IDLE_MS,
    niceIncrement: NICE,
    closeTimeout: CLOSE_MS,
    // Jobs wait for files and for their reader: a thread that blocks between jobs would not hear them.
    atomics: 'disabled',
  });
  // Told when a thread dies, whose jobs reject, or was not done when the pool was closed.
  pool.on('error', () => {});
  return pool;
}

function nextChunk(): PromiseWithResolvers<Uint8Array | undefined> {
  const next = Promise.withResolvers<Uint8Array | undefined>();
  // Who stopped reading is not told how it ended.
  next.promise.catch(() => {});
  return next;
}
