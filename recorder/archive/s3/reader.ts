/** Reads recordings and what stands beside them. */
import { Limit } from '../limit.ts';
import { ArchiveError, type ArchiveReader } from '../port.ts';
import { type Extent, lengthOf } from './layout.ts';
import type { ObjectStore } from './store.ts';

const AT_ONCE = 8;

/** One object, as long as it was when it was opened. */
export class ObjectReader implements ArchiveReader {
  readonly size: number;
  readonly #store: ObjectStore;
  readonly #key: string;

  constructor(store: ObjectStore, key: string, size: number) {
    this.#store = store;
    this.#key = key;
    this.size = size;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const wanted = Math.max(0, Math.min(length, this.size - offset));
    const bytes = await this.#store.get(this.#key, offset, wanted);
    if (bytes === undefined) throw gone();
    return bytes;
  }

  async close(): Promise<void> {}
}

/** A recording of many objects. Where these are replaced by others meanwhile, it goes on with those. */
export class ExtentReader implements ArchiveReader {
  readonly size: number;
  readonly #store: ObjectStore;
  readonly #again: () => Promise<readonly Extent[]>;
  #extents: readonly Extent[];

  /** `again`: finds the extents anew; of the same recording, at least as long. */
  constructor(store: ObjectStore, extents: readonly Extent[], again: () => Promise<readonly Extent[]>) {
    this.#store = store;
    this.#extents = extents;
    this.#again = again;
    this.size = lengthOf(extents);
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const end = Math.min(offset + length, this.size);
    if (end <= offset) return new Uint8Array(0);
    // Twice: a part of the journal may have become a part, and the parts one whole meanwhile.
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const bytes = await this.#readNow(offset, end);
      if (bytes !== undefined) return bytes;
      const extents = await this.#again();
      if (lengthOf(extents) < this.size) break;
      this.#extents = extents;
    }
    throw gone();
  }

  /** Undefined: an object of it is no longer there. */
  async #readNow(offset: number, end: number): Promise<Uint8Array | undefined> {
    const target = Buffer.allocUnsafe(end - offset);
    const limit = new Limit(AT_ONCE);
    let missing = false;
    const copy = async (extent: Extent): Promise<void> => {
      const start = Math.max(extent.start, offset);
      const length = Math.min(extent.end, end) - start;
      const from = start - extent.start;
      const bytes =
        'bytes' in extent
          ? extent.bytes.subarray(from, from + length)
          : missing
            ? undefined
            : await this.#store.get(extent.key, extent.at + from, length);
      if (bytes === undefined) missing = true;
      else target.set(bytes, start - offset);
    };
    await Promise.all(this.#within(offset, end).map((extent) => limit.run(() => copy(extent))));
    return missing ? undefined : target;
  }

  #within(offset: number, end: number): readonly Extent[] {
    // The first that ends behind `offset`, by halving: recordings have thousands.
    let low = 0;
    for (let high = this.#extents.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if ((this.#extents[middle]?.end ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    const within: Extent[] = [];
    for (let i = low; i < this.#extents.length; i += 1) {
      const extent = this.#extents[i];
      if (extent === undefined || extent.start >= end) break;
      within.push(extent);
    }
    return within;
  }

  async close(): Promise<void> {}
}

function gone(): ArchiveError {
  return new ArchiveError('recording-missing', 'the recording was deleted while it was read');
}
