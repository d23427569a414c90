/** Brings what a spool file holds into the archive, in order behind what the archive has. */
import { readdir, stat } from 'node:fs/promises';
import { FrameSource } from '../container/frame-source.ts';
import { errnoOf } from './file-io.ts';
import { type ArchiveAppender, ArchiveError, type ArchiveForWriters, type ArchiveReader } from './port.ts';
import { explain, SPOOL_EXTENSION, SpoolFile, spoolPath } from './spool-file.ts';
import { SpoolRoom, type SpoolSettings } from './spool-room.ts';

export class SpoolDrain {
  readonly #archive: ArchiveForWriters;
  readonly #file: SpoolFile;
  readonly #writing: boolean;
  /** Undefined: the recording is to be found again, or to be created. */
  #appender: ArchiveAppender | undefined;
  /** INVARIANT: the archive has acknowledged so many bytes of the recording. */
  #archived: number;
  /** Of the record behind these bytes, in the file and in the recording. */
  #position: number;
  #offset: number;
  /** Where the batch ends that is being tried: after a rejection the same bytes go again. */
  #batchEnd: number | undefined;
  /** Up to this record the archive has given back what it was given, up to these bytes of the recording. */
  #confirmed: { readonly position: number; readonly offset: number };

  /**
   * `archived`: bytes of the recording in the archive; the file may begin before them. `appender`:
   * behind them, and, where it has rejected an append, that append is the file's first record. `writing`:
   * the recording's writer is there, and has tried to create it where the archive has nothing of it.
   */
  constructor(
    archive: ArchiveForWriters,
    file: SpoolFile,
    appender: ArchiveAppender | undefined,
    archived: number,
    writing: boolean,
  ) {
    this.#archive = archive;
    this.#writing = writing;
    this.#file = file;
    this.#appender = appender;
    this.#archived = archived;
    this.#position = file.start;
    this.#offset = file.place.from;
    this.#confirmed = { position: file.start, offset: file.place.from };
  }

  get appender(): ArchiveAppender | undefined {
    return this.#appender;
  }

  get archived(): number {
    return this.#archived;
  }

  /** Whether the archive has all that the file holds now. */
  get done(): boolean {
    return this.#archived >= this.#file.place.from + this.#file.bytes;
  }

  /**
   * Brings the next batch into the archive. Rejects with {@link ArchiveError}, to be tried again unless it is
   * `spool-conflict`.
   */
  async step(): Promise<void> {
    this.#appender ??= await this.#join();
    await this.#skip();
    if (this.done) return;
    this.#batchEnd ??= await this.#firstEnd();
    const batch = await this.#file.read(this.#position, this.#batchEnd);
    this.#batchEnd = batch.next;
    try {
      await this.#appender.append(batch.bytes);
    } catch (error) {
      if (error instanceof ArchiveError && LOST.has(error.code)) await this.#letGo();
      throw error;
    }
    this.#batchEnd = undefined;
    this.#position = batch.next;
    this.#offset += batch.bytes.length;
    this.#archived = this.#offset;
  }

  /**
   * Reads back what the archive has, before the file is deleted: it may have been sealed by others
   * meanwhile, who took this writer for gone. Returns quietly also when the file has grown meanwhile.
   * Rejects as {@link step} does.
   */
  async confirm(): Promise<void> {
    const { bytes } = this.#file;
    const reader = await this.#open();
    try {
      if (reader !== undefined && (await this.#holdsAll(reader))) return;
    } finally {
      await reader?.close();
    }
    if (this.#file.bytes === bytes) throw conflict('the archive does not hold what it has acknowledged');
  }

  /** The archive was told of the first record before it was spooled: it goes again by itself. */
  async #firstEnd(): Promise<number | undefined> {
    if (this.#position !== this.#file.start) return undefined;
    return (await this.#file.read(this.#position, this.#position + 1)).next;
  }

  /** Passes by what the archive has already. */
  async #skip(): Promise<void> {
    while (this.#offset < this.#archived && this.#position < this.#file.end) {
      const { bytes, next } = await this.#file.read(this.#position, this.#position + 1);
      this.#offset += bytes.length;
      this.#position = next;
    }
    if (this.#offset > this.#archived)
      throw conflict(`the archive holds ${this.#archived} bytes, which end within what was appended as one`);
  }

  /** The appender's file or connection is of an archive that was there before. */
  async #letGo(): Promise<void> {
    const appender = this.#appender;
    this.#appender = undefined;
    await appender?.close().catch(() => {});
  }

  async #join(): Promise<ArchiveAppender> {
    const { sessionId, startedAt } = this.#file.place;
    const reader = await this.#open();
    if (reader === undefined) return await this.#create();
    try {
      if (await this.#isSealed(reader)) return NOTHING_LEFT;
    } finally {
      await reader.close();
    }
    return await this.#archive.resume(sessionId, startedAt, this.#archived);
  }

  /** Undefined: the archive has no such recording. */
  async #open(): Promise<ArchiveReader | undefined> {
    try {
      return await this.#archive.open(this.#file.place.sessionId);
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error;
      // An archive that has nothing yet looks as if it were not mounted; who writes to it knows better.
      const nothingYet = error.code === 'archive-missing' && this.#archived === 0 && this.#writing;
      if (error.code === 'recording-missing' || nothingYet) return undefined;
      throw error;
    }
  }

  async #create(): Promise<ArchiveAppender> {
    const { sessionId, startedAt, from } = this.#file.place;
    if (this.#archived > 0)
      throw conflict(
        `the archive no longer holds the recording, of which it has taken ${this.#archived} bytes`,
      );
    const first = await this.#file.read(this.#file.start, this.#file.start + 1);
    const appender = await this.#archive.create(sessionId, startedAt, first.bytes);
    this.#archived = from + first.bytes.length;
    return appender;
  }

  /** Whether the recording ends with all that is in the file now; what was found there once is not read again. */
  async #holdsAll(reader: ArchiveReader): Promise<boolean> {
    const { place, bytes: spooled, end } = this.#file;
    if (reader.size !== place.from + spooled) return false;
    while (this.#confirmed.position < end) {
      const { position, offset } = this.#confirmed;
      const { bytes, next } = await this.#file.read(position, position + 1);
      if (!bytes.equals(await reader.read(offset, bytes.length))) return false;
      this.#confirmed = { position: next, offset: offset + bytes.length };
    }
    return true;
  }

  /** Notes what the archive holds; whether that is all there will ever be. */
  async #isSealed(reader: ArchiveReader): Promise<boolean> {
    if (reader.size < this.#archived)
      throw conflict(
        `the archive holds ${reader.size} bytes of the recording, of which it has taken ${this.#archived}`,
      );
    const sealed = (await new FrameSource(reader).closingManifest()) !== undefined;
    if (await this.#holdsAll(reader)) this.#archived = reader.size;
    else if (sealed) throw conflict('the recording was sealed meanwhile, without what is spooled');
    return sealed;
  }
}

/** What is spooled and what the archive holds do not fit together: trying again would not help. */
const conflict = (message: string): ArchiveError => new ArchiveError('spool-conflict', message);

/** Failures after which an open recording may be one of a mount or server that is gone, or not ours any more. */
const LOST: ReadonlySet<string> = new Set([
  'archive-stale',
  'archive-io',
  'recording-exists',
  'recording-missing',
]);

/** Of a recording with its manifest: a writer has no more for it. */
const NOTHING_LEFT: ArchiveAppender = { append: async () => {}, close: async () => {} };

/** What became of one file of the spool. */
export interface Drained {
  readonly sessionId: string;
  /** Bytes of the recording that were spooled. */
  readonly bytes: number;
  /** Undefined: the archive has them and the file is gone. `spool-conflict`: they fit nowhere any more. */
  readonly error: Error | undefined;
}

/**
 * Drains the files that threads or processes have left that are gone; `only`: of this session. What is
 * still being written must not be named. Resolves with what became of each; rejects with
 * {@link ArchiveError} when the folder cannot be read.
 */
export async function drainSpool(
  settings: SpoolSettings,
  archive: ArchiveForWriters,
  only?: string,
): Promise<readonly Drained[]> {
  const room = new SpoolRoom(settings);
  const sessionIds = only === undefined ? await spooledSessions(settings.folder) : [only];
  const results: Drained[] = [];
  for (const sessionId of sessionIds) {
    let bytes = 0;
    try {
      const file = await SpoolFile.open(settings.folder, sessionId, room);
      if (file === undefined) continue;
      bytes = file.bytes;
      await drainFile(file, archive);
      results.push({ sessionId, bytes, error: undefined });
    } catch (error) {
      results.push({ sessionId, bytes, error: error instanceof Error ? error : new Error(String(error)) });
    }
  }
  return results;
}

async function drainFile(file: SpoolFile, archive: ArchiveForWriters): Promise<void> {
  const drain = new SpoolDrain(archive, file, undefined, file.place.from, false);
  try {
    while (!drain.done) await drain.step();
    await drain.confirm();
    await drain.appender?.close();
  } catch (error) {
    await drain.appender?.close().catch(() => {});
    await file.close();
    throw error;
  }
  await file.wipe();
}

/** Sessions of which a spool holds something. */
export async function spooledSessions(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch((error: unknown): string[] => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw explain(folder, error);
  });
  return names
    .filter((name) => name.endsWith(SPOOL_EXTENSION))
    .map((name) => name.slice(0, -SPOOL_EXTENSION.length));
}

/** Bytes that a spool takes now. */
export async function spooledBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const sessionId of await spooledSessions(folder)) {
    const { size } = await stat(spoolPath(folder, sessionId)).catch(() => ({ size: 0 }));
    bytes += size;
  }
  return bytes;
}
