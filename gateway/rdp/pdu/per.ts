/**
 * Packed Encoding Rules, aligned variant (X.691), as much of them as T.125 and T.124 need. What those two pack
 * into bits stands with the PDUs themselves.
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

/** INTEGER (0..MAX) of at most 32 bits (X.691 10.7). */
export function readPerInteger(reader: Reader, field: string): number {
  const length = readPerLength(reader, field);
  if (length === 0 || length > 4) reader.fail(field, `has ${length} bytes, 1 to 4 are understood`);
  let value = 0;
  for (let i = 0; i < length; i += 1) value = value * 256 + reader.u8(field);
  return value;
}

/** INTEGER (0..MAX) of at most 32 bits, in the fewest octets. */
export function writePerInteger(writer: Writer, value: number): void {
  let octets = 1;
  while (value >= 2 ** (octets * 8)) octets += 1;
  writePerLength(writer, octets);
  for (let shift = octets - 1; shift >= 0; shift -= 1) writer.u8(Math.floor(value / 2 ** (shift * 8)) & 0xff);
}
