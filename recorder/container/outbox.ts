/**
 * What of one recording is on its way into the archive.
 *
 *     add → framed by the scribe → append → acknowledged
 *
 * While an append is under way, what is added goes together into the next, which is framed as soon as there is
 * enough for it, and which an archive that takes several at a time is given at once.
 */
import { type ArchiveAppender, ArchiveError } from '../archive/port.ts';
import { Backoff } from './backoff.ts';
import type { FrameChain, Signer } from './chain.ts';
import type { Clock } from './clock.ts';
import type { PlainSegment } from './frames.ts';
import type { RecorderObserver } from './recording-port.ts';
import type { Scribe } from './scribe.ts';
import type { ChunkPool } from './segment-buffer.ts';

const MAX_BATCH_BYTES = 4 * 1024 * 1024;
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 2000;

/** A segment that takes no more events. */
export interface CutSegment extends PlainSegment {
  /** When its first byte was taken, by the clock. */
  readonly openedAt: number;
}

export interface OutboxParts {
  readonly chain: FrameChain;
  readonly appender: ArchiveAppender;
  readonly signer: Signer;
  readonly clock: Clock;
  readonly pool: ChunkPool;
  readonly scribe: Scribe;
  /** Length of the header frame, already durable. */
  readonly headerBytes: number;
  readonly window: { readonly bytes: number };
  readonly observer: RecorderObserver | undefined;
}

export interface OutboxEvents {
  /** The archive has more; `plain`: how many bytes that were added. */
  acknowledged(plain: number): void;
  /** The archive refused an append, which is tried again unless the outbox is dropped in this call. */
  refused(error: ArchiveError): void;
}

/** How far the archive has the recording. */
export interface Progress {
  readonly segments: number;
  readonly bytes: number;
  /** Lower-case hex hash of the last frame. */
  readonly head: string;
}

interface Batch extends Progress {
  /** Lent by the pool. */
  readonly chunk: Buffer;
  /** Frames, in the chunk. */
  readonly frames: Uint8Array;
  /** Where they begin in the recording. */
  readonly at: number;
  /** How many encoded bytes they hold. */
  readonly plain: number;
}

export class Outbox {
  readonly #parts: OutboxParts;
  readonly #events: OutboxEvents;
  /** What has to be added to be worth an append of its own while another is under way. */
  readonly #share: number;
  #added: CutSegment[] = [];
  #addedBytes = 0;
  /** When the first byte was taken of each batch that is framed or appended, by the clock. */
  readonly #batches: number[] = [];
  #framing = false;
  /** Not given to the archive yet. */
  #framed: Batch | undefined;
  /** Bytes of the recording with all that is framed. */
  #end: number;
  /** Appends that are not acknowledged. */
  #flights = 0;
  /** Settled when the last of them is; those before it come first. */
  #landed: Promise<void> = Promise.resolve();
  #acknowledged: Progress;
  #appendMs = 0;
  #finishing:
    | { readonly reason: string; readonly done: PromiseWithResolvers<Progress | undefined> }
    | undefined;
  #manifestMade = false;
  #dropped = false;

  constructor(parts: OutboxParts, events: OutboxEvents) {
    this.#parts = parts;
    this.#events = events;
    // The window is for what is appended and for what is framed meanwhile.
    this.#share = parts.window.bytes / 2 / (parts.appender.atOnce ?? 1);
    this.#end = parts.headerBytes;
    this.#acknowledged = { segments: 0, bytes: parts.headerBytes, head: parts.chain.head };
  }

  /** What the archive has acknowledged so far; another object whenever that is more. */
  get progress(): Progress {
    return this.#acknowledged;
  }

  /** How long the archive took for the last append that it took. */
  get appendMs(): number {
    return this.#appendMs;
  }

  /** When the first byte was taken that is not acknowledged, by the clock. */
  get oldest(): number | undefined {
    return this.#batches[0] ?? this.#added[0]?.openedAt;
  }

  /** Takes the segment's memory over. */
  add(segment: CutSegment): void {
    this.#added.push(segment);
    this.#addedBytes += segment.length;
    this.#advance();
  }

  /**
   * Nothing is added any more: resolves when the archive has everything with the manifest behind it, or to
   * undefined when the outbox is dropped before. `reason`: for the manifest.
   */
  finish(reason: string): Promise<Progress | undefined> {
    const done = Promise.withResolvers<Progress | undefined>();
    this.#finishing = { reason, done };
    this.#advance();
    return done.promise;
  }

  /** Gives everything up, and all memory but that of appends under way; closes behind these. */
  drop(): void {
    this.#dropped = true;
    for (const { chunk } of this.#added) this.#parts.pool.give(chunk);
    this.#added = [];
    this.#finishing?.done.resolve(undefined);
    this.#advance();
  }

  /** Everything that matters is durable or given up by then: an error of closing changes nothing. */
  async close(): Promise<void> {
    await this.#parts.appender.close().catch(() => {});
  }

  /** Begins what can be done now: one framing, as many appends as the archive takes, at last the manifest. */
  #advance(): void {
    if (this.#dropped) {
      this.#clear();
      return;
    }
    const { atOnce = 1 } = this.#parts.appender;
    const framed = this.#framed;
    if (framed !== undefined && this.#flights < atOnce && !this.#isLast()) {
      this.#framed = undefined;
      void this.#launch(framed);
    }
    if (!this.#framing && this.#framed === undefined && this.#isWorthABatch()) void this.#frame();
    if (this.#finishing !== undefined && this.#isLast() && this.#flights === 0 && !this.#manifestMade) {
      this.#manifestMade = true;
      const { reason, done } = this.#finishing;
      void this.#appendManifest(reason).then(done.resolve);
    }
  }

  #isWorthABatch(): boolean {
    return this.#added.length > 0 && (this.#flights === 0 || this.#addedBytes >= this.#share);
  }

  /** Whether nothing comes behind what is framed but the manifest: one append takes both. */
  #isLast(): boolean {
    return this.#finishing !== undefined && this.#added.length === 0 && !this.#framing;
  }

  async #frame(): Promise<void> {
    this.#framing = true;
    this.#batches.push(this.#added[0]?.openedAt ?? this.#parts.clock.now());
    const { chain, scribe } = this.#parts;
    const segments: PlainSegment[] = [];
    let plain = 0;
    while (plain < MAX_BATCH_BYTES) {
      const segment = this.#added.shift();
      if (segment === undefined) break;
      const { openedAt: _, ...facts } = segment;
      segments.push(facts);
      plain += segment.length;
    }
    this.#addedBytes -= plain;
    const { framed, target } = await scribe.frame(chain.link, segments);
    chain.enter(segments, framed);
    const length = framed.lengths.reduce((sum, each) => sum + each, 0);
    const at = this.#end;
    this.#end += length;
    const { segments: upTo, head } = chain;
    const frames = target.subarray(0, length);
    this.#framed = { chunk: target, frames, at, plain, segments: upTo, bytes: this.#end, head };
    this.#framing = false;
    this.#advance();
  }

  /** Appends a batch, which is acknowledged when all before it are. */
  async #launch(batch: Batch): Promise<void> {
    this.#flights += 1;
    const before = this.#landed;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#landed = promise;
    const taken = await this.#append(batch.frames, batch.at);
    await before;
    this.#flights -= 1;
    this.#settle(batch, taken && !this.#dropped);
    resolve();
    this.#advance();
  }

  /** Appends the manifest, behind what is framed where something is. */
  async #appendManifest(reason: string): Promise<Progress | undefined> {
    const last = this.#framed;
    this.#framed = undefined;
    this.#flights += 1;
    const { chain, signer } = this.#parts;
    const { segments } = chain;
    const manifest = chain.manifest(reason, Date.now(), signer);
    const bytes = last === undefined ? manifest : Buffer.concat([last.frames, manifest]);
    const taken = await this.#append(bytes, last?.at ?? this.#end);
    this.#flights -= 1;
    if (last !== undefined) this.#settle(last, taken);
    if (taken) return { segments, bytes: this.#end + manifest.length, head: chain.head };
    this.#advance();
    return undefined;
  }

  #settle(batch: Batch, taken: boolean): void {
    this.#parts.pool.give(batch.chunk);
    if (!taken) return;
    this.#batches.shift();
    const { segments, bytes, head } = batch;
    this.#acknowledged = { segments, bytes, head };
    this.#events.acknowledged(batch.plain);
  }

  /** Tries until the archive has taken `bytes` (true) or the outbox is dropped (false). */
  async #append(bytes: Uint8Array, at: number): Promise<boolean> {
    const { appender, clock, observer } = this.#parts;
    const backoff = new Backoff(FIRST_RETRY_MS, MAX_RETRY_MS);
    while (!this.#dropped) {
      const begun = clock.now();
      try {
        await appender.append(bytes, at);
        this.#appendMs = clock.now() - begun;
        observer?.appended(this.#appendMs / 1000, bytes.length);
        return !this.#dropped;
      } catch (error) {
        observer?.refused();
        this.#events.refused(
          error instanceof ArchiveError
            ? error
            : new ArchiveError('archive-io', 'the archive refused an append for an unknown reason', error),
        );
        if (!this.#dropped) await new Promise<void>((resolve) => void clock.after(backoff.next(), resolve));
      }
    }
    return false;
  }

  /** Gives back what is left, and closes, once nothing is under way. */
  #clear(): void {
    if (this.#framed !== undefined) this.#parts.pool.give(this.#framed.chunk);
    this.#framed = undefined;
    if (this.#flights === 0 && !this.#framing) void this.close();
  }
}
