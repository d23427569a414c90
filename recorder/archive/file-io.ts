/** Files of the `file:` sink: descriptors, what their errors mean, appending and reading. */
import * as fs from 'node:fs';
import { constants } from 'node:os';
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

/**
 * Failures that a descriptor may have for good although its file is there again: a server was restarted or
 * exports anew (NFS: ESTALE, EIO), forgot what was open (CIFS: EBADF), or a mount's helper was (ENOTCONN).
 */
const LOST: ReadonlySet<ArchiveErrorCode> = new Set(['archive-stale', 'archive-io']);

/** Appends; every write is durable when it returns. */
export class FileAppender implements ArchiveAppender {
  /** Opened with O_DSYNC. */
  #fd: number;
  readonly #explain: (error: unknown) => ArchiveError;
  readonly #reopen: ((durable: number) => Promise<number>) | undefined;
  /** INVARIANT: so many bytes from the start of the file are durable. */
  #durable = 0;
  /** Whether bytes behind `#durable` may be in the file. */
  #torn = false;
  /** Whether the file is to be opened anew first. */
  #lost = false;

  /**
   * `reopen`: another descriptor of the same file, of which so many bytes are durable; rejects where it is
   * not there or not the same any more. Undefined: it is not worth it.
   */
  constructor(
    fd: number,
    explain: (error: unknown) => ArchiveError,
    reopen?: (durable: number) => Promise<number>,
  ) {
    this.#fd = fd;
    this.#explain = explain;
    this.#reopen = reopen;
  }

  /** Goes on behind the first `end` bytes of a file; what stands behind them is given up. */
  static async behind(
    end: number,
    fd: number,
    explain: (error: unknown) => ArchiveError,
    reopen?: (durable: number) => Promise<number>,
  ): Promise<FileAppender> {
    try {
      await truncate(fd, end);
      const appender = new FileAppender(fd, explain, reopen);
      appender.#durable = end;
      return appender;
    } catch (error) {
      await close(fd);
      throw explain(error);
    }
  }

  async append(bytes: Uint8Array): Promise<void> {
    try {
      if (this.#lost) await this.#openAnew();
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
      const failure = this.#explain(error);
      this.#lost ||= LOST.has(failure.code);
      throw failure;
    }
    this.#durable += bytes.length;
    this.#torn = false;
  }

  async #openAnew(): Promise<void> {
    if (this.#reopen === undefined) return;
    const fd = await this.#reopen(this.#durable);
    const gone = this.#fd;
    this.#fd = fd;
    this.#lost = false;
    // It has said what it had to say, and may say it again.
    void close(gone).catch(() => {});
  }

  async close(): Promise<void> {
    try {
      // One that is lost says nothing of the file that is there now; who seals that drops what is torn.
      if (this.#torn && !this.#lost) await truncate(this.#fd, this.#durable);
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

/** What network file systems say and Node has no name for: `Unknown system error -116`. */
const UNNAMED: ReadonlyMap<unknown, string> = new Map([
  [-constants.errno.ESTALE, 'ESTALE'],
  [-constants.errno.EDQUOT, 'EDQUOT'],
]);

/** `ENOENT` and the like. */
export function errnoOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string') {
    return ('errno' in error ? UNNAMED.get(error.errno) : undefined) ?? error.code;
  }
  return 'unknown error';
}
