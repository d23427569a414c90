/**
 * Finds what makes a recording. As long as its first part is there, its parts are the truth, and behind
 * them what the latest era's journal holds; compaction makes the whole object first and then deletes the
 * parts, the first part before the others.
 */
import { ArchiveError } from '../port.ts';
import type { Piece } from './group.ts';
import type { JournalReader } from './journal-reader.ts';
import { arrange, type Extent, latestEra, lengthOf, partsAmong, type StoredPart } from './layout.ts';
import type { RecordingNames } from './names.ts';
import { decodeSeal, MAX_SEAL_BYTES, type Seal, withSeal } from './seal-object.ts';
import type { ObjectStore, StoredObject } from './store.ts';

export interface FoundWhole {
  readonly kind: 'whole';
  readonly size: number;
  /** Objects of the recording's folder that compaction has not deleted yet. */
  readonly left: readonly string[];
}

export interface FoundParts {
  readonly kind: 'parts';
  /** The recording as it reads, with the manifest of a seal. */
  readonly extents: readonly Extent[];
  readonly parts: readonly StoredPart[];
  readonly seal: Seal | undefined;
  /** A part of the latest era. */
  readonly latest: StoredPart;
  /** What the journal holds of that era and the parts may lack. */
  readonly pieces: readonly Piece[];
  /** Everything in the recording's folder. */
  readonly keys: readonly string[];
}

export type Found = FoundWhole | FoundParts;

/** Eras that may begin while one looks. */
const MAX_TRIES = 5;

export class Finder {
  readonly #store: ObjectStore;
  readonly #journals: JournalReader;

  constructor(store: ObjectStore, journals: JournalReader) {
    this.#store = store;
    this.#journals = journals;
  }

  /** Undefined: there is no such recording. */
  async find(names: RecordingNames, sessionId: string): Promise<Found | undefined> {
    let objects = await this.#objects(names);
    for (let attempt = 0; ; attempt += 1) {
      const parts = partsAmong(names.folder, objects);
      const latest = latestEra(parts);
      if (latest === undefined || !parts.some(({ start }) => start === 0))
        return await this.#whole(names, objects);
      const seal = await this.#seal(names, objects);
      if (isComplete(parts, latest, seal)) return found(objects, parts, latest, [], seal);

      const pieces = await this.#journals.pieces(latest.journal, sessionId, latest.era);
      // A group is deleted once parts hold what was in it: what is missing in the journal now, they have now.
      objects = await this.#objects(names);
      const now = partsAmong(names.folder, objects);
      const latestNow = latestEra(now);
      if (latestNow?.era === latest.era && now.some(({ start }) => start === 0)) {
        return found(objects, now, latestNow, pieces, await this.#seal(names, objects));
      }
      if (attempt >= MAX_TRIES) {
        throw new ArchiveError(
          'archive-io',
          `recording of session ${sessionId}: it is being changed, try again`,
        );
      }
    }
  }

  /** Tells of a piece in a journal whether the recording still needs it. */
  async needs(names: RecordingNames): Promise<(piece: Piece) => boolean> {
    const objects = await this.#objects(names);
    const parts = partsAmong(names.folder, objects);
    const latest = latestEra(parts);
    if (latest === undefined || !parts.some(({ start }) => start === 0)) return () => false;
    const seal = await this.#seal(names, objects);
    if (isComplete(parts, latest, seal)) return () => false;
    const end = lengthOf(arrange(parts, []));
    return ({ era, offset, bytes }) => era === latest.era && offset + bytes.length > end;
  }

  async #objects(names: RecordingNames): Promise<readonly StoredObject[]> {
    const objects: StoredObject[] = [];
    for await (const object of this.#store.list(names.folder)) objects.push(object);
    return objects;
  }

  async #whole(names: RecordingNames, objects: readonly StoredObject[]): Promise<FoundWhole | undefined> {
    const size = await this.#store.size(names.whole);
    return size === undefined ? undefined : { kind: 'whole', size, left: objects.map(({ key }) => key) };
  }

  async #seal(names: RecordingNames, objects: readonly StoredObject[]): Promise<Seal | undefined> {
    const object = objects.find(({ key }) => key === names.seal);
    if (object === undefined || object.size > MAX_SEAL_BYTES) return undefined;
    const bytes = await this.#store.get(names.seal, 0, object.size);
    return bytes === undefined ? undefined : decodeSeal(bytes);
  }
}

/** Whether the journal cannot hold anything that the parts lack. */
export function isComplete(
  parts: readonly StoredPart[],
  latest: StoredPart,
  seal: Seal | undefined,
): boolean {
  const end = lengthOf(arrange(parts, []));
  return (
    (seal !== undefined && end >= seal.end) ||
    parts.some((part) => part.last && part.era === latest.era && part.end === end)
  );
}

function found(
  objects: readonly StoredObject[],
  parts: readonly StoredPart[],
  latest: StoredPart,
  pieces: readonly Piece[],
  seal: Seal | undefined,
): FoundParts {
  return {
    kind: 'parts',
    extents: withSeal(arrange(parts, pieces, seal?.end), seal),
    parts,
    seal,
    latest,
    pieces,
    keys: objects.map(({ key }) => key),
  };
}
