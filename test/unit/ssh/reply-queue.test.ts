import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SshWireError } from '../../../gateway/ssh/wire/connection.ts';
import { ReplyQueue } from '../../../gateway/ssh/wire/reply-queue.ts';

test('the gateway’s own answer waits for the replies of earlier requests', () => {
  const seen: string[] = [];
  const queue = new ReplyQueue();
  queue.forwarded();
  queue.decided(() => seen.push('refused'));
  queue.forwarded();
  queue.decided(() => seen.push('refused again'));
  assert.equal(seen.length, 0);
  queue.replied(true, () => seen.push('first'));
  assert.deepEqual(seen, ['first', 'refused']);
  queue.replied(false, () => seen.push('second'));
  assert.deepEqual(seen, ['first', 'refused', 'second', 'refused again']);
});

test('a reply to the gateway’s own request is not forwarded', () => {
  const seen: string[] = [];
  const queue = new ReplyQueue();
  queue.asked((succeeded) => seen.push(`asked ${succeeded}`));
  queue.replied(false, () => seen.push('forwarded'));
  assert.deepEqual(seen, ['asked false']);
});

test('a reply that nobody waits for is the peer’s fault', () => {
  const queue = new ReplyQueue();
  assert.throws(() => queue.replied(true, () => {}), SshWireError);
});

test('unanswered requests are bounded', () => {
  const queue = new ReplyQueue();
  for (let count = 0; count < 4096; count += 1) queue.forwarded();
  assert.throws(() => queue.forwarded(), SshWireError);
});

test('who forwarded a request may hear of its reply before the requester does', () => {
  const seen: string[] = [];
  const queue = new ReplyQueue();
  queue.forwarded((succeeded) => seen.push(`heard ${succeeded}`));
  queue.replied(false, () => seen.push('forwarded'));
  assert.deepEqual(seen, ['heard false', 'forwarded']);
});
