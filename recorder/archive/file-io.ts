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
const flush = promisify(fs.fdatasync);
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

/**
 * From so many bytes on an append is written first and flushed then: the next is written meanwhile. Of fewer, one
 * call that does both takes less of the processor.
 */
const LARGE_BYTES = 256 * 1024;

/**
 * Appends that are durable when they resolve. One is written after the other, so that there is never a hole in the
 * file, however many are under way: only while one is flushed the next is written.
 */
export class FileAppender implements ArchiveAppender {
  /** One is written while another is flushed. */
  readonly atOnce = 2;
  /** Opened with O_DSYNC. */
  #fd: number;
  /** The same file without it, for large appends; undefined: there was none yet. */
  #unflushed: number | undefined;
  readonly #explain: (error: unknown) => ArchiveError;
  readonly #reopen: ((durable: number) => Promise<number>) | undefined;
  /** INVARIANT: so many bytes from the start of the file are durable. */
  #durable = 0;
  /** What is durable behind these, where appends before it are not yet: from where, up to where. */
  readonly #ahead = new Map<number, number>();
  /** INVARIANT: so many bytes from the start of the file are written. */
  #written = 0;
  /** Bytes behind this one were never touched. */
  #reached = 0;
  /** Settled when the last append that was begun is written or has failed. Never rejects. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Calls under way that flush. They never reject. */
  readonly #flushes = new Set<Promise<unknown>>();
  /** Why the last append failed that did. */
  #failure: ArchiveError | undefined;
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
      appender.#durable = appender.#written = appender.#reached = end;
      return appender;
    } catch (error) {
      await close(fd);
      throw explain(error);
    }
  }

  async append(bytes: Uint8Array, at = this.#durable): Promise<void> {
    const before = this.#turn;
    const written = Promise.withResolvers<void>();
    this.#turn = written.promise;
    try {
      await before;
      const unflushed = await this.#write(bytes, at);
      written.resolve();
      if (unflushed !== undefined) await this.#flush(unflushed);
      this.#keep(at, at + bytes.length);
    } catch (error) {
      this.#written = Math.min(this.#written, at);
      const failure = this.#explain(error);
      this.#failure = failure;
      this.#lost ||= LOST.has(failure.code);
      throw failure;
    } finally {
      written.resolve();
    }
  }

  /** Resolves with the descriptor to flush, if any. */
  async #write(bytes: Uint8Array, at: number): Promise<number | undefined> {
    if (this.#lost) await this.#openAnew();
    // The append before it failed: this one comes again, too, and leaves no hole.
    if (at > this.#written) throw this.#failure ?? new RangeError(`append at ${at}: the file ends before`);
    const end = at + bytes.length;
    // A part that an append before left behind is written over.
    this.#reached = Math.max(this.#reached, end);
    const large = bytes.length >= LARGE_BYTES;
    const fd = large ? await this.#openUnflushed() : this.#fd;
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await write(fd, bytes, done, bytes.length - done, at + done);
      done += bytesWritten;
    }
    this.#written = Math.max(this.#written, end);
    return large ? fd : undefined;
  }

  async #flush(fd: number): Promise<void> {
    const flushing = flush(fd);
    const settled = flushing.catch(() => {});
    this.#flushes.add(settled);
    try {
      await flushing;
    } finally {
      this.#flushes.delete(settled);
    }
  }

  #keep(from: number, to: number): void {
    this.#ahead.set(from, to);
    for (;;) {
      const next = this.#ahead.get(this.#durable);
      if (next === undefined) break;
      this.#ahead.delete(this.#durable);
      this.#durable = next;
    }
    this.#written = Math.max(this.#written, this.#durable);
  }

  /** By the descriptor, because the name may be another file's by now. Without /proc, flushing twice does no harm. */
  async #openUnflushed(): Promise<number> {
    this.#unflushed ??= await open(`/proc/self/fd/${this.#fd}`, fs.constants.O_WRONLY).catch(() => undefined);
    return this.#unflushed ?? this.#fd;
  }

  async #openAnew(): Promise<void> {
    if (this.#reopen === undefined) return;
    await Promise.all(this.#flushes);
    const fd = await this.#reopen(Math.max(this.#durable, ...this.#ahead.values()));
    const gone = this.#descriptors();
    this.#fd = fd;
    this.#unflushed = undefined;
    this.#lost = false;
    // They have said what they had to say, and may say it again.
    for (const each of gone) void close(each).catch(() => {});
  }

  #descriptors(): [number, ...number[]] {
    return this.#unflushed === undefined ? [this.#fd] : [this.#fd, this.#unflushed];
  }

  async close(): Promise<void> {
    try {
      // One that is lost says nothing of the file that is there now; who seals that drops what is torn.
      if (this.#reached > this.#durable && !this.#lost) await truncate(this.#fd, this.#durable);
    } catch (error) {
      throw this.#explain(error);
    } finally {
      const [fd, ...more] = this.#descriptors();
      // All is flushed, or given up.
      for (const each of more) await close(each).catch(() => {});
      await close(fd);
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
