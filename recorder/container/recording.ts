/**
 * One live recording: events in, and the durability window between them and the archive.
 *
 *     write → open segment → (full or old enough) cut → outbox → acknowledged
 *
 * Bytes taken and not yet acknowledged are bounded in size and age by telling the session to pause.
 */
import { ArchiveError } from '../archive/port.ts';
import type { EventKind } from '../format/event.ts';
import { Outbox } from './outbox.ts';
import type { Recording, RecordingLag, RecordingParts, RecordingSummary } from './recording-port.ts';
import type { OwnedStreamHash, StreamHash } from './scribe.ts';
import { SegmentBuffer } from './segment-buffer.ts';
import type { Sharer } from './shared-window.ts';

/** A segment is cut at this size, or sooner when the window is small. */
const SEGMENT_BYTES = 256 * 1024;
/**
 * Or at an age between these, and these shares of a small window: the older, the sooner the archive answers. Each
 * append costs the archive a write, and the session's thread about as much as a typed key does. Behind the oldest
 * half of the window is left, in which a spool takes over from an archive that no longer answers.
 */
const SEGMENT_MS = { least: 250, most: 400 };
const SEGMENT_SHARE = { least: 0.25, most: 0.4 };
/** Longer payloads become several events, so that a segment stays far under the format's bound. */
const MAX_PAYLOAD_BYTES = 4 * 1024 * 1024;
/**
 * What a session may still write once it is told to pause: the rest of the read that it is working on,
 * with what the events around it take. Kept free in the window, so that the window holds all the same.
 */
export const READ_AHEAD_BYTES = 512 * 1024;
/**
 * Share of what makes a session pause that may be unacknowledged when it goes on: so much that the archive has
 * something to take while its legs begin to read again.
 */
const GOES_ON_SHARE = 0.85;
/** Bytes of streams on their way to be hashed at which the session pauses. */
const MAX_BEHIND_BYTES = 4 * 1024 * 1024;

export class LiveRecording implements Recording, Sharer {
  readonly #parts: RecordingParts;
  readonly #origin: number;
  #state: 'open' | 'sealing' | 'sealed' | 'failed' = 'open';

  #segment: SegmentBuffer | undefined;
  #segmentOpenedAt = 0;
  /** Size of the segment before, to lend the next one enough at once. */
  #sizeHint = 0;
  readonly #outbox: Outbox;
  /** Why the archive refused what it has not taken yet. */
  #refusal: ArchiveError | undefined;

  #unacknowledged = 0;
  /** Bytes of streams that were taken and are not hashed yet. */
  #behind = 0;
  /** Streams that nobody has asked the digest of. */
  readonly #streams = new Set<OwnedStreamHash>();
  /** Digests asked for and not there yet. */
  #digests = 0;

  #pausedSince: number | undefined;
  #sealing: { readonly since: number; readonly reason: string } | undefined;
  #sealed: PromiseWithResolvers<RecordingSummary> | undefined;
  #acknowledged: RecordingSummary;

  constructor(parts: RecordingParts) {
    this.#parts = parts;
    this.#origin = parts.origin;
    this.#outbox = new Outbox(parts, {
      acknowledged: (plain) => this.#acknowledge(plain),
      refused: (error) => {
        this.#refusal = error;
        if (parts.failFast || error.code === 'spool-conflict') this.#fail(error);
      },
    });
    this.#acknowledged = { ...this.#outbox.progress, sealed: false };
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

  /** Age at which a segment is cut: half of the window is left for the archive, or more where it took longer. */
  get #segmentMs(): number {
    const { ms } = this.#parts.window;
    const least = Math.min(SEGMENT_MS.least, SEGMENT_SHARE.least * ms);
    const most = Math.min(SEGMENT_MS.most, SEGMENT_SHARE.most * ms);
    return Math.max(least, Math.min(most, ms / 2 - this.#outbox.appendMs));
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
    void this.#finish(this.#sealing.reason);
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
    if (this.#segment !== undefined && now - this.#segmentOpenedAt >= this.#segmentMs) this.#cutSegment();
    const oldest = this.#oldest();
    if (oldest !== undefined && now - oldest >= window.ms) this.#pause(now);
    const stalledSince = this.#pausedSince ?? this.#sealing?.since;
    if (stalledSince !== undefined && now - stalledSince >= window.graceSeconds * 1000) {
      this.#fail(
        this.#refusal ??
          new ArchiveError(
            'archive-timeout',
            `the archive did not catch up with the session for ${window.graceSeconds} seconds`,
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
    this.#outbox.add({ ...buffer.finish(), openedAt: this.#segmentOpenedAt });
  }

  #oldest(): number | undefined {
    return this.#outbox.oldest ?? (this.#segment === undefined ? undefined : this.#segmentOpenedAt);
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
    if (this.#unacknowledged > GOES_ON_SHARE * this.#fullBytes || this.#behind * 2 > MAX_BEHIND_BYTES) return;
    if (oldest !== undefined && (clock.now() - oldest) * 2 > window.ms) return;
    if (!shared.hasRoom(this)) return shared.waits(this);
    shared.leaves(this);
    observer?.resumed((clock.now() - this.#pausedSince) / 1000);
    this.#pausedSince = undefined;
    if (this.#state === 'open') signals.resume();
  }

  #acknowledge(plain: number): void {
    this.#refusal = undefined;
    this.#unacknowledged -= plain;
    this.#acknowledged = { ...this.#outbox.progress, sealed: false };
    this.resumeIfRoom();
    this.#parts.shared.released();
  }

  async #finish(reason: string): Promise<void> {
    const facts = await this.#outbox.finish(reason);
    if (facts === undefined) return;
    this.#state = 'sealed';
    const spooled = this.#parts.spooled();
    this.#acknowledged = spooled ? { ...facts, sealed: false, spooled } : { ...facts, sealed: true };
    this.#parts.shared.leaves(this);
    await this.#outbox.close();
    this.#sealed?.resolve(this.#acknowledged);
    this.#parts.onSealed(facts.bytes);
  }

  #fail(error: ArchiveError): void {
    if (this.#state !== 'open' && this.#state !== 'sealing') return;
    this.#state = 'failed';
    this.#giveUp();
    this.#parts.signals.failed(error);
    this.#sealed?.resolve(this.#acknowledged);
  }

  /** Gives back all memory but that of appends in flight. */
  #giveUp(): void {
    const { pool, shared } = this.#parts;
    if (this.#segment !== undefined) pool.give(this.#segment.finish().chunk);
    this.#segment = undefined;
    this.#outbox.drop();
    this.#unacknowledged = 0;
    this.#dropStreams();
    shared.leaves(this);
    shared.released();
  }

  #dropStreams(): void {
    for (const stream of this.#streams) stream.drop();
    this.#streams.clear();
  }
}
