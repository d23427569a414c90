/**
 * An object of a journal: appends of many recordings in one. All numbers big-endian.
 *
 *     4 bytes   'SPJ1'
 *     uint32    number of pieces
 *     for each  uint8   length of the session id
 *               bytes   session id
 *               10      day of the recording, `yyyy/mm/dd`
 *               12      era
 *               uint64  offset in the recording
 *               uint32  length
 *     bytes     of the pieces, one behind the other
 */
import { ArchiveError } from '../port.ts';

export interface Piece {
  readonly sessionId: string;
  readonly day: string;
  readonly era: string;
  /** In the recording. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** What readers take: a group is sent at 1 MiB, and no append in it is larger than 64 KiB. */
export const MAX_GROUP_BYTES = 4 * 1024 * 1024;
const MAGIC = 0x53504a31;
const HEAD_BYTES = 8;
/** Of an entry beside the session id: 1 + 10 + 12 + 8 + 4. */
const ENTRY_BYTES = 35;
const DAY = /^\d{4}\/\d{2}\/\d{2}$/;
const ERA = /^[0-9a-f]{12}$/;
const SESSION_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

export function encodeGroup(pieces: readonly Piece[]): Buffer {
  const table = pieces.reduce((sum, piece) => sum + ENTRY_BYTES + piece.sessionId.length, HEAD_BYTES);
  const total = pieces.reduce((sum, piece) => sum + piece.bytes.length, table);
  const target = Buffer.allocUnsafe(total);
  target.writeUInt32BE(MAGIC, 0);
  target.writeUInt32BE(pieces.length, 4);
  let at = HEAD_BYTES;
  let body = table;
  for (const { sessionId, day, era, offset, bytes } of pieces) {
    at = target.writeUInt8(sessionId.length, at);
    at += target.write(`${sessionId}${day}${era}`, at, 'latin1');
    at = target.writeBigUInt64BE(BigInt(offset), at);
    at = target.writeUInt32BE(bytes.length, at);
    target.set(bytes, body);
    body += bytes.length;
  }
  return target;
}

/** The pieces of a group, views into it. @throws ArchiveError `archive-io`: it is none */
export function decodeGroup(group: Uint8Array): readonly Piece[] {
  const source = Buffer.from(group.buffer, group.byteOffset, group.byteLength);
  if (source.length < HEAD_BYTES || source.readUInt32BE(0) !== MAGIC)
    throw damaged('it does not begin as one');
  const count = source.readUInt32BE(4);
  if (count * (ENTRY_BYTES + 1) > source.length - HEAD_BYTES) throw damaged(`${count} pieces are not in it`);
  const entries: (Omit<Piece, 'bytes'> & { readonly length: number })[] = [];
  let at = HEAD_BYTES;
  for (let i = 0; i < count; i += 1) {
    const idLength = source[at];
    if (idLength === undefined || at + ENTRY_BYTES + idLength > source.length) {
      throw damaged(`piece ${i}: it ends before its entry`);
    }
    const text = source.toString('latin1', at + 1, at + 1 + idLength + 22);
    const [sessionId, day, era] = [text.slice(0, idLength), text.slice(idLength, -12), text.slice(-12)];
    if (!SESSION_ID.test(sessionId)) throw damaged(`piece ${i}: session id`);
    if (!DAY.test(day)) throw damaged(`piece ${i}: day`);
    if (!ERA.test(era)) throw damaged(`piece ${i}: era`);
    const numbers = at + 1 + idLength + 22;
    const offset = Number(source.readBigUInt64BE(numbers));
    if (!Number.isSafeInteger(offset)) throw damaged(`piece ${i}: offset`);
    entries.push({ sessionId, day, era, offset, length: source.readUInt32BE(numbers + 8) });
    at += ENTRY_BYTES + idLength;
  }
  const pieces: Piece[] = [];
  for (const { length, ...piece } of entries) {
    if (length > source.length - at)
      throw damaged(`the bytes of session ${piece.sessionId} run past its end`);
    pieces.push({ ...piece, bytes: source.subarray(at, at + length) });
    at += length;
  }
  if (at !== source.length) throw damaged('bytes stand behind its pieces');
  return pieces;
}

function damaged(words: string): ArchiveError {
  return new ArchiveError('archive-io', `object of a journal: ${words}`);
}
