/**
 * The length determinant of Packed Encoding Rules, aligned variant (X.691): all that T.125 and T.124 need beside
 * the bits that their PDUs pack themselves.
 */

import type { Reader, Writer } from './cursor.ts';

/** Longest length that two octets hold here: RDP peers use all fifteen bits. */
const MAX_LENGTH = 0x7fff;

/**
 * Length determinant (X.691 10.9) of one or two octets. The top bits 11 would begin a fragment of 16 KiB; RDP has no
 * fragments and peers use the fifteenth bit for the length, so it is read as such and the caller checks that
 * exactly that many bytes follow.
 */
export function readPerLength(reader: Reader, field: string): number {
  const first = reader.u8(field);
  return first < 0x80 ? first : ((first & 0x7f) << 8) | reader.u8(field);
}

/** Shortest form. @throws RangeError beyond 32767 */
export function writePerLength(writer: Writer, length: number): void {
  if (length > MAX_LENGTH)
    throw new RangeError(`${length} bytes do not fit a length of ${MAX_LENGTH} at most`);
  if (length < 0x80) writer.u8(length);
  else writer.u16be(0x8000 | length);
}
