/**
 * One file of the spool: what a recording has more than the archive, as it was appended. It holds
 * ciphertext from its first byte, sealed to the archive's recipients like everything of a recording.
 * Integers are big-endian:
 *
 * | size | field                                                       |
 * |-----:|-------------------------------------------------------------|
 * |    4 | magic `SLSP`                                                |
 * |    1 | version, 1                                                  |
 * |    1 | length of the session id                                    |
 * |    8 | when the recording began, ms since the epoch                |
 * |    8 | offset in the recording from which on the file continues it |
 * |    … | session id                                                  |
 *
 * then one record for each append: length (4), CRC-32 of its bytes (4), CRC-32 of these eight (4), bytes.
 * A crash can only cut the last one short, which nobody was told of; anything else that is wrong is damage to
 * what was acknowledged.
 */
import * as fs from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { close, errnoOf, explained, FileAppender, FileReader, open, statOf, sync } from './file-io.ts';
import { requireSessionId } from './layout.ts';
import { ArchiveError } from './port.ts';
import type { SpoolRoom } from './spool-room.ts';

const MAGIC = 0x534c5350;
const VERSION = 1;
const FIXED_BYTES = 22;
const RECORD_HEAD_BYTES = 12;
/** An append is at most a batch of segments and a manifest; more in a head is damage. */
const MAX_RECORD_BYTES = 64 * 1024 * 1024;
/** Appends that go to the archive as one: it answers each no sooner than a large one. */
const BATCH_BYTES = 1024 * 1024;
export const SPOOL_EXTENSION = '.spool';

/** What a spooled file continues. */
export interface SpoolPlace {
  readonly sessionId: string;
  /** ms since the epoch */
  readonly startedAt: number;
  /** So many bytes of the recording are in the archive. */
  readonly from: number;
}

/** Records from one position on, `next` the position behind them. */
export interface SpoolBatch {
  readonly bytes: Buffer;
  readonly next: number;
}

export class SpoolFile {
  readonly place: SpoolPlace;
  /** Position of the first record. */
  readonly start: number;
  readonly #folder: string;
  readonly #path: string;
  readonly #fd: number;
  readonly #appender: FileAppender;
  readonly #room: SpoolRoom;
  /** Position behind the last whole record. */
  #end: number;
  #bytes: number;

  private constructor(
    place: SpoolPlace,
    where: { readonly folder: string; readonly fd: number; readonly appender: FileAppender },
    extent: { readonly start: number; readonly end: number; readonly bytes: number },
    room: SpoolRoom,
  ) {
    this.place = place;
    this.#folder = where.folder;
    this.#path = spoolPath(where.folder, place.sessionId);
    this.#fd = where.fd;
    this.#appender = where.appender;
    this.start = extent.start;
    this.#end = extent.end;
    this.#bytes = extent.bytes;
    this.#room = room;
  }

  /** Position behind the last record. */
  get end(): number {
    return this.#end;
  }

  /** Bytes of the recording in here. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Makes the file, its first record durable when it resolves; a rejection leaves nothing behind.
   * Rejects with {@link ArchiveError}, `archive-full` when there is no room.
   */
  static async create(
    folder: string,
    place: SpoolPlace,
    first: Uint8Array,
    room: SpoolRoom,
  ): Promise<SpoolFile> {
    const header = encodePlace(place);
    const content = Buffer.concat([header, encodeRecord(first)]);
    room.take(content.length);
    const path = spoolPath(folder, place.sessionId);
    let appender: FileAppender | undefined;
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const { O_RDWR, O_DSYNC, O_CREAT, O_EXCL } = fs.constants;
      const fd = await open(path, O_RDWR | O_DSYNC | O_CREAT | O_EXCL, 0o600);
      appender = new FileAppender(fd, (error) => explain(folder, error));
      await appender.append(content);
      await syncFolder(folder);
      const extent = { start: header.length, end: content.length, bytes: first.length };
      return new SpoolFile(place, { folder, fd, appender }, extent, room);
    } catch (error) {
      room.give(content.length);
      if (appender !== undefined) {
        await appender.close().catch(() => {});
        await rm(path, { force: true }).catch(() => {});
      }
      throw explain(folder, error);
    }
  }

  /**
   * Opens a file that a process left that is gone. Undefined: it was never told of, and is wiped. Rejects with
   * {@link ArchiveError}: `recording-id` when it is no file of a spool, `spool-conflict` when it is damaged.
   */
  static async open(folder: string, sessionId: string, room: SpoolRoom): Promise<SpoolFile | undefined> {
    const path = spoolPath(folder, sessionId);
    let fd: number;
    try {
      fd = await open(path, fs.constants.O_RDWR | fs.constants.O_DSYNC);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw explain(folder, error);
    }
    // A descriptor is closed once: its number may be another file's by then.
    let ours = true;
    try {
      const { size } = await statOf(fd);
      const reader = new FileReader(fd, size, (error) => explain(folder, error));
      const header = Buffer.from(await reader.read(0, FIXED_BYTES + 64));
      const place = decodePlace(header, path, sessionId);
      const start = FIXED_BYTES + sessionId.length;
      let end = start;
      let bytes = 0;
      while (place !== undefined) {
        const record = await readRecord(reader, end, path);
        if (record === undefined) break;
        end += RECORD_HEAD_BYTES + record.length;
        bytes += record.length;
      }
      if (place === undefined || bytes === 0) {
        ours = false;
        await close(fd);
        await rm(path);
        room.give(size);
        return undefined;
      }
      // What stands behind the last whole record was never told of.
      ours = false;
      const appender = await FileAppender.behind(end, fd, (error) => explain(folder, error));
      room.give(size - end);
      return new SpoolFile(place, { folder, fd, appender }, { start, end, bytes }, room);
    } catch (error) {
      if (ours) await close(fd).catch(() => {});
      throw explain(folder, error);
    }
  }

  /** Resolves when `bytes` are durable. Rejects with {@link ArchiveError}; they may then be added again. */
  async add(bytes: Uint8Array): Promise<void> {
    const record = encodeRecord(bytes);
    this.#room.take(record.length);
    try {
      await this.#appender.append(record);
    } catch (error) {
      this.#room.give(record.length);
      throw error;
    }
    this.#end += record.length;
    this.#bytes += bytes.length;
  }

  /**
   * Whole records from `position` on: the first one, and what of the next ones makes the archive's
   * answer worth waiting for; up to `end` where that is given. Rejects with {@link ArchiveError},
   * `spool-conflict` when they are damaged.
   */
  async read(position: number, end: number | undefined): Promise<SpoolBatch> {
    // Not beyond what is whole by now: more may be added while this reads.
    const whole = this.#end;
    const reader = new FileReader(this.#fd, whole, (error) => explain(this.#folder, error));
    const records: Uint8Array[] = [];
    let bytes = 0;
    let next = position;
    while (next < (end ?? whole) && (end !== undefined || bytes < BATCH_BYTES)) {
      const record = await readRecord(reader, next, this.#path);
      if (record === undefined) throw damaged(this.#path, next);
      records.push(record);
      bytes += record.length;
      next += RECORD_HEAD_BYTES + record.length;
    }
    return { bytes: Buffer.concat(records), next };
  }

  /** Closes the file and lets it be. */
  async close(): Promise<void> {
    await close(this.#fd);
  }

  /** Deletes the file. Overwriting would add nothing: it never held anything but ciphertext. */
  async wipe(): Promise<void> {
    try {
      await close(this.#fd);
      await rm(this.#path);
      await syncFolder(this.#folder);
    } catch (error) {
      throw explain(this.#folder, error);
    }
    this.#room.give(this.#end);
  }
}

export function spoolPath(folder: string, sessionId: string): string {
  requireSessionId(sessionId);
  return join(folder, sessionId + SPOOL_EXTENSION);
}

export function explain(folder: string, error: unknown): ArchiveError {
  return explained(folder, error, 'spool folder');
}

function encodePlace({ sessionId, startedAt, from }: SpoolPlace): Buffer {
  const header = Buffer.alloc(FIXED_BYTES + sessionId.length);
  header.writeUInt32BE(MAGIC, 0);
  header.writeUInt8(VERSION, 4);
  header.writeUInt8(sessionId.length, 5);
  header.writeBigUInt64BE(BigInt(startedAt), 6);
  header.writeBigUInt64BE(BigInt(from), 14);
  header.write(sessionId, FIXED_BYTES, 'latin1');
  return header;
}

/** Undefined: not all of it was written. */
function decodePlace(header: Buffer, path: string, sessionId: string): SpoolPlace | undefined {
  if (header.length < FIXED_BYTES + sessionId.length) return undefined;
  const idLength = header.readUInt8(5);
  const startedAt = Number(header.readBigUInt64BE(6));
  const from = Number(header.readBigUInt64BE(14));
  if (
    header.readUInt32BE(0) !== MAGIC ||
    header.readUInt8(4) !== VERSION ||
    header.toString('latin1', FIXED_BYTES, FIXED_BYTES + idLength) !== sessionId ||
    !Number.isSafeInteger(startedAt) ||
    !Number.isSafeInteger(from)
  )
    throw new ArchiveError('recording-id', `${path} is no spool file of its session: take it away`);
  return { sessionId, startedAt, from };
}

function encodeRecord(bytes: Uint8Array): Buffer {
  const record = Buffer.allocUnsafe(RECORD_HEAD_BYTES + bytes.length);
  record.writeUInt32BE(bytes.length, 0);
  record.writeUInt32BE(crc32(bytes), 4);
  record.writeUInt32BE(crc32(record.subarray(0, 8)), 8);
  record.set(bytes, RECORD_HEAD_BYTES);
  return record;
}

/** Undefined: the file ends here, or within the record. Rejects where it is damaged. */
async function readRecord(
  reader: FileReader,
  position: number,
  path: string,
): Promise<Uint8Array | undefined> {
  const head = Buffer.from(await reader.read(position, RECORD_HEAD_BYTES));
  if (head.length < RECORD_HEAD_BYTES) return undefined;
  const length = head.readUInt32BE(0);
  if (crc32(head.subarray(0, 8)) !== head.readUInt32BE(8) || length > MAX_RECORD_BYTES)
    throw damaged(path, position);
  const bytes = await reader.read(position + RECORD_HEAD_BYTES, length);
  if (bytes.length < length) return undefined;
  if (crc32(bytes) !== head.readUInt32BE(4)) throw damaged(path, position);
  return bytes;
}

const damaged = (path: string, position: number): ArchiveError =>
  new ArchiveError(
    'spool-conflict',
    `spool file ${path} was damaged at byte ${position}: it is kept, look at its disk`,
  );

/** A name that comes or goes survives a crash only when the folder itself is flushed. */
async function syncFolder(folder: string): Promise<void> {
  const fd = await open(folder, 'r');
  try {
    await sync(fd);
  } finally {
    await close(fd);
  }
}
