import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeSchedule, type Schedule, scheduleState } from '../../../gateway/policy/schedule.ts';

const BERLIN = 'Europe/Berlin';
const WORKDAYS = [1, 2, 3, 4, 5];

function hours(
  days: readonly number[],
  from: string,
  to: string,
  timeZone: string | undefined = BERLIN,
): Schedule {
  const minutes = (text: string): number => Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
  return { days, from: minutes(from), to: minutes(to), timeZone };
}

const rows: [what: string, schedules: Schedule[], now: string, until: string | 'closed' | 'always'][] = [
  ['no schedule', [], '2026-11-20T12:00:00Z', 'always'],
  [
    'inside a working day',
    [hours(WORKDAYS, '08:00', '18:00')],
    '2026-11-20T12:00:00Z',
    '2026-11-20T17:00:00Z',
  ],
  ['its first moment', [hours(WORKDAYS, '08:00', '18:00')], '2026-11-20T07:00:00Z', '2026-11-20T17:00:00Z'],
  ['just before it', [hours(WORKDAYS, '08:00', '18:00')], '2026-11-20T06:59:59.999Z', 'closed'],
  ['its end', [hours(WORKDAYS, '08:00', '18:00')], '2026-11-20T17:00:00Z', 'closed'],
  ['a saturday', [hours(WORKDAYS, '08:00', '18:00')], '2026-11-21T12:00:00Z', 'closed'],
  ['summer time', [hours(WORKDAYS, '08:00', '18:00')], '2026-07-01T06:00:00Z', '2026-07-01T16:00:00Z'],
  ['past midnight, evening', [hours([5], '22:00', '06:00')], '2026-11-20T22:00:00Z', '2026-11-21T05:00:00Z'],
  ['past midnight, morning', [hours([5], '22:00', '06:00')], '2026-11-21T04:59:00Z', '2026-11-21T05:00:00Z'],
  ['past midnight, the morning before', [hours([5], '22:00', '06:00')], '2026-11-20T04:00:00Z', 'closed'],
  [
    'the day of another zone',
    [hours([6], '00:00', '04:00', 'Asia/Tokyo')],
    '2026-11-20T16:00:00Z',
    '2026-11-20T19:00:00Z',
  ],
  [
    'windows that touch',
    [hours([], '08:00', '12:00'), hours([], '12:00', '18:00')],
    '2026-11-20T09:00:00Z',
    '2026-11-20T17:00:00Z',
  ],
  [
    'windows that overlap',
    [hours([], '08:00', '12:00'), hours([], '11:00', '13:00')],
    '2026-11-20T10:30:00Z',
    '2026-11-20T12:00:00Z',
  ],
  ['one day round the clock', [hours([5], '00:00', '00:00')], '2026-11-20T12:00:00Z', '2026-11-20T23:00:00Z'],
  ['round the clock', [hours([], '00:00', '24:00')], '2026-11-20T12:00:00Z', 'always'],
  ['round the clock, to ≤ from', [hours([], '09:00', '09:00')], '2026-11-20T12:00:00Z', 'always'],
  ['an unknown time zone', [hours([], '00:00', '24:00', 'Mars/Olympus')], '2026-11-20T12:00:00Z', 'closed'],
  // Put forward on 29 March 2026: 02:00 CET is 03:00 CEST; 02:30 does not exist.
  ['the short night', [hours([], '22:00', '06:00')], '2026-03-28T23:00:00Z', '2026-03-29T04:00:00Z'],
  [
    'an end that does not exist',
    [hours([], '00:00', '02:30')],
    '2026-03-29T00:30:00Z',
    '2026-03-29T01:30:00Z',
  ],
  ['a start that does not exist, before', [hours([], '02:30', '05:00')], '2026-03-29T01:15:00Z', 'closed'],
  [
    'a start that does not exist, after',
    [hours([], '02:30', '05:00')],
    '2026-03-29T01:30:00Z',
    '2026-03-29T03:00:00Z',
  ],
  // Put back on 25 October 2026: 03:00 CEST is 02:00 CET; 02:30 exists twice.
  ['the long night', [hours([], '22:00', '06:00')], '2026-10-24T23:00:00Z', '2026-10-25T05:00:00Z'],
  ['an end that exists twice', [hours([], '00:00', '02:30')], '2026-10-25T00:10:00Z', '2026-10-25T00:30:00Z'],
  ['after an end that exists twice', [hours([], '00:00', '02:30')], '2026-10-25T01:10:00Z', 'closed'],
  [
    'a start that exists twice',
    [hours([], '02:30', '05:00')],
    '2026-10-25T00:30:00Z',
    '2026-10-25T04:00:00Z',
  ],
];
for (const [what, schedules, now, until] of rows) {
  test(`schedule: ${what}`, () => {
    const state = scheduleState(schedules, Date.parse(now));
    if (until === 'closed') assert.deepEqual(state, { open: false });
    else if (until === 'always') assert.deepEqual(state, { open: true, until: undefined });
    else assert.deepEqual(state, { open: true, until: Date.parse(until) });
  });
}

test('without a zone the clock of the node counts', () => {
  const noon = new Date(2026, 10, 20, 12, 0).getTime();
  const schedule: Schedule = { days: [5], from: 600, to: 840, timeZone: undefined };
  assert.deepEqual(scheduleState([schedule], noon), {
    open: true,
    until: new Date(2026, 10, 20, 14, 0).getTime(),
  });
});

test('schedules in words', () => {
  assert.equal(describeSchedule([hours(WORKDAYS, '08:00', '18:00')]), 'mon–fri 08:00–18:00 (Europe/Berlin)');
  assert.equal(
    describeSchedule([hours([0, 6], '10:00', '12:30'), hours([], '22:00', '24:00', 'UTC')]),
    'sat–sun 10:00–12:30 (Europe/Berlin), daily 22:00–24:00 (UTC)',
  );
  assert.equal(
    describeSchedule([hours([1, 3, 4], '08:00', '18:00')]),
    'mon, wed–thu 08:00–18:00 (Europe/Berlin)',
  );
});
