/**
 * The `file:` sink: `<root>/<yyyy>/<mm>/<dd>/<session id>.slr`, the day in UTC; beside it, where there
 * are any, `<session id>.index` and `.text`, and `<session id>.seal`, the manifest of a recording that another
 * than its writer has sealed. The root may be a network mount; it must exist, so that a mount that is
 * not there is noticed.
 */
import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { access, copyFile, link, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DayFolders } from './day-folders.ts';
import { close, errnoOf, FileAppender, FileReader, open, statOf, sync } from './file-io.ts';
import { dayOf, likelyDays, requireSessionId } from './layout.ts';
import { Limit } from './limit.ts';
import {
  type Archive,
  type ArchiveAppender,
  type ArchiveEntry,
  ArchiveError,
  type ArchiveReader,
  type Side,
} from './port.ts';

const EXTENSION = '.slr';
/** What is written before it takes its place: `<its name>.<writer>.<uuid>.part`. */
const PART = /^[^.]+\.[a-z]+\.(?<writer>.+)\.[0-9a-f-]{36}\.part$/;
/** Days that are looked through for it: what is older stays until its recording is deleted. */
const TIDY_DAYS = 31;
const SEAL_EXTENSION = '.seal';
/** At the start of a `.seal` file: where the manifest behind it belongs, big-endian. */
const END_BYTES = 8;
/** Every write is durable when it returns, as by fdatasync(2) but without its call. */
const DURABLE = fs.constants.O_WRONLY | fs.constants.O_DSYNC;
const NEW_DURABLE = DURABLE | fs.constants.O_CREAT | fs.constants.O_EXCL;

export class FileArchive implements Archive {
  readonly description: string;
  readonly copies: readonly Archive[] = [this];
  readonly #root: string;
  readonly #writer: string;
  readonly #folders: DayFolders;
  /** What recordings are written and drained with: each call takes a thread of libuv's for as long as the folder likes. */
  readonly #calls: Limit;

  /**
   * `root`: absolute path of an existing folder. `writer`: the run of the node that writes. `callsAtOnce`: of what
   * recordings are written and read with.
   */
  constructor(root: string, writer: string, callsAtOnce = Number.POSITIVE_INFINITY) {
    this.#root = root;
    this.#writer = writer;
    this.#calls = new Limit(callsAtOnce);
    this.description = `file:${root}`;
    this.#folders = new DayFolders(root);
  }

  async check(): Promise<void> {
    await this.#folders.requireRoot();
    try {
      await access(this.#root, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  async create(sessionId: string, startedAt: number, first: Uint8Array): Promise<ArchiveAppender> {
    requireSessionId(sessionId);
    const path = this.#path(sessionId, startedAt);
    return await this.#calls.run(async () => {
      const fd = await this.#createFile(path, startedAt);
      const appender = new FileAppender(fd, this.#explain, this.#reopening(sessionId, startedAt));
      try {
        await appender.append(first);
        await this.#folders.syncFolder(dirname(path));
        return this.#inTurn(appender);
      } catch (error) {
        // What failed is told; the cleaning up is best effort.
        await appender.close().catch(() => {});
        await rm(path, { force: true }).catch(() => {});
        throw error;
      }
    });
  }

  #inTurn(appender: FileAppender): ArchiveAppender {
    return {
      atOnce: appender.atOnce,
      append: (bytes, at) => this.#calls.run(() => appender.append(bytes, at)),
      close: () => this.#calls.run(() => appender.close()),
    };
  }

  /** Creates a file; its folder is made for the first recording of a day only. */
  async #createFile(path: string, startedAt: number): Promise<number> {
    try {
      return await open(path, NEW_DURABLE, 0o600);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw this.#explain(error);
    }
    await this.#folders.requireRoot();
    await this.#folders.makeDay(startedAt);
    try {
      return await open(path, NEW_DURABLE, 0o600);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  async *list(): AsyncGenerator<ArchiveEntry, void, void> {
    for await (const folder of this.#folders.days()) {
      const names = await this.#folders.names(folder);
      for (const name of names) {
        if (!name.endsWith(EXTENSION)) continue;
        const bytes = await this.#sizeOf(join(folder, name));
        if (bytes !== undefined) yield { sessionId: name.slice(0, -EXTENSION.length), bytes };
      }
    }
  }

  async open(sessionId: string): Promise<ArchiveReader> {
    const reader = await this.#calls.run(() => this.#open(sessionId));
    return {
      size: reader.size,
      read: (offset, length) => this.#calls.run(() => reader.read(offset, length)),
      close: () => this.#calls.run(() => reader.close()),
    };
  }

  async #open(sessionId: string): Promise<ArchiveReader> {
    requireSessionId(sessionId);
    await this.#folders.requireRoot();
    const tried = new Set<string>();
    for (const folder of likelyDays(sessionId)) {
      const path = join(this.#root, folder);
      tried.add(path);
      const reader = await this.#openFile(join(path, sessionId + EXTENSION));
      if (reader !== undefined) return reader;
    }
    for await (const folder of this.#folders.days()) {
      if (tried.has(folder)) continue;
      const reader = await this.#openFile(join(folder, sessionId + EXTENSION));
      if (reader !== undefined) return reader;
    }
    throw await this.#absence(sessionId);
  }

  async openSide(sessionId: string, startedAt: number, side: Side): Promise<ArchiveReader | undefined> {
    requireSessionId(sessionId);
    return await this.#openFile(this.#path(sessionId, startedAt, `.${side}`));
  }

  async putSide(
    sessionId: string,
    startedAt: number,
    side: Side,
    bytes: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    requireSessionId(sessionId);
    await this.#putWhole(this.#path(sessionId, startedAt, `.${side}`), startedAt, bytes, rename);
  }

  async resume(sessionId: string, startedAt: number, end: number): Promise<ArchiveAppender> {
    requireSessionId(sessionId);
    return await this.#calls.run(async () => {
      try {
        const fd = await open(this.#path(sessionId, startedAt), DURABLE);
        const reopening = this.#reopening(sessionId, startedAt);
        return this.#inTurn(await FileAppender.behind(end, fd, this.#explain, reopening));
      } catch (error) {
        throw errnoOf(error) === 'ENOENT' ? await this.#absence(sessionId) : this.#explain(error);
      }
    });
  }

  /** Opens a recording anew for its own writer, whose descriptor is of a mount that was there before. */
  #reopening(sessionId: string, startedAt: number): (durable: number) => Promise<number> {
    const [path, seal] = [this.#path(sessionId, startedAt), this.#path(sessionId, startedAt, SEAL_EXTENSION)];
    return async (durable) => {
      const fd = await open(path, DURABLE).catch(async (error: unknown) => {
        throw errnoOf(error) === 'ENOENT' ? await this.#absence(sessionId) : error;
      });
      try {
        const { size } = await statOf(fd);
        if (size < durable) {
          const words = `holds ${size} bytes of the recording of session ${sessionId}, of which it has taken ${durable}`;
          throw new ArchiveError('recording-missing', `archive ${this.description} ${words}`);
        }
        // A seal says so before it puts its copy in this place: what was opened is not that copy.
        if (await isThere(seal))
          throw new ArchiveError(
            'recording-exists',
            `the recording of session ${sessionId} was sealed by another`,
          );
        return fd;
      } catch (error) {
        await close(fd);
        throw error;
      }
    };
  }

  async seal(sessionId: string, startedAt: number, end: number, manifest: Uint8Array): Promise<Uint8Array> {
    requireSessionId(sessionId);
    const path = this.#path(sessionId, startedAt, SEAL_EXTENSION);
    const place = new Uint8Array(END_BYTES);
    new DataView(place.buffer).setBigUint64(0, BigInt(end));
    // A link, because of several only one can be made, and it is whole at once.
    await this.#putWhole(path, startedAt, [place, manifest], link).catch((error: unknown) => {
      if (!(error instanceof ArchiveError) || error.code !== 'recording-exists') throw error;
    });
    const won = await readFile(path).catch((error: unknown) => {
      throw this.#explain(error);
    });
    // Whoever won: all make the same recording of it, so that it does not matter who dies here.
    const tail = won.subarray(END_BYTES);
    await this.#putEnd(sessionId, startedAt, Number(won.readBigUInt64BE()), tail);
    return tail;
  }

  /**
   * Puts a copy with another end in a recording's place: a writer that was given up and goes on all the
   * same, a write of it that hung for minutes, has the file that was there before.
   */
  async #putEnd(sessionId: string, startedAt: number, end: number, tail: Uint8Array): Promise<void> {
    const path = this.#path(sessionId, startedAt);
    const part = this.#part(path);
    try {
      await copyFile(path, part, fs.constants.COPYFILE_FICLONE).catch(async (error: unknown) => {
        throw errnoOf(error) === 'ENOENT' ? await this.#absence(sessionId) : error;
      });
      const fd = await open(part, DURABLE);
      const appender = await FileAppender.behind(end, fd, this.#explain);
      try {
        await appender.append(tail);
        await sync(fd);
      } finally {
        await appender.close();
      }
      await rename(part, path);
      await this.#folders.syncFolder(dirname(path));
    } catch (error) {
      throw this.#explain(error);
    } finally {
      await rm(part, { force: true }).catch(() => {});
    }
  }

  /** A recording is one file from its start. */
  async compact(): Promise<void> {}

  async remove(sessionId: string, startedAt: number): Promise<void> {
    requireSessionId(sessionId);
    await this.#folders.requireContents();
    const path = this.#path(sessionId, startedAt);
    try {
      // What a crash left half written goes too: it may be a copy of the whole recording.
      for (const name of await readdir(dirname(path))) {
        const beside = join(dirname(path), name);
        if (name.startsWith(`${sessionId}.`) && beside !== path) await rm(beside, { force: true });
      }
      // The recording last: what is beside it could not be found without.
      await rm(path, { force: true });
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw this.#explain(error);
    }
  }

  /** Deletes what the writer was putting in place when it was killed: it may be copies of whole recordings. */
  async tidy(writer: string): Promise<void> {
    let days = 0;
    for await (const folder of this.#folders.days()) {
      for (const name of await this.#folders.names(folder, PART)) {
        if (PART.exec(name)?.groups?.['writer'] !== writer) continue;
        await rm(join(folder, name), { force: true }).catch((error: unknown) => {
          throw this.#explain(error);
        });
      }
      days += 1;
      if (days === TIDY_DAYS) return;
    }
  }

  /** Undefined: it was deleted meanwhile. */
  async #sizeOf(path: string): Promise<number | undefined> {
    try {
      return (await stat(path)).size;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw this.#explain(error);
    }
    await this.#folders.requireContents();
    return undefined;
  }

  #path(sessionId: string, startedAt: number, extension = EXTENSION): string {
    return join(this.#root, dayOf(startedAt), sessionId + extension);
  }

  #part(path: string): string {
    return `${path}.${this.#writer}.${randomUUID()}.part`;
  }

  /** Writes a file beside `path`, whole, and then gives it that name with `place`. */
  async #putWhole(
    path: string,
    startedAt: number,
    bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    place: (part: string, path: string) => Promise<void>,
  ): Promise<void> {
    // Two that are made at once do not write into each other.
    const part = this.#part(path);
    const fd = await this.#createFile(part, startedAt);
    const appender = new FileAppender(fd, this.#explain);
    try {
      try {
        for await (const chunk of bytes) await appender.append(chunk);
      } finally {
        await appender.close();
      }
      await place(part, path).catch((error: unknown) => {
        throw this.#explain(error);
      });
      await this.#folders.syncFolder(dirname(path));
    } finally {
      await rm(part, { force: true }).catch(() => {});
    }
  }

  async #openFile(path: string): Promise<ArchiveReader | undefined> {
    let fd: number;
    try {
      fd = await open(path, 'r');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw this.#explain(error);
    }
    try {
      const { size } = await statOf(fd);
      return new FileReader(fd, size, this.#explain);
    } catch (error) {
      await close(fd);
      throw this.#explain(error);
    }
  }

  /** Why a recording is not there. */
  async #absence(sessionId: string): Promise<ArchiveError> {
    await this.#folders.requireContents();
    return new ArchiveError(
      'recording-missing',
      `archive ${this.description} holds no recording of session ${sessionId}`,
    );
  }

  readonly #explain = (error: unknown): ArchiveError => this.#folders.explain(error);
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
