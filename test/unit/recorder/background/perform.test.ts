import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Job } from '../../../../recorder/background/job.ts';
import { perform } from '../../../../recorder/background/perform.ts';
import { openArchive } from '../../../../recorder/index.ts';
import { temporaryFolder } from '../../../support/temp.ts';
import { STARTED_AT } from '../bed.ts';
import { archived, desktop, mouse } from '../video/bed.ts';

const archive = { urls: [`file:${temporaryFolder('perform')}`] };
let jobs: readonly Job[];
before(async () => {
  const made = await archived([desktop(0, 320, 200), mouse(1000, 0x0800, 10, 12)]);
  const folder = openArchive(archive.urls[0] ?? '');
  await (await folder.create('s1', STARTED_AT, made.archive.bytes('s1'))).close();
  jobs = [
    { type: 'compact', archive, sessionId: 's1' },
    { type: 'sides', source: { archive, sessionId: 's1', opener: [made.identity] } },
  ];
});

const client = (signal: AbortSignal) => ({ tell: () => {}, asked: () => Promise.resolve(), signal });

test('a job that nobody cancels is done', async () => {
  for (const job of jobs) {
    const end = await perform(job, client(new AbortController().signal));
    assert.equal(end.error, undefined, job.type);
  }
});

test('a job that is cancelled reads no further, whatever it is', async () => {
  for (const job of jobs) {
    const end = await perform(job, client(AbortSignal.abort()));
    assert.equal(end.error?.name, 'CancelledError', job.type);
  }
});
