import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withSection } from '../../../bench/figures/results-file.ts';
import { median, percentile, rotated } from '../../../bench/figures/statistics.ts';
import { figure, formatTable } from '../../../bench/figures/table.ts';

/** 1 … 100, shuffled by a step that shares no factor with 101. */
const HUNDRED = Array.from({ length: 100 }, (_, index) => ((index + 1) * 37) % 101);

test('the median is the middle sample, or the mean of the middle two', () => {
  assert.equal(median([7]), 7);
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([10, 2, 4, 100]), 7);
  assert.equal(median(HUNDRED), 50.5);
});

test('a percentile is the nearest rank', () => {
  assert.equal(percentile(HUNDRED, 50), 50);
  assert.equal(percentile(HUNDRED, 99), 99);
  assert.equal(percentile(HUNDRED, 99.5), 100);
  assert.equal(percentile(HUNDRED, 100), 100);
  assert.equal(percentile([3, 1, 2], 1), 1);
  assert.equal(percentile([3, 1, 2], 67), 3);
  assert.equal(percentile([10, 9], 50), 9);
});

test('numbers are sorted as numbers, and the samples stay as they were', () => {
  const samples = [100, 9, 20];
  assert.equal(median(samples), 20);
  assert.equal(percentile(samples, 100), 100);
  assert.deepEqual(samples, [100, 9, 20]);
});

test('no samples, no numbers and impossible percentiles are errors', () => {
  assert.throws(() => median([]), /no samples/);
  assert.throws(() => percentile([], 50), /no samples/);
  assert.throws(() => median([1, Number.NaN]), /not a number/);
  for (const percent of [0, -1, 101, Number.NaN]) assert.throws(() => percentile([1], percent), RangeError);
});

test('over as many rounds as there are paths, each path takes each place once', () => {
  const paths = ['a', 'b', 'c'];
  const orders = [0, 1, 2].map((round) => rotated(paths, round));
  assert.deepEqual(orders, [
    ['a', 'b', 'c'],
    ['b', 'c', 'a'],
    ['c', 'a', 'b'],
  ]);
  assert.deepEqual(rotated(paths, 4), ['b', 'c', 'a']);
  assert.deepEqual(rotated([], 3), []);
});

test('figures keep about three digits', () => {
  assert.deepEqual([0.123, 12.34, 678.9, -0.5, undefined].map(figure), ['0.12', '12.3', '679', '-0.50', '–']);
});

test('a table aligns its columns', () => {
  const table = {
    title: 'T',
    note: 'N',
    columns: ['path', 'MB/s'],
    rows: [
      ['direct', '5'],
      ['x', '123456'],
    ],
  };
  assert.equal(
    formatTable(table),
    '### T\n\nN\n\n| path   |   MB/s |\n| ------ | -----: |\n| direct |      5 |\n| x      | 123456 |\n',
  );
});

test('saving rewrites the section of one benchmark and leaves the others', () => {
  const first = withSection('# Results\n', 'ssh', 'one\n\n### Sub\n');
  assert.equal(first, '# Results\n\n## ssh\n\none\n\n### Sub\n');
  const both = withSection(first, 'ssh-other', 'other');
  assert.equal(both, '# Results\n\n## ssh\n\none\n\n### Sub\n\n## ssh-other\n\nother\n');
  assert.equal(withSection(both, 'ssh', 'two'), '# Results\n\n## ssh\n\ntwo\n\n## ssh-other\n\nother\n');
  assert.equal(withSection(both, 'ssh', 'one\n\n### Sub'), both);
});
