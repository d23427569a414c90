/**
 * The part of DER (ITU-T X.690) that CredSSP, SPNEGO and certificates need: tag, definite length, content.
 * Nesting is as deep as the caller's grammar, never as deep as the input.
 */
import { PduError, type Reader } from '../pdu/cursor.ts';

export const Tag = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  enumerated: 0x0a,
  sequence: 0x30,
  /** `[APPLICATION 0]`, constructed: how a GSS-API token begins. */
  application0: 0x60,
} as const;

/** The tag of `[number]`, constructed. */
export function contextTag(number: number): number {
  return 0xa0 | number;
}

export interface DerElement {
  readonly tag: number;
  /** Reads the content, and no further. */
  readonly content: Reader;
}

/** Reads one element. Lengths may be longer than needed (BER), as some peers write them. */
export function readElement(reader: Reader, field: string): DerElement {
  const tag = reader.u8(`${field} tag`);
  const length = readLength(reader, field);
  return { tag, content: reader.part(field, length) };
}

/** Reads one element that must have `tag`. */
export function readTagged(reader: Reader, tag: number, field: string): Reader {
  const at = reader.offset;
  const element = readElement(reader, field);
  if (element.tag !== tag)
    throw new PduError(
      field,
      at,
      `has the tag 0x${element.tag.toString(16)} instead of 0x${tag.toString(16)}`,
    );
  return element.content;
}

/** The elements that are left, one after the other. */
export function* readElements(reader: Reader, field: string): Generator<DerElement> {
  while (reader.left > 0) yield readElement(reader, field);
}

/** A view of an octet string's content. */
export function readOctets(reader: Reader, field: string): Uint8Array {
  return readTagged(reader, Tag.octetString, field).rest();
}

/** An integer or enumerated value of at most 32 bits; negative ones come out as unsigned 32 bits. */
export function readNumber(reader: Reader, tag: number, field: string): number {
  const content = readTagged(reader, tag, field);
  const bytes = content.rest();
  const first = bytes[0];
  if (first === undefined) throw new PduError(field, content.offset, 'is empty');
  if (bytes.length > 5 || (bytes.length === 5 && first !== 0))
    content.fail(field, `has ${bytes.length} bytes where a number of 32 bits was expected`, bytes.length);
  let value = first & 0x80 ? -1 : 0;
  for (const byte of bytes) value = (value << 8) | byte;
  return value >>> 0;
}

/** One element; the contents are joined. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const content of contents) length += content.length;
  const head = length < 0x80 ? [tag, length] : [tag, ...lengthOctets(length)];
  const out = new Uint8Array(head.length + length);
  out.set(head);
  let at = head.length;
  for (const content of contents) {
    out.set(content, at);
    at += content.length;
  }
  return out;
}

/** A number of 0 to 127, as an integer or enumerated value. */
export function derSmall(tag: number, value: number): Uint8Array {
  return der(tag, Uint8Array.of(value));
}

function lengthOctets(length: number): number[] {
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return [0x80 | octets.length, ...octets];
}

/** Reads a definite length of up to 32 bits. */
function readLength(reader: Reader, field: string): number {
  const first = reader.u8(`${field} length`);
  if (first < 0x80) return first;
  const count = first & 0x7f;
  if (count === 0 || count > 4) reader.fail(`${field} length`, 'is indefinite or longer than 32 bits', 1);
  let length = 0;
  for (let i = 0; i < count; i++) length = length * 256 + reader.u8(`${field} length`);
  return length;
}
