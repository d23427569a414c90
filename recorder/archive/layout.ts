/** Where sinks put recordings: by day, `yyyy/mm/dd` in UTC, then by session. */
import { ArchiveError } from './port.ts';

const SESSION_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
/** RFC 9562 §5.7: the first 48 bits are ms since the epoch. */
const UUID_V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-/i;
const DAY_MS = 86_400_000;

/** @throws ArchiveError `recording-id`: it could name something else than a recording */
export function requireSessionId(sessionId: string): void {
  if (!SESSION_ID.test(sessionId)) {
    throw new ArchiveError(
      'recording-id',
      'session id: only letters, digits, - and _ are allowed, at most 64',
    );
  }
}

/** `yyyy/mm/dd` in UTC. */
export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10).replaceAll('-', '/');
}

/** Days that a recording is probably of: a session id that tells its time (UUIDv7) saves the search through all days. */
export function likelyDays(sessionId: string): readonly string[] {
  const match = UUID_V7.exec(sessionId);
  if (match === null) return [];
  const ms = Number.parseInt(`${match[1]}${match[2]}`, 16);
  // Beyond the year 9999 folder names have another shape; such an id was not made by a clock.
  if (ms > Date.UTC(9999, 0)) return [];
  // The id is a little older than the recording: midnight may lie between them.
  return [dayOf(ms), dayOf(ms + DAY_MS)];
}
