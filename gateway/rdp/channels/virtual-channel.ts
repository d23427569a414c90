/**
 * Static virtual channels: a message goes over the wire in chunks, each behind a header
 * ([MS-RDPBCGR] 2.2.6.1, 3.1.5.2).
 *
 * ```text
 * | length 4 (of the whole message) | flags 4 | data, at most VCChunkSize |
 * ```
 */
import { PduError, Reader, Writer } from '../pdu/cursor.ts';

/** CHANNEL_PDU_HEADER flags (2.2.6.1.1). */
export const ChunkFlag = {
  first: 0x01,
  last: 0x02,
  showProtocol: 0x10,
  suspend: 0x20,
  resume: 0x40,
  shadowPersistent: 0x80,
  packetCompressed: 0x0020_0000,
  packetAtFront: 0x0040_0000,
  packetFlushed: 0x0080_0000,
} as const;

/** CHANNEL_CHUNK_LENGTH: the most data of a chunk where nobody negotiated more. */
export const CHUNK_BYTES = 1600;

/** The most bytes of one message that are ever held. */
export const HELD_BYTES_MAX = 16 * 1024 * 1024;
/** Held chunks cost memory of their own: as many as those bytes are when peers fill two thirds of each chunk. */
const HELD_CHUNKS_MAX = HELD_BYTES_MAX / 1024;

/** CHANNEL_PDU_HEADER (2.2.6.1.1). */
export interface ChunkHeader {
  /** Bytes of the whole message, without headers. */
  readonly length: number;
  /** Bits of ChunkFlag. */
  readonly flags: number;
}

/** @throws PduError when cut short, or compressed: compression is negotiated away on both legs */
export function decodeChunkHeader(reader: Reader): ChunkHeader {
  const length = reader.u32le('CHANNEL_PDU_HEADER.length');
  const flags = reader.u32le('CHANNEL_PDU_HEADER.flags');
  if ((flags & ChunkFlag.packetCompressed) !== 0)
    reader.fail('CHANNEL_PDU_HEADER.flags', 'says compressed, which was not negotiated', 4);
  return { length, flags };
}

export function encodeChunkHeader(writer: Writer, header: ChunkHeader): void {
  writer.u32le(header.length).u32le(header.flags);
}

/** `message` cut into chunks, header and all; `flags` (showProtocol) go with every chunk. */
export function chunks(message: Uint8Array, flags = 0, chunkBytes = CHUNK_BYTES): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < message.length; at += chunkBytes) {
    const data = message.subarray(at, at + chunkBytes);
    const first = at === 0 ? ChunkFlag.first : 0;
    const last = at + data.length === message.length ? ChunkFlag.last : 0;
    const writer = new Writer(8 + data.length);
    encodeChunkHeader(writer, { length: message.length, flags: flags | first | last });
    out.push(writer.bytes(data).done());
  }
  return out;
}

/**
 * What becomes of a message: its chunks go on as they are, or go nowhere, or that cannot be
 * said before this many bytes of the message are there.
 */
export type Verdict = 'forward' | 'swallow' | number;

/**
 * Judges a message by its beginning, or by all of it. `head` is valid only during the call;
 * `length` is that of the whole message.
 */
export type Judge = (head: Uint8Array, length: number) => Verdict;

interface Message {
  readonly length: number;
  received: number;
  /** How many bytes the judge wants to see. */
  need: number;
  verdict: 'forward' | 'swallow' | undefined;
  /** Whole chunks, copied, until there is a verdict. */
  readonly held: Uint8Array[];
}

/** One direction of one channel: holds chunks of a message until its judge has seen enough of it. */
export class Reassembler {
  #message: Message | undefined;

  /** The beginning of a message went on and its end has not: nothing may be put between. */
  get forwarding(): boolean {
    return this.#message?.verdict === 'forward';
  }

  /**
   * Takes a chunk and returns the chunks that go on, byte for byte as they came; the last of
   * them may be `chunk` itself.
   *
   * @throws PduError when the chunk does not fit the ones before it, is compressed, or the
   * message is shorter than its judge needs or longer than may be held
   */
  push(chunk: Uint8Array, judge: Judge): readonly Uint8Array[] {
    const reader = new Reader(chunk);
    const header = decodeChunkHeader(reader);
    const data = reader.rest();
    if (isFlowControl(header, data)) return [chunk];
    const message = this.#begin(header);
    if (data.length === 0 && message.length > 0)
      throw new PduError('chunk data', 8, 'is empty in a message that is not');
    message.received += data.length;
    checkEnd(header, message);
    const complete = message.received === message.length;
    this.#message = complete ? undefined : message;
    if (message.verdict !== undefined) return message.verdict === 'forward' ? [chunk] : [];

    while (message.received >= Math.min(message.need, message.length)) {
      const head = message.held.length === 0 ? data : joined(message, data);
      const verdict = judge(head, message.length);
      if (typeof verdict !== 'number') {
        message.verdict = verdict;
        return verdict === 'forward' ? [...message.held.splice(0), chunk] : [];
      }
      message.need = checkNeed(verdict, message.length);
    }
    if (message.held.length >= HELD_CHUNKS_MAX)
      throw new PduError('chunk', 0, `is one more than the ${HELD_CHUNKS_MAX} that are held of a message`);
    message.held.push(new Uint8Array(chunk));
    return [];
  }

  #begin({ length, flags }: ChunkHeader): Message {
    const message = this.#message;
    if ((flags & ChunkFlag.first) !== 0) {
      if (message !== undefined)
        throw new PduError('CHANNEL_PDU_HEADER.flags', 4, 'begins a message before the last one ended');
      return { length, received: 0, need: 0, verdict: undefined, held: [] };
    }
    if (message === undefined)
      throw new PduError('CHANNEL_PDU_HEADER.flags', 4, 'goes on with a message that was not begun');
    if (length !== message.length)
      throw new PduError('CHANNEL_PDU_HEADER.length', 0, `changed from ${message.length} to ${length}`);
    return message;
  }
}

/** CHANNEL_FLAG_SUSPEND and RESUME stand for themselves. */
function isFlowControl({ flags }: ChunkHeader, data: Uint8Array): boolean {
  const control = ChunkFlag.suspend | ChunkFlag.resume;
  return data.length === 0 && (flags & control) !== 0 && (flags & (ChunkFlag.first | ChunkFlag.last)) === 0;
}

function checkEnd({ flags }: ChunkHeader, { received, length }: Message): void {
  const last = (flags & ChunkFlag.last) !== 0;
  if (received > length || last !== (received === length))
    throw new PduError(
      'CHANNEL_PDU_HEADER.flags',
      4,
      `${last ? 'ends' : 'goes on with'} a message of ${length} bytes after ${received}`,
    );
}

function checkNeed(need: number, length: number): number {
  if (need > length) throw new PduError('message', 0, `needs ${need} bytes, it has ${length}`);
  if (need > HELD_BYTES_MAX)
    throw new PduError(
      'message',
      0,
      `of ${length} bytes is too long, at most ${HELD_BYTES_MAX} can be inspected`,
    );
  return need;
}

function joined(message: Message, data: Uint8Array): Uint8Array {
  const head = new Uint8Array(message.received);
  let at = 0;
  for (const chunk of message.held) {
    head.set(chunk.subarray(8), at);
    at += chunk.length - 8;
  }
  head.set(data, at);
  return head;
}
