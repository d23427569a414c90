/** The reading end of journals: what they hold of a recording. */
import { Limit } from '../limit.ts';
import { decodeGroup, MAX_GROUP_BYTES, type Piece } from './group.ts';
import { type JournalName, journalFolder } from './names.ts';
import type { ObjectStore } from './store.ts';

/** Groups kept at hand: recordings of a node that died are in the same ones. */
const CACHE_BYTES = 32 * 1024 * 1024;
const AT_ONCE = 8;

export class JournalReader {
  readonly #store: ObjectStore;
  readonly #prefix: string;
  /** By key, those used last behind. A group is never changed. */
  readonly #cache = new Map<string, readonly Piece[]>();
  #cached = 0;

  /** `prefix`: the sink's. */
  constructor(store: ObjectStore, prefix: string) {
    this.#store = store;
    this.#prefix = prefix;
  }

  /** What a journal holds of an era of a recording; a group that was deleted meanwhile holds nothing. */
  async pieces(journal: JournalName, sessionId: string, era: string): Promise<readonly Piece[]> {
    const keys: { readonly key: string; readonly size: number }[] = [];
    for await (const object of this.#store.list(journalFolder(this.#prefix, journal))) keys.push(object);
    const limit = new Limit(AT_ONCE);
    const found = await Promise.all(
      keys.map(({ key, size }) =>
        limit.run(async () => {
          const pieces = (await this.group(key, size)) ?? [];
          return (
            pieces
              .filter((piece) => piece.sessionId === sessionId && piece.era === era)
              // Copies, so that a few bytes do not hold a whole group in memory.
              .map((piece) => ({ ...piece, bytes: new Uint8Array(piece.bytes) }))
          );
        }),
      ),
    );
    return found.flat();
  }

  /** All of a group. Undefined: it was deleted, or is damaged, which the recordings' chains then show. */
  async group(key: string, size: number): Promise<readonly Piece[] | undefined> {
    const known = this.#cache.get(key);
    if (known !== undefined) {
      this.#cache.delete(key);
      this.#cache.set(key, known);
      return known;
    }
    if (size > MAX_GROUP_BYTES) return undefined;
    const bytes = await this.#store.get(key, 0, size);
    const pieces = bytes === undefined ? undefined : decoded(bytes);
    if (pieces !== undefined) this.#keep(key, pieces);
    return pieces;
  }

  #keep(key: string, pieces: readonly Piece[]): void {
    if (this.#cache.has(key)) return;
    this.#cache.set(key, pieces);
    this.#cached += sizeOf(pieces);
    for (const [oldest, held] of this.#cache) {
      if (this.#cached <= CACHE_BYTES) return;
      this.#cache.delete(oldest);
      this.#cached -= sizeOf(held);
    }
  }
}

function decoded(bytes: Uint8Array): readonly Piece[] | undefined {
  try {
    return decodeGroup(bytes);
  } catch {
    return undefined;
  }
}

/** Of the group that they are views into. */
function sizeOf(pieces: readonly Piece[]): number {
  return pieces[0]?.bytes.buffer.byteLength ?? 0;
}
