/** The capacity benchmark at its smallest: sessions through a gateway and to a bastion, and the figures of both. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { testWith } from '../support/packages.ts';
import { run } from '../support/process.ts';
import { temporaryFolder } from '../support/temp.ts';

interface Report {
  readonly name: string;
  readonly machine: { readonly cores: number };
  readonly sessions: number;
  readonly failures: number;
  readonly addedP50Ms: number;
  readonly addedP99Ms: number;
  readonly stolen: number;
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  readonly results: {
    readonly held: {
      readonly errors: readonly string[];
      readonly keys: { readonly via: { readonly ssh: { readonly count: number } } };
      readonly recordings: { readonly count: number; readonly sealed: number; readonly verified: number };
      readonly samples: readonly { readonly open: number }[];
    };
    readonly costs: readonly {
      readonly subject: string;
      readonly failures: number;
      readonly cpuUsPerKey: number;
      readonly mibBefore: number;
      readonly mibPerSession: number;
      readonly cpuMsPerLogOn: number;
    }[];
  };
}

const SESSIONS = 12;

testWith(
  ['openssh-server', 'openssh-client', 'tlog'],
  'the capacity benchmark holds, records and counts its sessions, and those of a bastion',
  async () => {
    const plot = join(temporaryFolder('bench'), 'run.svg');
    const bench = join(import.meta.dirname, '../../bench/main.ts');
    const args = ['capacity', '--quick', '--json', '--mix', 'ssh', '--sessions', String(SESSIONS)];
    const { code, text, stderr } = await run(
      process.execPath,
      [bench, ...args, '--seconds', '5', '--plot', plot],
      { timeoutMs: 290_000 },
    );
    assert.equal(code, 0, stderr);
    const report = JSON.parse(text) as Report;
    const { held, costs } = report.results;
    assert.equal(report.name, 'capacity');
    assert.ok(report.stolen >= 0 && report.stolen <= 1);
    assert.ok(report.machine.cores > 0 && report.cpuSeconds > 0 && report.rssBytes > 2 ** 20);
    assert.equal(typeof report.addedP50Ms, 'number');
    assert.equal(typeof report.addedP99Ms, 'number');
    assert.deepEqual([report.sessions, report.failures, held.errors], [SESSIONS, 0, []]);
    assert.ok(held.keys.via.ssh.count > 0);
    assert.equal(Math.max(...held.samples.map(({ open }) => open)), SESSIONS);
    const { count, sealed, verified } = held.recordings;
    assert.deepEqual([count, sealed], [SESSIONS, SESSIONS]);
    assert.ok(verified > 0);
    assert.deepEqual(
      costs.map(({ subject, failures }) => [subject, failures]),
      [
        ['gateway', 0],
        ['script', 0],
        ['tlog', 0],
      ],
    );
    for (const { cpuUsPerKey, mibBefore, mibPerSession, cpuMsPerLogOn } of costs)
      assert.ok(cpuUsPerKey > 0 && mibBefore > 0 && cpuMsPerLogOn > 0 && Number.isFinite(mibPerSession));
    assert.match(readFileSync(plot, 'utf8'), /12 recorded sessions, ssh/);
  },
  { timeout: 300_000 },
);
