/**
 * The file archive on a real small disk that is full. The disk is a tmpfs, for which a
 * mount is needed: without the right to one, the tests run again in a user namespace.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type ArchiveIdentity,
  EventKind,
  generateIdentity,
  openArchive,
  openRecording,
  Recorder,
  verifyRecording,
} from '../../../recorder/index.ts';
import { atExit, temporaryFolder } from '../../support/temp.ts';
import { eventsOf, initOf, Signals, until } from './bed.ts';

const IN_NAMESPACE = 'SALLYPORT_TEST_NAMESPACE';
const MIB = 1024 * 1024;
const root = temporaryFolder('full-disk');

/** A file system of 1 MiB at a new folder; undefined when mounts are refused. */
function smallDisk(name: string, access: 'rw' | 'ro' = 'rw'): string | undefined {
  const folder = join(root, name);
  mkdirSync(folder);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=1m,mode=0700,${access}`, 'tmpfs', folder]).status !== 0)
    return undefined;
  atExit(() => void spawnSync('umount', ['-l', folder]));
  return folder;
}

/** Takes all space but `free` bytes. */
function fill(folder: string, free: number): void {
  writeFileSync(join(folder, 'filler'), Buffer.alloc(MIB - free));
}

async function recorderOn(
  folder: string,
  graceSeconds: number,
): Promise<{ recorder: Recorder; identity: ArchiveIdentity }> {
  const identity = await generateIdentity();
  const { privateKey } = generateKeyPairSync('ed25519');
  const recorder = new Recorder({
    archive: openArchive(`file:${folder}`),
    recipients: [identity.recipient],
    node: 'node1',
    signingKey: privateKey,
    window: { bytes: 128 * 1024, ms: 1000, graceSeconds },
  });
  return { recorder, identity };
}

const disk = smallDisk('probe');
if (disk === undefined) {
  test('on a full disk, in a user namespace', () => {
    assert.equal(
      process.env[IN_NAMESPACE],
      undefined,
      'no tmpfs can be mounted, not even in a user namespace',
    );
    const again = spawnSync('unshare', ['-r', '-m', process.execPath, import.meta.filename], {
      env: { ...process.env, [IN_NAMESPACE]: '1', NODE_TEST_CONTEXT: undefined },
      encoding: 'utf8',
    });
    assert.equal(again.status, 0, again.error?.message ?? again.stdout + again.stderr);
  });
} else {
  onFullDisk(disk);
}

function onFullDisk(folder: string): void {
  const archive = openArchive(`file:${folder}`);

  test('a session is refused on a full disk, and nothing is left of it', async () => {
    const { recorder } = await recorderOn(folder, 30);
    fill(folder, 0);
    await assert.rejects(recorder.open(initOf('refused'), new Signals()), {
      code: 'archive-full',
      message: `archive folder ${folder} is full: free space on it (ENOSPC)`,
    });
    const left = readdirSync(folder, { recursive: true }).filter((name) => name.toString().endsWith('.slr'));
    assert.deepEqual(left, []);
    rmSync(join(folder, 'filler'));
  });

  test('a disk that fills up pauses the session; emptied again it heals and nothing is lost', async () => {
    const { recorder, identity } = await recorderOn(folder, 30);
    fill(folder, 200 * 1024);
    const signals = new Signals();
    const recording = await recorder.open(initOf('healed'), signals);
    const written: Buffer[] = [];
    // Not a multiple of a page: the disk is full in the middle of a frame.
    while (!recording.paused || written.length < 40) {
      const bytes = randomBytes(10_007);
      written.push(bytes);
      recording.write(EventKind.output, 0, bytes);
      await new Promise<void>((resolve) => void setImmediate(resolve));
    }
    // The failing append has stopped somewhere in a frame.
    await until(() => statSync(fileOf(folder, 'healed')).size > 190 * 1024);
    rmSync(join(folder, 'filler'));
    await until(() => !recording.paused);
    assert.deepEqual([signals.seen.at(0), signals.seen.at(-1)], ['pause', 'resume']);
    const summary = await recording.seal('done');
    assert.equal(summary.sealed, true);
    const report = await verifyRecording(archive, 'healed', {
      identities: [identity.identity],
      expectedHead: summary.head,
    });
    assert.equal(report.problem, undefined);
    assert.equal(report.ok, true);
    const reader = await openRecording(archive, 'healed', [identity.identity]);
    const back = Buffer.concat((await eventsOf(reader)).map((event) => event.payload));
    await reader.close();
    assert.ok(back.equals(Buffer.concat(written)));
    rmSync(fileOf(folder, 'healed'));
  });

  test('a disk that stays full ends the session, and what was acknowledged can be read', async () => {
    const { recorder, identity } = await recorderOn(folder, 0.2);
    fill(folder, 100 * 1024);
    const signals = new Signals();
    const recording = await recorder.open(initOf('failed'), signals);
    recording.write(EventKind.output, 0, randomBytes(10_007));
    await until(() => statSync(fileOf(folder, 'failed')).size > 10_007);
    while (signals.error === undefined) {
      if (!recording.paused) recording.write(EventKind.output, 0, randomBytes(10_007));
      await new Promise<void>((resolve) => void setImmediate(resolve));
    }
    assert.equal(signals.error.code, 'archive-full');
    const summary = await recording.seal('archive-failed');
    assert.equal(summary.sealed, false);
    await until(() => statSync(fileOf(folder, 'failed')).size <= summary.bytes);
    const report = await verifyRecording(archive, 'failed', {
      identities: [identity.identity],
      expectedHead: summary.head,
    });
    assert.equal(report.problem, undefined);
    assert.equal(report.ok, true);
    assert.equal(report.segments, summary.segments);
    assert.ok(summary.segments > 0);
    assert.equal(
      statSync(fileOf(folder, 'failed')).size,
      summary.bytes,
      'the torn part of the last append is gone',
    );
    rmSync(join(folder, 'filler'));
  });

  test('a read-only archive refuses sessions', async () => {
    const readOnly = smallDisk('read-only', 'ro');
    assert.ok(readOnly !== undefined);
    const { recorder } = await recorderOn(readOnly, 30);
    await assert.rejects(recorder.open(initOf('s1'), new Signals()), { code: 'archive-read-only' });
    await assert.rejects(openArchive(`file:${readOnly}`).check(), { code: 'archive-read-only' });
  });
}

function fileOf(folder: string, sessionId: string): string {
  const name = readdirSync(folder, { recursive: true }).find((each) =>
    each.toString().endsWith(`${sessionId}.slr`),
  );
  assert.ok(name !== undefined, sessionId);
  return join(folder, name.toString());
}
