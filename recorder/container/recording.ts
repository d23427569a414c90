/**
 * One live recording: events in, durable frames out, and the durability window between.
 *
 *     write → open segment → (full or 250 ms old) cut → framed by the scribe → append → acknowledged
 *
 * One append is in flight; what was cut before it is framed meanwhile, and what is cut meanwhile goes
 * together into one behind that. Bytes taken and not yet acknowledged are bounded in size and age by
 * telling the session to pause.
 */
import { ArchiveError } from '../archive/port.ts';
import type { EventKind } from '../format/event.ts';
import type { PlainSegment } from './frames.ts';
import type { Recording, RecordingLag, RecordingParts, RecordingSummary } from './recording-port.ts';
import type { OwnedStreamHash, StreamHash } from './scribe.ts';
import { SegmentBuffer } from './segment-buffer.ts';
import type { Sharer } from './shared-window.ts';

/** A segment is cut at this size or age, or sooner when the window is small. */
const SEGMENT_BYTES = 256 * 1024;
const SEGMENT_MS = 250;
/** Longer payloads become several events, so that a segment stays far under the format's bound. */
const MAX_PAYLOAD_BYTES = 4 * 1024 * 1024;
/**
 * What a session may still write once it is told to pause: the rest of the read that it is working on,
 * with what the events around it take. Kept free in the window, so that the window holds all the same.
 */
export const READ_AHEAD_BYTES = 512 * 1024;
/** Bytes of streams on their way to be hashed at which the session pauses. */
const MAX_BEHIND_BYTES = 4 * 1024 * 1024;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 2000;

interface CutSegment extends PlainSegment {
  /** When its first byte was taken, by the clock. */
  readonly openedAt: number;
}

export class LiveRecording implements Recording, Sharer {
  readonly #parts: RecordingParts;
  readonly #origin: number;
  #state: 'open' | 'sealing' | 'sealed' | 'failed' = 'open';

  #segment: SegmentBuffer | undefined;
  #segmentOpenedAt = 0;
  /** Size of the segment before, to lend the next one enough at once. */
  #sizeHint = 0;
  #cut: CutSegment[] = [];

  #unacknowledged = 0;
  /** Bytes of streams that were taken and are not hashed yet. */
  #behind = 0;
  /** Streams that nobody has asked the digest of. */
  readonly #streams = new Set<OwnedStreamHash>();
  /** Digests asked for and not there yet. */
  #digests = 0;
  /** When the first byte was taken of each batch that is framed or appended, by the clock. */
  readonly #batches: number[] = [];
  #pumping = false;
  #appendError: ArchiveError | undefined;

  #pausedSince: number | undefined;
  #sealing: { readonly since: number; readonly reason: string } | undefined;
  #sealed: PromiseWithResolvers<RecordingSummary> | undefined;
  #acknowledged: RecordingSummary;

  constructor(parts: RecordingParts) {
    this.#parts = parts;
    this.#origin = parts.origin;
    this.#acknowledged = { segments: 0, bytes: parts.headerBytes, head: parts.chain.head, sealed: false };
  }

  /** What the archive has acknowledged so far; another object whenever that is more. */
  get progress(): RecordingSummary {
    return this.#acknowledged;
  }

  get paused(): boolean {
    return this.#pausedSince !== undefined || this.#state === 'failed';
  }

  get held(): number {
    return this.#unacknowledged + this.#behind;
  }

  /** How far the archive is behind; `now` by the clock. */
  lag(now: number): RecordingLag {
    const { window } = this.#parts;
    const oldest = this.#oldest();
    const ms = oldest === undefined ? 0 : Math.max(0, now - oldest);
    return {
      bytes: this.#unacknowledged,
      ms,
      fill: Math.max(this.#unacknowledged / this.#fullBytes, ms / window.ms),
    };
  }

  /** Unacknowledged bytes at which the session is told to pause. */
  get #fullBytes(): number {
    const { bytes } = this.#parts.window;
    return bytes - Math.min(READ_AHEAD_BYTES, bytes / 2);
  }

  /** Stops the session for the sake of others. */
  stop(): void {
    this.#pause(this.#parts.clock.now());
  }

  write(kind: EventKind, channel: number, payload: Uint8Array): void {
    if (this.#state !== 'open') return;
    let rest = payload;
    while (rest.length > MAX_PAYLOAD_BYTES) {
      this.#take(kind, channel, rest.subarray(0, MAX_PAYLOAD_BYTES));
      rest = rest.subarray(MAX_PAYLOAD_BYTES);
    }
    this.#take(kind, channel, rest);
  }

  note(kind: EventKind, channel: number, value: object): void {
    this.write(kind, channel, Buffer.from(JSON.stringify(value)));
  }

  hashStream(): StreamHash {
    const { scribe, shared } = this.#parts;
    const stream = scribe.stream((bytes) => this.#moveBehind(bytes));
    this.#streams.add(stream);
    return {
      update: (bytes) => {
        if (!this.#streams.has(stream)) return;
        stream.update(bytes);
        shared.taken(this);
      },
      digest: (then) => {
        if (!this.#streams.delete(stream)) return;
        this.#digests += 1;
        stream.digest((sha256) => {
          this.#digests -= 1;
          then(sha256);
          this.#sealIfComplete();
        });
      },
    };
  }

  seal(reason: string): Promise<RecordingSummary> {
    if (this.#state === 'failed') return Promise.resolve(this.#acknowledged);
    if (this.#sealed === undefined) {
      this.#sealed = Promise.withResolvers();
      this.#sealing = { since: this.#parts.clock.now(), reason };
      this.#parts.wake(this);
      this.#sealIfComplete();
    }
    return this.#sealed.promise;
  }

  /** Takes nothing more once everything that was begun is written. */
  #sealIfComplete(): void {
    if (this.#sealing === undefined || this.#digests > 0 || this.#state !== 'open') return;
    this.#state = 'sealing';
    this.#dropStreams();
    this.#cutSegment();
    this.#startPump();
  }

  #moveBehind(bytes: number): void {
    this.#behind += bytes;
    if (this.#behind >= MAX_BEHIND_BYTES) this.#pause(this.#parts.clock.now());
    else if (bytes < 0) this.resumeIfRoom();
    if (bytes < 0) this.#parts.shared.released();
  }

  /** Acts on the time gone by; `now` by the clock. Returns whether anything is left to watch. */
  tick(now: number): boolean {
    const { window } = this.#parts;
    if (this.#segment !== undefined && now - this.#segmentOpenedAt >= Math.min(SEGMENT_MS, window.ms / 4)) {
      this.#cutSegment();
    }
    const oldest = this.#oldest();
    if (oldest !== undefined && now - oldest >= window.ms) this.#pause(now);
    const stalledSince = this.#pausedSince ?? this.#sealing?.since;
    if (stalledSince !== undefined && now - stalledSince >= window.graceSeconds * 1000) {
      this.#fail(
        this.#appendError ??
          new ArchiveError(
            'archive-timeout',
            `the archive acknowledged nothing for ${window.graceSeconds} seconds`,
          ),
      );
    }
    return (
      (this.#state === 'open' && (this.#unacknowledged > 0 || this.#sealing !== undefined)) ||
      this.#state === 'sealing'
    );
  }

  #take(kind: EventKind, channel: number, payload: Uint8Array): void {
    const { clock, pool, shared, window, wake } = this.#parts;
    const now = clock.now();
    // The clock is monotonic, so times of events never decrease.
    const at = Math.floor((now - this.#origin) * 1000);
    if (this.#segment === undefined) {
      this.#segment = new SegmentBuffer(pool, at, this.#sizeHint);
      this.#segmentOpenedAt = now;
      if (this.#unacknowledged === 0) wake(this);
    }
    this.#unacknowledged += this.#segment.add(at, kind, channel, payload);
    // A window smaller than a few segments would otherwise wait for the clock each time.
    if (this.#segment.length >= Math.min(SEGMENT_BYTES, window.bytes / 4)) this.#cutSegment();
    if (this.#unacknowledged >= this.#fullBytes) this.#pause(now);
    shared.taken(this);
  }

  #cutSegment(): void {
    const buffer = this.#segment;
    if (buffer === undefined) return;
    this.#segment = undefined;
    this.#sizeHint = buffer.length;
    this.#cut.push({ ...buffer.finish(), openedAt: this.#segmentOpenedAt });
    this.#startPump();
  }

  #oldest(): number | undefined {
    return (
      this.#batches[0] ??
      this.#cut[0]?.openedAt ??
      (this.#segment === undefined ? undefined : this.#segmentOpenedAt)
    );
  }

  #pause(now: number): void {
    if (this.#pausedSince !== undefined) return;
    this.#pausedSince = now;
    this.#parts.observer?.paused();
    if (this.#state === 'open') this.#parts.signals.pause();
  }

  resumeIfRoom(): void {
    if (this.#pausedSince === undefined) return;
    const { clock, observer, shared, window, signals } = this.#parts;
    const oldest = this.#oldest();
    if (this.#unacknowledged * 2 > window.bytes || this.#behind * 2 > MAX_BEHIND_BYTES) return;
    if (oldest !== undefined && (clock.now() - oldest) * 2 > window.ms) return;
    if (!shared.hasRoom(this)) return shared.waits(this);
    shared.leaves(this);
    observer?.resumed((clock.now() - this.#pausedSince) / 1000);
    this.#pausedSince = undefined;
    if (this.#state === 'open') signals.resume();
  }

  #startPump(): void {
    if (this.#pumping || this.#state === 'failed') return;
    this.#pumping = true;
    void this.#pump();
  }

  /** Appends until nothing is cut, then the manifest when the recording is to be sealed. Never rejects. */
  async #pump(): Promise<void> {
    let last: Batch | undefined;
    /** Framed while the one before it is appended. */
    let ahead: Promise<Batch> | undefined;
    while ((ahead !== undefined || this.#cut.length > 0) && this.#state !== 'failed') {
      const batch = await (ahead ?? this.#nextBatch());
      ahead = undefined;
      if (this.#cut.length === 0 && this.#state === 'sealing') {
        // Nothing comes behind it but the manifest: one append takes both.
        last = batch;
        break;
      }
      const appended = this.#append(batch.bytes);
      if (this.#cut.length > 0) ahead = this.#nextBatch();
      if (!(await appended)) {
        this.#parts.pool.give(batch.chunk);
        break;
      }
      this.#acknowledge(batch);
    }
    if (ahead !== undefined) this.#parts.pool.give((await ahead).chunk);
    if (this.#state === 'sealing' && this.#sealing !== undefined)
      await this.#finish(this.#sealing.reason, last);
    this.#pumping = false;
    if (this.#state === 'failed') await this.#close();
  }

  async #nextBatch(): Promise<Batch> {
    this.#batches.push(this.#cut[0]?.openedAt ?? this.#parts.clock.now());
    const { chain, scribe } = this.#parts;
    const segments: PlainSegment[] = [];
    let plain = 0;
    while (plain < MAX_BATCH_BYTES) {
      const segment = this.#cut.shift();
      if (segment === undefined) break;
      const { openedAt: _, ...facts } = segment;
      segments.push(facts);
      plain += segment.length;
    }
    const { framed, target } = await scribe.frame(chain.link, segments);
    chain.enter(segments, framed);
    const length = framed.lengths.reduce((sum, each) => sum + each, 0);
    return {
      chunk: target,
      bytes: target.subarray(0, length),
      plain,
      segments: chain.segments,
      head: chain.head,
    };
  }

  /** Tries until the archive has taken `bytes` (true) or the recording has failed (false). */
  async #append(bytes: Uint8Array): Promise<boolean> {
    const { appender, clock, observer } = this.#parts;
    for (let delay = FIRST_RETRY_MS; ; delay = Math.min(delay * 2, MAX_RETRY_MS)) {
      if (this.#state === 'failed') return false;
      const begun = clock.now();
      try {
        await appender.append(bytes);
        observer?.appended((clock.now() - begun) / 1000, bytes.length);
        this.#appendError = undefined;
        return !this.#hasFailed();
      } catch (error) {
        observer?.refused();
        this.#appendError =
          error instanceof ArchiveError
            ? error
            : new ArchiveError('archive-io', 'the archive refused an append for an unknown reason', error);
        if (this.#parts.failFast) this.#fail(this.#appendError);
        else await new Promise<void>((resolve) => void clock.after(delay, resolve));
      }
    }
  }

  /** A method, because the state changes while an append is awaited. */
  #hasFailed(): boolean {
    return this.#state === 'failed';
  }

  #acknowledge(batch: Batch): void {
    this.#batches.shift();
    this.#parts.pool.give(batch.chunk);
    this.#unacknowledged -= batch.plain;
    const bytes = this.#acknowledged.bytes + batch.bytes.length;
    this.#acknowledged = { segments: batch.segments, bytes, head: batch.head, sealed: false };
    this.resumeIfRoom();
    this.#parts.shared.released();
  }

  /** Appends the manifest, behind `last` where segments are left. */
  async #finish(reason: string, last: Batch | undefined): Promise<void> {
    const { chain, signer } = this.#parts;
    const { segments } = chain;
    const manifest = chain.manifest(reason, Date.now(), signer);
    const bytes = last === undefined ? manifest : Buffer.concat([last.bytes, manifest]);
    const taken = await this.#append(bytes);
    if (last !== undefined && taken) this.#acknowledge(last);
    else if (last !== undefined) this.#parts.pool.give(last.chunk);
    if (!taken) return;
    this.#state = 'sealed';
    const length = this.#acknowledged.bytes + manifest.length;
    const facts = { segments, bytes: length, head: chain.head };
    const spooled = this.#parts.spooled();
    this.#acknowledged = spooled ? { ...facts, sealed: false, spooled } : { ...facts, sealed: true };
    this.#parts.shared.leaves(this);
    await this.#close();
    this.#sealed?.resolve(this.#acknowledged);
    this.#parts.onSealed(length);
  }

  #fail(error: ArchiveError): void {
    if (this.#state !== 'open' && this.#state !== 'sealing') return;
    this.#state = 'failed';
    this.#giveUp();
    this.#parts.signals.failed(error);
    this.#sealed?.resolve(this.#acknowledged);
    // A running pump closes when its append is settled, which may be never.
    if (!this.#pumping) void this.#close();
  }

  /** Gives back all memory but that of an append in flight. */
  #giveUp(): void {
    const { pool, shared } = this.#parts;
    if (this.#segment !== undefined) pool.give(this.#segment.finish().chunk);
    this.#segment = undefined;
    for (const { chunk } of this.#cut) pool.give(chunk);
    this.#cut = [];
    this.#unacknowledged = 0;
    this.#dropStreams();
    shared.leaves(this);
    shared.released();
  }

  #dropStreams(): void {
    for (const stream of this.#streams) stream.drop();
    this.#streams.clear();
  }

  /** Everything that matters is durable or given up by now: an error of closing changes nothing. */
  async #close(): Promise<void> {
    await this.#parts.appender.close().catch(() => {});
  }
}

interface Batch {
  /** Lent by the pool. */
  readonly chunk: Buffer;
  /** Frames, in the chunk. */
  readonly bytes: Uint8Array;
  /** How many encoded bytes they hold. */
  readonly plain: number;
  /** Segments and head of the chain with them. */
  readonly segments: number;
  readonly head: string;
}
