/**
 * Takes recordings when the archive does not: what it refuses, or does not answer in time, goes to a
 * file on this node, encrypted as it is, and from there to the archive as soon as that takes it. Then
 * the recording goes on directly and its file is deleted.
 */
import { Backoff } from '../container/backoff.ts';
import type { Clock } from '../container/clock.ts';
import type { ChunkPool } from '../container/segment-buffer.ts';
import { requireSessionId } from './layout.ts';
import { type Archive, type ArchiveAppender, ArchiveError, type ArchiveForWriters } from './port.ts';
import { SpoolDrain } from './spool-drain.ts';
import { SpoolFile } from './spool-file.ts';
import { SpoolRoom, type SpoolSettings } from './spool-room.ts';

/** What a node's administrator must know of: while a spool is used, the node keeps recordings. */
export type SpoolEvent =
  /** A recording goes to the spool from now on. */
  | { readonly type: 'spooling'; readonly sessionId: string; readonly reason: string }
  /** It goes to the archive again, which has everything; `bytes`: that were spooled. */
  | { readonly type: 'drained'; readonly sessionId: string; readonly bytes: number }
  /** A file stays: the archive will not take it, or it cannot be deleted. */
  | { readonly type: 'stuck'; readonly sessionId: string; readonly reason: string };

export interface SpoolParts {
  readonly archive: ArchiveForWriters;
  readonly settings: SpoolSettings;
  /** How long the archive may take to answer, ms. */
  readonly patienceMs: number;
  readonly clock: Clock;
  readonly pool: ChunkPool;
  onEvent(event: SpoolEvent): void;
  /**
   * Resolves when all who might seal the recording know that its end is spooled here: nothing of it is acknowledged
   * before, unless the archive has it by then. A rejection counts as never.
   */
  readonly marked: (sessionId: string) => Promise<void>;
}

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2000;
/** Files that are drained at once: an archive that is back is not overrun, and batches take little memory. */
const DRAINS_AT_ONCE = 8;
/** Refusals that a spool does not help against, or may not: what a node without its lease keeps fits nowhere later. */
const FINAL: ReadonlySet<string> = new Set([
  'recording-exists',
  'recording-id',
  'recording-missing',
  'archive-lease',
]);

export class Spool implements Pick<Archive, 'create'> {
  readonly #parts: SpoolParts;
  readonly #room: SpoolRoom;
  /** Sessions with a file. */
  readonly #held = new Set<string>();
  #draining = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(parts: SpoolParts) {
    this.#parts = parts;
    this.#room = new SpoolRoom(parts.settings);
  }

  /** As the archive's; durable in the archive or in the spool. */
  async create(sessionId: string, startedAt: number, first: Uint8Array): Promise<ArchiveAppender> {
    requireSessionId(sessionId);
    const recording = new SpooledRecording(this.#parts, this, { sessionId, startedAt });
    await recording.append(first);
    return recording;
  }

  /** Whether the archive lacks something of this recording. */
  holds(sessionId: string): boolean {
    return this.#held.has(sessionId);
  }

  async begin(
    place: { readonly sessionId: string; readonly startedAt: number; readonly from: number },
    first: Uint8Array,
    refusal: ArchiveError,
  ): Promise<SpoolFile> {
    try {
      const file = await SpoolFile.create(this.#parts.settings.folder, place, first, this.#room);
      this.#held.add(place.sessionId);
      this.#parts.onEvent({ type: 'spooling', sessionId: place.sessionId, reason: refusal.message });
      return file;
    } catch (error) {
      throw alsoFull(refusal, error);
    }
  }

  /** Deletes a file that the archive has all of. Never rejects. */
  async end(file: SpoolFile): Promise<void> {
    const { sessionId } = file.place;
    try {
      this.#held.delete(sessionId);
      await file.wipe();
      this.#parts.onEvent({ type: 'drained', sessionId, bytes: file.bytes });
    } catch (error) {
      this.stuck(sessionId, error);
    }
  }

  stuck(sessionId: string, error: unknown): void {
    this.#parts.onEvent({ type: 'stuck', sessionId, reason: wordsOf(error) });
  }

  /** Runs `step` as soon as few others run. */
  async inTurn(step: () => Promise<void>): Promise<void> {
    while (this.#draining >= DRAINS_AT_ONCE) await new Promise<void>((go) => void this.#waiting.push(go));
    this.#draining += 1;
    try {
      await step();
    } finally {
      this.#draining -= 1;
      this.#waiting.shift()?.();
    }
  }
}

const LATE = Symbol('late');

/** A call to the archive that may be answered late. */
interface Flight {
  /** Bytes of the recording in the archive before it. */
  readonly from: number;
  /** Undefined: done. Never rejects. */
  readonly settled: Promise<ArchiveError | undefined>;
}

interface SpooledSession {
  readonly sessionId: string;
  /** ms since the epoch */
  readonly startedAt: number;
}

class SpooledRecording implements ArchiveAppender {
  readonly #parts: SpoolParts;
  readonly #spool: Spool;
  readonly #session: SpooledSession;
  /** Undefined: the archive has not begun the recording. */
  #inner: ArchiveAppender | undefined;
  /** INVARIANT: the archive has acknowledged so many bytes. */
  #archived = 0;
  #flight: Flight | undefined;
  /** Undefined: the archive is up to date. */
  #file: SpoolFile | undefined;
  /** Settled when what is in the file may be acknowledged, or never may be. */
  #kept = Promise.withResolvers<void>();
  /** Why what was spooled can never be joined to the recording, which takes nothing more then. */
  #stuck: ArchiveError | undefined;
  /** An append on its way into the file. */
  #adding: Promise<void> | undefined;
  /** Whether the archive takes what is drained. */
  #answers = false;
  /** Bytes that were drained. */
  #moved = 0;
  /** Replaced whenever something of the above changes. */
  #news = Promise.withResolvers<void>();
  /** The file is being deleted. */
  #ending: Promise<void> | undefined;
  #closed = false;

  constructor(parts: SpoolParts, spool: Spool, session: SpooledSession) {
    this.#parts = parts;
    this.#spool = spool;
    this.#session = session;
  }

  async append(bytes: Uint8Array): Promise<void> {
    if (this.#answers && (await this.#inTime(this.#turn(bytes.length))) === LATE) this.#answers = false;
    await this.#ending;
    if (this.#stuck !== undefined) throw this.#stuck;
    if (this.#file !== undefined) return await this.#add(this.#file, bytes, this.#kept.promise);
    // After a rejection the same bytes come again: the call that was late may have been answered since.
    this.#flight ??= this.#send(bytes);
    const { from, settled } = this.#flight;
    const answer = await this.#inTime(settled);
    if (answer !== LATE) this.#flight = undefined;
    if (answer === undefined) return;
    if (answer !== LATE && FINAL.has(answer.code)) throw answer;
    const refusal = answer === LATE ? this.#tooLate() : answer;
    const { sessionId } = this.#session;
    this.#file = await this.#spool.begin({ ...this.#session, from }, bytes, refusal);
    const kept = Promise.withResolvers<void>();
    this.#kept = kept;
    void this.#drain(this.#file);
    this.#parts.marked(sessionId).then(kept.resolve, () => {});
    await kept.promise;
  }

  /**
   * Once the archive is back, it is given twice of what is new before that comes on top: whoever writes
   * faster than the archive takes would else be spooled for ever.
   */
  async #turn(bytes: number): Promise<void> {
    const goal = this.#moved + 2 * bytes;
    while (this.#file !== undefined && this.#answers && this.#moved < goal) await this.#news.promise;
  }

  #tell(answers: boolean, moved: number): void {
    this.#answers = answers;
    this.#moved += moved;
    const { resolve } = this.#news;
    this.#news = Promise.withResolvers();
    resolve();
  }

  /** What is spooled is drained all the same. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#file === undefined) await this.#closeInner();
  }

  async #closeInner(): Promise<void> {
    await this.#flight?.settled;
    const inner = this.#inner;
    this.#inner = undefined;
    await inner?.close();
  }

  async #add(file: SpoolFile, bytes: Uint8Array, kept: Promise<void>): Promise<void> {
    this.#adding = file.add(bytes);
    try {
      await this.#adding;
    } finally {
      this.#adding = undefined;
    }
    await kept;
  }

  /** Hands the archive a copy: it may still be reading when the caller uses its memory for something else. */
  #send(bytes: Uint8Array): Flight {
    const { archive, pool } = this.#parts;
    const { sessionId, startedAt } = this.#session;
    const chunk = pool.take(bytes.length);
    chunk.set(bytes);
    const copy = chunk.subarray(0, bytes.length);
    const sending = async (): Promise<ArchiveError | undefined> => {
      try {
        if (this.#inner === undefined) this.#inner = await archive.create(sessionId, startedAt, copy);
        else await this.#inner.append(copy);
        this.#archived += copy.length;
        return undefined;
      } catch (error) {
        return error instanceof ArchiveError
          ? error
          : new ArchiveError('archive-io', 'the archive refused an append for an unknown reason', error);
      } finally {
        pool.give(chunk);
      }
    };
    return { from: this.#archived, settled: sending() };
  }

  /** What the archive answers, if it does in time. */
  async #inTime<T>(answering: Promise<T>): Promise<T | typeof LATE> {
    const { clock, patienceMs } = this.#parts;
    const { promise, resolve } = Promise.withResolvers<typeof LATE>();
    const cancel = clock.after(patienceMs, () => resolve(LATE));
    const answer = await Promise.race([answering, promise]);
    cancel();
    return answer;
  }

  #tooLate(): ArchiveError {
    return new ArchiveError(
      'archive-timeout',
      `the archive did not answer within ${this.#parts.patienceMs} ms`,
    );
  }

  /** Drains the file until it has nothing that the archive has not; never rejects. */
  async #drain(file: SpoolFile): Promise<void> {
    await this.#flight?.settled;
    this.#flight = undefined;
    const { archive, clock } = this.#parts;
    const drain = new SpoolDrain(archive, file, this.#inner, this.#archived, true);
    const backoff = new Backoff(FIRST_RETRY_MS, MAX_RETRY_MS);
    for (;;) {
      try {
        await this.#adding?.catch(() => {});
        while (!drain.done) {
          const before = drain.archived;
          await this.#spool.inTurn(() => drain.step());
          this.#tell(true, drain.archived - before);
          backoff.reset();
        }
        await this.#spool.inTurn(() => drain.confirm());
        if (drain.done && this.#adding === undefined) break;
      } catch (error) {
        this.#tell(false, 0);
        if (error instanceof ArchiveError && error.code === 'spool-conflict') {
          this.#inner = drain.appender;
          return await this.#giveUp(file, error);
        }
        await new Promise<void>((resolve) => void clock.after(backoff.next(), resolve));
      }
    }
    this.#inner = drain.appender;
    this.#archived = drain.archived;
    this.#file = undefined;
    this.#kept.resolve();
    this.#ending = this.#spool.end(file);
    this.#tell(false, 0);
    await this.#ending;
    this.#ending = undefined;
    if (this.#closed) await this.#closeInner().catch(() => {});
  }

  /** The file stays as it is, for people to look at. Never rejects. */
  async #giveUp(file: SpoolFile, error: ArchiveError): Promise<void> {
    this.#stuck = error;
    await this.#adding?.catch(() => {});
    this.#file = undefined;
    this.#kept.promise.catch(() => {});
    this.#kept.reject(error);
    await file.close().catch(() => {});
    this.#spool.stuck(this.#session.sessionId, error);
    if (this.#closed) await this.#closeInner().catch(() => {});
  }
}

function alsoFull(refusal: ArchiveError, error: unknown): ArchiveError {
  return new ArchiveError(refusal.code, `${refusal.message}; ${wordsOf(error)}`, error);
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
