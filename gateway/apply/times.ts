/** Days, times of day and dates of a policy, as people write them. */

export const DAY_NAMES: readonly string[] = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

/** `mon` → 1 (0 is Sunday); undefined when it is no day. */
export function parseDay(name: string): number | undefined {
  const index = DAY_NAMES.indexOf(name);
  return index < 0 ? undefined : index;
}

/** `08:00` → minutes since midnight; `24:00` is midnight; undefined when it is no time. */
export function parseTimeOfDay(text: string): number | undefined {
  const match = /^(\d{1,2}):([0-5]\d)$/.exec(text);
  const minutes = match === null ? Number.NaN : Number(match[1]) * 60 + Number(match[2]);
  return minutes <= 24 * 60 ? minutes % (24 * 60) : undefined;
}

export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/**
 * An ISO 8601 date or date and time → ms since the epoch; undefined when it is none. Without
 * an offset it is in the node's time zone. A date alone means the whole day: its beginning
 * for `start`, the beginning of the next day for `end`.
 */
export function parseDate(text: string, edge: 'start' | 'end'): number | undefined {
  const match = /^(\d{4})-(\d{2})-(\d{2})(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})?)?$/.exec(
    text,
  );
  if (match === null) return undefined;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  // Date rolls 30 February over into March.
  const date = new Date(year, month - 1, day);
  if (date.getMonth() !== month - 1 || date.getDate() !== day) return undefined;
  if (match[4] !== undefined) {
    const at = Date.parse(text);
    return Number.isNaN(at) ? undefined : at;
  }
  if (edge === 'end') date.setDate(day + 1);
  return date.getTime();
}
