/**
 * The writing end of a thread's journal: small appends of all its recordings go together into one object, a
 * *group*, so that many sessions of people who type do not make an object each. A group is deleted once the
 * recordings' own objects hold all that is in it.
 */
import { encodeGroup, type Piece } from './group.ts';
import { type JournalName, journalKey, newInstance } from './names.ts';
import type { ObjectStore } from './store.ts';

/** A group is sent this long after the one before, where nothing else is said, or when it has so many bytes. */
const GROUP_MS = 150;
const GROUP_BYTES = 1024 * 1024;
/** After a pause: what the recordings of a thread append in the same moment comes one by one. */
const GATHER_MS = 4;
/** The same where somebody waits, and no group is on its way. */
const HURRIED_MS = 8;
/** A slow server holds back more groups only when so many are on their way. */
const MAX_IN_FLIGHT = 4;
/** What waits for its deletion; what is over is left for tidying. */
const MAX_GARBAGE = 100_000;

/** One that an append went into. */
export interface Group {
  readonly key: string;
  /** Pieces in it that recordings still need. */
  needed: number;
}

interface Waiting {
  readonly piece: Piece;
  readonly resolve: (group: Group) => void;
  readonly reject: (error: unknown) => void;
}

export interface JournalOptions {
  readonly store: ObjectStore;
  /** Of the sink. */
  readonly prefix: string;
  /** Name of the node. */
  readonly writer: string;
  readonly groupMs?: number | undefined;
}

export class Journal {
  readonly name: JournalName;
  readonly #store: ObjectStore;
  readonly #prefix: string;
  readonly #groupMs: number;
  #number = 0;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #inFlight = 0;
  #sentAt = Number.NEGATIVE_INFINITY;
  #timer: { readonly at: number; readonly handle: NodeJS.Timeout } | undefined;
  /** Whether what waits is wanted before its time. */
  #hurried = false;
  #garbage: string[] = [];

  constructor({ store, prefix, writer, groupMs = GROUP_MS }: JournalOptions) {
    this.#store = store;
    this.#prefix = prefix;
    this.#groupMs = groupMs;
    this.name = { writer, instance: newInstance() };
  }

  /**
   * Resolves when the piece is durable. Its bytes must stay as they are until then. `hurried`: more of the
   * recording waits behind it.
   */
  put(piece: Piece, hurried: boolean): Promise<Group> {
    const { promise, resolve, reject } = Promise.withResolvers<Group>();
    this.#waiting.push({ piece, resolve, reject });
    this.#waitingBytes += piece.bytes.length;
    this.#hurried ||= hurried;
    this.#schedule();
    return promise;
  }

  /** A recording's own object holds the piece that went into the group. */
  release(group: Group): void {
    group.needed -= 1;
    if (group.needed <= 0) this.#discard(group.key);
  }

  /** Deletes what nobody needs any more; what cannot be deleted now, later. Never rejects. */
  async sweep(): Promise<void> {
    const keys = this.#garbage;
    this.#garbage = [];
    await this.#store.remove(keys).catch(() => {
      for (const key of keys) this.#discard(key);
    });
  }

  #discard(key: string): void {
    if (this.#garbage.length < MAX_GARBAGE) this.#garbage.push(key);
  }

  #schedule(): void {
    if (this.#waiting.length === 0 || this.#inFlight >= MAX_IN_FLIGHT) return;
    if (this.#waitingBytes >= GROUP_BYTES) {
      this.#send();
      return;
    }
    const now = performance.now();
    const apart = this.#hurried && this.#inFlight === 0 ? Math.min(HURRIED_MS, this.#groupMs) : this.#groupMs;
    const at = Math.max(now + GATHER_MS, this.#sentAt + apart);
    if (this.#timer !== undefined && this.#timer.at <= at) return;
    clearTimeout(this.#timer?.handle);
    this.#timer = { at, handle: setTimeout(() => this.#send(), at - now) };
  }

  #send(): void {
    clearTimeout(this.#timer?.handle);
    this.#timer = undefined;
    this.#hurried = false;
    const batch = this.#nextBatch();
    this.#sentAt = performance.now();
    this.#inFlight += 1;
    this.#number += 1;
    const group: Group = { key: journalKey(this.#prefix, this.name, this.#number), needed: batch.length };
    this.#store
      .put(group.key, encodeGroup(batch.map(({ piece }) => piece)))
      .then(
        () => {
          for (const { resolve } of batch) resolve(group);
        },
        (error: unknown) => {
          // It may be there all the same. Whoever appends again does so with the same bytes.
          this.#discard(group.key);
          for (const { reject } of batch) reject(error);
        },
      )
      .finally(() => {
        this.#inFlight -= 1;
        this.#schedule();
      });
    this.#schedule();
  }

  #nextBatch(): readonly Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { piece } of this.#waiting) {
      if (bytes >= GROUP_BYTES) break;
      bytes += piece.bytes.length;
      count += 1;
    }
    const batch = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    this.#waitingBytes -= bytes;
    return batch;
  }
}
