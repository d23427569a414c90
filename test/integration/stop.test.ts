/** A stop ends the process whatever it meets: an archive that hangs, a store that refuses. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { ssh, startBed } from '../support/bed.ts';
import { Evidence } from '../support/evidence.ts';
import { faultyMachine } from '../support/faulty-machine.ts';
import { startGateway } from '../support/gateway.ts';
import { testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';
import { temporaryFolder } from '../support/temp.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
const HANGS_MS = 600_000;

const isGone = (pid: number): true | undefined => {
  try {
    process.kill(pid, 0);
    return undefined;
  } catch {
    return true;
  }
};

test('a node that says that it is ready stops when it is told to', async () => {
  // All compiled code is still to be written there, which takes a while.
  const gateway = await startGateway({ env: { XDG_CACHE_HOME: temporaryFolder('cache') } });
  await until('it says so', () => gateway.log().includes('is ready on node') || undefined);
  assert.equal(await gateway.stop(), 0);
});

testWith(NEEDS, 'a node whose archive hangs stops when it is told to', async () => {
  const folder = temporaryFolder('hanging');
  const machine = await faultyMachine(folder);
  const bed = await startBed({
    config: {
      archive: { url: `file:${folder}`, graceSeconds: 2 },
      drain: { seconds: 0, graceSeconds: 0 },
    },
    env: machine.env,
  });
  const evidence = await Evidence.of(bed.gateway);
  try {
    const session = ssh(bed.door, ['target', 'while echo more; do sleep 0.1; done'], { timeoutMs: 60_000 });
    await evidence.session('alice', 'active');
    machine.slow(HANGS_MS);
    assert.match((await session).stderr, /sallyport: the recording cannot be kept/);
    await evidence.session('alice', 'ended');
    const { pid } = bed.gateway;
    process.kill(pid, 'SIGTERM');
    await until('the process ends', () => isGone(pid), 40_000);
    assert.equal(await bed.gateway.stop(), 0);
  } finally {
    await evidence.close();
    await bed.stop();
  }
});

testWith(NEEDS, 'a node whose store refuses stops when it is told to, and says that it failed', async () => {
  const bed = await startBed({ config: { drain: { seconds: 0, graceSeconds: 0 } } });
  const holder = new DatabaseSync(join(bed.gateway.dataDir, 'sallyport.db'));
  try {
    const { pid } = bed.gateway;
    holder.exec('BEGIN IMMEDIATE');
    process.kill(pid, 'SIGTERM');
    await until('the process ends', () => isGone(pid), 60_000);
    assert.equal(await bed.gateway.stop(), 1);
  } finally {
    holder.close();
    await bed.stop();
  }
});
