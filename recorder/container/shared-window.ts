/**
 * Bounds the memory of all recordings of a thread. When it runs short, those that hold more than their
 * share are stopped; when it is all but used, everyone but those that hold next to nothing. A keystroke
 * is never held up because others copy files.
 */
import type { ChunkPool } from './segment-buffer.ts';

/** A recording, as far as it shares memory with others. */
export interface Sharer {
  /** Bytes that it has taken and not got rid of. */
  readonly held: number;
  /** Takes nothing more until it is asked again. */
  stop(): void;
  /** Asks whether it can go on; it calls {@link SharedWindow.waits} when it cannot. */
  resumeIfRoom(): void;
}

/** Less would be used up by what a few legs have read. */
export const MIN_SHARED_BYTES = 4 * 1024 * 1024;

export class SharedWindow {
  readonly #pool: ChunkPool;
  /** Everyone that holds something. */
  readonly #members: ReadonlySet<Sharer>;
  readonly #waiting = new Set<Sharer>();
  /** Memory lent at which those over their share are stopped. */
  readonly #short: number;
  /**
   * And all that hold more than next to nothing. Framing lends as much again as the events take that it
   * packs, and a leg that is stopped gives the rest of its read: the whole is never more than the limit.
   */
  readonly #full: number;
  /** Next to nothing, for all together. */
  readonly #small: number;
  #allStopped = false;

  /** `limit`: bytes, from {@link MIN_SHARED_BYTES}. `readAhead`: what a leg may still give when it is stopped. */
  constructor(limit: number, readAhead: number, pool: ChunkPool, members: ReadonlySet<Sharer>) {
    this.#pool = pool;
    this.#members = members;
    this.#short = limit / 4;
    this.#full = limit / 2 - readAhead;
    this.#small = limit / 16;
  }

  /** `sharer` has taken bytes: stops it, or everyone, when there are too many. */
  taken(sharer: Sharer): void {
    const { lent } = this.#pool;
    if (lent < this.#short) return;
    if (lent >= this.#full) this.#stopAll(sharer);
    else if (sharer.held > this.#shareOf(this.#short)) this.#stop(sharer);
  }

  /** Whether a recording that was stopped may go on; the least holders first. */
  hasRoom(sharer: Sharer): boolean {
    const { lent } = this.#pool;
    if (lent * 2 < this.#short || sharer.held * 2 <= this.#shareOf(this.#small)) return true;
    return lent * 4 < this.#full * 3 && sharer.held * 2 <= this.#shareOf(this.#short);
  }

  waits(sharer: Sharer): void {
    this.#waiting.add(sharer);
  }

  /** It goes on, or is over. */
  leaves(sharer: Sharer): void {
    this.#waiting.delete(sharer);
  }

  /** Memory was given back. */
  released(): void {
    if (this.#waiting.size === 0) return;
    this.#allStopped = false;
    for (const sharer of this.#waiting) if (this.hasRoom(sharer)) sharer.resumeIfRoom();
  }

  #shareOf(bytes: number): number {
    return bytes / Math.max(1, this.#members.size);
  }

  #stopAll(sharer: Sharer): void {
    const small = this.#shareOf(this.#small);
    if (sharer.held > small) this.#stop(sharer);
    if (this.#allStopped) return;
    this.#allStopped = true;
    for (const each of this.#members) if (each.held > small) this.#stop(each);
  }

  #stop(sharer: Sharer): void {
    this.#waiting.add(sharer);
    sharer.stop();
  }
}
