/**
 * Events inside a segment, one after the other:
 *
 *     varint  time in µs after the event before it (the first: after the frame's `firstAt`)
 *     byte    kind
 *     varint  channel
 *     varint  length of the payload
 *     bytes   payload
 *
 * A varint is little-endian base 128, seven bits a byte, high bit set on all but the last.
 */
import { ContainerError } from './error.ts';
import { EventKind, type RecordingEvent } from './event.ts';
import { MAX_BODY_BYTES } from './frame.ts';

/** Most bytes that an event takes beside its payload: time 8 (2^53), kind 1, channel 5, length 5. */
export const MAX_EVENT_OVERHEAD = 19;

const KINDS = new Set<number>(Object.values(EventKind));
const MAX_CHANNEL = 0xffffffff;

/** Whether payloads of this kind are bytes of the wire; the others are JSON objects. */
export function isRaw(kind: EventKind): boolean {
  return kind === EventKind.output || kind === EventKind.errorOutput || kind === EventKind.input;
}

/** Writes all of an event but its payload at `offset`; returns where the payload goes. */
export function encodeEventHead(
  target: Uint8Array,
  offset: number,
  delta: number,
  kind: EventKind,
  channel: number,
  payloadLength: number,
): number {
  let next = encodeVarint(target, offset, delta);
  target[next++] = kind;
  next = encodeVarint(target, next, channel);
  return encodeVarint(target, next, payloadLength);
}

/**
 * Reads the events of one segment's plaintext; payloads are views into `bytes`.
 * `firstAt`: of the segment's frame, µs. Throws {@link ContainerError}.
 */
export function* decodeEvents(bytes: Uint8Array, firstAt: number): Generator<RecordingEvent, void, void> {
  const cursor: Cursor = { bytes, offset: 0 };
  let at = firstAt;
  while (cursor.offset < bytes.length) {
    const start = cursor.offset;
    at += decodeVarint(cursor, 'time', Number.MAX_SAFE_INTEGER);
    if (!Number.isSafeInteger(at)) {
      throw new ContainerError('bad-event', 'event time: past what a recording can hold', start);
    }
    const kindOffset = cursor.offset;
    const kind = bytes[cursor.offset++];
    if (kind === undefined)
      throw new ContainerError('bad-event', 'event kind: the segment ends before it', kindOffset);
    if (!isKind(kind)) throw new ContainerError('bad-event', `event kind: ${kind} is not known`, kindOffset);
    const channel = decodeVarint(cursor, 'channel', MAX_CHANNEL);
    const length = decodeVarint(cursor, 'payload length', MAX_BODY_BYTES);
    if (length > bytes.length - cursor.offset) {
      throw new ContainerError(
        'bad-event',
        `event payload: ${length} bytes announced, ${bytes.length - cursor.offset} are there`,
        cursor.offset,
      );
    }
    const payload = bytes.subarray(cursor.offset, cursor.offset + length);
    cursor.offset += length;
    yield { at, kind, channel, payload };
  }
}

function isKind(kind: number): kind is EventKind {
  return KINDS.has(kind);
}

function encodeVarint(target: Uint8Array, offset: number, value: number): number {
  let rest = value;
  let next = offset;
  // Division, not shifts: times need more than 32 bits.
  while (rest >= 0x80) {
    target[next++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  target[next++] = rest;
  return next;
}

interface Cursor {
  readonly bytes: Uint8Array;
  offset: number;
}

function decodeVarint(cursor: Cursor, field: string, max: number): number {
  const start = cursor.offset;
  let value = 0;
  let scale = 1;
  for (;;) {
    const byte = cursor.bytes[cursor.offset++];
    if (byte === undefined) {
      throw new ContainerError('bad-event', `event ${field}: the segment ends inside it`, start);
    }
    value += (byte & 0x7f) * scale;
    if (value > max) throw new ContainerError('bad-event', `event ${field}: over the bound of ${max}`, start);
    if (byte < 0x80) return value;
    scale *= 0x80;
    // 2^56: eight groups hold every value up to 2^53; a ninth only pads.
    if (scale > 2 ** 49) throw new ContainerError('bad-event', `event ${field}: too many bytes`, start);
  }
}
