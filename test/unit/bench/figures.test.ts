import assert from 'node:assert/strict';
import { test } from 'node:test';
import { svgOf } from '../../../bench/figures/plot.ts';
import { withSection } from '../../../bench/figures/results-file.ts';
import { blockMeans, median, percentile, rotated, trend } from '../../../bench/figures/statistics.ts';
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

test('a trend is the line of least squares, with the error of its slope', () => {
  const exact = trend([
    [0, 1],
    [1, 3],
    [2, 5],
  ]);
  assert.equal(exact.slope, 2);
  assert.equal(exact.standardError, 0);
  // By hand: means 1.5 and 2, slope 0.8, residuals 0.2, -0.6, 0.6, -0.2; sqrt(0.8 / 2 / 5).
  const rough = trend([
    [0, 1],
    [1, 1],
    [2, 3],
    [3, 3],
  ]);
  assert.ok(Math.abs(rough.slope - 0.8) < 1e-12);
  assert.ok(Math.abs(rough.standardError - Math.sqrt(0.08)) < 1e-12);
  assert.throws(
    () =>
      trend([
        [0, 1],
        [1, 1],
      ]),
    RangeError,
  );
  assert.throws(() => trend([1, 2, 3].map((y) => [7, y] as const)), RangeError);
});

test('blocks are means of neighbours, and every point is in one', () => {
  const points = Array.from({ length: 10 }, (_, x) => [x, x * 2] as const);
  assert.deepEqual(blockMeans(points, 2), [
    [2, 4],
    [7, 14],
  ]);
  assert.equal(blockMeans(points, 3).length, 3);
  assert.equal(blockMeans(points, 20).length, 10);
});

test('a plot is whole SVG whose lines stay within their panels', () => {
  const svg = svgOf({
    title: 'a & b < c',
    note: '',
    xUnit: 'seconds',
    marks: [{ x: 5, name: 'mark' }],
    panels: [
      {
        title: 'count',
        unit: 'n',
        lines: [{ name: 'one', colour: '#f00', points: Array.from({ length: 5000 }, (_, x) => [x, x]) }],
      },
      {
        title: 'time',
        unit: 'ms',
        log: { floor: 0.1 },
        lines: [
          {
            name: 'gap',
            colour: '#00f',
            points: [
              [0, 0.001],
              [1, Number.NaN],
              [2, 1000],
            ],
          },
        ],
      },
    ],
  });
  assert.match(svg, /^<svg [\s\S]*<\/svg>\n$/);
  assert.match(svg, /a &amp; b &lt; c/);
  assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
  const [first = '', second = ''] = [...svg.matchAll(/<path [^>]* d="([^"]*)"/g)].map(([, d = '']) => d);
  assert.ok(first.split(/[ML]/).length - 1 <= 1000);
  // A gap ends a line and begins another.
  assert.equal(second.match(/M/g)?.length, 2);
  for (const [d, top] of [
    [first, 84],
    [second, 310],
  ] as const)
    for (const [, y] of d.matchAll(/[ML][\d.]+ ([\d.]+)/g))
      assert.ok(Number(y) >= top && Number(y) <= top + 170, `${y} is outside of the panel at ${top}`);
});
