/** Collects the encoded events of the segment that is open, in memory lent by a pool. */
import type { EventKind } from '../format/event.ts';
import { encodeEventHead, MAX_EVENT_OVERHEAD } from '../format/event-codec.ts';
import type { PlainSegment } from './frames.ts';

/**
 * A keystroke's echo fits the first size, a full segment with its last 32 KiB event the
 * fourth, a batch of segments the last two.
 */
const CHUNK_BYTES = [4096, 16_384, 65_536, 320 * 1024, 1280 * 1024, 5 * 1024 * 1024] as const;
/**
 * Spare bytes kept per size: one burst of a worker's sessions, or what one at full speed has lent at a time
 * (its window, and a batch that is framed while another is appended). New memory for every batch costs more
 * than all that is done with it.
 */
const MAX_SPARE_BYTES = 16 * 1024 * 1024;

/** Lends chunks of memory, so that an idle recording holds none and a busy one makes no garbage. */
export class ChunkPool {
  readonly #spare = new Map<number, Buffer[]>(CHUNK_BYTES.map((size) => [size, []]));
  #lent = 0;

  /** Bytes of all chunks that are lent: everything that recordings hold. */
  get lent(): number {
    return this.#lent;
  }

  /** At least `length` bytes, contents undefined. */
  take(length: number): Buffer {
    const size = CHUNK_BYTES.find((bytes) => bytes >= length) ?? length;
    this.#lent += size;
    return this.#spare.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size);
  }

  /** Every chunk that was taken comes back, once. */
  give(chunk: Buffer): void {
    this.#lent -= chunk.length;
    const spare = this.#spare.get(chunk.length);
    if (spare !== undefined && (spare.length + 1) * chunk.length <= MAX_SPARE_BYTES) spare.push(chunk);
  }
}

export class SegmentBuffer {
  readonly #pool: ChunkPool;
  #chunk: Buffer;
  #length = 0;
  #events = 0;
  #lastAt: number;
  /** µs since the recording's start. */
  readonly firstAt: number;

  /** `hint`: bytes that will probably come. */
  constructor(pool: ChunkPool, firstAt: number, hint: number) {
    this.#pool = pool;
    this.#chunk = pool.take(hint);
    this.firstAt = firstAt;
    this.#lastAt = firstAt;
  }

  get length(): number {
    return this.#length;
  }

  /** Copies one event in; `at` not before the last one's. Returns how many bytes it took. */
  add(at: number, kind: EventKind, channel: number, payload: Uint8Array): number {
    const before = this.#length;
    this.#reserve(before + MAX_EVENT_OVERHEAD + payload.length);
    const next = encodeEventHead(this.#chunk, before, at - this.#lastAt, kind, channel, payload.length);
    this.#chunk.set(payload, next);
    this.#length = next + payload.length;
    this.#lastAt = at;
    this.#events += 1;
    return this.#length - before;
  }

  /** The segment with its memory, which its new owner gives back to the pool. */
  finish(): PlainSegment {
    const { firstAt } = this;
    return { chunk: this.#chunk, length: this.#length, firstAt, lastAt: this.#lastAt, events: this.#events };
  }

  #reserve(length: number): void {
    if (length <= this.#chunk.length) return;
    const larger = this.#pool.take(length);
    larger.set(this.#chunk.subarray(0, this.#length));
    this.#pool.give(this.#chunk);
    this.#chunk = larger;
  }
}
