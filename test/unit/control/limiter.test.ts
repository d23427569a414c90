import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoginLimiter, WINDOW_MS } from '../../../gateway/control/limiter.ts';
import { sourceKey } from '../../../gateway/listener/source.ts';

const HOME = '192.0.2.1';
const AWAY = '198.51.100.7';

function limiter() {
  const clock = { at: 1_000_000 };
  const it = new LoginLimiter(() => clock.at);
  const fail = (times: number, source: string, name: string): void => {
    for (let i = 0; i < times; i++) it.failed(source, name);
  };
  return { it, clock, fail };
}

test('the answer waits longer with every failure, up to eight seconds', () => {
  const { it } = limiter();
  const delays: number[] = [];
  for (let i = 0; i < 10; i++) {
    const verdict = it.verdict(HOME, 'alice');
    assert.ok(!verdict.blocked);
    delays.push(verdict.delayMs);
    it.failed(HOME, 'alice');
  }
  assert.deepEqual(delays, [0, 0, 250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
  assert.deepEqual(it.verdict(HOME, 'alice'), { blocked: true });
});

test('ten failures block the name from that source alone; elsewhere it only waits', () => {
  const { it, fail } = limiter();
  fail(10, HOME, 'alice');
  assert.equal(it.verdict(HOME, 'alice').blocked, true);
  assert.deepEqual(it.verdict(AWAY, 'alice'), { blocked: false, delayMs: 8000 });
  assert.equal(it.verdict(HOME, 'bob').blocked, false);
});

test('no number of failures elsewhere blocks a name here', () => {
  const { it } = limiter();
  for (let i = 0; i < 500; i++) it.failed(`203.0.113.${i % 250}`, 'alice');
  assert.deepEqual(it.verdict(HOME, 'alice'), { blocked: false, delayMs: 8000 });
});

test('thirty failures block the source for every name', () => {
  const { it } = limiter();
  for (let i = 0; i < 29; i++) it.failed(HOME, `name${i}`);
  assert.equal(it.verdict(HOME, 'alice').blocked, false);
  it.failed(HOME, 'name29');
  assert.equal(it.verdict(HOME, 'alice').blocked, true);
  assert.equal(it.verdict(AWAY, 'alice').blocked, false);
});

test('a block ends a window after the failure that caused it, and counting starts afresh', () => {
  const { it, clock, fail } = limiter();
  fail(9, HOME, 'alice');
  clock.at += WINDOW_MS - 1;
  it.failed(HOME, 'alice');
  clock.at += WINDOW_MS - 1;
  assert.equal(it.verdict(HOME, 'alice').blocked, true);
  clock.at += 1;
  assert.deepEqual(it.verdict(HOME, 'alice'), { blocked: false, delayMs: 0 });
  it.failed(HOME, 'alice');
  assert.equal(it.verdict(HOME, 'alice').blocked, false);
});

test('failures older than the window no longer count', () => {
  const { it, clock, fail } = limiter();
  fail(9, HOME, 'alice');
  clock.at += WINDOW_MS;
  it.failed(HOME, 'alice');
  assert.deepEqual(it.verdict(HOME, 'alice'), { blocked: false, delayMs: 0 });
});

test('a success clears the name for its source, not the source and not the name elsewhere', () => {
  const { it, fail } = limiter();
  fail(9, HOME, 'alice');
  it.succeeded(HOME, 'alice');
  it.failed(HOME, 'alice');
  assert.equal(it.verdict(HOME, 'alice').blocked, false);
  fail(20, HOME, 'bob');
  it.succeeded(HOME, 'bob');
  assert.equal(it.verdict(HOME, 'bob').blocked, true, 'the source has thirty failures');
  fail(10, AWAY, 'alice');
  it.succeeded(HOME, 'alice');
  assert.equal(it.verdict(AWAY, 'alice').blocked, true);
});

test('the tables are bounded: the longest unused entry goes first', () => {
  const { it, clock, fail } = limiter();
  fail(10, HOME, 'alice');
  for (let i = 0; i < 9_999; i++) {
    clock.at++;
    it.failed(`10.0.${i >> 8}.${i & 255}`, `name${i}`);
  }
  assert.equal(it.verdict(HOME, 'alice').blocked, true);
  it.failed('10.1.0.0', 'one-more');
  assert.deepEqual(it.verdict(HOME, 'alice'), { blocked: false, delayMs: 0 });
});

const sources: [source: string, key: string][] = [
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['::1', '0:0:0:0::/64'],
  ['192.0.2.1:50022', '192.0.2.1'],
  ['[2001:db8:1:2::3]:50022', '2001:db8:1:2::/64'],
  ['not an address', 'not an address'],
];
for (const [source, key] of sources) {
  test(`source ${source} counts as ${key}`, () => {
    assert.equal(sourceKey(source), key);
  });
}
