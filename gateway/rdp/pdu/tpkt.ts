/**
 * What divides the byte stream into PDUs: the TPKT header of RFC 1006 ([MS-RDPBCGR] 2.2) on the slow path, and
 * the fast path's own header (2.2.8.1.2 and 2.2.9.1.2), told apart by the first byte.
 *
 * ```text
 * slow path   | 3 | reserved | length, big-endian, of the whole PDU | X.224 …
 * fast path   | action (2 bits, 0), numEvents (4), flags (2) | length1 | [length2] | …
 * ```
 */

import { PduError, Writer } from './cursor.ts';

export const TPKT_HEADER_BYTES = 4;

const TPKT_VERSION = 3;
/** A header and the smallest TPDU: no X.224 TPDU of class 0 is under three bytes. */
const TPKT_MIN_BYTES = 7;
const MAX_LENGTH = 0xffff;

/** A PDU at the head of a stream. */
export interface Frame {
  /** Bytes of the whole PDU, its header included; at most 65535. */
  readonly length: number;
  readonly fastPath: boolean;
}

/**
 * Length of the TPKT that begins at `offset`, header included.
 * @returns undefined as long as its header is not there whole
 * @throws PduError when it is no TPKT
 */
export function tpktLength(bytes: Uint8Array, offset: number, end: number): number | undefined {
  const version = byteAt(bytes, offset, end);
  if (version === undefined) return undefined;
  if (version !== TPKT_VERSION) throw new PduError('version', offset, `is ${version}, a TPKT has 3`);
  if (end - offset < TPKT_HEADER_BYTES) return undefined;
  const length = ((bytes[offset + 2] ?? 0) << 8) | (bytes[offset + 3] ?? 0);
  if (length < TPKT_MIN_BYTES)
    throw new PduError('length', offset + 2, `is ${length}, a TPKT has at least ${TPKT_MIN_BYTES} bytes`);
  return length;
}

/**
 * The PDU that begins at `offset`, for whoever splits a stream.
 * @returns undefined as long as its header is not there whole
 * @throws PduError when neither path's header stands there
 */
export function framePdu(bytes: Uint8Array, offset: number, end: number): Frame | undefined {
  const first = byteAt(bytes, offset, end);
  if (first === undefined) return undefined;
  if (first === TPKT_VERSION) {
    const length = tpktLength(bytes, offset, end);
    return length === undefined ? undefined : { length, fastPath: false };
  }
  if ((first & 3) !== 0)
    throw new PduError(
      'action',
      offset,
      `is ${first & 3}, neither fast path (0) nor TPKT (a first byte of 3)`,
    );
  const length1 = byteAt(bytes, offset + 1, end);
  if (length1 === undefined) return undefined;
  const long = length1 >= 0x80;
  const length2 = long ? byteAt(bytes, offset + 2, end) : 0;
  if (length2 === undefined) return undefined;
  const length = long ? ((length1 & 0x7f) << 8) | length2 : length1;
  const header = long ? 3 : 2;
  if (length <= header)
    throw new PduError('length1', offset + 1, `says ${length} bytes, the header alone has ${header}`);
  return { length, fastPath: true };
}

/**
 * A TPKT around what `write` writes.
 * @throws RangeError beyond 65535 bytes
 */
export function withTpkt(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer().u8(TPKT_VERSION).u8(0).u16be(0);
  write(writer);
  if (writer.length > MAX_LENGTH)
    throw new RangeError(`a PDU of ${writer.length} bytes does not fit a TPKT, which holds ${MAX_LENGTH}`);
  writer.patchU16be(2, writer.length);
  return writer.done();
}

function byteAt(bytes: Uint8Array, at: number, end: number): number | undefined {
  return at < end ? bytes[at] : undefined;
}
