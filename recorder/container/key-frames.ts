/**
 * The index of a recording: key frames, states of a screen from which a replay goes on as if it had
 * seen all that came before. It is a file of its own beside the recording, because the recording is
 * append-only and live sessions decode nothing: it is made after the seal, in the background. It can
 * be made again from the recording at any time, and without it a replay begins at the start. What
 * proves something is the recording alone: `verify` never looks here.
 *
 *     key frames: what the replay made of each, sealed
 *     table, sealed, of each key frame: at u64 (µs), sequence u32, offset u64, previousHash (32 bytes):
 *       the segment to go on with; from u64, length u32: where the key frame is in this file
 *     trailer: magic `SLYX`, version u8 (1), zero (3 bytes), number of key frames u32, salt (16 bytes)
 *
 * Integers are big-endian. Sealed is as side-file.ts says, under the key frame's number, the table under
 * the number of key frames.
 */
import { randomBytes } from 'node:crypto';
import type { ArchiveReader } from '../archive/port.ts';
import type { RecordingManifest } from '../format/document.ts';
import { ContainerError } from '../format/error.ts';
import { HASH_BYTES } from '../format/frame.ts';
import { openPart, SIDE_SALT_BYTES, sealPart, sideKey, TAG_BYTES } from './side-file.ts';

/** Bytes of a recording between two key frames at least: a shorter one is replayed before anybody waits. */
export const KEY_FRAMES_APART = 128 * 1024;

/** Where a recording can be read on, as if everything before had been read. */
export interface SegmentPlace {
  readonly sequence: number;
  /** Of its frame in the recording. */
  readonly offset: number;
  /** SHA-256 of the frame before it. */
  readonly previousHash: Uint8Array;
}

export interface KeyFrame {
  /** µs since the recording's start of the last event before {@link place}. */
  readonly at: number;
  readonly place: SegmentPlace;
  /** For the replay to read. */
  readonly state: Uint8Array;
}

const MAGIC = Buffer.from('SLYX', 'latin1');
const VERSION = 1;
const TRAILER_BYTES = 12 + SIDE_SALT_BYTES;
const ENTRY_BYTES = 8 + 4 + 8 + HASH_BYTES + 8 + 4;
/** Makers space key frames by the size of the recording: so many are terabytes of it. */
const MAX_KEY_FRAMES = 100_000;
/** Pixels of the largest desktop that is followed, 32 Mi, at three bytes each, and room for its pointers. */
const MAX_STATE_BYTES = 128 * 1024 * 1024;

/** The bytes of the index with these key frames, which come in the order of their times. */
export async function* encodeIndex(
  recordingKey: Uint8Array,
  manifest: RecordingManifest,
  keyFrames: AsyncIterable<KeyFrame>,
): AsyncGenerator<Uint8Array, void, void> {
  const salt = randomBytes(SIDE_SALT_BYTES);
  const key = sideKey('index', recordingKey, manifest, salt);
  const entries: Buffer[] = [];
  let from = 0;
  for await (const { at, place, state } of keyFrames) {
    // A longer table would be refused by its readers; the end of such a recording is replayed.
    if (entries.length === MAX_KEY_FRAMES) break;
    const sealed = sealPart(key, entries.length, state);
    entries.push(encodeEntry(at, place, from, sealed.length));
    from += sealed.length;
    yield sealed;
  }
  const trailer = Buffer.alloc(TRAILER_BYTES);
  MAGIC.copy(trailer);
  trailer[4] = VERSION;
  trailer.writeUInt32BE(entries.length, 8);
  salt.copy(trailer, 12);
  yield Buffer.concat([sealPart(key, entries.length, Buffer.concat(entries)), trailer]);
}

/** What a table says of a key frame. */
interface Entry {
  readonly at: number;
  readonly place: SegmentPlace;
  readonly from: number;
  readonly length: number;
}

/** The index of one recording, read as far as it is asked. */
export class KeyFrameIndex {
  readonly #file: ArchiveReader;
  readonly #key: Buffer;
  readonly #entries: readonly Entry[];

  private constructor(file: ArchiveReader, key: Buffer, entries: readonly Entry[]) {
    this.#file = file;
    this.#key = key;
    this.#entries = entries;
  }

  /** Rejects with {@link ContainerError} `bad-index` where `file` is no index of this recording as it was sealed. */
  static async open(
    file: ArchiveReader,
    recordingKey: Uint8Array,
    manifest: RecordingManifest,
  ): Promise<KeyFrameIndex> {
    const trailer = Buffer.from(await file.read(Math.max(0, file.size - TRAILER_BYTES), TRAILER_BYTES));
    if (trailer.length < TRAILER_BYTES || !trailer.subarray(0, 4).equals(MAGIC))
      throw badIndex('index trailer: these bytes end no index', file.size);
    if (trailer[4] !== VERSION)
      throw badIndex(`index version: ${trailer[4]} is not known, ${VERSION} is`, file.size);
    const count = trailer.readUInt32BE(8);
    const length = count * ENTRY_BYTES + TAG_BYTES;
    const start = file.size - TRAILER_BYTES - length;
    if (count > MAX_KEY_FRAMES || start < 0)
      throw badIndex(`index table: ${count} key frames do not fit into the file`, file.size);
    const key = sideKey('index', recordingKey, manifest, trailer.subarray(12));
    const table = openPart(key, count, await file.read(start, length));
    if (table === undefined) throw badIndex('index table: it was altered, or is of another recording', start);
    const entries = Array.from({ length: count }, (_, i) =>
      decodeEntry(table.subarray(i * ENTRY_BYTES, (i + 1) * ENTRY_BYTES)),
    );
    for (const { from, length } of entries) {
      if (length > MAX_STATE_BYTES || from + length > start)
        throw badIndex(`index table: a key frame of ${length} bytes is not in the file`, start);
    }
    return new KeyFrameIndex(file, key, entries);
  }

  /** Key frames that it holds. */
  get size(): number {
    return this.#entries.length;
  }

  /**
   * The last key frame whose events are all at or before `at` (µs); undefined: there is none. Rejects with
   * {@link ContainerError} `bad-index` where it was altered.
   */
  async before(at: number): Promise<KeyFrame | undefined> {
    const number = this.#entries.findLastIndex((entry) => entry.at <= at);
    const entry = this.#entries[number];
    if (entry === undefined) return undefined;
    const state = openPart(this.#key, number, await this.#file.read(entry.from, entry.length));
    if (state === undefined) throw badIndex(`key frame ${number}: it was altered`, entry.from);
    return { at: entry.at, place: entry.place, state };
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

function encodeEntry(at: number, place: SegmentPlace, from: number, length: number): Buffer {
  const entry = Buffer.alloc(ENTRY_BYTES);
  entry.writeBigUInt64BE(BigInt(at), 0);
  entry.writeUInt32BE(place.sequence, 8);
  entry.writeBigUInt64BE(BigInt(place.offset), 12);
  entry.set(place.previousHash, 20);
  entry.writeBigUInt64BE(BigInt(from), 20 + HASH_BYTES);
  entry.writeUInt32BE(length, 28 + HASH_BYTES);
  return entry;
}

function decodeEntry(entry: Buffer): Entry {
  return {
    at: Number(entry.readBigUInt64BE(0)),
    place: {
      sequence: entry.readUInt32BE(8),
      offset: Number(entry.readBigUInt64BE(12)),
      previousHash: entry.subarray(20, 20 + HASH_BYTES),
    },
    from: Number(entry.readBigUInt64BE(20 + HASH_BYTES)),
    length: entry.readUInt32BE(28 + HASH_BYTES),
  };
}

function badIndex(message: string, offset: number): ContainerError {
  return new ContainerError('bad-index', message, offset);
}
