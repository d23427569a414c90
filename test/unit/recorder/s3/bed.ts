/** An object store in memory whose writes can be held back or fail, and nodes over it. */
import assert from 'node:assert/strict';
import { S3Archive } from '../../../../recorder/archive/s3/archive.ts';
import type { ObjectStore, StoredObject } from '../../../../recorder/archive/s3/store.ts';
import { ArchiveError, type ArchiveReader } from '../../../../recorder/index.ts';
import { collect } from '../bed.ts';

export const PREFIX = 'p/';
export const DAY = Date.UTC(2026, 0, 2, 23, 59, 59);
/** Of the recording `s1` that began on that day. */
export const FOLDER = `${PREFIX}2026/01/02/s1/`;
export const JOURNAL = `${PREFIX}journal/`;

/** What happens to a write: 'lost' fails before anything is written, 'unheard' after it. */
export type Fate = 'done' | 'lost' | 'unheard';

export class MemoryStore implements ObjectStore {
  readonly description = 'memory';
  readonly objects = new Map<string, Buffer>();
  /** Keys in the order in which they were asked to be written. */
  readonly written: string[] = [];
  /** Keys that were read. */
  readonly read: string[] = [];
  readonly abandoned: string[] = [];
  /** Whether a write goes where there is an object, as some servers let it. */
  careless = false;
  fate: (key: string) => Fate = () => 'done';
  /** Writes wait for what it gives. */
  before: (key: string) => Promise<void> = async () => {};

  /** Called when a list was read, before it is handed out. */
  listed: (prefix: string) => Promise<void> = async () => {};

  async put(key: string, body: Uint8Array): Promise<void> {
    // What is written is what was given at the time.
    const bytes = Buffer.from(body);
    this.written.push(key);
    await this.before(key);
    const fate = this.fate(key);
    if (fate !== 'lost') this.objects.set(key, bytes);
    if (fate !== 'done') throw new ArchiveError('archive-io', `${key} was refused`);
  }

  async putNew(key: string, body: Uint8Array): Promise<boolean> {
    await this.before(key);
    if (this.objects.has(key) && !this.careless) return false;
    await this.put(key, body);
    return true;
  }

  async upload(key: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    await this.put(key, Buffer.concat(await collect(body)));
  }

  async abandonUploads(key: string): Promise<void> {
    this.abandoned.push(key);
  }

  async get(key: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    this.read.push(key);
    return this.objects.get(key)?.subarray(offset, offset + length);
  }

  async size(key: string): Promise<number | undefined> {
    return this.objects.get(key)?.length;
  }

  async *list(prefix: string): AsyncGenerator<StoredObject, void, void> {
    const found = this.keys(prefix).map((key) => ({ key, size: this.objects.get(key)?.length ?? 0 }));
    await this.listed(prefix);
    yield* found;
  }

  async folders(prefix: string): Promise<readonly string[]> {
    const rests = this.keys(prefix).map((key) => key.slice(prefix.length));
    return [...new Set(rests.filter((rest) => rest.includes('/')).map((rest) => rest.split('/')[0] ?? ''))];
  }

  /** How many more deletions work. */
  removals = Number.POSITIVE_INFINITY;

  async remove(keys: readonly string[]): Promise<void> {
    this.removals -= 1;
    if (this.removals < 0) throw new ArchiveError('archive-io', 'a deletion was refused');
    for (const key of keys) this.objects.delete(key);
  }

  /** That begin so, in order. */
  keys(prefix = ''): readonly string[] {
    return [...this.objects.keys()].filter((key) => key.startsWith(prefix)).sort();
  }

  /** A copy, as a node that looks at it later finds it. */
  copy(): MemoryStore {
    const copy = new MemoryStore();
    for (const [key, bytes] of this.objects) copy.objects.set(key, bytes);
    return copy;
  }
}

/** A node with a journal of its own. */
export function nodeOn(store: ObjectStore, writer = 'n1'): S3Archive {
  return new S3Archive({ store, prefix: PREFIX, writer });
}

export async function wholeOf(reader: ArchiveReader): Promise<string> {
  return Buffer.from(await reader.read(0, reader.size)).toString('latin1');
}

export async function contentsOf(store: ObjectStore, sessionId: string): Promise<string> {
  return await wholeOf(await nodeOn(store, 'reader').open(sessionId));
}

/** As a recording does it. */
export async function insist<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      assert.ok(error instanceof ArchiveError);
      // One that was refused may be there all the same, until it is deleted.
      if (error.code === 'recording-exists') await new Promise((resolve) => void setTimeout(resolve, 5));
    }
  }
}
