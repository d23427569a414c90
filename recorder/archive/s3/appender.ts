/**
 * The writing end of a recording. Small appends are durable in the thread's journal and kept in memory too,
 * until there are enough of them, or they are old, to become a part of the recording's own. Large ones
 * become a part at once, with what was kept before them; so does what is appended while another append is
 * under way, whose part may be there before that.
 */
import { Limit } from '../limit.ts';
import { type ArchiveAppender, ArchiveError } from '../port.ts';
import type { Group, Journal } from './journal.ts';
import { newEra, type RecordingNames } from './names.ts';
import type { ObjectStore } from './store.ts';

/** An append of this size becomes a part. */
const LARGE_BYTES = 64 * 1024;
/** What is kept becomes a part at this size; at the next append for certain at the second. */
const PART_BYTES = 256 * 1024;
const MAX_KEPT_BYTES = 1024 * 1024;
/** Kept by all recordings of a thread; above it, parts are made at `LARGE_BYTES`. */
const MAX_ALL_KEPT_BYTES = 32 * 1024 * 1024;
/** Age at which what is kept becomes a part: spread, so that sessions that begin together do not go on so. */
const PART_MS = 30_000;
const PART_SPREAD_MS = 30_000;
/** An append that comes so soon after the one before had to wait for it: more will. */
const AT_ONCE_MS = 25;
const RETRY_MS = 5000;
const SWEEP_MS = 1000;
/** Journal groups are deleted together, after so many sweeps. */
const SWEEPS_PER_DELETION = 10;
/** Parts that are made beside the appends of sessions, and large appends, at once. */
const BESIDE_AT_ONCE = 8;
const LARGE_AT_ONCE = 16;
/** Of one recording: its window has no more to give while a segment of the same size is made. */
const APPENDS_AT_ONCE = 2;

/**
 * The latest eras whose first part may come to be yet, though its request failed, by archive and session. The next one
 * goes behind them: a part that comes late would otherwise end all that was written since. Of the thread, because who
 * tries again may have opened the archive anew.
 */
const doubtful = new Map<string, string>();
const MAX_DOUBTFUL = 10_000;

function doubt(where: string, era: string): void {
  doubtful.delete(where);
  doubtful.set(where, era);
  const [oldest] = doubtful.keys();
  if (doubtful.size > MAX_DOUBTFUL && oldest !== undefined) doubtful.delete(oldest);
}

/** What the appenders of a thread share. */
export class Writer {
  readonly store: ObjectStore;
  readonly journal: Journal;
  readonly beside = new Limit(BESIDE_AT_ONCE);
  readonly large = new Limit(LARGE_AT_ONCE);
  /** Bytes kept by all appenders. */
  kept = 0;
  readonly #appenders = new Set<S3Appender>();
  #open = 0;
  #timer: NodeJS.Timeout | undefined;
  #sweeps = 0;

  constructor(store: ObjectStore, journal: Journal) {
    this.store = store;
    this.journal = journal;
  }

  opened(appender: S3Appender): void {
    this.#appenders.add(appender);
    this.#open += 1;
    // It ends with the process: what is left in the journal then is still there.
    this.#timer ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  /** `done`: nothing of it is in the journal any more. */
  async closed(appender: S3Appender, done: boolean): Promise<void> {
    this.#open -= 1;
    if (done) this.#appenders.delete(appender);
    if (this.#open === 0) await this.journal.sweep();
  }

  #sweep(): void {
    const now = performance.now();
    for (const appender of this.#appenders) {
      if (appender.dueAt <= now) appender.makePart();
      else if (appender.isDone) this.#appenders.delete(appender);
    }
    this.#sweeps += 1;
    if (this.#sweeps % SWEEPS_PER_DELETION === 0) void this.journal.sweep();
    if (this.#appenders.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

interface Kept {
  readonly bytes: Uint8Array;
  readonly group: Group;
}

export interface AppenderPlace {
  readonly sessionId: string;
  /** `yyyy/mm/dd` */
  readonly day: string;
  readonly names: RecordingNames;
}

export class S3Appender implements ArchiveAppender {
  readonly atOnce = APPENDS_AT_ONCE;
  readonly #writer: Writer;
  readonly #place: AppenderPlace;
  readonly #era: string;
  /** INVARIANT: parts hold the recording up to here, the journal and `#kept` from here to `#end`. */
  #start: number;
  #end: number;
  #kept: Kept[] = [];
  /** Ends of parts behind `#end`, which something is still missing before, by where they start. */
  readonly #beyond = new Map<number, number>();
  #dueAt = Number.POSITIVE_INFINITY;
  /** One part at a time, so that none overtakes another. */
  readonly #parts = new Limit(1);
  /** Whether one waits or is made beside the appends. */
  #making = false;
  /** After one that failed, by performance.now(). */
  #notBefore = 0;
  /** When an append was last acknowledged, by performance.now(). */
  #acknowledgedAt = Number.NEGATIVE_INFINITY;
  #closed = false;

  private constructor(writer: Writer, place: AppenderPlace, era: string, end: number) {
    this.#writer = writer;
    this.#place = place;
    this.#era = era;
    this.#start = end;
    this.#end = end;
    writer.opened(this);
  }

  /**
   * Begins an era behind `before`: with the part `first` at `start`, up to where parts hold the recording.
   * A rejection leaves nothing behind.
   */
  static async begin(
    writer: Writer,
    place: AppenderPlace,
    before: string | undefined,
    first: Uint8Array,
    start: number,
  ): Promise<S3Appender> {
    const { store, journal } = writer;
    const where = `${store.description} ${place.sessionId}`;
    const era = newEra(before, doubtful.get(where));
    const end = start + first.length;
    const key = place.names.part({ start, end, era, last: false, journal: journal.name });
    try {
      await store.put(key, first);
      doubtful.delete(where);
    } catch (error) {
      doubt(where, era);
      // It may be there all the same. What failed is told; the cleaning up is best effort.
      void store.remove([key]).catch(() => {});
      throw error;
    }
    return new S3Appender(writer, place, era, end);
  }

  /** When what is kept is to become a part, by performance.now(). */
  get dueAt(): number {
    return this.#dueAt;
  }

  /** Whether it is closed and the journal holds nothing of it any more. */
  get isDone(): boolean {
    return this.#closed && this.#kept.length === 0;
  }

  async append(bytes: Uint8Array, at = this.#reach()): Promise<void> {
    if (this.#closed)
      throw new ArchiveError('archive-io', 'the recording is closed: nothing can be appended');
    if (at > this.#end) {
      await this.#writer.large.run(() => this.#putBeyond(bytes, at));
      return;
    }
    if (bytes.length >= LARGE_BYTES || this.#end - this.#start >= MAX_KEPT_BYTES) {
      await this.#parts.run(() => this.#writer.large.run(() => this.#putPart(bytes, false)));
      this.#acknowledgedAt = performance.now();
      return;
    }
    // A copy: the bytes are only lent, and outlive the call here.
    const own = new Uint8Array(bytes);
    const { sessionId, day } = this.#place;
    const era = this.#era;
    const hurried = performance.now() - this.#acknowledgedAt < AT_ONCE_MS;
    const piece = { sessionId, day, era, offset: at, bytes: own };
    const group = await this.#writer.journal.put(piece, hurried);
    this.#acknowledgedAt = performance.now();
    this.#keep({ bytes: own, group });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // What fails is tried again with the sweeps; all of it is durable in the journal.
    await this.#makePart();
    await this.#writer.closed(this, this.isDone);
  }

  /** Makes a part of what is kept, beside the appends. What fails is tried again later. */
  makePart(): void {
    if (!this.#making) void this.#makePart();
  }

  async #makePart(): Promise<void> {
    this.#making = true;
    this.#dueAt = Number.POSITIVE_INFINITY;
    try {
      await this.#parts.run(() => this.#writer.beside.run(() => this.#putPart(undefined, this.#closed)));
    } catch {
      this.#notBefore = performance.now() + RETRY_MS;
      this.#dueAt = this.#notBefore;
    } finally {
      this.#making = false;
    }
  }

  #keep(kept: Kept): void {
    if (this.#kept.length === 0) this.#dueAt = dueFromNow();
    this.#kept.push(kept);
    this.#end += kept.bytes.length;
    this.#writer.kept += kept.bytes.length;
    this.#join();
    const enough = this.#writer.kept > MAX_ALL_KEPT_BYTES ? LARGE_BYTES : PART_BYTES;
    if (this.#end - this.#start >= enough && performance.now() >= this.#notBefore) this.makePart();
  }

  /** A part of its own for an append that others before it are under way of. */
  async #putBeyond(bytes: Uint8Array, start: number): Promise<void> {
    const end = start + bytes.length;
    await this.#put(bytes, start, end, false);
    this.#beyond.set(start, end);
    this.#join();
  }

  /** Goes on behind the parts that nothing is missing before any more. */
  #join(): void {
    if (!this.#beyond.has(this.#end)) return;
    // What is kept has to be a part first: it is tried again until it is.
    if (this.#kept.length > 0) {
      this.makePart();
      return;
    }
    this.#start = this.#reach();
    this.#end = this.#start;
    for (const [start, end] of this.#beyond) if (end <= this.#end) this.#beyond.delete(start);
  }

  /** Up to where all is durable. */
  #reach(): number {
    let end = this.#end;
    for (let next = this.#beyond.get(end); next !== undefined; next = this.#beyond.get(end)) end = next;
    return end;
  }

  /** All that is kept, and `more` behind it, as a part. */
  async #putPart(more: Uint8Array | undefined, last: boolean): Promise<void> {
    // A copy: appends go on meanwhile, each one behind those before.
    const taken = [...this.#kept];
    const chunks = taken.map(({ bytes }) => bytes);
    if (more !== undefined) chunks.push(more);
    const [only] = chunks;
    const body = only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks);
    if (body.length === 0) return;
    const start = this.#start;
    const end = start + body.length;
    await this.#put(body, start, end, last);
    this.#start = end;
    this.#kept = this.#kept.slice(taken.length);
    if (more !== undefined) this.#end = end;
    for (const { group, bytes } of taken) {
      this.#writer.kept -= bytes.length;
      this.#writer.journal.release(group);
    }
    this.#dueAt = this.#kept.length > 0 ? dueFromNow() : Number.POSITIVE_INFINITY;
    this.#join();
  }

  async #put(bytes: Uint8Array, start: number, end: number, last: boolean): Promise<void> {
    const { store, journal } = this.#writer;
    const key = this.#place.names.part({ start, end, era: this.#era, last, journal: journal.name });
    await store.put(key, bytes);
  }
}

function dueFromNow(): number {
  return performance.now() + PART_MS + Math.random() * PART_SPREAD_MS;
}
