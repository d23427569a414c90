import assert from 'node:assert/strict';
import { it } from 'node:test';
import { auditRow, isAuditCode } from '../../../gateway/audit/events.ts';

it('an audit row names the system when nobody acted, and keeps hostile text short', () => {
  const row = auditRow(
    { code: 'user.login.failed', node: 'a', detail: { login: 'x'.repeat(10_000), port: 1 } },
    7,
  );
  assert.equal(row.actor, 'system');
  assert.equal(row.at, 7);
  assert.equal(row.detail['port'], 1);
  assert.equal(String(row.detail['login']).length, 4097);
  assert.notEqual(row.id, auditRow({ code: 'node.started', node: 'a' }).id);
});

it('only listed codes are audit codes', () => {
  assert(isAuditCode('session.started'));
  assert(!isAuditCode('session.start'));
  assert(!isAuditCode('toString'));
});
