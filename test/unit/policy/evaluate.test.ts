import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AccessQuestion,
  evaluate,
  matchingPolicies,
  type Policy,
} from '../../../gateway/policy/evaluate.ts';

const NOW = Date.parse('2026-11-21T12:00:00Z'); // a Saturday
const HOUR = 3_600_000;

function policy(name: string, change: Partial<Policy> = {}): Policy {
  return {
    name,
    users: ['alice'],
    accounts: ['*@web01'],
    allow: ['shell'],
    record: true,
    keystrokes: true,
    maskKeystrokes: false,
    reasonRequired: false,
    maxSessions: undefined,
    maxDuration: undefined,
    idleTimeout: undefined,
    schedule: [],
    notBefore: undefined,
    notAfter: undefined,
    execLimit: 'full',
    retention: undefined,
    ...change,
  };
}

function question(change: Partial<AccessQuestion> = {}): AccessQuestion {
  return {
    user: 'alice',
    account: 'root',
    system: 'web01',
    protocol: 'ssh',
    now: NOW,
    reason: undefined,
    openSessions: () => 0,
    ...change,
  };
}

const WORKDAYS = [{ days: [1, 2, 3, 4, 5], from: 480, to: 1080, timeZone: 'Europe/Berlin' }];

test('a matching policy grants, whole, with the earlier of its ends', () => {
  const daily = [{ days: [], from: 0, to: 20 * 60, timeZone: 'UTC' }];
  const ops = policy('ops', { schedule: daily, notAfter: NOW + HOUR });
  assert.deepEqual(evaluate([ops], question()), { granted: true, policy: ops, notAfter: NOW + HOUR });
  const longer = policy('ops', { schedule: daily, notAfter: NOW + 24 * HOUR });
  assert.deepEqual(evaluate([longer], question()), {
    granted: true,
    policy: longer,
    notAfter: NOW + 8 * HOUR,
  });
  assert.deepEqual(evaluate([policy('ops')], question()), {
    granted: true,
    policy: policy('ops'),
    notAfter: undefined,
  });
});

const denials: [
  what: string,
  ops: Partial<Policy>,
  asked: Partial<AccessQuestion>,
  code: string,
  message: string,
][] = [
  [
    'hours',
    { schedule: WORKDAYS },
    {},
    'outside-schedule',
    'policy ops allows root@web01 only mon–fri 08:00–18:00 (Europe/Berlin)',
  ],
  [
    'too early',
    { notBefore: NOW + HOUR },
    {},
    'not-yet-valid',
    'policy ops allows root@web01 only from 2026-11-21 13:00 UTC',
  ],
  [
    'too late',
    { notAfter: NOW },
    {},
    'expired',
    'policy ops allowed root@web01 only until 2026-11-21 12:00 UTC',
  ],
  [
    'sessions',
    { maxSessions: 5 },
    { openSessions: () => 5 },
    'too-many-sessions',
    '5 of 5 sessions under policy ops are open: end one of them first',
  ],
  ['nothing', { allow: [] }, {}, 'nothing-allowed', 'policy ops allows nothing on root@web01 over ssh'],
  [
    'reason',
    { reasonRequired: true },
    { reason: ' ' },
    'reason-required',
    'a reason is required: policy ops asks why you open root@web01',
  ],
];
for (const [what, ops, asked, code, message] of denials) {
  test(`denied by ${what}, and the message says which rule`, () => {
    assert.deepEqual(evaluate([policy('ops', ops)], question(asked)), {
      granted: false,
      code,
      message,
      reasonRequired: code === 'reason-required',
      policy: 'ops',
    });
  });
}

test('the same limits grant one step before they deny', () => {
  assert.ok(evaluate([policy('ops', { notBefore: NOW })], question()).granted);
  assert.ok(evaluate([policy('ops', { notAfter: NOW + 1 })], question()).granted);
  assert.ok(evaluate([policy('ops', { maxSessions: 5 })], question({ openSessions: () => 4 })).granted);
  assert.ok(evaluate([policy('ops', { reasonRequired: true })], question({ reason: 'CHG-1' })).granted);
  assert.ok(evaluate([policy('ops', { allow: ['desktop'] })], question({ protocol: 'rdp' })).granted);
});

test('a limit of no sessions at all denies the first one', () => {
  const access = evaluate([policy('ops', { maxSessions: 0 })], question());
  assert.ok(!access.granted && access.code === 'too-many-sessions');
});

test('without a policy the answer is the same for whatever exists or not', () => {
  const expected = (target: string) => ({
    granted: false,
    code: 'no-policy',
    message: `no policy allows you ${target}`,
    reasonRequired: false,
    policy: undefined,
  });
  assert.deepEqual(evaluate([], question()), expected('root@web01'));
  assert.deepEqual(evaluate([policy('ops')], question({ user: 'bob' })), expected('root@web01'));
  assert.deepEqual(evaluate([policy('ops')], question({ system: 'web02' })), expected('root@web02'));
});

test('policies are tried in the order of their names and the first that grants wins', () => {
  const strict = policy('a-strict', { schedule: WORKDAYS });
  const first = policy('b-first', { maxDuration: HOUR });
  const second = policy('c-second', { maxDuration: 8 * HOUR, allow: ['shell', 'exec'] });
  const access = evaluate([second, first, strict], question());
  assert.deepEqual(access, { granted: true, policy: first, notAfter: undefined });
});

test('open sessions are counted under each policy by itself', () => {
  const full = policy('a', { maxSessions: 1 });
  const free = policy('b', { maxSessions: 1 });
  const access = evaluate([full, free], question({ openSessions: (name) => (name === 'a' ? 1 : 0) }));
  assert.ok(access.granted && access.policy === free);
});

test('of several denials the first is told, unless a reason would open another policy', () => {
  const closed = policy('a', { schedule: WORKDAYS });
  const expired = policy('b', { notAfter: NOW });
  const asks = policy('c', { reasonRequired: true });
  const told = evaluate([expired, closed], question());
  assert.ok(!told.granted && told.policy === 'a' && !told.reasonRequired);
  const curable = evaluate([asks, expired, closed], question());
  assert.ok(!curable.granted && curable.policy === 'c' && curable.reasonRequired);
});

test('matching policies: globs over users and targets, ordered by name', () => {
  const all = policy('z', { users: ['*'], accounts: ['*'] });
  const team = policy('m', { users: ['bob', 'al*'] });
  const other = policy('a', { users: ['bob'] });
  assert.deepEqual(
    matchingPolicies([all, team, other], 'alice', 'root', 'web01').map(({ name }) => name),
    ['m', 'z'],
  );
});
