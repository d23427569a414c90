/**
 * The `file:` sink: `<root>/<yyyy>/<mm>/<dd>/<session id>.slr`, the day in UTC, its index as
 * `<session id>.index` beside it. The root
 * may be a network mount; it must exist, so that a mount that is not there is noticed.
 */
import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { access, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  type Archive,
  type ArchiveAppender,
  type ArchiveEntry,
  ArchiveError,
  type ArchiveErrorCode,
  type ArchiveReader,
} from './port.ts';

const EXTENSION = '.slr';
/** Of what stands beside a recording, and of the same while it is written. */
const INDEX_EXTENSION = '.index';
const PART_EXTENSION = '.part';
const SESSION_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
/** RFC 9562 §5.7: the first 48 bits are ms since the epoch. */
const UUID_V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-/i;
const DAY_MS = 86_400_000;
/** A new file whose every write is durable when it returns, as by fdatasync(2) but without its call. */
const NEW_DURABLE = fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_DSYNC;

/**
 * Plain descriptors, not FileHandles: a handle that is collected unclosed ends the whole
 * process, and with it every other session of the worker.
 */
const open = promisify(fs.open);
const close = promisify(fs.close);
const read = promisify(fs.read);
const write = promisify(fs.write);
const truncate = promisify(fs.ftruncate);
const sync = promisify(fs.fsync);
const statOf = promisify(fs.fstat);

export class FileArchive implements Archive {
  readonly description: string;
  readonly #root: string;

  /** `root`: absolute path of an existing folder. */
  constructor(root: string) {
    this.#root = root;
    this.description = `file:${root}`;
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
    const folder = join(this.#root, dayOf(startedAt));
    const path = join(folder, sessionId + EXTENSION);
    const fd = await this.#createFile(path, startedAt);
    const appender = new FileAppender(fd, (error) => this.#explain(error));
    try {
      await appender.append(first);
      await this.#syncFolder(folder);
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
    throw new ArchiveError(
      'recording-missing',
      `archive ${this.description} holds no recording of session ${sessionId}`,
    );
  }

  async openIndex(sessionId: string, startedAt: number): Promise<ArchiveReader | undefined> {
    requireSessionId(sessionId);
    return await this.#openFile(join(this.#root, dayOf(startedAt), sessionId + INDEX_EXTENSION));
  }

  async putIndex(sessionId: string, startedAt: number, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    requireSessionId(sessionId);
    const path = join(this.#root, dayOf(startedAt), sessionId + INDEX_EXTENSION);
    // Two that are made at once do not write into each other.
    const part = `${path}.${randomUUID()}${PART_EXTENSION}`;
    const fd = await this.#createFile(part, startedAt);
    const appender = new FileAppender(fd, (error) => this.#explain(error));
    try {
      try {
        for await (const chunk of bytes) await appender.append(chunk);
      } finally {
        await appender.close();
      }
      await rename(part, path).catch((error: unknown) => {
        throw this.#explain(error);
      });
    } catch (error) {
      await rm(part, { force: true }).catch(() => {});
      throw error;
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
      return new FileReader(fd, size, (error) => this.#explain(error));
    } catch (error) {
      await close(fd);
      throw this.#explain(error);
    }
  }

  /** Folders of days, newest first. */
  async *#days(): AsyncGenerator<string, void, void> {
    await this.#requireRoot();
    for (const year of await this.#names(this.#root, /^\d{4}$/)) {
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
    try {
      const root = await stat(this.#root);
      if (root.isDirectory()) return;
    } catch (error) {
      throw this.#explain(error);
    }
    throw new ArchiveError(
      'archive-missing',
      `archive ${this.#root} is not a folder: point archive.url at one`,
    );
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

  #explain(error: unknown): ArchiveError {
    if (error instanceof ArchiveError) return error;
    const errno = errnoOf(error);
    const [code, words] = FAILURES.get(errno) ?? (['archive-io', 'cannot be used'] as const);
    return new ArchiveError(code, `archive folder ${this.#root} ${words} (${errno})`, error);
  }
}

const FAILURES = new Map<string, readonly [ArchiveErrorCode, string]>([
  ['ENOENT', ['archive-missing', 'is missing: create it or mount it']],
  ['ENOTDIR', ['archive-missing', 'is missing: a part of its path is no folder']],
  ['EROFS', ['archive-read-only', 'is read-only: mount it writable']],
  ['EACCES', ['archive-forbidden', 'may not be written: give the gateway its rights']],
  ['EPERM', ['archive-forbidden', 'may not be written: give the gateway its rights']],
  ['ENOSPC', ['archive-full', 'is full: free space on it']],
  ['EDQUOT', ['archive-full', 'is full: raise its quota or free space']],
  ['EFBIG', ['archive-full', 'takes no larger file: raise its file size limit']],
  ['ESTALE', ['archive-stale', 'was exported anew by its server: mount it again']],
  ['EIO', ['archive-io', 'has an input/output error: look at its disk or server']],
  ['EEXIST', ['recording-exists', 'already holds a recording of this session']],
]);

class FileAppender implements ArchiveAppender {
  /** Opened as {@link NEW_DURABLE}. */
  readonly #fd: number;
  readonly #explain: (error: unknown) => ArchiveError;
  /** INVARIANT: so many bytes from the start of the file are durable. */
  #durable = 0;
  /** Whether bytes behind `#durable` may be in the file. */
  #torn = false;

  constructor(fd: number, explain: (error: unknown) => ArchiveError) {
    this.#fd = fd;
    this.#explain = explain;
  }

  async append(bytes: Uint8Array): Promise<void> {
    try {
      // A part that an append before left behind is written over.
      this.#torn = true;
      let done = 0;
      while (done < bytes.length) {
        const { bytesWritten } = await write(
          this.#fd,
          bytes,
          done,
          bytes.length - done,
          this.#durable + done,
        );
        done += bytesWritten;
      }
    } catch (error) {
      throw this.#explain(error);
    }
    this.#durable += bytes.length;
    this.#torn = false;
  }

  async close(): Promise<void> {
    try {
      if (this.#torn) await truncate(this.#fd, this.#durable);
    } catch (error) {
      throw this.#explain(error);
    } finally {
      await close(this.#fd);
    }
  }
}

class FileReader implements ArchiveReader {
  readonly size: number;
  readonly #fd: number;
  readonly #explain: (error: unknown) => ArchiveError;

  constructor(fd: number, size: number, explain: (error: unknown) => ArchiveError) {
    this.#fd = fd;
    this.size = size;
    this.#explain = explain;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const wanted = Math.max(0, Math.min(length, this.size - offset));
    const buffer = Buffer.allocUnsafe(wanted);
    let done = 0;
    try {
      while (done < wanted) {
        const { bytesRead } = await read(this.#fd, buffer, done, wanted - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
    } catch (error) {
      throw this.#explain(error);
    }
    return buffer.subarray(0, done);
  }

  async close(): Promise<void> {
    await close(this.#fd);
  }
}

function requireSessionId(sessionId: string): void {
  if (!SESSION_ID.test(sessionId)) {
    throw new ArchiveError(
      'recording-id',
      'session id: only letters, digits, - and _ are allowed, at most 64',
    );
  }
}

/** `yyyy/mm/dd` in UTC. */
function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10).replaceAll('-', '/');
}

/** A session id that tells its time (UUIDv7) saves the search through all days. */
function likelyDays(sessionId: string): readonly string[] {
  const match = UUID_V7.exec(sessionId);
  if (match === null) return [];
  const ms = Number.parseInt(`${match[1]}${match[2]}`, 16);
  // Beyond the year 9999 folder names have another shape; such an id was not made by a clock.
  if (ms > Date.UTC(9999, 0)) return [];
  // The id is a little older than the recording: midnight may lie between them.
  return [dayOf(ms), dayOf(ms + DAY_MS)];
}

function errnoOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string') {
    return error.code;
  }
  return 'unknown error';
}
