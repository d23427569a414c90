import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newSessionId } from '../../../gateway/control/session-id.ts';

test('a session id is a lower-case UUIDv7 that carries its time', () => {
  const id = newSessionId(Date.parse('2026-11-21T10:30:45.123Z'));
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16), Date.parse('2026-11-21T10:30:45.123Z'));
});

test('session ids sort by time and never repeat', () => {
  assert.ok(newSessionId(1_700_000_000_000) < newSessionId(1_700_000_000_001));
  assert.equal(new Set(Array.from({ length: 1000 }, () => newSessionId(1))).size, 1000);
});
