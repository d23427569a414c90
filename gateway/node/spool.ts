/**
 * The node's side of the spool: drains what workers and earlier runs left that are gone, and tells the
 * administrator when this node keeps recordings.
 */
import type { Logger } from 'pino';
import {
  type Archive,
  ArchiveError,
  drainSpool,
  type SpoolEvent,
  type SpoolSettings,
  spooledBytes,
  spooledSessions,
} from '../../recorder/index.ts';
import type { AuditCode, AuditDetail } from '../audit/events.ts';
import { SpoolMarks, type WriteMark } from './spool-marks.ts';
import { SpoolShares } from './spool-shares.ts';

export interface NodeSpoolOptions {
  readonly folder: string;
  /** `archive.spool.bytes` */
  readonly limit: number;
  readonly archive: () => Archive;
  readonly mark: WriteMark;
  readonly audit: (code: AuditCode, sessionId: string | undefined, detail: AuditDetail) => void;
  readonly log: Logger;
}

const RETRY_MS = 5000;
/** An archive that is slow again and again is one outage: what is said of it must not fill the audit log. */
const CALM_MS = 10_000;

export class NodeSpool {
  /** For the workers. */
  readonly settings: SpoolSettings;
  /** For workers in other processes. */
  readonly shares: SpoolShares;
  readonly #options: NodeSpoolOptions;
  readonly #marks: SpoolMarks;
  /** Sessions whose writer is gone. */
  readonly #left = new Set<string>();
  /** A file stays that the archive will not take. */
  #keeps = false;
  /** Sessions that are being spooled, with their workers. */
  readonly #writers = new Map<string, number>();
  /** Look again when a worker has drained something. */
  readonly #waiters: (() => void)[] = [];
  /** Rejected when the node stops. */
  readonly #stop = Promise.withResolvers<never>();
  #stopped = false;
  /** What it took so far; undefined: the archive takes everything. */
  #outage: { recordings: number; bytes: number } | undefined;
  #calm: NodeJS.Timeout | undefined;
  /** One drain at a time. */
  #work: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #waiting = false;

  private constructor(options: NodeSpoolOptions, used: number) {
    this.#options = options;
    this.#marks = new SpoolMarks(options.mark, options.log);
    const { folder, limit } = options;
    this.#stop.promise.catch(() => {
      this.#stopped = true;
    });
    this.settings = { folder, limit, used: new SharedArrayBuffer(8) };
    new BigInt64Array(this.settings.used)[0] = BigInt(used);
    this.shares = new SpoolShares(this.settings.used);
  }

  /** Before any worker writes: what is there now was left by earlier runs. */
  static async open(options: NodeSpoolOptions): Promise<NodeSpool> {
    const spool = new NodeSpool(options, await spooledBytes(options.folder));
    for (const sessionId of await spooledSessions(options.folder)) spool.#left.add(sessionId);
    return spool;
  }

  /** Bytes of it that are in use. */
  get used(): number {
    return this.shares.used;
  }

  /** Drains what was left, in the background, for as long as it takes. */
  start(): void {
    const { log, folder } = this.#options;
    if (this.#left.size === 0) return;
    log.warn({ recordings: this.#left.size, folder }, 'the spool holds recordings of an earlier run');
    this.#again(0);
  }

  /** What is spooled still stays for the next start. */
  stop(): void {
    this.#marks.stop();
    clearTimeout(this.#timer);
    clearTimeout(this.#calm);
    if (this.#writers.size === 0) this.#over();
    this.#stop.reject(
      new ArchiveError('archive-io', 'the node stops; its spool is drained at its next start'),
    );
  }

  /**
   * Resolves when nothing of a session that is over is spooled any more; its recording must not be sealed
   * before. Waits for a worker that drains it, and drains itself what a worker has left that is gone.
   * Rejects with {@link ArchiveError} when the archive cannot take it now, or this node stops.
   */
  async drain(sessionId: string): Promise<void> {
    // An archive that hangs keeps no node from stopping.
    await Promise.race([this.#drained(sessionId), this.#stop.promise]);
  }

  async #drained(sessionId: string): Promise<void> {
    while (this.#writers.has(sessionId)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiters.push(resolve);
      await promise;
    }
    this.#left.add(sessionId);
    const error = await this.#inTurn(() => this.#drainOne(sessionId));
    if (error === undefined) return;
    this.#again(RETRY_MS);
    throw error;
  }

  /** Resolves when peers know what was last heard of this session; rejects when this node stops before. */
  async marked(sessionId: string): Promise<void> {
    await this.#marks.written(sessionId);
  }

  /** What a worker says of its own part of the spool. */
  heard(worker: number, event: SpoolEvent): void {
    const { audit, log } = this.#options;
    switch (event.type) {
      case 'spooling':
        this.#writers.set(event.sessionId, worker);
        this.#marks.set(event.sessionId, true);
        clearTimeout(this.#calm);
        if (this.#outage !== undefined) return;
        this.#outage = { recordings: 0, bytes: 0 };
        audit('archive.spooling', event.sessionId, { reason: event.reason });
        log.warn({ reason: event.reason }, 'the archive fails: recordings go to the spool of this node');
        return;
      case 'drained':
        this.#marks.set(event.sessionId, false);
        this.#gone(event.sessionId);
        if (this.#outage === undefined) return;
        this.#outage.recordings += 1;
        this.#outage.bytes += event.bytes;
        return;
      case 'stuck':
        this.#gone(event.sessionId);
        this.#refused(event.sessionId, event.reason);
    }
  }

  /** A worker is gone: what it spooled is drained from here. */
  workerDied(worker: number): void {
    for (const [sessionId, writer] of this.#writers) {
      if (writer !== worker) continue;
      this.#left.add(sessionId);
      this.#gone(sessionId);
    }
    if (this.#left.size > 0) this.#again(0);
  }

  /** Nobody in a worker writes this session's file any more. */
  #gone(sessionId: string): void {
    this.#writers.delete(sessionId);
    for (const resume of this.#waiters.splice(0)) resume();
    if (this.#writers.size > 0) return;
    clearTimeout(this.#calm);
    this.#calm = setTimeout(() => this.#over(), CALM_MS);
    this.#calm.unref();
  }

  #over(): void {
    const { audit, log } = this.#options;
    if (this.#outage !== undefined) {
      audit('archive.drained', undefined, this.#outage);
      log.warn(this.#outage, 'the archive is back and has what was spooled');
    }
    this.#outage = undefined;
  }

  #again(ms: number): void {
    if (this.#timer !== undefined || this.#stopped) return;
    this.#timer = setTimeout(() => void this.#drainAll(), ms);
    this.#timer.unref();
  }

  async #drainAll(): Promise<void> {
    let failure: Error | undefined;
    for (const sessionId of this.#left) {
      // An archive that cannot even be opened, for a secret that is not there, is tried again as well.
      const tried = this.#inTurn(() => this.#drainOne(sessionId)).catch((error: Error) => error);
      failure = (await tried) ?? failure;
      if (this.#stopped) return;
    }
    if (failure !== undefined && !this.#waiting)
      this.#options.log.warn({ err: failure }, 'the archive does not take what is spooled yet');
    this.#waiting = failure !== undefined;
    this.#timer = undefined;
    if (this.#left.size > 0) this.#again(RETRY_MS);
  }

  /** Returns why it has to be tried again. */
  async #drainOne(sessionId: string): Promise<Error | undefined> {
    const { archive, audit, log } = this.#options;
    const [drained] = await drainSpool(this.settings, archive(), sessionId);
    const again = drained?.error !== undefined && !isFinal(drained.error);
    if (!again) this.#left.delete(sessionId);
    if (drained?.error !== undefined) this.#keeps ||= !again;
    this.shares.changed(this.#left.size === 0 && !this.#keeps);
    if (drained === undefined) return undefined;
    const { error, bytes } = drained;
    if (again) return error;
    if (error !== undefined) {
      this.#refused(sessionId, error.message);
      return undefined;
    }
    this.#marks.set(sessionId, false);
    audit('archive.drained', sessionId, { recordings: 1, bytes });
    log.warn({ session: sessionId, bytes }, 'the archive has what an earlier writer spooled');
    return undefined;
  }

  #refused(sessionId: string, reason: string): void {
    const { audit, log, folder } = this.#options;
    this.#marks.set(sessionId, false);
    audit('archive.spool.refused', sessionId, { reason });
    log.error(
      { session: sessionId, folder, reason },
      'what is spooled of a recording cannot be joined to it, and stays on this node',
    );
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#work.then(work);
    this.#work = turn.catch(() => {});
    return await turn;
  }
}

/** Whether trying again would not help. */
const isFinal = (error: Error): boolean =>
  error instanceof ArchiveError && (error.code === 'spool-conflict' || error.code === 'recording-id');
