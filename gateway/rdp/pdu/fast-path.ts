/**
 * Fast-path headers, [MS-RDPBCGR] 2.2.8.1.2 (input) and 2.2.9.1.2 (output): the short form of what
 * flows most.
 *
 * ```
 * header (1: action in 2 bits, numEvents in 4 (input), flags in 2)  length (1, or 2 big-endian with
 * the top bit set; of the whole PDU)  [numEvents (1) when it is 0 in an input header]
 * update: header (1: code in 4 bits, fragmentation 2, compression 2)  [compressionFlags (1)]
 *         size (2)  data
 * ```
 */
import { PduError, type Reader, type Writer } from './cursor.ts';

/** updateCode of a fast-path update, 2.2.9.1.2.1. */
export const UpdateCode = {
  orders: 0,
  bitmap: 1,
  palette: 2,
  synchronize: 3,
  surfaceCommands: 4,
  pointerHidden: 5,
  pointerDefault: 6,
  pointerPosition: 8,
  pointerColor: 9,
  pointerCached: 10,
  pointerNew: 11,
  pointerLarge: 12,
} as const;

export const Fragmentation = { single: 0, last: 1, first: 2, next: 3 } as const;

/** Top bits of the PDU's header: they must be 0 where TLS encrypts. */
const ENCRYPTION_FLAGS = 0xc0;
/** In the update header: a byte of compression flags follows. */
const COMPRESSION_USED = 2;
/** Two bytes hold 15 bits of length. */
const MAX_LENGTH = 0x7fff;

/**
 * Reads the header of an input PDU; the reader holds the whole PDU and then stands at its first event.
 *
 * @returns how many events there are
 * @throws PduError when the PDU is not as long as it says, or says that RDP itself encrypts
 */
export function decodeFastPathInputHeader(reader: Reader): number {
  const start = reader.offset;
  const end = start + reader.left;
  const header = reader.u8('fpInputHeader');
  let length = reader.u8('length1');
  if ((length & 0x80) !== 0) length = ((length & 0x7f) << 8) | reader.u8('length2');
  checkHeader(header, length, start, end);
  return (header >> 2) & 0x0f || reader.u8('numEvents');
}

/**
 * The header of the output PDU that `offset` and `end` frame; allocates nothing.
 *
 * @returns the offset of the first update
 * @throws PduError as {@link decodeFastPathInputHeader}
 */
export function readFastPathOutput(bytes: Uint8Array, offset = 0, end: number = bytes.length): number {
  const header = byteAt(bytes, offset, end, 'fpOutputHeader');
  const first = byteAt(bytes, offset + 1, end, 'length1');
  const long = (first & 0x80) !== 0;
  const length = long ? ((first & 0x7f) << 8) | byteAt(bytes, offset + 2, end, 'length2') : first;
  checkHeader(header, length, offset, end);
  return offset + (long ? 3 : 2);
}

function checkHeader(header: number, length: number, offset: number, end: number): void {
  if ((header & 3) !== 0)
    throw new PduError('fpHeader', offset, `has action ${header & 3}, fast-path is action 0`);
  if ((header & ENCRYPTION_FLAGS) !== 0)
    throw new PduError('fpHeader', offset, 'says that RDP itself encrypts, but TLS was agreed');
  if (length !== end - offset)
    throw new PduError('length1', offset + 1, `is ${length}, the PDU has ${end - offset} bytes`);
}

export interface FastPathUpdate {
  /** One of {@link UpdateCode}, or one that is unknown here. */
  readonly code: number;
  /** One of {@link Fragmentation}. */
  readonly fragmentation: number;
  /** As compressedType of a share data header; 0 when bulk compression is not used. */
  readonly compressionFlags: number;
  readonly dataOffset: number;
  /** Where the update ends and the next one may begin. */
  readonly end: number;
}

/** The update at `offset` of an output PDU that ends at `end`. */
export function readFastPathUpdate(bytes: Uint8Array, offset: number, end: number): FastPathUpdate {
  const header = byteAt(bytes, offset, end, 'updateHeader');
  const compressed = ((header >> 6) & COMPRESSION_USED) !== 0;
  const compressionFlags = compressed ? byteAt(bytes, offset + 1, end, 'compressionFlags') : 0;
  const sizeOffset = offset + (compressed ? 2 : 1);
  const size = byteAt(bytes, sizeOffset, end, 'size') | (byteAt(bytes, sizeOffset + 1, end, 'size') << 8);
  const dataOffset = sizeOffset + 2;
  if (size > end - dataOffset)
    throw new PduError('size', sizeOffset, `is ${size}, ${end - dataOffset} bytes are left`);
  return {
    code: header & 0x0f,
    fragmentation: (header >> 4) & 3,
    compressionFlags,
    dataOffset,
    end: dataOffset + size,
  };
}

/** Writes a whole PDU; `count` is of input events, 0 for output. @throws PduError above 32767 bytes */
export function encodeFastPath(writer: Writer, count: number, body: (writer: Writer) => void): void {
  const start = writer.length;
  const inHeader = count <= 0x0f;
  writer.u8(inHeader ? count << 2 : 0).u16be(0);
  if (!inHeader) writer.u8(count);
  body(writer);
  const length = writer.length - start;
  if (length > MAX_LENGTH)
    throw new PduError('length', start + 1, `would be ${length}, a fast-path PDU ends at ${MAX_LENGTH}`);
  writer.patchU16be(start + 1, 0x8000 | length);
}

/** Writes an uncompressed update that is not fragmented. */
export function encodeFastPathUpdate(writer: Writer, code: number, data: Uint8Array): void {
  if (data.length > 0xffff)
    throw new PduError('size', writer.length, `would be ${data.length}, at most 65535`);
  writer.u8(code).u16le(data.length).bytes(data);
}

function byteAt(bytes: Uint8Array, offset: number, end: number, field: string): number {
  const byte = bytes[offset];
  if (byte === undefined || offset >= end) throw new PduError(field, offset, 'needs 1 byte, 0 are left');
  return byte;
}
