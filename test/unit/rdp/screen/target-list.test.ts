import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TargetList, targetName } from '../../../../gateway/rdp/screen/target-list.ts';

const many = (count: number) =>
  new TargetList(
    Array.from({ length: count }, (_, at) => ({
      account: at % 2 ? 'root' : 'Administrator',
      system: `win${at}`,
    })),
  );
const seen = (list: TargetList) => list.visible().map(targetName);

test('every word of the filter must match, in any case', () => {
  const list = many(30);
  list.setRows(5);
  list.moveTo(20);
  list.setFilter('ADMIN 2');
  assert.deepEqual(seen(list), [
    'Administrator@win2',
    'Administrator@win12',
    'Administrator@win20',
    'Administrator@win22',
    'Administrator@win24',
  ]);
  assert.equal(list.cursor, 0);
  assert.equal(list.count, 7);
  list.setFilter('nothing like it');
  assert.equal(list.chosen, undefined);
  list.moveBy(3);
  assert.equal(list.cursor, 0);
  list.setFilter('');
  assert.equal(list.count, 30);
});

test('what would be chosen is always in sight', () => {
  const list = many(30);
  list.setRows(5);
  const check = (cursor: number, top: number) => assert.deepEqual([list.cursor, list.top], [cursor, top]);
  list.moveBy(5);
  check(5, 1);
  list.moveTo(1000);
  check(29, 25);
  list.scrollTo(10);
  check(14, 10);
  list.scrollTo(12);
  check(14, 12);
  list.scrollTo(20);
  check(20, 20);
  list.scrollTo(-7);
  check(4, 0);
  list.moveTo(29);
  list.setRows(10);
  check(29, 20);
  list.setRows(50);
  check(29, 0);
  assert.ok(!list.scrolls);
});
