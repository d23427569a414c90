/**
 * The hours in which a policy holds. A schedule names times on a wall clock; where that
 * clock is put forward, a time that does not exist counts as much later as the clock
 * skipped; where it is put back, a time that exists twice means the first of the two.
 */

/** Times of day and weekdays in which a policy holds. */
export interface Schedule {
  /** 0 Sunday … 6 Saturday, the day on which the window begins; empty: every day. */
  readonly days: readonly number[];
  /** Minutes since midnight; `to` ≤ `from` runs past midnight. */
  readonly from: number;
  readonly to: number;
  /** IANA name; undefined: the time zone of the node. */
  readonly timeZone: string | undefined;
}

export type ScheduleState =
  /** `until`: ms since the epoch, undefined when it never closes. */
  { readonly open: true; readonly until: number | undefined } | { readonly open: false };

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** A schedule repeats weekly: what stays open for longer than this stays open for good. */
const FOREVER = 8 * DAY;

/** Whether any of the schedules is open at `now` (ms since the epoch), and when that ends. None: always open. */
export function scheduleState(schedules: readonly Schedule[], now: number): ScheduleState {
  const known = answers.get(schedules);
  if (known?.now === now) return known.state;
  const state = stateAt(schedules, now);
  answers.set(schedules, { now, state });
  return state;
}

/** One list of targets asks the same schedules at the same instant for each of thousands of accounts. */
const answers = new WeakMap<readonly Schedule[], { readonly now: number; readonly state: ScheduleState }>();

function stateAt(schedules: readonly Schedule[], now: number): ScheduleState {
  if (schedules.length === 0) return { open: true, until: undefined };
  let until = windowEnd(schedules, now);
  if (until === undefined) return { open: false };
  // One window may begin where another ends.
  for (let next = windowEnd(schedules, until); next !== undefined; next = windowEnd(schedules, until)) {
    until = next;
    if (until - now > FOREVER) return { open: true, until: undefined };
  }
  return { open: true, until };
}

/** The schedules in words, for example `mon–fri 08:00–18:00 (Europe/Berlin)`. */
export function describeSchedule(schedules: readonly Schedule[]): string {
  return schedules
    .map((schedule) => {
      const zone = schedule.timeZone ?? new Intl.DateTimeFormat().resolvedOptions().timeZone;
      return `${describeDays(schedule.days)} ${clock(schedule.from)}–${clock(schedule.to)} (${zone})`;
    })
    .join(', ');
}

/** The latest end among the windows that hold `at`; undefined: none does. */
function windowEnd(schedules: readonly Schedule[], at: number): number | undefined {
  let latest: number | undefined;
  for (const schedule of schedules) {
    const zone = zoneOf(schedule.timeZone);
    // An unknown time zone opens nothing: one bad policy must neither grant nor break the others.
    if (zone === undefined) continue;
    const today = Math.floor((at + offsetAt(zone, at)) / DAY) * DAY;
    for (const day of [today - DAY, today]) {
      const weekday = new Date(day).getUTCDay();
      if (schedule.days.length > 0 && !schedule.days.includes(weekday)) continue;
      const lastDay = schedule.to <= schedule.from ? day + DAY : day;
      const start = instantOf(zone, day + schedule.from * MINUTE);
      const end = instantOf(zone, lastDay + schedule.to * MINUTE);
      if (start <= at && at < end && (latest === undefined || end > latest)) latest = end;
    }
  }
  return latest;
}

/** Building a formatter costs far more than using it; there are some 600 zone names in all. */
const zones = new Map<string, Intl.DateTimeFormat | undefined>();

function zoneOf(name: string | undefined): Intl.DateTimeFormat | undefined {
  const key = name ?? '';
  if (!zones.has(key)) {
    if (zones.size >= 1000) zones.clear();
    zones.set(key, formatter(name));
  }
  return zones.get(key);
}

function formatter(timeZone: string | undefined): Intl.DateTimeFormat | undefined {
  const fields = { year: 'numeric', month: 'numeric', day: 'numeric' } as const;
  const times = { hour: 'numeric', minute: 'numeric', second: 'numeric', hourCycle: 'h23' } as const;
  const zone = timeZone === undefined ? {} : { timeZone };
  try {
    return new Intl.DateTimeFormat('en-US-u-ca-iso8601', { ...fields, ...times, ...zone });
  } catch {
    return undefined;
  }
}

/** What the zone's clock shows beyond UTC at `instant`, in ms. */
function offsetAt(zone: Intl.DateTimeFormat, instant: number): number {
  const field = { year: 0, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
  for (const { type, value } of zone.formatToParts(instant)) {
    if (type in field) field[type as keyof typeof field] = Number(value);
  }
  const shown = Date.UTC(field.year, field.month - 1, field.day, field.hour, field.minute, field.second);
  return shown - Math.floor(instant / 1000) * 1000;
}

/** The instant at which the zone's clock shows `local` (ms, as if the clock were UTC). */
function instantOf(zone: Intl.DateTimeFormat, local: number): number {
  const before = offsetAt(zone, local - DAY);
  const after = offsetAt(zone, local + DAY);
  const first = local - before;
  if (before === after || offsetAt(zone, first) === before) return first;
  const second = local - after;
  return offsetAt(zone, second) === after ? second : first;
}

const DAY_NAMES = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
const FROM_MONDAY = [1, 2, 3, 4, 5, 6, 0] as const;

/** Runs of days, from Monday on: `mon–fri`, `mon, wed`, `daily`. */
function describeDays(days: readonly number[]): string {
  if (days.length === 0 || FROM_MONDAY.every((day) => days.includes(day))) return 'daily';
  const runs: { first: number; last: number }[] = [];
  FROM_MONDAY.forEach((day, position) => {
    if (!days.includes(day)) return;
    const run = runs.at(-1);
    if (run !== undefined && run.last === position - 1) run.last = position;
    else runs.push({ first: position, last: position });
  });
  const dayName = (position: number): string => DAY_NAMES[FROM_MONDAY[position] ?? 0] ?? '';
  return runs
    .map(({ first, last }) => (first === last ? dayName(first) : `${dayName(first)}–${dayName(last)}`))
    .join(', ');
}

function clock(minutes: number): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}
