/** Sheets of numbers, and how those of several workers become metrics of one node. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Plan, Sheet } from '../../../gateway/metrics/sheet.ts';
import { type MetricObject, WorkerTotals } from '../../../gateway/metrics/worker-totals.ts';

const PLAN = new Plan([
  { name: 'sent_total', help: 'sent', type: 'counter', labels: { to: ['a', 'b'], by: ['x', 'y'] } },
  { name: 'held', help: 'held', type: 'gauge', labels: {} },
  { name: 'lag', help: 'lag', type: 'gauge', labels: {}, over: 'max' },
  { name: 'heap', help: 'heap', type: 'gauge', labels: {}, over: 'each' },
  { name: 'took_seconds', help: 'took', type: 'histogram', labels: { way: ['up', 'down'] }, bounds: [1, 5] },
]);

/** `name{labels}` → value, of what is not 0. */
function samples(metrics: readonly MetricObject[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { name, values } of metrics)
    for (const { metricName = name, labels, value } of values)
      if (value !== 0) found[[metricName, ...Object.values(labels)].join(' ')] = value;
  return found;
}

test('a value lands in the bucket whose bound it does not pass, and only there', () => {
  const sheet = new Sheet(PLAN);
  const up = sheet.histogram('took_seconds', { way: 'up' });
  for (const value of [0, 1, 1.01, 5, 5.01, 100]) up.observe(value);
  const totals = new WorkerTotals(PLAN);
  totals.told(1, sheet.values);
  assert.deepEqual(samples(totals.metrics()), {
    'took_seconds_bucket up 1': 2,
    'took_seconds_bucket up 5': 4,
    'took_seconds_bucket up +Inf': 6,
    'took_seconds_sum up': 112.02,
    'took_seconds_count up': 6,
  });
});

test('each series has numbers of its own', () => {
  const sheet = new Sheet(PLAN);
  sheet.value('sent_total', { to: 'a', by: 'y' }).add(2);
  sheet.value('sent_total', { to: 'b', by: 'x' }).add(3);
  sheet.value('held').set(5);
  const totals = new WorkerTotals(PLAN);
  totals.told(1, sheet.values);
  assert.deepEqual(samples(totals.metrics()), { 'sent_total a y': 2, 'sent_total b x': 3, held: 5 });
});

test('what is not declared cannot be counted', () => {
  const sheet = new Sheet(PLAN);
  assert.throws(() => sheet.value('sent'), { message: 'sent is no declared metric' });
  assert.throws(() => sheet.value('sent_total', { to: 'a' }), /has no series/);
  assert.throws(() => sheet.value('sent_total', { to: 'a', by: 'z' }), /has no series/);
  assert.throws(() => sheet.value('held', { to: 'a' }), /has no series/);
  assert.throws(() => sheet.histogram('held'), /is no histogram/);
});

test('workers are summed, the worst of them shown, or each of them', () => {
  const totals = new WorkerTotals(PLAN);
  for (const worker of [1, 2]) {
    const sheet = new Sheet(PLAN);
    sheet.value('sent_total', { to: 'a', by: 'x' }).add(worker);
    for (const name of ['held', 'lag', 'heap']) sheet.value(name).set(10 * worker);
    totals.told(worker, sheet.values);
  }
  const all = { 'sent_total a x': 3, held: 30, lag: 20, 'heap 1': 10, 'heap 2': 20 };
  assert.deepEqual(samples(totals.metrics()), all);
});

test('what a worker had counted stays when it is gone; how it stood does not', () => {
  const totals = new WorkerTotals(PLAN);
  for (const worker of [1, 2]) {
    const sheet = new Sheet(PLAN);
    sheet.value('sent_total', { to: 'a', by: 'x' }).add(worker);
    sheet.histogram('took_seconds', { way: 'down' }).observe(worker);
    for (const name of ['held', 'lag', 'heap']) sheet.value(name).set(10 * worker);
    totals.told(worker, sheet.values);
  }
  totals.gone(2);
  totals.gone(3);
  assert.deepEqual(samples(totals.metrics()), {
    'sent_total a x': 3,
    held: 10,
    lag: 10,
    'heap 1': 10,
    'took_seconds_bucket down 1': 1,
    'took_seconds_bucket down 5': 2,
    'took_seconds_bucket down +Inf': 2,
    'took_seconds_sum down': 3,
    'took_seconds_count down': 2,
  });
  const next = new Sheet(PLAN);
  next.value('sent_total', { to: 'a', by: 'x' }).add(1);
  totals.told(4, next.values);
  assert.equal(samples(totals.metrics())['sent_total a x'], 4);
});

test('no sum falls, not even by a rounding, whatever order workers come and go in', () => {
  const totals = new WorkerTotals(PLAN);
  const sheets = Array.from({ length: 8 }, () => new Sheet(PLAN));
  let before = 0;
  const check = (): void => {
    const sum = samples(totals.metrics())['took_seconds_sum up'] ?? 0;
    assert.ok(sum >= before, `${before}, then ${sum}`);
    before = sum;
  };
  for (let round = 0; round < 400; round += 1) {
    for (const [worker, sheet] of sheets.entries()) {
      sheet.histogram('took_seconds', { way: 'up' }).observe(Math.abs(Math.sin(round + worker)));
      totals.told(worker, new Float64Array(sheet.values));
      check();
    }
    const dead = Math.floor(Math.abs(Math.sin(round)) * sheets.length);
    totals.gone(dead);
    sheets[dead] = new Sheet(PLAN);
    check();
  }
});
