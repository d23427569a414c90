/**
 * The `s3:` sink: recordings in an object store. While a session runs, its small appends go into the
 * journal of its thread and its large ones into parts of its own (appender.ts); afterwards all of it becomes
 * one object (compaction.ts). What objects there are, and what their keys say: names.ts.
 */
import { dayOf, likelyDays, requireSessionId } from '../layout.ts';
import {
  type Archive,
  type ArchiveAppender,
  type ArchiveEntry,
  ArchiveError,
  type ArchiveReader,
  SIDES,
  type Side,
} from '../port.ts';
import { S3Appender, Writer } from './appender.ts';
import { compact } from './compaction.ts';
import { Finder, type Found, type FoundParts } from './find.ts';
import { Journal } from './journal.ts';
import { JournalReader } from './journal-reader.ts';
import { listDay } from './listing.ts';
import { RecordingNames } from './names.ts';
import { ReadAhead } from './read-ahead.ts';
import { ExtentReader, ObjectReader } from './reader.ts';
import type { ObjectStore } from './store.ts';
import { resume, Sealer } from './succession.ts';
import { tidy } from './tidy.ts';

export interface S3ArchiveOptions {
  readonly store: ObjectStore;
  /** Before every key; empty, or ends with a slash. */
  readonly prefix: string;
  /** Name of the node that writes. */
  readonly writer: string;
  /** How far apart small appends of all recordings are sent; by default 150 ms. */
  readonly groupMs?: number | undefined;
}

export class S3Archive implements Archive {
  readonly description: string;
  readonly copies: readonly Archive[] = [this];
  readonly #store: ObjectStore;
  readonly #prefix: string;
  readonly #journals: JournalReader;
  readonly #finder: Finder;
  readonly #writer: Writer;
  readonly #sealer: Sealer;

  constructor({ store, prefix, writer, groupMs }: S3ArchiveOptions) {
    this.description = store.description;
    this.#store = store;
    this.#prefix = prefix;
    this.#journals = new JournalReader(store, prefix);
    this.#finder = new Finder(store, this.#journals);
    this.#sealer = new Sealer(store);
    this.#writer = new Writer(store, new Journal({ store, prefix, writer, groupMs }));
  }

  async check(): Promise<void> {
    const { writer, instance } = this.#writer.journal.name;
    // Writers' names begin with a letter or digit: it is none.
    const key = `${this.#prefix}journal/.check/${writer}-${instance}`;
    const probe = Buffer.from('whether recordings can be written');
    await this.#store.put(key, probe);
    const back = await this.#store.get(key, 0, probe.length);
    for await (const _ of this.#store.list(key)) break;
    await this.#store.remove([key]);
    if (back === undefined || !probe.equals(back)) {
      throw new ArchiveError('archive-io', `archive ${this.description} does not give back what was written`);
    }
  }

  async create(sessionId: string, startedAt: number, first: Uint8Array): Promise<ArchiveAppender> {
    const names = this.#names(sessionId, startedAt);
    for await (const { key } of this.#store.list(names.stem)) {
      if (!names.owns(key)) continue;
      throw new ArchiveError(
        'recording-exists',
        `archive ${this.description} already holds a recording of session ${sessionId}`,
      );
    }
    const place = { sessionId, day: dayOf(startedAt), names };
    return await S3Appender.begin(this.#writer, place, undefined, first, 0);
  }

  async *list(): AsyncGenerator<ArchiveEntry, void, void> {
    for await (const day of this.#days()) yield* listDay(this.#store, this.#finder, this.#prefix, day);
  }

  async open(sessionId: string): Promise<ArchiveReader> {
    requireSessionId(sessionId);
    const likely = likelyDays(sessionId);
    for (const day of likely) {
      const reader = await this.#openOf(day, sessionId);
      if (reader !== undefined) return reader;
    }
    for await (const day of this.#days()) {
      if (likely.includes(day)) continue;
      const reader = await this.#openOf(day, sessionId);
      if (reader !== undefined) return reader;
    }
    throw this.#missing(sessionId);
  }

  async resume(sessionId: string, startedAt: number, end: number): Promise<ArchiveAppender> {
    const names = this.#names(sessionId, startedAt);
    const place = { sessionId, day: dayOf(startedAt), names };
    return await resume(
      this.#writer,
      place,
      this.#toWrite(await this.#finder.find(names, sessionId), sessionId),
      end,
    );
  }

  async seal(sessionId: string, startedAt: number, end: number, manifest: Uint8Array): Promise<Uint8Array> {
    const names = this.#names(sessionId, startedAt);
    const found = await this.#finder.find(names, sessionId);
    if (found?.kind === 'whole' && found.size > end) {
      // Sealed before it was compacted, behind the same bytes.
      return await new ObjectReader(this.#store, names.whole, found.size).read(end, found.size - end);
    }
    return await this.#sealer.seal(names, this.#toWrite(found, sessionId), { end, manifest });
  }

  async compact(
    sessionId: string,
    startedAt: number,
    check: (compacted: ArchiveReader) => Promise<void>,
  ): Promise<void> {
    const names = this.#names(sessionId, startedAt);
    const find = async (): Promise<Found> => {
      const found = await this.#finder.find(names, sessionId);
      if (found === undefined) throw this.#missing(sessionId);
      return found;
    };
    await compact(this.#store, names, find, check);
  }

  async remove(sessionId: string, startedAt: number): Promise<void> {
    const names = this.#names(sessionId, startedAt);
    const beside: string[] = [];
    const recording: string[] = [];
    for await (const { key } of this.#store.list(names.stem)) {
      if (names.owns(key)) (names.isBeside(key) ? beside : recording).push(key);
    }
    // The recording last: what is beside it could not be found without.
    await this.#store.remove(beside);
    await this.#store.remove(recording);
    const uploaded = [names.whole, ...SIDES.map((side) => names.side(side))];
    for (const key of uploaded) await this.#store.abandonUploads(key);
  }

  async tidy(writer: string): Promise<void> {
    const { name } = this.#writer.journal;
    await tidy(this.#store, this.#journals, this.#finder, this.#prefix, writer, name);
  }

  async putSide(
    sessionId: string,
    startedAt: number,
    side: Side,
    bytes: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    await this.#store.upload(this.#names(sessionId, startedAt).side(side), bytes);
  }

  async openSide(sessionId: string, startedAt: number, side: Side): Promise<ArchiveReader | undefined> {
    const key = this.#names(sessionId, startedAt).side(side);
    const size = await this.#store.size(key);
    return size === undefined ? undefined : new ObjectReader(this.#store, key, size);
  }

  async #openOf(day: string, sessionId: string): Promise<ArchiveReader | undefined> {
    const names = new RecordingNames(this.#prefix, day, sessionId);
    const found = await this.#finder.find(names, sessionId);
    return found === undefined ? undefined : new ReadAhead(this.#readerOf(found, names, sessionId));
  }

  #readerOf(found: Found, names: RecordingNames, sessionId: string): ArchiveReader {
    if (found.kind === 'whole') return new ObjectReader(this.#store, names.whole, found.size);
    return new ExtentReader(this.#store, found.extents, async () => {
      const now = await this.#finder.find(names, sessionId);
      if (now === undefined) throw this.#missing(sessionId);
      return now.kind === 'parts' ? now.extents : [{ start: 0, end: now.size, key: names.whole, at: 0 }];
    });
  }

  /** Days that have anything, newest first. */
  async *#days(): AsyncGenerator<string, void, void> {
    for (const year of await this.#folders('', /^\d{4}$/)) {
      for (const month of await this.#folders(`${year}/`, /^\d{2}$/)) {
        for (const day of await this.#folders(`${year}/${month}/`, /^\d{2}$/))
          yield `${year}/${month}/${day}`;
      }
    }
  }

  async #folders(below: string, pattern: RegExp): Promise<readonly string[]> {
    const names = await this.#store.folders(this.#prefix + below);
    return names.filter((name) => pattern.test(name)).sort((a, b) => (a < b ? 1 : -1));
  }

  #names(sessionId: string, startedAt: number): RecordingNames {
    requireSessionId(sessionId);
    return new RecordingNames(this.#prefix, dayOf(startedAt), sessionId);
  }

  /** What can be gone on with. */
  #toWrite(found: Found | undefined, sessionId: string): FoundParts {
    if (found === undefined) throw this.#missing(sessionId);
    if (found.kind === 'parts') return found;
    throw new ArchiveError(
      'recording-exists',
      `the recording of session ${sessionId} is sealed and compacted: nothing can be put behind it`,
    );
  }

  #missing(sessionId: string): ArchiveError {
    return new ArchiveError(
      'recording-missing',
      `archive ${this.description} holds no recording of session ${sessionId}`,
    );
  }
}
