/** Reports of session workers that died: what is in them, who may read them, how many there are. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { crashFolder, crashReports, writeCrashReport } from '../../../workers/crash-report.ts';
import type { WorkerDeath } from '../../../workers/death.ts';
import { temporaryFolder } from '../../support/temp.ts';

const AT = Date.UTC(2026, 10, 22, 9, 8, 7, 6);
const LONG = 'x'.repeat(100_000);
const death: WorkerDeath = {
  reason: 'error',
  exitCode: 1,
  error: { name: 'TypeError', message: `no such thing ${LONG}`, code: undefined, stack: `at there\n${LONG}` },
  blocked: { stack: Array.from({ length: 1_000 }, () => LONG), heapBytes: 1, cpuMs: 2 },
  workers: [
    {
      worker: 3,
      aliveMs: 60_000,
      silentMs: 900,
      lastBeat: { sessions: 2, connections: 3, lagMs: 4, heapShare: 0.5, rssBytes: 6 },
    },
  ],
};
const crash = { node: 'n1', version: '1.2.3', death, sessions: ['one', 'two'] };

test('a report tells what died, of what, and with which sessions, to its owner alone', async () => {
  const folder = crashFolder(temporaryFolder('node'));
  const path = await writeCrashReport(folder, crash, new Date(AT));
  assert.equal(path, join(folder, '2026-11-22T09-08-07.006Z-worker-3.json'));
  assert.deepEqual([statSync(folder).mode & 0o777, statSync(path).mode & 0o777], [0o700, 0o600]);
  const text = readFileSync(path, 'utf8');
  const report = JSON.parse(text) as Readonly<Record<string, unknown>>;
  assert.equal(report['time'], '2026-11-22T09:08:07.006Z');
  assert.deepEqual(report['versions'], { sallyport: '1.2.3', node: process.version });
  assert.deepEqual(report['sessions'], { count: 2, ids: ['one', 'two'] });
  assert.deepEqual(report['workers'], death.workers);
  assert.match(text, /"no such thing xxx/);
  assert.deepEqual(await crashReports(folder), [{ path, at: AT }]);
});

test('a report is bounded, and holds neither environment nor arguments', async () => {
  process.env['SALLYPORT_TEST_SECRET'] = 'in-the-environment';
  const path = await writeCrashReport(temporaryFolder('crashes'), {
    ...crash,
    sessions: Array.from({ length: 10_000 }, () => crypto.randomUUID()),
  });
  const text = readFileSync(path, 'utf8');
  assert.ok(text.length < 1_000_000, `${text.length} characters`);
  assert.ok(!text.includes('in-the-environment') && !text.includes(String(process.argv[1])));
});

test('the newest 50 reports are kept, and nothing else in the folder is touched', async () => {
  const folder = temporaryFolder('crashes');
  writeFileSync(join(folder, 'notes.json'), '');
  for (let count = 0; count < 60; count += 1) await writeCrashReport(folder, crash, new Date(AT + count));
  const reports = await crashReports(folder);
  assert.equal(reports.length, 50);
  assert.deepEqual([reports[0]?.at, reports[49]?.at], [AT + 59, AT + 10]);
  assert.ok(readdirSync(folder).includes('notes.json'));
});

test('a node whose workers never died has no reports', async () => {
  assert.deepEqual(await crashReports(join(temporaryFolder('node'), 'crashes')), []);
});
