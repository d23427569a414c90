/**
 * Basic Encoding Rules (X.690), as much of them as the MCS connect PDUs need (T.125 section 7): definite lengths,
 * numbers that are never negative. Lengths are written in their shortest form.
 */

import { type Reader, Writer } from './cursor.ts';

/** Identifier octets. */
export const BerTag = {
  boolean: 0x01,
  integer: 0x02,
  octetString: 0x04,
  enumerated: 0x0a,
  sequence: 0x30,
  /** [APPLICATION 101]: two octets, big-endian. */
  connectInitial: 0x7f65,
  /** [APPLICATION 102]. */
  connectResponse: 0x7f66,
} as const;

/** Reads an identifier and a length. @returns a reader of the contents */
export function readBer(reader: Reader, field: string, tag: number): Reader {
  const found = tag > 0xff ? reader.u16be(field) : reader.u8(field);
  if (found !== tag) reader.fail(field, `has tag ${found}, not ${tag}`, tag > 0xff ? 2 : 1);
  return reader.part(field, readLength(reader, field));
}

/** INTEGER or ENUMERATED of at most 32 bits, taken as unsigned: clients write 65535 as ff ff as well as 00 ff ff. */
export function readBerInteger(reader: Reader, field: string, tag: number = BerTag.integer): number {
  const part = readBer(reader, field, tag);
  if (part.left === 0 || part.left > 5) part.fail(field, `has ${part.left} bytes, 1 to 5 are understood`);
  let value = 0;
  while (part.left > 0) value = value * 256 + part.u8(field);
  if (value > 0xffffffff) part.fail(field, `is ${value}, more than 32 bits`);
  return value;
}

export function readBerBoolean(reader: Reader, field: string): boolean {
  const part = readBer(reader, field, BerTag.boolean);
  if (part.left !== 1) part.fail(field, `has ${part.left} bytes, a boolean has one`);
  return part.u8(field) !== 0;
}

/** @returns a view, not a copy */
export function readBerOctets(reader: Reader, field: string): Uint8Array {
  return readBer(reader, field, BerTag.octetString).rest();
}

/** Writes an identifier and a length around what `write` writes. */
export function writeBer(writer: Writer, tag: number, write: (contents: Writer) => void): void {
  const contents = new Writer();
  write(contents);
  if (tag > 0xff) writer.u16be(tag);
  else writer.u8(tag);
  const length = contents.length;
  if (length < 0x80) writer.u8(length);
  else if (length <= 0xff) writer.u8(0x81).u8(length);
  else if (length <= 0xffff) writer.u8(0x82).u16be(length);
  else throw new RangeError(`${length} bytes of contents do not fit a PDU`);
  writer.bytes(contents.done());
}

/** Unsigned, at most 32 bits, in the fewest octets that keep its sign. */
export function writeBerInteger(writer: Writer, value: number, tag: number = BerTag.integer): void {
  writeBer(writer, tag, (contents) => {
    let octets = 1;
    while (value >= 2 ** (octets * 8 - 1)) octets += 1;
    for (let shift = octets - 1; shift >= 0; shift -= 1)
      contents.u8(Math.floor(value / 2 ** (shift * 8)) & 0xff);
  });
}

export function writeBerBoolean(writer: Writer, value: boolean): void {
  writeBer(writer, BerTag.boolean, (contents) => contents.u8(value ? 0xff : 0));
}

export function writeBerOctets(writer: Writer, octets: Uint8Array): void {
  writeBer(writer, BerTag.octetString, (contents) => contents.bytes(octets));
}

function readLength(reader: Reader, field: string): number {
  const first = reader.u8(field);
  if (first < 0x80) return first;
  const octets = first & 0x7f;
  if (octets === 0 || octets > 4)
    reader.fail(field, `has a length of ${octets} octets, 1 to 4 are understood`, 1);
  let length = 0;
  for (let i = 0; i < octets; i += 1) length = length * 256 + reader.u8(field);
  return length;
}
