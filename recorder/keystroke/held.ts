/** What was typed and waits for its echo. */
import type { KeyRole } from './key-parser.ts';
import { widthOf } from './utf8.ts';

/** Characters typed one after the other, released or masked together. */
export interface Run {
  readonly kind: 'run';
  readonly at: number;
  readonly points: number[];
  readonly raw: number[];
  /** Columns that the points take. */
  columns: number;
  /** Cell where the echo must stand, or one of the two below. */
  anchor: number;
  /** The line (ScreenLine.serial) that the anchor belongs to. */
  serial: number;
  /** Typed on the alternate screen, where programs act on single keys. */
  readonly alternate: boolean;
  /** Typed at a password prompt: decided only when the line is sent. */
  readonly secret: boolean;
  /** Edited at a password prompt: its echo cannot be checked any more. */
  tainted: boolean;
}

/** A key that is no character: it tells nothing, and is released when all before it is decided. */
export interface Key {
  readonly kind: 'key';
  readonly at: number;
  readonly role: Exclude<KeyRole, 'text'>;
  readonly name: string;
  readonly raw: Uint8Array;
}

/** The echo stands wherever the next character is written: the key before moved the cursor somewhere. */
export const ANYWHERE = -1;
/** The echo stands at the end of a later line: the line before it has been sent. */
export const NEXT_LINE = -2;

/** Where an anchor moves when a key of this role is pressed. */
export function anchorAfter(anchor: number, role: KeyRole): number {
  if (role === 'enter') return NEXT_LINE;
  if (role === 'none') return anchor;
  return ANYWHERE;
}

export function append(run: Run, point: number, raw: Uint8Array, size: number): void {
  run.points.push(point);
  for (let i = 0; i < size; i++) run.raw.push(raw[i] ?? 0);
  run.columns += widthOf(point);
}

/** What a password field shows instead of a character. */
export function isMark(point: number): boolean {
  return point === 0x2a || point === 0x2022 || point === 0x25cf || point === 0xb7 || point === 0x25aa;
}
