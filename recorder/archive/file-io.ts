/** Files of the `file:` sink: descriptors, what their errors mean, appending and reading. */
import * as fs from 'node:fs';
import { constants } from 'node:os';
import { promisify } from 'node:util';
import { Limit } from './limit.ts';
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
 * Appends that are durable when they resolve, in their order. One is written after the other, so that there is never
 * a hole in the file; while one is flushed the next is written. Where a flush fails all that was written until then
 * comes again: the kernel tells of a page that was lost once, and not whose it was.
 */
export class FileAppender implements ArchiveAppender {
  readonly atOnce = 2;
  /** Opened with O_DSYNC. */
  #fd: number;
  /** The same file without it, for large appends; undefined: there was none yet. */
  #unflushed: number | undefined;
  readonly #explain: (error: unknown) => ArchiveError;
  readonly #reopen: ((durable: number) => Promise<number>) | undefined;
  /** INVARIANT: so many bytes from the start of the file are durable. */
  #durable = 0;
  /** INVARIANT: so many bytes from the start of the file are written, and none of them is known to be lost. */
  #written = 0;
  /** Bytes behind this one were never touched. */
  #reached = 0;
  /** One append is written at a time, and one flushed. */
  readonly #writes = new Limit(1);
  readonly #flushes = new Limit(1);
  /** Flushes that failed. */
  #losses = 0;
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
    try {
      const { flushed } = await this.#writes.run(() => this.#write(bytes, at));
      await flushed;
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** Its flush has its turn before anything else is written. */
  async #write(bytes: Uint8Array, at: number): Promise<{ readonly flushed: Promise<void> }> {
    if (this.#lost) await this.#openAnew();
    // The append before it failed: this one comes again, too, and leaves no hole.
    if (at > this.#written) throw this.#failure ?? new RangeError(`append at ${at}: the file ends before`);
    const losses = this.#losses;
    const end = at + bytes.length;
    // A part that an append before left behind is written over.
    this.#reached = Math.max(this.#reached, end);
    const large = bytes.length >= LARGE_BYTES;
    const fd = large ? await this.#openUnflushed() : this.#fd;
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await write(fd, bytes, done, bytes.length - done, at + done);
      done += bytesWritten;
    }
    if (losses === this.#losses) this.#written = end;
    return { flushed: this.#flushes.run(() => this.#flush(large ? fd : undefined, losses, end)) };
  }

  /** `losses`: how many flushes had failed before it was written. */
  async #flush(fd: number | undefined, losses: number, end: number): Promise<void> {
    if (losses !== this.#losses) throw this.#failure;
    try {
      if (fd !== undefined) await flush(fd);
    } catch (error) {
      this.#losses += 1;
      // At once: what is written next must not stand behind what was lost.
      this.#written = this.#durable;
      throw this.#failed(error);
    }
    this.#durable = end;
  }

  #failed(error: unknown): ArchiveError {
    const failure = this.#explain(error);
    this.#failure = failure;
    this.#lost ||= LOST.has(failure.code);
    return failure;
  }

  /** By the descriptor, because the name may be another file's by now. Without /proc, flushing twice does no harm. */
  async #openUnflushed(): Promise<number> {
    this.#unflushed ??= await open(`/proc/self/fd/${this.#fd}`, fs.constants.O_WRONLY).catch(() => undefined);
    return this.#unflushed ?? this.#fd;
  }

  async #openAnew(): Promise<void> {
    if (this.#reopen === undefined) return;
    // Nothing is flushed to them any more.
    await this.#flushes.run(async () => {});
    const fd = await this.#reopen(this.#durable);
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
