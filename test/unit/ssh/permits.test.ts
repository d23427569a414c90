import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Permits } from '../../../gateway/ssh/permits.ts';
import { OpenFailure } from '../../../gateway/ssh/wire/connection.ts';

test('an open is refused by the lock before the limit, and by both before policy', () => {
  const permits = new Permits('ops', ['local-forward'], 2);
  assert.equal(permits.refusalOfOpen('local-forward', 'direct-tcpip', 1), undefined);
  assert.equal(permits.refusalOfOpen('free', 'session', 1), undefined);
  assert.deepEqual(permits.refusalOfOpen('x11', 'x11', 1), {
    code: OpenFailure.administrativelyProhibited,
    text: 'policy ops does not allow x11',
  });
  assert.deepEqual(permits.refusalOfOpen('never', 'tun@openssh.com', 1), {
    code: OpenFailure.unknownChannelType,
    text: 'tun@openssh.com is not supported',
  });
  assert.deepEqual(permits.refusalOfOpen('never', 'tun@openssh.com', 2), {
    code: OpenFailure.resourceShortage,
    text: 'more than 2 channels are open on this connection',
  });
  permits.locked = true;
  assert.deepEqual(permits.refusalOfOpen('local-forward', 'direct-tcpip', 2), {
    code: OpenFailure.administrativelyProhibited,
    text: 'the session is locked',
  });
});

test('the lock refuses only the requests that it holds', () => {
  const permits = new Permits('ops', ['shell'], 2);
  permits.locked = true;
  assert.equal(permits.refusalOfRequest('shell', 'shell', true), 'the session is locked');
  assert.equal(permits.refusalOfRequest('free', 'window-change', false), undefined);
  assert.equal(permits.refusalOfRequest('never', 'tun', true), 'tun is not supported');
  permits.locked = false;
  assert.equal(permits.refusalOfRequest('shell', 'shell', true), undefined);
  assert.equal(permits.refusalOfRequest('exec', 'exec', true), 'policy ops does not allow exec');
});
