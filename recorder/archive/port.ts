/**
 * The archive: where recordings go. A sink keeps one append-only stream of bytes per
 * recording; an append is durable when it resolves. The first adapter is the `file:`
 * sink; an object store fits too, one small object per append.
 */

/** Stable codes of what can be wrong with an archive. */
export type ArchiveErrorCode =
  | 'archive-url'
  | 'archive-missing'
  /** Its server cannot be reached. */
  | 'archive-unreachable'
  | 'archive-read-only'
  | 'archive-forbidden'
  | 'archive-full'
  | 'archive-stale'
  | 'archive-io'
  /** The archive did not answer within the grace time. */
  | 'archive-timeout'
  /** The node may not write any more: its peers take it for gone. */
  | 'archive-lease'
  /** `archive.recipients` holds no age recipient that keys can be wrapped to. */
  | 'archive-recipient'
  /** What is spooled of a recording can never be joined to it, or is damaged. */
  | 'spool-conflict'
  | 'recording-exists'
  | 'recording-missing'
  /** Nobody has put a manifest behind it yet. */
  | 'recording-unsealed'
  | 'recording-id';

/** The archive cannot take or give a recording. The message is for a person. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError';
  readonly code: ArchiveErrorCode;

  constructor(code: ArchiveErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
  }
}

/** The writing end of one recording. */
export interface ArchiveAppender {
  /** How many appends may be under way at a time; undefined: one. */
  readonly atOnce?: number;
  /**
   * Resolves when `bytes` are durable, in memory that is lent until then. Of several that are under way each
   * follows the one begun before it: `at` says where it begins in the recording (undefined: behind all that
   * is durable), and it may be durable sooner, but counts only when all before it are. After a rejection
   * (always {@link ArchiveError}) the same bytes may be appended again, at the same place; whatever part of
   * them was written then counts for nothing.
   */
  append(bytes: Uint8Array, at?: number): Promise<void>;
  close(): Promise<void>;
}

/** What writes recordings needs of an archive. */
export type ArchiveForWriters = Pick<Archive, 'create' | 'open' | 'resume'>;

/** The reading end of one recording, as long as it was when it was opened. */
export interface ArchiveReader {
  /** Bytes. */
  readonly size: number;
  /** `length` bytes from `offset`, fewer only at the end. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/**
 * What may stand beside a recording, each made from it and needed by nobody to prove anything: the index of
 * key frames (container/key-frames.ts) and the text that is searched (search/text-file.ts).
 */
export const SIDES = ['index', 'text'] as const;
export type Side = (typeof SIDES)[number];

export interface ArchiveEntry {
  readonly sessionId: string;
  /** Length of the recording in bytes. */
  readonly bytes: number;
}

export interface Archive {
  /** For people: where this archive is, without secrets. */
  readonly description: string;
  /** Archives of one place each, which are to hold the same: this one, where it is of one place itself. */
  readonly copies: readonly Archive[];
  /** Rejects when recordings could not be written now. */
  check(): Promise<void>;
  /**
   * Creates a recording whose first bytes are `first`, durable when it resolves; a
   * rejection leaves nothing behind. `startedAt`: ms since the epoch.
   */
  create(sessionId: string, startedAt: number, first: Uint8Array): Promise<ArchiveAppender>;
  /** All recordings, newest first. */
  list(): AsyncIterable<ArchiveEntry>;
  open(sessionId: string): Promise<ArchiveReader>;
  /**
   * Goes on with a recording behind its first `end` bytes; what stands behind them is given up. The
   * caller has made sure that its writer is gone.
   */
  resume(sessionId: string, startedAt: number, end: number): Promise<ArchiveAppender>;
  /**
   * Puts `manifest` behind the first `end` bytes of a recording whose writer is gone; what stood behind
   * them is given up. Whoever else tries at the same time, one manifest wins: resolves with that one,
   * durable. After a rejection it may be tried again.
   */
  seal(sessionId: string, startedAt: number, end: number, manifest: Uint8Array): Promise<Uint8Array>;
  /**
   * Makes few large objects of a sealed recording that was written as many small ones. `check` reads the
   * result and rejects when it is not the recording; nothing is deleted before it resolves. May be done
   * again at any time, by any node; does nothing where nothing is left to do.
   */
  compact(
    sessionId: string,
    startedAt: number,
    check: (compacted: ArchiveReader) => Promise<void>,
  ): Promise<void>;
  /** Deletes a recording and what stands beside it; one that is not there is no error. */
  remove(sessionId: string, startedAt: number): Promise<void>;
  /** Deletes what writers of a node that is gone left beside its recordings; all of these are sealed. */
  tidy(writer: string): Promise<void>;
  /**
   * Puts a file beside a recording, in the place of one that is there. It is seen when it is whole; a
   * rejection, that of `bytes` too, leaves nothing behind.
   */
  putSide(sessionId: string, startedAt: number, side: Side, bytes: AsyncIterable<Uint8Array>): Promise<void>;
  /** Undefined: there is none. */
  openSide(sessionId: string, startedAt: number, side: Side): Promise<ArchiveReader | undefined>;
}

/** Undefined: the archive has no such recording. Rejects as {@link Archive.open} does else. */
export async function openIfThere(
  archive: Pick<Archive, 'open'>,
  sessionId: string,
): Promise<ArchiveReader | undefined> {
  try {
    return await archive.open(sessionId);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export function isMissing(error: unknown): error is ArchiveError {
  return error instanceof ArchiveError && error.code === 'recording-missing';
}
