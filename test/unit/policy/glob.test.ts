import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchesGlob, matchesTarget } from '../../../gateway/policy/glob.ts';

const globs: [pattern: string, text: string, matches: boolean][] = [
  ['alice', 'alice', true],
  ['alice', 'Alice', false],
  ['alice', 'alice2', false],
  ['*', '', true],
  ['*', 'anything', true],
  ['', '', true],
  ['', 'a', false],
  ['?', '', false],
  ['?', 'a', true],
  ['web??', 'web01', true],
  ['web??', 'web1', false],
  ['*web*', 'my-web-01', true],
  ['a*b*c', 'a-b-b-c', true],
  ['a*b*c', 'a-b-b-d', false],
  ['*.example', 'web.example', true],
  ['*.example', 'web-example', false],
  ['a.b', 'axb', false],
  ['[ab]', 'a', false],
  ['**a**', 'bab', true],
];
for (const [pattern, text, matches] of globs) {
  test(`glob ${pattern} ${matches ? 'matches' : 'does not match'} "${text}"`, () => {
    assert.equal(matchesGlob(pattern, text), matches);
  });
}

test('a pattern made to back-track costs no more than its length times the text', () => {
  // A matcher that tried every split would not come back within this universe.
  assert.equal(matchesGlob('*a'.repeat(60).concat('b'), 'a'.repeat(4000)), false);
});

const targets: [pattern: string, account: string, system: string, matches: boolean][] = [
  ['*@web01', 'root', 'web01', true],
  ['*@web01', 'root', 'web02', false],
  ['root@*', 'root', 'web01', true],
  ['root@web*', 'root', 'db01', false],
  ['root@web*', 'root@web01', 'db01', false],
  ['*@web01', 'svc@corp.example', 'web01', true],
  ['svc@corp.example@web01', 'svc@corp.example', 'web01', true],
  ['*', 'root', 'web01', true],
  ['root', 'root', 'web01', false],
];
for (const [pattern, account, system, matches] of targets) {
  test(`target ${pattern} ${matches ? 'covers' : 'does not cover'} ${account} on ${system}`, () => {
    assert.equal(matchesTarget(pattern, account, system), matches);
  });
}
