/** When the time of a session is over, by the clock that its limits are given. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duration, SessionLimits } from '../../../gateway/session/limits.ts';
import type { TargetAuthorization } from '../../../workers/messages.ts';
import { AUTHORIZATION } from '../../support/authorization.ts';

const MINUTE = 60_000;
const START = Date.UTC(2030, 0, 7, 16, 30);

function limits(given: Partial<Pick<TargetAuthorization, 'maxDuration' | 'idleTimeout' | 'notAfter'>>) {
  return new SessionLimits({ ...AUTHORIZATION, policy: 'office', ...given }, START);
}

test('a session ends when the hours of its policy are over, however busy it is', () => {
  const notAfter = START + 30 * MINUTE;
  const subject = limits({ notAfter, idleTimeout: 15 * MINUTE });
  for (let now = START; now < notAfter; now += MINUTE) assert.equal(subject.check(now, now, true), undefined);
  assert.equal(subject.check(notAfter - 1, notAfter - 1, true), undefined);
  const over = { code: 'schedule-ended', reason: 'the hours that policy office allows are over' };
  assert.deepEqual(subject.check(notAfter, notAfter, true), over);
  // The clock may have been set, or the machine have slept.
  assert.deepEqual(subject.check(notAfter + 600 * MINUTE, notAfter + 600 * MINUTE, false), over);
});

test('a session that begins when the hours are over ends at the first look', () => {
  assert.equal(limits({ notAfter: START }).check(START, START, true)?.code, 'schedule-ended');
});

test('a session has at most its duration', () => {
  const subject = limits({ maxDuration: 8 * 60 * MINUTE, notAfter: START + 9 * 60 * MINUTE });
  assert.equal(subject.check(START + 8 * 60 * MINUTE - 1, START + 8 * 60 * MINUTE - 1, true), undefined);
  assert.deepEqual(subject.check(START + 8 * 60 * MINUTE, START + 8 * 60 * MINUTE, true), {
    code: 'max-duration',
    reason: 'policy office ends sessions after 8 h',
  });
});

test('a session is idle from the last look at which anything had happened', () => {
  const subject = limits({ idleTimeout: 15 * MINUTE });
  assert.equal(subject.check(START + 10 * MINUTE, START + 10 * MINUTE, true), undefined);
  assert.equal(subject.check(START + 25 * MINUTE - 1, START + 25 * MINUTE - 1, false), undefined);
  assert.deepEqual(subject.check(START + 25 * MINUTE, START + 25 * MINUTE, false), {
    code: 'idle-timeout',
    reason: 'policy office ends sessions idle for 15 min',
  });
});

test('a clock that is set neither ends a session as idle nor lets it last', () => {
  const subject = limits({ idleTimeout: 15 * MINUTE, maxDuration: 60 * MINUTE });
  assert.equal(subject.check(START + MINUTE, START + 600 * MINUTE, false), undefined);
  assert.equal(subject.check(START + 16 * MINUTE, START - 600 * MINUTE, false)?.code, 'idle-timeout');
});

test('a session without limits has none', () => {
  assert.equal(limits({}).check(START + 1e12, START + 1e12, false), undefined);
});

test('a duration is told in the largest unit that divides it', () => {
  assert.deepEqual([8 * 60 * MINUTE, 90 * MINUTE, 4_000].map(duration), ['8 h', '90 min', '4 s']);
});
