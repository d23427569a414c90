/** What a node knows of its archive and its workers without asking them for every probe. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ArchiveWatch } from '../../../gateway/health/archive-watch.ts';
import { Beats } from '../../../gateway/health/beats.ts';
import { until } from '../../support/process.ts';

/** A watch on an archive that answers as `check` says now. */
function watched() {
  const changes: (string | undefined)[] = [];
  const archive = { looks: 0, atOnce: 0, most: 0, check: async (): Promise<void> => {} };
  const watch = new ArchiveWatch({
    check: async () => {
      archive.looks++;
      archive.most = Math.max(archive.most, ++archive.atOnce);
      try {
        await archive.check();
      } finally {
        archive.atOnce--;
      }
    },
    onChange: (error) => changes.push(error?.message),
    everyMs: 5,
    downEveryMs: 5,
    patienceMs: 200,
  });
  return { watch, archive, changes };
}

test('an archive that fails twice in a row is down, and back when it answers', async () => {
  const { watch, archive, changes } = watched();
  archive.check = async () => {
    if (archive.looks === 1) throw new Error('a single failure');
  };
  watch.look();
  await until('a few looks', () => (archive.looks >= 3 ? true : undefined));
  assert.deepEqual([watch.down, changes], [false, []]);
  archive.check = () => Promise.reject(new Error('no such folder'));
  await until('it is down', () => (watch.down ? true : undefined));
  archive.check = async () => {};
  await until('it is back', () => (watch.down ? undefined : true));
  watch.stop();
  assert.deepEqual(changes, ['no such folder', undefined]);
});

test('an archive that hangs is down, and is not asked again before it answers', async () => {
  const { watch, archive, changes } = watched();
  const answer = Promise.withResolvers<void>();
  archive.check = () => answer.promise;
  watch.look();
  for (let again = 0; again < 5; again++) watch.look();
  await until('it is down', () => (watch.down ? true : undefined));
  assert.equal(archive.looks, 1);
  archive.check = async () => {};
  answer.resolve();
  await until('it is back', () => (watch.down ? undefined : true));
  watch.stop();
  assert.equal(archive.most, 1);
  assert.deepEqual(changes, ['no answer within 200 ms', undefined]);
});

test('workers that are silent or gone are not counted on', () => {
  const time = { at: 0 };
  const beats = new Beats(() => time.at);
  assert.deepEqual([beats.beating, beats.lagMs], [0, 0]);
  beats.heard(1, 0);
  beats.heard(2, 40);
  assert.deepEqual([beats.beating, beats.lagMs], [2, 20]);
  time.at = 4_000;
  beats.heard(2, 40);
  time.at = 6_000;
  assert.deepEqual([beats.beating, beats.lagMs], [1, 40]);
  beats.gone(2);
  assert.equal(beats.beating, 0);
});

test('one long turn of a worker is not a load, many are', () => {
  const beats = new Beats(() => 0);
  beats.heard(1, 0);
  beats.heard(1, 100);
  assert.equal(beats.lagMs, 20);
  for (let turn = 0; turn < 50; turn++) beats.heard(1, 100);
  assert.ok(beats.lagMs > 99);
});
