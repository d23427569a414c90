/**
 * Connection finalization, [MS-RDPBCGR] 2.2.1.14 to 2.2.1.22: Synchronize, Control, Persistent Key
 * List, Font List from the client; Synchronize, Control, Font Map from the server. Each follows a
 * share data header.
 */
import type { Reader, Writer } from './cursor.ts';

/** 2.2.1.14.1. */
export interface Synchronize {
  /** The MCS user id of whom it is for. */
  readonly targetUser: number;
}

const SYNCMSGTYPE_SYNC = 1;

export function decodeSynchronize(reader: Reader): Synchronize {
  reader.skip('messageType', 2);
  return { targetUser: reader.u16le('targetUser') };
}

export function encodeSynchronize(writer: Writer, synchronize: Synchronize): void {
  writer.u16le(SYNCMSGTYPE_SYNC).u16le(synchronize.targetUser);
}

/** CTRLACTION_*, 2.2.1.15.1. */
export const ControlAction = { requestControl: 1, grantedControl: 2, detach: 3, cooperate: 4 } as const;

/** 2.2.1.15.1: grantId and controlId are zero but in Granted Control (user id, server's id). */
export interface Control {
  /** One of {@link ControlAction}. */
  readonly action: number;
  readonly grantId: number;
  readonly controlId: number;
}

export function decodeControl(reader: Reader): Control {
  return {
    action: reader.u16le('action'),
    grantId: reader.u16le('grantId'),
    controlId: reader.u32le('controlId'),
  };
}

export function encodeControl(writer: Writer, control: Control): void {
  writer.u16le(control.action).u16le(control.grantId).u32le(control.controlId);
}

/** bBitMask of the Persistent Key List. */
export const PersistFlag = { first: 1, last: 2 } as const;

/**
 * 2.2.1.17.1: bitmaps that the client has kept on disk since an earlier session.
 *
 * ```
 * numEntriesCache0..4 (2 each)  totalEntriesCache0..4 (2 each)  bBitMask (1)  pad (3)  keys (8 each)
 * ```
 */
export interface PersistentKeyList {
  /** Keys in this PDU, per cache. */
  readonly counts: readonly number[];
  /** Keys in all PDUs of the list, per cache. */
  readonly totals: readonly number[];
  /** Of {@link PersistFlag}. */
  readonly flags: number;
  /** Of all caches, one after the other; 64 bits each. */
  readonly keys: readonly bigint[];
}

const CACHES = 5;
/** 2.2.1.17.1: a PDU holds at most 169 keys. */
const MAX_KEYS = 169;

export function decodePersistentKeyList(reader: Reader): PersistentKeyList {
  const counts = Array.from({ length: CACHES }, (_, n) => reader.u16le(`numEntriesCache${n}`));
  const totals = Array.from({ length: CACHES }, (_, n) => reader.u16le(`totalEntriesCache${n}`));
  const flags = reader.u8('bBitMask');
  reader.skip('pad', 3);
  const count = counts.reduce((sum, value) => sum + value, 0);
  if (count > MAX_KEYS) reader.fail('numEntriesCache', `sum up to ${count}, a PDU holds ${MAX_KEYS}`);
  return { counts, totals, flags, keys: Array.from({ length: count }, () => reader.u64le('entries')) };
}

export function encodePersistentKeyList(writer: Writer, list: PersistentKeyList): void {
  for (let n = 0; n < CACHES; n += 1) writer.u16le(list.counts[n] ?? 0);
  for (let n = 0; n < CACHES; n += 1) writer.u16le(list.totals[n] ?? 0);
  writer.u8(list.flags).zeros(3);
  for (const key of list.keys) writer.u64le(key);
}

/** Font List (2.2.1.18.1) and Font Map (2.2.1.22.1): one layout, kept for history's sake. */
export interface Fonts {
  /** numberFonts or numberEntries. */
  readonly count: number;
  /** totalNumFonts or totalNumEntries. */
  readonly total: number;
  /** First 1, last 2. */
  readonly flags: number;
  readonly entrySize: number;
}

/** What every client sends. */
export const FONT_LIST: Fonts = { count: 0, total: 0, flags: 3, entrySize: 0x32 };
/** What every server answers: the last PDU of the connection sequence. */
export const FONT_MAP: Fonts = { count: 0, total: 0, flags: 3, entrySize: 4 };

export function decodeFonts(reader: Reader): Fonts {
  return {
    count: reader.u16le('numberFonts'),
    total: reader.u16le('totalNumFonts'),
    flags: reader.u16le('listFlags'),
    entrySize: reader.u16le('entrySize'),
  };
}

export function encodeFonts(writer: Writer, fonts: Fonts): void {
  writer.u16le(fonts.count).u16le(fonts.total).u16le(fonts.flags).u16le(fonts.entrySize);
}
