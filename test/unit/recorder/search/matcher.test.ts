import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Matcher } from '../../../../recorder/search/matcher.ts';

function found(words: string, ...lines: readonly string[]): string[] {
  using matcher = new Matcher(words);
  const entries = lines.map((text, at) => ({ at, channel: 0, kind: 'shown', text }) as const);
  return matcher.find(entries).map(({ text }) => text);
}

test('all words must be in a line, as beginnings, whatever their case and accents', () => {
  const lines = [
    'systemctl restart nginx',
    'Restarting NGINX now',
    'nginx',
    'xnginx restart',
    'Grüße aus Köln',
  ];
  assert.deepEqual(found('restart nginx', ...lines), lines.slice(0, 2));
  assert.deepEqual(found('NGIN', ...lines), lines.slice(0, 3));
  assert.deepEqual(found('kolN', ...lines), [lines[4]]);
  assert.deepEqual(found('grüße', ...lines, 'GRÜSSE'), [lines[4]]);
  // A letter beyond ASCII that folds into it.
  assert.deepEqual(found('kelvin', '\u212aelvin'), ['\u212aelvin']);
});

test('what is written together is looked for together', () => {
  const lines = ['ping 10.0.0.5', 'ping 5.0.0.10', 'ping 10.0.0.55', 'cat /etc/passwd', 'passwd etc'];
  assert.deepEqual(found('10.0.0.5', ...lines), [lines[0], lines[2]]);
  assert.deepEqual(found('/etc/passwd', ...lines), [lines[3]]);
});

test('nothing in the words is an operator', () => {
  const line = 'near near or not and text near the end';
  for (const words of [
    'NEAR(near',
    'or OR',
    'text:',
    '"near',
    'near"',
    'e*',
    '^near',
    '{text}:near',
    '-near',
    '(',
    ')',
    "'; --",
  ])
    if (/\w/.test(words)) assert.deepEqual(found(words, line), [line], words);
    else assert.throws(() => found(words, line), RangeError, words);
  assert.deepEqual(found('near AND or', line), [line]);
  assert.deepEqual(found('near AND absent', line), []);
});

test('words that are none are refused', () => {
  for (const words of ['', '  ', '--- "', '…']) assert.throws(() => new Matcher(words), RangeError);
});

test('a snippet is what stands around the words, and batches do not mix', () => {
  using matcher = new Matcher('needle');
  const text = `${'hay '.repeat(100)}needle${' straw'.repeat(100)}`;
  const [hit] = matcher.find([{ at: 1, channel: 0, kind: 'shown', text }]);
  assert.match(hit?.snippet ?? '', /^….*needle.*…$/);
  assert.ok((hit?.snippet.length ?? 0) < 200);
  assert.deepEqual(
    matcher.find([{ at: 2, channel: 0, kind: 'shown', text: 'needless' }]).map(({ at }) => at),
    [2],
  );
  assert.deepEqual(matcher.find([{ at: 3, channel: 0, kind: 'shown', text: 'hay' }]), []);
});
