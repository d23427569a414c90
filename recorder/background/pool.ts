/**
 * The background pool: processes for work on recordings that may wait. They let sessions go first,
 * and none of them is there while there is nothing to do. What waits for them is bounded and has an order
 * (queue.ts); every job can be cancelled, while it waits and while it runs.
 */
import { KeyObject } from 'node:crypto';
import type { ArchiveSettings } from '../archive/open.ts';
import type { Side } from '../archive/port.ts';
import type { SealedRecording } from '../container/seal.ts';
import type { VerifyOptions, VerifyReport } from '../container/verify.ts';
import { Helper, type OnTold, type Scheduling } from './helper.ts';
import {
  decodeJobError,
  type Job,
  type JobEnd,
  kindOf,
  type RecordingSource,
  type RenderedPart,
  type SealingOrder,
  type VerifyOrder,
} from './job.ts';
import { type JobFigures, type JobKind, type JobOutcome, JobQueue, type Queued } from './queue.ts';

export interface PoolOptions {
  /** Jobs at a time, each in a process of its own; 1 by default. */
  readonly processes?: number;
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

/** Processes with nothing to do end after this, ms: to start one takes 0.2 s of a core. */
const IDLE_MS = 60_000;
/** A job that was cancelled gets so long to end by itself; then its process is ended. ms. */
const CANCEL_MS = 2_000;

/** What a person or a dead node's session waits for must come to an end on a node that is busy all the time, too. */
const SCHEDULING: Readonly<Record<JobKind, Scheduling>> = {
  render: 'nice',
  seal: 'nice',
  compact: 'idle',
  sides: 'idle',
  verify: 'nice',
};

interface Entry extends Queued {
  readonly job: Job;
  readonly onTold: OnTold;
  readonly end: PromiseWithResolvers<JobEnd>;
  /** The process that it runs in. */
  helper: Helper | undefined;
  /** Why nobody wants it any more. */
  cancelled: { readonly reason: unknown } | undefined;
}

export class BackgroundPool implements AsyncDisposable {
  readonly #queue: JobQueue<Entry>;
  /** Those that wait, and those that run with their end. */
  readonly #entries = new Map<Entry, Promise<void> | undefined>();
  /** Processes that have nothing to do, the one that worked last is the last; each with what ends it. */
  readonly #idle = new Map<Helper, NodeJS.Timeout>();
  #closed = false;

  /** Starts nothing. */
  constructor({ processes = 1, spare = 0 }: PoolOptions = {}) {
    this.#queue = new JobQueue(processes, spare);
  }

  /**
   * A recording as MP4 ({@link exportMp4}) or PNG ({@link exportPng}), as it is made; its process waits
   * while nobody asks for more, and gives up when nobody will. Rejects as they do, as
   * {@link openRecording} does, and as {@link seal} does.
   */
  async *render(
    source: RecordingSource,
    type: 'mp4' | 'png',
    { onProgress, onCut, signal, ...part }: RenderOptions = {},
  ): AsyncGenerator<Uint8Array, void, void> {
    const left = new AbortController();
    let next = nextChunk();
    let askForMore = (): void => {};
    const onTold: OnTold = (told, ask) => {
      if (told.type === 'chunk') {
        askForMore = ask;
        next.resolve(told.bytes);
      } else if (told.type === 'progress') onProgress?.(told.at, told.duration);
      else if (told.type === 'cut') onCut?.(told.text);
    };
    const leave = (): void => {
      left.abort(signal?.reason);
      // Told at once, not when its process has noticed.
      next.reject(left.signal.reason);
    };
    signal?.addEventListener('abort', leave, { once: true });
    try {
      signal?.throwIfAborted();
      // The job ends only after its last chunk was asked for.
      this.#run({ type, source, part }, left.signal, onTold).then(
        () => next.resolve(undefined),
        (error: unknown) => next.reject(error),
      );
      for (;;) {
        const chunk = await next.promise;
        if (chunk === undefined) return;
        yield chunk;
        signal?.throwIfAborted();
        next = nextChunk();
        askForMore();
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
    const { made = [] } = await this.#run({ type: 'sides', source }, signal);
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
    const { sealed } = await this.#run({ type: 'seal', archive, sessionId, order }, signal);
    if (sealed === undefined) throw new Error(`job seal: it gave no result for ${sessionId}`);
    return sealed;
  }

  /** Compacts a sealed recording ({@link compactRecording}). Else as {@link seal}. */
  async compact(archive: ArchiveSettings, sessionId: string, signal?: AbortSignal): Promise<void> {
    await this.#run({ type: 'compact', archive, sessionId }, signal);
  }

  /** Checks a recording ({@link verifyRecording}). Else as {@link seal}. */
  async verify(
    archive: ArchiveSettings,
    sessionId: string,
    { onProgress, publicKeys, ...rest }: VerifyOptions,
    signal?: AbortSignal,
  ): Promise<VerifyReport> {
    const options: VerifyOrder =
      publicKeys === undefined
        ? rest
        : { ...rest, publicKeys: new Map([...publicKeys].map(([id, key]) => [id, encodeKey(key)])) };
    const onTold: OnTold = (told) => {
      if (told.type === 'verified') onProgress?.(told.checked, told.all);
    };
    const { report } = await this.#run({ type: 'verify', archive, sessionId, options }, signal, onTold);
    if (report === undefined) throw new Error(`job verify: it gave no result for ${sessionId}`);
    return report;
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
    const idle = [...this.#idle.keys()];
    for (const helper of idle) this.#letGo(helper);
    await Promise.all(idle.map(({ gone }) => gone));
  }

  /** Resolves with the end of a job that went well. */
  async #run(job: Job, signal?: AbortSignal, onTold: OnTold = () => {}): Promise<JobEnd> {
    if (this.#closed) throw closedError();
    signal?.throwIfAborted();
    const entry: Entry = {
      kind: kindOf(job),
      since: performance.now(),
      startedAt: undefined,
      job,
      onTold,
      end: Promise.withResolvers<JobEnd>(),
      helper: undefined,
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
    if (entry.helper !== undefined) this.#endSoon(entry, entry.helper);
  }

  #endSoon(entry: Entry, helper: Helper): void {
    helper.cancel();
    const timer = setTimeout(() => helper.kill(), CANCEL_MS);
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
      const helper = this.#takeIdle(SCHEDULING[entry.kind]) ?? (await this.#start(SCHEDULING[entry.kind]));
      entry.helper = helper;
      const running = helper.run(entry.job, entry.onTold);
      // It was cancelled while its process was started.
      if (entry.cancelled !== undefined) this.#endSoon(entry, helper);
      const end = await running;
      this.#rest(helper);
      this.#ended(entry, end.error === undefined ? 'done' : failed());
      entry.end.resolve(end);
    } catch (error) {
      // Its process died, or was ended.
      this.#ended(entry, failed());
      entry.end.reject(error);
    }
  }

  /** INVARIANT: there are never more of them than jobs may run. */
  async #start(scheduling: Scheduling): Promise<Helper> {
    const [other] = this.#idle.keys();
    if (other !== undefined) this.#letGo(other);
    const helper = await Helper.start(scheduling);
    void helper.gone.then(() => this.#forget(helper));
    return helper;
  }

  #takeIdle(scheduling: Scheduling): Helper | undefined {
    const helper = [...this.#idle.keys()].findLast((each) => each.scheduling === scheduling);
    if (helper === undefined) return undefined;
    clearTimeout(this.#idle.get(helper));
    this.#idle.delete(helper);
    return helper;
  }

  #rest(helper: Helper): void {
    this.#idle.set(helper, setTimeout(() => this.#letGo(helper), IDLE_MS).unref());
  }

  #letGo(helper: Helper): void {
    this.#forget(helper);
    helper.leave();
  }

  #forget(helper: Helper): void {
    clearTimeout(this.#idle.get(helper));
    this.#idle.delete(helper);
  }
}

const encodeKey = (key: KeyObject | string | Uint8Array): string | Uint8Array =>
  key instanceof KeyObject ? key.export({ type: 'spki', format: 'der' }) : key;

const closedError = (): Error => new DOMException('the background pool is closed', 'AbortError');

function nextChunk(): PromiseWithResolvers<Uint8Array | undefined> {
  const next = Promise.withResolvers<Uint8Array | undefined>();
  // Who stopped reading is not told how it ended.
  next.promise.catch(() => {});
  return next;
}
