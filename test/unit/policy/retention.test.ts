import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  dueAt,
  type Recorded,
  type Retention,
  retentionText,
  ruleOf,
} from '../../../gateway/policy/retention.ts';

const DAY = 86_400_000;
const recorded = (retention: Retention | undefined): Recorded => ({
  policy: 'ops',
  retention,
  openedAt: 1000,
  endedAt: 5000,
});
const today = (policy: Retention | undefined, standard: Retention | undefined) => ({
  standard,
  policies: new Map([['ops', policy]]),
});

describe('how long a recording is kept', () => {
  const rows: readonly {
    name: string;
    before: Retention | undefined;
    policy: Retention | undefined;
    standard: Retention | undefined;
    rule: string | undefined;
  }[] = [
    { name: 'nobody said', before: undefined, policy: undefined, standard: undefined, rule: undefined },
    {
      name: 'the policy is as it was',
      before: 90 * DAY,
      policy: 90 * DAY,
      standard: DAY,
      rule: '90d (policy ops)',
    },
    {
      name: 'the policy was shortened since',
      before: 90 * DAY,
      policy: DAY,
      standard: undefined,
      rule: '90d (as it was when recorded)',
    },
    {
      name: 'the policy was made longer since',
      before: 90 * DAY,
      policy: 365 * DAY,
      standard: undefined,
      rule: '365d (policy ops)',
    },
    {
      name: 'the policy says nothing any more',
      before: 90 * DAY,
      policy: undefined,
      standard: undefined,
      rule: '90d (as it was when recorded)',
    },
    {
      name: 'only the configuration says, and said nothing then',
      before: undefined,
      policy: undefined,
      standard: 30 * DAY,
      rule: '30d (archive.retention)',
    },
    {
      name: 'the policy says less than the configuration, for which it stands in',
      before: 30 * DAY,
      policy: 30 * DAY,
      standard: 365 * DAY,
      rule: '30d (policy ops)',
    },
    {
      name: 'it was for ever then',
      before: 'forever',
      policy: DAY,
      standard: DAY,
      rule: 'for ever (as it was when recorded)',
    },
    {
      name: 'it is for ever now',
      before: DAY,
      policy: 'forever',
      standard: DAY,
      rule: 'for ever (policy ops)',
    },
  ];
  for (const { name, before, policy, standard, rule } of rows)
    it(name, () => assert.equal(ruleOf(recorded(before), today(policy, standard))?.text, rule));

  it('takes the configuration for a policy that is gone', () => {
    const gone = { standard: 10 * DAY, policies: new Map() };
    assert.equal(ruleOf(recorded(DAY), gone)?.text, '10d (archive.retention)');
    assert.equal(ruleOf(recorded(20 * DAY), gone)?.text, '20d (as it was when recorded)');
  });

  it('counts from the end of the session', () => {
    assert.equal(dueAt(recorded(DAY), { retention: DAY, text: '' }), 5000 + DAY);
    assert.equal(dueAt({ ...recorded(DAY), endedAt: undefined }, { retention: DAY, text: '' }), 1000 + DAY);
    assert.equal(dueAt(recorded(DAY), { retention: 'forever', text: '' }), Number.POSITIVE_INFINITY);
  });

  it('is said as people write it', () => {
    assert.equal(retentionText(90 * DAY), '90d');
    assert.equal(retentionText(1.5 * DAY + 61_001), '1d12h1m1s1ms');
    assert.equal(retentionText('forever'), 'for ever');
  });
});
