import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Deadline, monotonicMs } from '../../../workers/deadline.ts';
import { LeasedArchive } from '../../../workers/leased-archive.ts';
import { MemoryArchive, STARTED_AT, text } from '../recorder/bed.ts';

const HOUR = 3_600_000;

test('a deadline is seen by all threads, and none waits for the one that sets it', async () => {
  const deadline = new Deadline();
  assert.ok(deadline.passed, 'nobody has set it');
  deadline.set(monotonicMs() + HOUR);
  assert.ok(!deadline.passed);
  const script = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.module).then(({ Deadline }) => {
      const deadline = new Deadline(workerData.memory);
      parentPort.on('message', () => parentPort.postMessage(deadline.passed));
    });`;
  const module = new URL('../../../workers/deadline.ts', import.meta.url).href;
  const worker = new Worker(script, { eval: true, workerData: { memory: deadline.memory, module } });
  const ask = async (): Promise<unknown> => {
    worker.postMessage('');
    const [passed] = (await once(worker, 'message')) as [unknown];
    return passed;
  };
  assert.equal(await ask(), false);
  deadline.set(0);
  assert.equal(await ask(), true);
  await worker.terminate();
});

test('who does not share its memory is told where a deadline is, and where it is moved', () => {
  const deadline = new Deadline();
  const [inOtherProcess, told] = [new Deadline(), [] as number[]];
  deadline.set(5);
  const unfollow = deadline.follow((ms) => {
    told.push(ms);
    inOtherProcess.set(ms);
  });
  assert.deepEqual(told, [5]);
  deadline.set(monotonicMs() + HOUR);
  assert.ok(!inOtherProcess.passed);
  deadline.set(0);
  assert.ok(inOtherProcess.passed);
  unfollow();
  deadline.set(7);
  assert.equal(told.length, 3);
});

test('a node without its lease begins no recording and writes to none', async () => {
  const deadline = new Deadline();
  const archive = new MemoryArchive();
  const leased = new LeasedArchive(archive, deadline);
  const refused = { name: 'ArchiveError', code: 'archive-lease' };
  await assert.rejects(leased.create('s1', STARTED_AT, text('head ')), refused);
  deadline.set(monotonicMs() + HOUR);
  const appender = await leased.create('s1', STARTED_AT, text('head '));
  await appender.append(text('one '));
  deadline.set(0);
  await assert.rejects(appender.append(text('two ')), refused);
  await assert.rejects(leased.resume('s1', STARTED_AT, 5), refused);
  assert.equal(archive.bytes('s1').toString(), 'head one ');
  // A lease that nobody took away may be renewed late.
  deadline.set(monotonicMs() + HOUR);
  await appender.append(text('three'));
  assert.equal(archive.bytes('s1').toString(), 'head one three');
});
