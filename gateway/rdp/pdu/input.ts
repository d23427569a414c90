/**
 * Input events, [MS-RDPBCGR] 2.2.8.1.1.3 (slow-path) and 2.2.8.1.2.2 (fast-path), in one neutral
 * form. The relay forwards what came; encoding is for what the gateway types itself, so that what
 * the neutral form leaves out (event times, the key-was-down flag) is zero there.
 */
import { PduError, type Reader, type Writer } from './cursor.ts';
import { decodeFastPathInputHeader, encodeFastPath } from './fast-path.ts';

export interface KeyEvent {
  readonly kind: 'key';
  /** Of set 1, without its prefix. */
  readonly scancode: number;
  /** Prefix E0. */
  readonly extended: boolean;
  /** Prefix E1 (Pause). */
  readonly extended1: boolean;
  readonly release: boolean;
}

export interface UnicodeEvent {
  readonly kind: 'unicode';
  /** A UTF-16 code unit. */
  readonly code: number;
  readonly release: boolean;
}

export interface MouseEvent {
  readonly kind: 'mouse';
  /** See {@link PointerFlag}. */
  readonly flags: number;
  readonly x: number;
  readonly y: number;
}

/** The fourth and fifth button. */
export interface ExtendedMouseEvent {
  readonly kind: 'extendedMouse';
  /** Down 0x8000, button four 1, five 2. */
  readonly flags: number;
  readonly x: number;
  readonly y: number;
}

export interface RelativeMouseEvent {
  readonly kind: 'relativeMouse';
  readonly flags: number;
  readonly dx: number;
  readonly dy: number;
}

export interface SyncEvent {
  readonly kind: 'sync';
  /** Scroll lock 1, num lock 2, caps lock 4, kana lock 8. All keys count as released. */
  readonly toggles: number;
}

/** Of round-trip measurements; fast-path only. */
export interface QoeEvent {
  readonly kind: 'qoe';
  readonly milliseconds: number;
}

export type InputEvent =
  | KeyEvent
  | UnicodeEvent
  | MouseEvent
  | ExtendedMouseEvent
  | RelativeMouseEvent
  | SyncEvent
  | QoeEvent;

/** PTRFLAGS_*; the wheel's turn is a nine bit number in the low bits. */
export const PointerFlag = {
  horizontalWheel: 0x0400,
  wheel: 0x0200,
  wheelNegative: 0x0100,
  wheelMask: 0x01ff,
  move: 0x0800,
  button1: 0x1000,
  button2: 0x2000,
  button3: 0x4000,
  down: 0x8000,
} as const;

/** messageType of a slow-path event. */
const Slow = {
  /** 2.2.8.1.1.3.1.1.6: to be ignored. */
  unused: 2,
  sync: 0x0000,
  scancode: 0x0004,
  unicode: 0x0005,
  mouse: 0x8001,
  extendedMouse: 0x8002,
  relativeMouse: 0x8004,
} as const;
const SlowKey = { extended: 0x0100, extended1: 0x0200, release: 0x8000 } as const;
/** eventTime (4), messageType (2), slowPathInputData (6 for every type). */
const SLOW_EVENT_BYTES = 12;

/** eventCode of a fast-path event; the flags are the five bits below it. */
const Fast = {
  scancode: 0,
  mouse: 1,
  extendedMouse: 2,
  sync: 3,
  unicode: 4,
  relativeMouse: 5,
  qoe: 6,
} as const;
const FastKey = { release: 1, extended: 2, extended1: 4 } as const;
/** numEvents is a byte. */
const MAX_FAST_EVENTS = 255;

/** Decodes a slow-path input PDU behind its share data header: numEvents (2), pad (2), events. */
export function decodeSlowPathInput(reader: Reader): InputEvent[] {
  const count = reader.u16le('numEvents');
  reader.skip('pad2Octets', 2);
  if (count * SLOW_EVENT_BYTES > reader.left)
    reader.fail('numEvents', `is ${count}, but only ${reader.left} bytes are left`, 4);
  const events: InputEvent[] = [];
  for (let i = 0; i < count; i++) {
    const event = decodeSlowEvent(reader);
    if (event !== undefined) events.push(event);
  }
  return events;
}

/** @returns undefined for an event that says nothing */
function decodeSlowEvent(reader: Reader): InputEvent | undefined {
  reader.skip('eventTime', 4);
  const type = reader.u16le('messageType');
  const data = reader.part('slowPathInputData', 6);
  switch (type) {
    case Slow.unused:
      return undefined;
    case Slow.sync:
      data.skip('pad2Octets', 2);
      return { kind: 'sync', toggles: data.u32le('toggleFlags') };
    case Slow.scancode: {
      const flags = data.u16le('keyboardFlags');
      return {
        kind: 'key',
        scancode: data.u16le('keyCode'),
        extended: (flags & SlowKey.extended) !== 0,
        extended1: (flags & SlowKey.extended1) !== 0,
        release: (flags & SlowKey.release) !== 0,
      };
    }
    case Slow.unicode: {
      const flags = data.u16le('keyboardFlags');
      return { kind: 'unicode', code: data.u16le('unicodeCode'), release: (flags & SlowKey.release) !== 0 };
    }
    case Slow.mouse:
      return decodeMouse('mouse', data);
    case Slow.extendedMouse:
      return decodeMouse('extendedMouse', data);
    case Slow.relativeMouse:
      return decodeRelative(data);
    default:
      return reader.fail('messageType', `is 0x${type.toString(16)}, no type of input event`, 8);
  }
}

/** Decodes a whole fast-path input PDU: the reader holds it and nothing else. */
export function decodeFastPathInput(reader: Reader): InputEvent[] {
  const count = decodeFastPathInputHeader(reader);
  return Array.from({ length: count }, () => decodeFastEvent(reader));
}

function decodeFastEvent(reader: Reader): InputEvent {
  const header = reader.u8('eventHeader');
  const flags = header & 0x1f;
  const code = header >> 5;
  switch (code) {
    case Fast.scancode:
      return {
        kind: 'key',
        scancode: reader.u8('keyCode'),
        extended: (flags & FastKey.extended) !== 0,
        extended1: (flags & FastKey.extended1) !== 0,
        release: (flags & FastKey.release) !== 0,
      };
    case Fast.mouse:
      return decodeMouse('mouse', reader);
    case Fast.extendedMouse:
      return decodeMouse('extendedMouse', reader);
    case Fast.sync:
      return { kind: 'sync', toggles: flags };
    case Fast.unicode:
      return {
        kind: 'unicode',
        code: reader.u16le('unicodeCode'),
        release: (flags & FastKey.release) !== 0,
      };
    case Fast.relativeMouse:
      return decodeRelative(reader);
    case Fast.qoe:
      return { kind: 'qoe', milliseconds: reader.u32le('timestamp') };
    default:
      return reader.fail('eventHeader', `has event code ${code}, no type of input event`, 1);
  }
}

function decodeMouse(kind: 'mouse' | 'extendedMouse', reader: Reader): MouseEvent | ExtendedMouseEvent {
  return { kind, flags: reader.u16le('pointerFlags'), x: reader.u16le('xPos'), y: reader.u16le('yPos') };
}

function decodeRelative(reader: Reader): RelativeMouseEvent {
  return {
    kind: 'relativeMouse',
    flags: reader.u16le('pointerFlags'),
    dx: reader.i16le('xDelta'),
    dy: reader.i16le('yDelta'),
  };
}

/** Encodes the body of a slow-path input PDU. @throws PduError for a `qoe` event, which slow-path has not */
export function encodeSlowPathInput(writer: Writer, events: readonly InputEvent[]): void {
  writer.u16le(events.length).u16le(0);
  for (const event of events) encodeSlowEvent(writer.u32le(0), event);
}

function encodeSlowEvent(writer: Writer, event: InputEvent): void {
  switch (event.kind) {
    case 'sync':
      writer.u16le(Slow.sync).u16le(0).u32le(event.toggles);
      return;
    case 'key':
      writer
        .u16le(Slow.scancode)
        .u16le(
          (event.extended ? SlowKey.extended : 0) |
            (event.extended1 ? SlowKey.extended1 : 0) |
            (event.release ? SlowKey.release : 0),
        )
        .u16le(event.scancode)
        .u16le(0);
      return;
    case 'unicode':
      writer
        .u16le(Slow.unicode)
        .u16le(event.release ? SlowKey.release : 0)
        .u16le(event.code)
        .u16le(0);
      return;
    case 'mouse':
    case 'extendedMouse':
    case 'relativeMouse':
      encodePointer(writer.u16le(Slow[event.kind]), event);
      return;
    case 'qoe':
      throw new PduError(
        'messageType',
        writer.length,
        'has no slow-path form for a qoe event: use fast-path',
      );
  }
}

/** Encodes a whole fast-path input PDU. @throws PduError for none or more than 255 events */
export function encodeFastPathInput(writer: Writer, events: readonly InputEvent[]): void {
  if (events.length === 0 || events.length > MAX_FAST_EVENTS)
    throw new PduError(
      'numEvents',
      writer.length,
      `would be ${events.length}, must be 1 to ${MAX_FAST_EVENTS}`,
    );
  encodeFastPath(writer, events.length, () => {
    for (const event of events) encodeFastEvent(writer, event);
  });
}

function encodeFastEvent(writer: Writer, event: InputEvent): void {
  switch (event.kind) {
    case 'key':
      writer
        .u8(
          (Fast.scancode << 5) |
            (event.release ? FastKey.release : 0) |
            (event.extended ? FastKey.extended : 0) |
            (event.extended1 ? FastKey.extended1 : 0),
        )
        .u8(event.scancode);
      return;
    case 'unicode':
      writer.u8((Fast.unicode << 5) | (event.release ? FastKey.release : 0)).u16le(event.code);
      return;
    case 'sync':
      writer.u8((Fast.sync << 5) | (event.toggles & 0x1f));
      return;
    case 'mouse':
    case 'extendedMouse':
    case 'relativeMouse':
      encodePointer(writer.u8(Fast[event.kind] << 5), event);
      return;
    case 'qoe':
      writer.u8(Fast.qoe << 5).u32le(event.milliseconds);
  }
}

function encodePointer(writer: Writer, event: MouseEvent | ExtendedMouseEvent | RelativeMouseEvent): void {
  writer.u16le(event.flags);
  if (event.kind === 'relativeMouse') writer.u16le(event.dx).u16le(event.dy);
  else writer.u16le(event.x).u16le(event.y);
}
