/** What a node says of itself, and in which line HAProxy hears it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agentLine, type Facts, type ReasonCode, reason, reportOf } from '../../../gateway/health/report.ts';

const facts = (change: Partial<Facts> = {}): Facts => ({
  node: 'n1',
  phase: 'serving',
  sessions: 150,
  maxSessions: 600,
  lagMs: 0,
  workers: { beating: 2, expected: 2 },
  reasons: [],
  warnings: [],
  ...change,
});
const line = (change: Partial<Facts>): string => agentLine(reportOf(facts(change)));
const because = (...codes: ReasonCode[]) => ({ reasons: codes.map(reason) });

test('a node that serves is ready, with its free capacity as its weight', () => {
  assert.deepEqual(reportOf(facts()), {
    ready: true,
    node: 'n1',
    state: 'serving',
    sessions: 150,
    maxSessions: 600,
    weight: 75,
    reasons: [],
    warnings: [],
  });
  assert.equal(line({}), 'up ready 75%');
  assert.equal(line({ sessions: 0 }), 'up ready 100%');
  assert.equal(line({ sessions: 599 }), 'up ready 1%', 'weight 0 would be a drain');
});

test('late workers, and workers that are missing, weigh less', () => {
  assert.equal(line({ sessions: 0, lagMs: 50 }), 'up ready 100%');
  assert.equal(line({ sessions: 0, lagMs: 140 }), 'up ready 80%');
  assert.equal(line({ sessions: 0, lagMs: 10_000 }), 'up ready 1%');
  assert.equal(line({ sessions: 0, workers: { beating: 1, expected: 4 } }), 'up ready 25%');
  assert.equal(line({ sessions: 300, workers: { beating: 5, expected: 4 } }), 'up ready 50%');
});

test('a phase is a reason of its own, before all others', () => {
  const report = reportOf(facts({ phase: 'draining', ...because('store-down') }));
  assert.equal(report.ready, false);
  assert.equal(report.weight, 0);
  assert.deepEqual(
    report.reasons.map(({ code }) => code),
    ['draining', 'store-down'],
  );
});

test('a warning keeps nobody away', () => {
  const report = reportOf(facts({ warnings: [reason('archive-down')] }));
  assert.equal(report.ready, true);
  assert.deepEqual(
    report.warnings.map(({ code }) => code),
    ['archive-down'],
  );
});

for (const [change, answer] of [
  [{ phase: 'starting' }, 'down #starting'],
  [{ phase: 'draining' }, 'up drain'],
  [{ phase: 'maintenance', ...because('archive-down') }, 'maint'],
  [because('full'), 'up drain'],
  [because('full', 'overloaded'), 'up drain'],
  [because('archive-down', 'full'), 'down #archive-down,full'],
  [because('worker-stuck'), 'down #worker-stuck'],
  [{ phase: 'draining', ...because('lease-lost') }, 'down #draining,lease-lost'],
] as const) {
  test(`the agent check says ${answer}`, () => assert.equal(line(change), answer));
}
