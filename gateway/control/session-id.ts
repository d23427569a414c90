import { randomBytes } from 'node:crypto';

/**
 * A new session id: UUID version 7 (RFC 9562 §5.7) in lower case. It sorts by time, and is
 * safe in file names, URLs and shells.
 *
 * @param now ms since the epoch
 */
export function newSessionId(now: number): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now, 0, 6);
  bytes.writeUInt8(0x70 | (bytes.readUInt8(6) & 0x0f), 6);
  bytes.writeUInt8(0x80 | (bytes.readUInt8(8) & 0x3f), 8);
  const hex = bytes.toString('hex');
  const groups = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)];
  return groups.join('-');
}
