/** Going on with a recording whose writer is gone, and sealing it in its place. */
import { type ArchiveAppender, ArchiveError } from '../port.ts';
import { type AppenderPlace, S3Appender, type Writer } from './appender.ts';
import type { FoundParts } from './find.ts';
import { arrange, lengthOf } from './layout.ts';
import type { RecordingNames } from './names.ts';
import { ExtentReader } from './reader.ts';
import { decodeSeal, encodeSeal, MAX_SEAL_BYTES, type Seal } from './seal-object.ts';
import type { ObjectStore } from './store.ts';

/**
 * How long the last of several that seal at once may take to write, where the store does not arbitrate
 * between them: whoever has written reads again after it what stands there.
 */
const SETTLE_MS = 1000;

/** Goes on behind the first `end` bytes in an era of one's own. */
export async function resume(
  writer: Writer,
  place: AppenderPlace,
  found: FoundParts,
  end: number,
): Promise<ArchiveAppender> {
  if (found.seal !== undefined) {
    throw new ArchiveError(
      'recording-exists',
      `the recording of session ${place.sessionId} is sealed: nothing can be put behind it`,
    );
  }
  await moveIntoParts(writer.store, place.names, found, end);
  // A part without bytes begins the era: what older eras hold from there on is given up.
  return await S3Appender.begin(writer, place, found.latest.era, new Uint8Array(0), end);
}

/** Seals recordings of which others may think the same. */
export class Sealer {
  readonly #store: ObjectStore;
  /** Whether the store was seen to refuse a second writer. */
  #arbitrates = false;

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /** Seals behind the first `wanted.end` bytes; of several at once one wins. Resolves with its manifest. */
  async seal(names: RecordingNames, found: FoundParts, wanted: Seal): Promise<Uint8Array> {
    if (found.seal !== undefined) return found.seal.manifest;
    // The journal is not read any more once there is a seal.
    await moveIntoParts(this.#store, names, found, wanted.end);
    const object = encodeSeal(wanted);
    if (await this.#store.putNew(names.seal, object)) {
      if (this.#arbitrates) return wanted.manifest;
      // Some stores write where they should refuse. Asked for the same again, they show it.
      this.#arbitrates = !(await this.#store.putNew(names.seal, object));
      if (this.#arbitrates) return wanted.manifest;
      await new Promise<void>((resolve) => void setTimeout(resolve, SETTLE_MS));
    }
    return await this.#winner(names.seal);
  }

  async #winner(key: string): Promise<Uint8Array> {
    const size = (await this.#store.size(key)) ?? 0;
    const bytes = size > MAX_SEAL_BYTES ? undefined : await this.#store.get(key, 0, size);
    const won = bytes === undefined ? undefined : decodeSeal(bytes);
    if (won !== undefined) return won.manifest;
    throw new ArchiveError(
      'archive-io',
      `archive ${this.#store.description} did not keep the seal of a recording`,
    );
  }
}

/** Puts what only the journal holds of the first `end` bytes into a part, as its writer would have done. */
async function moveIntoParts(
  store: ObjectStore,
  names: RecordingNames,
  { parts, pieces, latest }: FoundParts,
  end: number,
): Promise<void> {
  const extents = arrange(parts, pieces, end);
  const length = lengthOf(extents);
  if (length < end) {
    throw new ArchiveError(
      'archive-io',
      `archive ${store.description} holds ${length} of the first ${end} bytes of a recording`,
    );
  }
  const start = lengthOf(arrange(parts, [], end));
  if (start >= end) return;
  const reader = new ExtentReader(store, extents, async () => extents);
  const body = await reader.read(start, end - start);
  await store.put(names.part({ start, end, era: latest.era, last: false, journal: latest.journal }), body);
}
