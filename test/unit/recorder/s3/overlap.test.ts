/** Appends of one recording, or of several, of which some are under way while others come. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { EventKind, generateIdentity, openRecording, Recorder } from '../../../../recorder/index.ts';
import { randomFrom } from '../../../support/random.ts';
import { initOf, Signals, text, until } from '../bed.ts';
import { contentsOf, DAY, FOLDER, insist, JOURNAL, MemoryStore, nodeOn } from './bed.ts';

test('appends go on while a part is made of those before, and a large one waits for it', async () => {
  const store = new MemoryStore();
  const appender = await nodeOn(store).create('s1', DAY, text('head '));
  const { promise: allowed, resolve: allow } = Promise.withResolvers<void>();
  store.before = async (key) => (key.startsWith(FOLDER) ? await allowed : undefined);
  const lent = Buffer.alloc(60_000);
  for (const letter of 'abcde') {
    lent.fill(letter);
    await appender.append(lent);
  }
  lent.fill('!');
  await until(() => store.written.length === 7);
  await appender.append(text('small'));
  const large = appender.append(Buffer.alloc(100_000, 'L'));
  // Were it sent at once, it would be by now.
  await new Promise((resolve) => void setTimeout(resolve, 50));
  assert.equal(store.written.length, 8, 'the header, five groups, the part and another group');
  allow();
  await large;
  await appender.append(text('end'));
  await appender.close();
  const letters = [...'abcde'].map((letter) => letter.repeat(60_000)).join('');
  const found = await contentsOf(store, 's1');
  assert.equal(runs(found), runs(`head ${letters}small${'L'.repeat(100_000)}end`));
  assert.deepEqual(store.keys(JOURNAL), []);
  assert.equal(store.keys(FOLDER).length, 4);
});

/** A text in few characters: what it repeats, and how often. */
function runs(value: string): string {
  return value.replace(/(.)\1{9,}/g, (run, one) => `${one}*${run.length} `);
}

test('appends that are under way together may be durable in any order, and count in theirs', async () => {
  const seeds = Array.from({ length: 24 }, (_, seed) => seed);
  await Promise.all(
    seeds.map(async (seed) => {
      const random = randomFrom(seed);
      const store = new MemoryStore();
      store.fate = () => (random(4) > 0 ? 'done' : random(2) === 0 ? 'lost' : 'unheard');
      store.before = async () => {
        await new Promise((resolve) => void setTimeout(resolve, random(30)));
      };
      const appender = await insist(() => nodeOn(store).create('s1', DAY, text('head ')));
      let all = 'head ';
      let acknowledged = all.length;
      let landed = Promise.resolve();
      let underWay = 0;
      for (let i = 0; i < 30; i += 1) {
        const bytes = `${i}.`.repeat(1 + random(random(2) === 0 ? 60_000 : 40));
        const at = all.length;
        all += bytes;
        underWay += 1;
        const appended = insist(() => appender.append(text(bytes), at));
        landed = landed.then(async () => {
          await appended;
          acknowledged = at + bytes.length;
          underWay -= 1;
        });
        // As another node finds it when this one dies now.
        const sure = acknowledged;
        const found = await contentsOf(store.copy(), 's1');
        assert.ok(found.length >= sure && all.startsWith(found), `seed ${seed}: ${sure} of ${all.length}`);
        await until(() => underWay < (appender.atOnce ?? 1));
      }
      await landed;
      assert.equal(await contentsOf(store.copy(), 's1'), all, `seed ${seed}`);
      await insist(() => appender.append(text('end')));
      await appender.close();
      assert.equal(await contentsOf(store.copy(), 's1'), `${all}end`, `seed ${seed}`);
    }),
  );
});

test('a recording that is written fast has two appends under way, and loses nothing when one is refused', async () => {
  const store = new MemoryStore();
  const identity = await generateIdentity();
  const recorder = new Recorder({
    archive: nodeOn(store),
    recipients: [identity.recipient],
    node: 'n1',
    signingKey: generateKeyPairSync('ed25519').privateKey,
    window: { bytes: 4 * 2 ** 20, ms: 60_000, graceSeconds: 60 },
  });
  let most = 0;
  let underWay = 0;
  let parts = 0;
  let begun = false;
  store.before = async () => {
    underWay += 1;
    most = Math.max(most, underWay);
    // The first waits for another, however long that takes to be framed here.
    const last = performance.now() + 30_000;
    do await new Promise((resolve) => void setTimeout(resolve, 20));
    while (begun && most < 2 && performance.now() < last);
    underWay -= 1;
  };
  store.fate = (key) => (key.startsWith(FOLDER) && ++parts % 3 === 0 ? 'lost' : 'done');
  const signals = new Signals();
  const recording = await recorder.open({ ...initOf('s1'), startedAt: DAY }, signals);
  begun = true;
  const noise = randomBytes(128 * 1024);
  for (let i = 0; i < 200; i += 1) {
    recording.write(EventKind.output, 0, noise);
    await until(() => !recording.paused);
  }
  assert.equal((await recording.seal('done')).sealed, true);
  assert.equal(most, 2);
  const reader = await openRecording(nodeOn(store), 's1', [identity.identity]);
  let length = 0;
  for await (const { payload } of reader.events()) length += payload.length;
  assert.equal(length, 200 * noise.length);
  assert.ok(!signals.seen.includes('failed'));
});

test('a slow store holds back more groups, and a hurried recording does not wait for the next', async () => {
  const store = new MemoryStore();
  let waiting: (() => void)[] = [];
  const archive = nodeOn(store);
  const appenders = await Promise.all(
    Array.from({ length: 8 }, (_, i) => archive.create(`s${i}`, DAY, text('head '))),
  );
  store.before = () => new Promise((resolve) => void waiting.push(resolve));
  const appends: Promise<void>[] = [];
  for (const [i, appender] of appenders.entries()) {
    appends.push(appender.append(text('one ')));
    // Each in a group of its own, as far as groups are sent.
    if (i < 4) await until(() => waiting.length === i + 1);
  }
  await new Promise((resolve) => void setTimeout(resolve, 400));
  assert.equal(waiting.length, 4);
  for (const go of waiting.splice(0)) go();
  await until(() => waiting.length === 1);
  for (const go of waiting.splice(0)) go();
  await Promise.all(appends);
  assert.equal(store.keys(JOURNAL).length, 5);
  waiting = [];
});
