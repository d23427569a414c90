/** The audit trail where the store takes none of its rows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import { AuditTrail } from '../../../gateway/control/audit-trail.ts';
import { StoreError } from '../../../gateway/store/errors.ts';
import type { StoreTransaction } from '../../../gateway/store/port.ts';

test('a row that is lost is logged with its session, if it has one', async () => {
  const lines: string[] = [];
  const store: Pick<StoreTransaction, 'insertAudit'> = {
    insertAudit: () => Promise.reject(new StoreError('unavailable', 'the disk is full')),
  };
  const trail = new AuditTrail({
    store: store as StoreTransaction,
    node: 'gw1',
    clock: { now: Date.now, sleep: async () => {} },
    log: pino({}, { write: (line: string) => lines.push(line) }),
  });
  const bound = { rows: 1, windowMs: 1000 };
  trail.bounded('a', bound, { code: 'session.request.refused', sessionId: 's1' });
  trail.bounded('b', bound, { code: 'user.login.failed' });
  await trail.flush();
  const told = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    told.map(({ msg, code, session }) => [msg, code, session]),
    [
      ['audit row not written', 'session.request.refused', 's1'],
      ['audit row not written', 'user.login.failed', undefined],
    ],
  );
});
