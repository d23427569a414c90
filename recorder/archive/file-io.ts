/** Files of the `file:` sink: descriptors, what their errors mean, appending and reading. */
import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { type ArchiveAppender, ArchiveError, type ArchiveErrorCode, type ArchiveReader } from './port.ts';

/**
 * Plain descriptors, not FileHandles: a handle that is collected unclosed ends the whole
 * process, and with it every other session of the worker.
 */
export const open = promisify(fs.open);
export const close = promisify(fs.close);
const read = promisify(fs.read);
const write = promisify(fs.write);
const truncate = promisify(fs.ftruncate);
export const sync = promisify(fs.fsync);
export const statOf = promisify(fs.fstat);

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

/** In words for a person. `root`: of the archive, or whatever `what` says. */
export function explained(root: string, error: unknown, what = 'archive folder'): ArchiveError {
  if (error instanceof ArchiveError) return error;
  const errno = errnoOf(error);
  const [code, words] = FAILURES.get(errno) ?? (['archive-io', 'cannot be used'] as const);
  return new ArchiveError(code, `${what} ${root} ${words} (${errno})`, error);
}

/** Appends; every write is durable when it returns. */
export class FileAppender implements ArchiveAppender {
  /** Opened with O_DSYNC. */
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

  /** Goes on behind the first `end` bytes of a file; what stands behind them is given up. */
  static async behind(
    end: number,
    fd: number,
    explain: (error: unknown) => ArchiveError,
  ): Promise<FileAppender> {
    try {
      await truncate(fd, end);
      const appender = new FileAppender(fd, explain);
      appender.#durable = end;
      return appender;
    } catch (error) {
      await close(fd);
      throw explain(error);
    }
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

export class FileReader implements ArchiveReader {
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

export function errnoOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string') {
    return error.code;
  }
  return 'unknown error';
}
