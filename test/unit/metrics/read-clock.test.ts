/** Which writes pass on what was read, and how long that took. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RelayDelay, readBegins, readEnds } from '../../../gateway/metrics/read-clock.ts';
import { Histogram } from '../../../gateway/metrics/sheet.ts';

const [ONE, OTHER] = [{}, {}];

/** The delay of writes to `OTHER`: how many were counted, and their sum in seconds. */
function counted(): { delay: RelayDelay; count(): number; sum(): number } {
  const values = new Float64Array(2);
  const delay = new RelayDelay(OTHER, new Histogram(values, 0, []));
  return { delay, count: () => values[0] ?? 0, sum: () => values[1] ?? 0 };
}

test('a write counts from the read of the other socket', (t) => {
  let now = 1000;
  t.mock.method(performance, 'now', () => now);
  const { delay, count, sum } = counted();
  readBegins(ONE);
  now = 1002;
  delay.taken();
  now = 1003;
  delay.taken();
  readEnds();
  now = 1007;
  delay.written();
  delay.written();
  assert.deepEqual([count(), sum()], [1, 0.007]);
});

test('neither an answer to the same socket nor what nobody read counts', () => {
  const { delay, count } = counted();
  readBegins(OTHER);
  delay.taken();
  readEnds();
  delay.written();
  delay.taken();
  delay.written();
  assert.equal(count(), 0);
});
