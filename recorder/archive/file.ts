/**
 * The `file:` sink: `<root>/<yyyy>/<mm>/<dd>/<session id>.slr`, the day in UTC; beside it, where there
 * are any, `<session id>.index` and `.text`, and `<session id>.seal`, the manifest of a recording that another
 * than its writer has sealed. The root may be a network mount; it must exist, so that a mount that is
 * not there is noticed.
 */
import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { access, copyFile, link, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { close, errnoOf, explained, FileAppender, FileReader, open, statOf, sync } from './file-io.ts';
import { dayOf, likelyDays, requireSessionId } from './layout.ts';
import {
  type Archive,
  type ArchiveAppender,
  type ArchiveEntry,
  ArchiveError,
  type ArchiveReader,
  type Side,
} from './port.ts';

const EXTENSION = '.slr';
/** Of what stands beside a recording while it is written. */
const PART_EXTENSION = '.part';
const YEAR = /^\d{4}$/;
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
  /** Whether the root was a mount when this began: it must stay one, or recordings would go below it. */
  readonly #wasMount: Promise<boolean>;

  /** `root`: absolute path of an existing folder. */
  constructor(root: string) {
    this.#root = root;
    this.description = `file:${root}`;
    this.#wasMount = this.#isMount().catch(() => false);
  }

  async check(): Promise<void> {
    await this.#requireRoot();
    try {
      await access(this.#root, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  async create(sessionId: string, startedAt: number, first: Uint8Array): Promise<ArchiveAppender> {
    requireSessionId(sessionId);
    const path = this.#path(sessionId, startedAt);
    const fd = await this.#createFile(path, startedAt);
    const appender = new FileAppender(fd, this.#explain, this.#reopening(sessionId, startedAt));
    try {
      await appender.append(first);
      await this.#syncFolder(dirname(path));
      return appender;
    } catch (error) {
      // What failed is told; the cleaning up is best effort.
      await appender.close().catch(() => {});
      await rm(path, { force: true }).catch(() => {});
      throw error;
    }
  }

  /** Creates a file; its folder is made for the first recording of a day only. */
  async #createFile(path: string, startedAt: number): Promise<number> {
    try {
      return await open(path, NEW_DURABLE, 0o600);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw this.#explain(error);
    }
    await this.#requireRoot();
    await this.#makeDay(startedAt);
    try {
      return await open(path, NEW_DURABLE, 0o600);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  async *list(): AsyncGenerator<ArchiveEntry, void, void> {
    for await (const folder of this.#days()) {
      const names = await this.#names(folder);
      for (const name of names) {
        if (!name.endsWith(EXTENSION)) continue;
        const { size } = await stat(join(folder, name)).catch((error: unknown) => {
          throw this.#explain(error);
        });
        yield { sessionId: name.slice(0, -EXTENSION.length), bytes: size };
      }
    }
  }

  async open(sessionId: string): Promise<ArchiveReader> {
    requireSessionId(sessionId);
    await this.#requireRoot();
    const tried = new Set<string>();
    for (const folder of likelyDays(sessionId)) {
      const path = join(this.#root, folder);
      tried.add(path);
      const reader = await this.#openFile(join(path, sessionId + EXTENSION));
      if (reader !== undefined) return reader;
    }
    for await (const folder of this.#days()) {
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
    try {
      const fd = await open(this.#path(sessionId, startedAt), DURABLE);
      return await FileAppender.behind(end, fd, this.#explain, this.#reopening(sessionId, startedAt));
    } catch (error) {
      throw errnoOf(error) === 'ENOENT' ? await this.#absence(sessionId) : this.#explain(error);
    }
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
    const part = `${path}.${randomUUID()}${PART_EXTENSION}`;
    try {
      await copyFile(path, part, fs.constants.COPYFILE_FICLONE);
      const fd = await open(part, DURABLE);
      const appender = await FileAppender.behind(end, fd, this.#explain);
      try {
        await appender.append(tail);
        await sync(fd);
      } finally {
        await appender.close();
      }
      await rename(part, path);
      await this.#syncFolder(dirname(path));
    } catch (error) {
      throw errnoOf(error) === 'ENOENT' ? await this.#absence(sessionId) : this.#explain(error);
    } finally {
      await rm(part, { force: true }).catch(() => {});
    }
  }

  /** A recording is one file from its start. */
  async compact(): Promise<void> {}

  async remove(sessionId: string, startedAt: number): Promise<void> {
    requireSessionId(sessionId);
    await this.#requireContents();
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

  /** Writers leave nothing but recordings. */
  async tidy(): Promise<void> {}

  #path(sessionId: string, startedAt: number, extension = EXTENSION): string {
    return join(this.#root, dayOf(startedAt), sessionId + extension);
  }

  /** Writes a file beside `path`, whole, and then gives it that name with `place`. */
  async #putWhole(
    path: string,
    startedAt: number,
    bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    place: (part: string, path: string) => Promise<void>,
  ): Promise<void> {
    // Two that are made at once do not write into each other.
    const part = `${path}.${randomUUID()}${PART_EXTENSION}`;
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
      await this.#syncFolder(dirname(path));
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

  /** Folders of days, newest first. */
  async *#days(): AsyncGenerator<string, void, void> {
    await this.#requireRoot();
    for (const year of await this.#names(this.#root, YEAR)) {
      for (const month of await this.#names(join(this.#root, year), /^\d{2}$/)) {
        for (const day of await this.#names(join(this.#root, year, month), /^\d{2}$/)) {
          yield join(this.#root, year, month, day);
        }
      }
    }
  }

  async #names(folder: string, pattern?: RegExp): Promise<readonly string[]> {
    try {
      const names = await readdir(folder);
      return names.filter((name) => pattern?.test(name) ?? true).sort((a, b) => (a < b ? 1 : -1));
    } catch (error) {
      throw this.#explain(error);
    }
  }

  async #requireRoot(): Promise<void> {
    let words = 'is not a folder: point archive.url at one';
    try {
      if ((await stat(this.#root)).isDirectory()) {
        if (!(await this.#wasMount) || (await this.#isMount())) return;
        words = 'is not mounted any more: mount it';
      }
    } catch (error) {
      throw this.#explain(error);
    }
    throw new ArchiveError('archive-missing', `archive folder ${this.#root} ${words}`);
  }

  /** A mount of a part of the same file system does not look like one. */
  async #isMount(): Promise<boolean> {
    const [root, above] = await Promise.all([stat(this.#root), stat(dirname(this.#root))]);
    return root.dev !== above.dev;
  }

  /** Makes the folder of a day level by level, so that a root that went away is not made anew. */
  async #makeDay(startedAt: number): Promise<void> {
    let folder = this.#root;
    for (const level of dayOf(startedAt).split('/')) {
      const parent = folder;
      folder = join(parent, level);
      try {
        await mkdir(folder, 0o700);
      } catch (error) {
        if (errnoOf(error) === 'EEXIST') continue;
        throw this.#explain(error);
      }
      await this.#syncFolder(parent);
    }
  }

  /** A new name in a folder survives a crash only when the folder itself is flushed. */
  async #syncFolder(folder: string): Promise<void> {
    try {
      const fd = await open(folder, 'r');
      try {
        await sync(fd);
      } finally {
        await close(fd);
      }
    } catch (error) {
      // Some network file systems refuse to flush a folder; they write names through.
      if (errnoOf(error) === 'EINVAL') return;
      throw this.#explain(error);
    }
  }

  /** Why a recording is not there. */
  async #absence(sessionId: string): Promise<ArchiveError> {
    await this.#requireContents();
    return new ArchiveError(
      'recording-missing',
      `archive ${this.description} holds no recording of session ${sessionId}`,
    );
  }

  /** The place of a mount that is not there is empty, too: nothing may be taken for lost or deleted then. */
  async #requireContents(): Promise<void> {
    await this.#requireRoot();
    if ((await this.#names(this.#root, YEAR)).length > 0) return;
    throw new ArchiveError(
      'archive-missing',
      `archive folder ${this.#root} is empty: mount what belongs there`,
    );
  }

  readonly #explain = (error: unknown): ArchiveError => explained(this.#root, error);
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
