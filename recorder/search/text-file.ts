/**
 * The text of a recording as a file beside it, so that a search reads that and not the recording: made after
 * the seal, in the background, or by the first search. It can be made again at any time, and proves nothing.
 *
 *     header: magic `SLYT`, version u8 (1), zero (3 bytes), salt (16 bytes)
 *     blocks: length u32, the highest bit set in the last one; so many bytes, zstd and then sealed
 *
 * Integers are big-endian. A block is JSON lines `[at, channel, kind, text]`. Sealed is as side-file.ts says,
 * under the block's number, with the highest bit set in the last one: a file that was cut does not open.
 */
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import type { ArchiveReader } from '../archive/port.ts';
import {
  type OpenedSide,
  openPart,
  SIDE_SALT_BYTES,
  sealPart,
  sideKey,
  TAG_BYTES,
} from '../container/side-file.ts';
import type { RecordingManifest } from '../format/document.ts';
import { ContainerError } from '../format/error.ts';
import { MAX_LINE, TEXT_KINDS, type TextEntry, type TextKind } from './entry.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

const MAGIC = Buffer.from('SLYT', 'latin1');
const VERSION = 1;
const HEADER_BYTES = 8 + SIDE_SALT_BYTES;
/** A block is closed with this many characters. */
const BLOCK_CHARS = 256 * 1024;
/** Of a block as text: one line above that at most, of characters of three bytes that JSON escapes to six. */
const MAX_BLOCK_BYTES = 3 * BLOCK_CHARS + 16 * MAX_LINE;
const LAST = 0x8000_0000;
/** One range read. */
const READ_AHEAD_BYTES = 256 * 1024;

const KINDS: ReadonlySet<unknown> = new Set(TEXT_KINDS);

/** The bytes of the file with these entries. */
export async function* encodeText(
  recordingKey: Uint8Array,
  manifest: RecordingManifest,
  entries: AsyncIterable<readonly TextEntry[]>,
): AsyncGenerator<Uint8Array, void, void> {
  const salt = randomBytes(SIDE_SALT_BYTES);
  const key = sideKey('text', recordingKey, manifest, salt);
  yield Buffer.concat([MAGIC, Buffer.from([VERSION, 0, 0, 0]), salt]);
  let number = 0;
  let block = '';
  for await (const batch of entries) {
    for (const { at, channel, kind, text } of batch) {
      block += `${JSON.stringify([at, channel, kind, text])}\n`;
      if (block.length < BLOCK_CHARS) continue;
      yield await encodeBlock(key, number, block);
      number += 1;
      block = '';
    }
  }
  yield await encodeBlock(key, (number | LAST) >>> 0, block);
}

async function encodeBlock(key: Buffer, number: number, text: string): Promise<Uint8Array> {
  const packed = await compress(text, { params: { [constants.ZSTD_c_compressionLevel]: 3 } });
  const sealed = sealPart(key, number, packed);
  const length = Buffer.alloc(4);
  length.writeUInt32BE((sealed.length | (number & LAST)) >>> 0);
  return Buffer.concat([length, sealed]);
}

/**
 * The entries of a file, a block at a time; closes it. Rejects with {@link ContainerError} `bad-text` where
 * it is no text of this recording as it was sealed, maybe after some blocks.
 */
export async function* decodeText({
  file,
  key: recordingKey,
  manifest,
}: OpenedSide): AsyncGenerator<readonly TextEntry[], void, void> {
  try {
    const source = new Source(file);
    const header = await source.take(HEADER_BYTES);
    if (!header.subarray(0, 4).equals(MAGIC)) throw badText('header: these bytes begin no text', 0);
    if (header[4] !== VERSION) throw badText(`version: ${header[4]} is not known, ${VERSION} is`, 4);
    const key = sideKey('text', recordingKey, manifest, header.subarray(8));
    for (let number = 0; ; number += 1) {
      const { offset } = source;
      const length = (await source.take(4)).readUInt32BE();
      const last = (length & LAST) >>> 0;
      const sealedLength = (length ^ last) >>> 0;
      if (sealedLength > MAX_BLOCK_BYTES + TAG_BYTES)
        throw badText(`block ${number}: ${sealedLength} bytes are too many`, offset);
      const packed = openPart(key, (number | last) >>> 0, await source.take(sealedLength));
      if (packed === undefined)
        throw badText(`block ${number}: it was altered, or is of another recording`, offset);
      yield await decodeBlock(packed, number, offset);
      if (last !== 0) return;
    }
  } finally {
    await file.close();
  }
}

async function decodeBlock(packed: Buffer, number: number, offset: number): Promise<readonly TextEntry[]> {
  try {
    const plain = await decompress(packed, { maxOutputLength: MAX_BLOCK_BYTES });
    const lines = plain.toString().split('\n').slice(0, -1);
    return lines.map(decodeEntry);
  } catch (cause) {
    throw badText(`block ${number}: it cannot be read`, offset, cause);
  }
}

/** @throws Error: it is none */
function decodeEntry(line: string): TextEntry {
  const [at, channel, kind, text] = JSON.parse(line) as readonly unknown[];
  if (!isCount(at) || !isCount(channel) || !KINDS.has(kind) || typeof text !== 'string')
    throw new TypeError('no entry');
  return { at, channel, kind: kind as TextKind, text };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Reads a file from its start, in large steps. */
class Source {
  readonly #file: ArchiveReader;
  #window: Buffer = Buffer.alloc(0);
  offset = 0;

  constructor(file: ArchiveReader) {
    this.#file = file;
  }

  /** The next `length` bytes. */
  async take(length: number): Promise<Buffer> {
    if (this.#window.length < length)
      this.#window = Buffer.from(await this.#file.read(this.offset, Math.max(length, READ_AHEAD_BYTES)));
    if (this.#window.length < length) throw badText('it ends too early', this.#file.size);
    const bytes = this.#window.subarray(0, length);
    this.#window = this.#window.subarray(length);
    this.offset += length;
    return bytes;
  }
}

function badText(message: string, offset: number, cause?: unknown): ContainerError {
  return new ContainerError('bad-text', `text ${message}`, offset, cause);
}
