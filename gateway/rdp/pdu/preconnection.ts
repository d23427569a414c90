/**
 * RDP_PRECONNECTION_PDU_V1 and _V2 ([MS-RDPEPS] 2.2.1), which a client may send before anything else, in clear.
 *
 * ```text
 * | cbSize 4 | flags 4 | version 4 | id 4 | [v2: cchPCB 2 | wszPCB, UTF-16LE with its NUL] |
 * ```
 */

import { PduError, type Reader, type Writer } from './cursor.ts';

export interface Preconnection {
  readonly id: number;
  /** Version 2 alone. */
  readonly text?: string;
}

/** No text that a client's configuration holds comes near it; what stands here is read before any log-on. */
export const MAX_PRECONNECTION_BYTES = 4096;

const V1_BYTES = 16;
const V2_BYTES = 18;
/** cbSize's first bytes would be 3, 0 only from 65539 bytes on: a TPKT is told by them. */
const TPKT_START = [3, 0] as const;

/**
 * Length of the preconnection PDU at the head of a connection.
 * @returns 0 when the connection begins with a TPKT instead, undefined as long as that cannot be said
 * @throws PduError when neither stands there
 */
export function preconnectionLength(bytes: Uint8Array, offset: number, end: number): number | undefined {
  if (end - offset < TPKT_START.length) return undefined;
  if (bytes[offset] === TPKT_START[0] && bytes[offset + 1] === TPKT_START[1]) return 0;
  const size = (bytes[offset] ?? 0) | ((bytes[offset + 1] ?? 0) << 8);
  // Of the four bytes the upper two are 0 for any size within the limit.
  const upper = [bytes[offset + 2], bytes[offset + 3]].slice(0, end - offset - 2);
  if (size < V1_BYTES || size > MAX_PRECONNECTION_BYTES || upper.some((byte) => byte !== 0))
    throw new PduError(
      'cbSize',
      offset,
      'begins neither a preconnection PDU nor an X.224 connection request',
    );
  return upper.length < 2 ? undefined : size;
}

/** Reads the PDU, whose length `preconnectionLength` has told. */
export function decodePreconnection(reader: Reader): Preconnection {
  const size = reader.u32le('cbSize');
  if (size < V1_BYTES || size > MAX_PRECONNECTION_BYTES)
    reader.fail('cbSize', `is ${size}, not between ${V1_BYTES} and ${MAX_PRECONNECTION_BYTES}`, 4);
  const part = reader.part('cbSize', size - 4);
  part.skip('flags', 4);
  const version = part.u32le('version');
  const id = part.u32le('id');
  if (version === 1) return { id };
  if (version !== 2) part.fail('version', `is ${version}, 1 and 2 are understood`, 8);
  const units = part.u16le('cchPCB');
  return { id, text: part.utf16('wszPCB', units * 2) };
}

/** @throws RangeError when the text is too long */
export function encodePreconnection(writer: Writer, { id, text }: Preconnection): void {
  const size = text === undefined ? V1_BYTES : V2_BYTES + (text.length + 1) * 2;
  if (size > MAX_PRECONNECTION_BYTES)
    throw new RangeError(`a preconnection PDU of ${size} bytes, ${MAX_PRECONNECTION_BYTES} are allowed`);
  writer
    .u32le(size)
    .u32le(0)
    .u32le(text === undefined ? 1 : 2)
    .u32le(id);
  if (text !== undefined)
    writer
      .u16le(text.length + 1)
      .utf16(text)
      .u16le(0);
}
