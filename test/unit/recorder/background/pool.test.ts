import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SIDES } from '../../../../recorder/archive/port.ts';
import {
  ArchiveError,
  BackgroundPool,
  ContainerError,
  EventKind,
  exportMp4,
  exportPng,
  generateIdentity,
  openArchive,
  openRecording,
  QueueFullError,
  Recorder,
  type RecordingReader,
  type RecordingSource,
  VideoError,
} from '../../../../recorder/index.ts';
import { testWith } from '../../../support/packages.ts';
import { runOk, until } from '../../../support/process.ts';
import { temporaryFolder } from '../../../support/temp.ts';
import { collect, initOf, Signals, STARTED_AT, WINDOW } from '../bed.ts';
import { archived, desktop, fill, mouse } from '../video/bed.ts';

const folder = temporaryFolder('background');
const archiveUrl = `file:${folder}`;
const archiveSettings = { urls: [archiveUrl] };
const pool = new BackgroundPool();
let source: RecordingSource;
let reader: RecordingReader;

before(async () => {
  const { archive, identity } = await archived([
    desktop(0, 320, 200),
    ...Array.from({ length: 60 }, (_, i) => fill(500 * i, [4 * i, i, 64, 64], [i * 4, 255 - i, 99])),
    mouse(30_000, 0x0800, 10, 12),
  ]);
  const created = await openArchive(archiveUrl).create('s1', STARTED_AT, archive.bytes('s1'));
  await created.close();
  source = { archive: archiveSettings, sessionId: 's1', opener: [identity] };
  reader = await openRecording(openArchive(archiveUrl), 's1', [identity]);
});
after(async () => {
  await reader.close();
  await pool[Symbol.asyncDispose]();
});

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await collect(chunks));
}

testWith(['ffmpeg'], 'a video made in the background is the one made here, with its progress', async () => {
  const seen: number[] = [];
  const onProgress = (at: number, duration: number): unknown => seen.push(at / duration);
  const video = await bytesOf(
    pool.render(source, 'mp4', { onProgress: (...args) => void onProgress(...args) }),
  );
  assert.ok(video.equals(await bytesOf(exportMp4(reader))));
  assert.ok(seen.length > 50);
  assert.equal(seen.at(-1), 1);
});

test('a picture of a moment made in the background is the one made here', async () => {
  for (const at of [0, 12_345_678, 30_000_000])
    assert.ok(
      (await bytesOf(pool.render(source, 'png', { at }))).equals(await bytesOf(exportPng(reader, { at }))),
    );
  assert.ok((await bytesOf(pool.render(source, 'png'))).equals(await bytesOf(exportPng(reader))));
});

testWith(['ffmpeg'], 'who reads no further sets the process free', async () => {
  for (let i = 0; i < 3; i += 1) {
    for await (const chunk of pool.render(source, 'mp4')) {
      assert.ok(chunk.length > 0);
      break;
    }
  }
  assert.ok((await bytesOf(pool.render(source, 'png'))).length > 0);
});

test('several jobs wait for the one process, and none takes what is of another', async () => {
  const moments = [3_000_000, 6_000_000, 9_000_000, 12_000_000];
  const made = await Promise.all(moments.map((at) => bytesOf(pool.render(source, 'png', { at }))));
  for (const [i, at] of moments.entries())
    assert.ok(made[i]?.equals(await bytesOf(exportPng(reader, { at }))), `${at}`);
});

test('what fails there fails here, as what it is', async () => {
  const missing = bytesOf(pool.render({ ...source, sessionId: 's2' }, 'png'));
  await assert.rejects(missing, (error) => {
    return error instanceof ArchiveError && error.code === 'recording-missing';
  });
  await assert.rejects(bytesOf(pool.render(source, 'png', { at: 1e9 })), (error) => {
    return error instanceof VideoError && /the recording ends 30\.000 s after its start/.test(error.message);
  });
  await assert.rejects(bytesOf(pool.render({ ...source, opener: [] }, 'png')), (error) => {
    return error instanceof ContainerError && error.code === 'no-identity';
  });
  await assert.rejects(bytesOf(pool.render({ ...source, archive: { urls: ['none'] } }, 'mp4')), ArchiveError);
});

test('a recording whose writer is gone is sealed in the background, and compacted', async () => {
  const bytes = await archived([desktop(0, 320, 200), mouse(1000, 0x0800, 10, 12)]);
  const whole = bytes.archive.bytes('s1');
  const manifestLength = whole.readUInt32BE(whole.length - 4);
  const { privateKey } = generateKeyPairSync('ed25519');
  const signingKey = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const order = { node: 'node2', signingKey, reason: 'gone', knownHead: undefined };
  const settings = { urls: [`file:${temporaryFolder('sealed')}`] };
  const other = openArchive(settings.urls[0] ?? '');
  await (await other.create('s1', STARTED_AT, whole.subarray(0, -manifestLength))).close();
  const sealed = await pool.seal(settings, 's1', order);
  assert.deepEqual([sealed.recoveredBy, sealed.cut, sealed.givenUp], ['node2', false, 0]);
  const reader = await openRecording(other, 's1', []);
  assert.equal(reader.manifest()?.reason, 'gone');
  await reader.close();
  await pool.compact(settings, 's1');
  await assert.rejects(pool.seal(settings, 's2', order), { code: 'recording-missing' });
  await assert.rejects(pool.compact(settings, 's2'), { code: 'recording-missing' });
});

test('the recorder gives the key of what is sealed, which makes its index and text without an identity', async () => {
  const identity = await generateIdentity();
  const { promise: sealed, resolve } = Promise.withResolvers<readonly [string, Uint8Array]>();
  const recorder = new Recorder({
    archive: openArchive(archiveUrl),
    recipients: [identity.recipient],
    node: 'node1',
    signingKey: generateKeyPairSync('ed25519').privateKey,
    window: WINDOW,
    onSealed: (...told) => resolve(told),
  });
  const shell = await recorder.open(initOf('s3'), new Signals());
  await shell.seal('done');
  const live = await recorder.open({ ...initOf('s4'), protocol: 'rdp' }, new Signals());
  live.note(EventKind.desktop, 0, { width: 64, height: 48, bitsPerPixel: 32 });
  for (let n = 0; n < 8; n += 1) live.write(EventKind.clipboard, 0, randomBytes(40 * 1024));
  const short = await recorder.open({ ...initOf('s5'), protocol: 'rdp' }, new Signals());
  await short.seal('done');
  await live.seal('done');
  const [sessionId, key] = await sealed;
  assert.equal(sessionId, 's4');
  assert.ok(!existsSync(join(folder, '2026/11/21/s4.index')));
  await assert.rejects(
    pool.putSides({ archive: archiveSettings, sessionId, opener: { key: Buffer.alloc(32) } }),
    {
      name: 'ContainerError',
      code: 'bad-body',
    },
  );
  await pool.putSides({ archive: archiveSettings, sessionId, opener: { key } });
  for (const side of SIDES) assert.ok(existsSync(join(folder, `2026/11/21/s4.${side}`)), side);
});

test('a pool that is closed gives up what waits', async () => {
  const other = new BackgroundPool();
  const jobs = Array.from({ length: 5 }, () => bytesOf(other.render(source, 'png')));
  const settled = Promise.allSettled(jobs);
  await jobs[0];
  await other[Symbol.asyncDispose]();
  const states = (await settled).map(({ status }) => status);
  assert.equal(states[0], 'fulfilled');
  assert.ok(states.includes('rejected'), states.join());
});

/** A rendering that has the pool's process until it is released: its reader does not go on. */
async function occupy(busy: BackgroundPool): Promise<{ release(): Promise<void> }> {
  const rendering = busy.render(source, 'png');
  await rendering.next();
  return { release: async () => void (await rendering.return()) };
}

test('what waits runs in the order of its urgency', async () => {
  await using busy = new BackgroundPool();
  const first = await occupy(busy);
  const { privateKey } = generateKeyPairSync('ed25519');
  const signingKey = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const order = { node: 'node1', signingKey, reason: 'gone', knownHead: undefined };
  const ended: string[] = [];
  const seen: number[] = [];
  const identities = Array.isArray(source.opener) ? source.opener : [];
  const verifying = { identities, onProgress: (checked: number) => void seen.push(checked) };
  const jobs = {
    verify: busy.verify(archiveSettings, 's1', verifying),
    sides: busy.putSides(source),
    compact: busy.compact(archiveSettings, 's1'),
    seal: busy.seal(archiveSettings, 's1', order),
    render: bytesOf(busy.render(source, 'png')),
  };
  for (const [kind, job] of Object.entries(jobs)) void job.then(() => ended.push(kind));
  const { render, verify } = busy.figures();
  assert.deepEqual([render.running, render.queued, verify.queued], [1, 1, 1]);
  await first.release();
  await Promise.all(Object.values(jobs));
  assert.deepEqual(ended, ['render', 'seal', 'compact', 'sides', 'verify']);
  assert.equal((await jobs.verify).ok, true);
  assert.ok(seen.length > 0);
  const figures = busy.figures();
  for (const { done, queued, running, failed } of Object.values(figures))
    assert.deepEqual([done >= 1, queued, running, failed], [true, 0, 0, 0]);
  assert.ok(figures.verify.waitedMs > 0 && figures.verify.ranMs > 0);
});

test('a job that is cancelled while it waits is never run', async () => {
  await using busy = new BackgroundPool();
  const first = await occupy(busy);
  const given = new AbortController();
  const left = new Error('they left');
  const waiting = [
    busy.compact(archiveSettings, 's1', given.signal),
    bytesOf(busy.render(source, 'png', { signal: given.signal })),
    busy.verify(archiveSettings, 's1', {}, given.signal),
  ];
  given.abort(left);
  for (const job of waiting) await assert.rejects(job, left);
  await assert.rejects(busy.putSides(source, given.signal), left);
  await first.release();
  assert.ok((await bytesOf(busy.render(source, 'png'))).length > 0);
  const { compact, render, verify } = busy.figures();
  assert.deepEqual([compact.cancelled, compact.done], [1, 0]);
  assert.deepEqual([render.cancelled, render.done >= 1], [1, true]);
  assert.deepEqual([verify.cancelled, verify.queued], [1, 0]);
});

test('a rendering that is cancelled sets its process free, though its reader sleeps', async () => {
  await using busy = new BackgroundPool();
  const given = new AbortController();
  const rendering = busy.render(source, 'png', { signal: given.signal });
  await rendering.next();
  given.abort(new Error('they left'));
  assert.ok((await bytesOf(busy.render(source, 'png'))).length > 0);
  await assert.rejects(rendering.next(), /they left/);
});

test('a job that hangs in its archive is ended with its process, and the next one runs', async () => {
  await using busy = new BackgroundPool();
  const stuck = temporaryFolder('stuck');
  mkdirSync(join(stuck, '2026/11/21'), { recursive: true });
  const pipe = join(stuck, '2026/11/21/s1.slr');
  await runOk('mkfifo', [pipe]);
  const given = new AbortController();
  const hanging = busy.verify({ urls: [`file:${stuck}`] }, 's1', {}, given.signal);
  assert.equal(busy.figures().verify.running, 1);
  given.abort(new Error('no longer wanted'));
  await assert.rejects(hanging, /no longer wanted/);
  assert.ok((await bytesOf(busy.render(source, 'png'))).length > 0);
  assert.deepEqual([busy.figures().verify.cancelled, busy.figures().verify.running], [1, 0]);
  // Lets go of the one who waits for a writer.
  closeSync(openSync(pipe, 'r+'));
});

/** Processes of pools that this one has started: fields of [proc(5)] for each of their threads. */
function processes(): { pid: number; threads: { nice: number; policy: number }[] }[] {
  const found = [];
  for (const task of readdirSync('/proc/self/task')) {
    const children = readFileSync(`/proc/self/task/${task}/children`, 'latin1').trim().split(' ');
    for (const pid of children.filter(Boolean).map(Number)) {
      try {
        if (!readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('background/process.ts')) continue;
        const threads = readdirSync(`/proc/${pid}/task`).map((thread) => {
          const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1');
          const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
          return { nice: Number(fields[16]), policy: Number(fields[38]) };
        });
        found.push({ pid, threads });
      } catch {
        // It, or a thread of it, ended meanwhile.
      }
    }
  }
  return found;
}
const SCHED_IDLE = 5;

test('what may starve is scheduled as idle with all its threads, the rest as nice as can be', async () => {
  const before = new Set(processes().map(({ pid }) => pid));
  const started = () => processes().filter(({ pid }) => !before.has(pid));
  await using busy = new BackgroundPool({ processes: 2 });
  const first = await occupy(busy);
  const [nice, none] = started();
  assert(nice !== undefined && none === undefined);
  assert.ok(nice.threads.length > 4);
  assert.deepEqual(new Set(nice.threads.map((thread) => thread.nice)), new Set([19]));
  await busy.putSides(source);
  const idle = started().find(({ pid }) => pid !== nice.pid);
  assert.deepEqual(new Set(idle?.threads.map(({ policy }) => policy)), new Set([SCHED_IDLE]));
  // No more than two, though the idle one does not do for this.
  await busy.verify(archiveSettings, 's1', {});
  await until('the idle one has gone', () => started().every(({ pid }) => pid !== idle?.pid) || undefined);
  assert.equal(started().length, 2);
  await first.release();
  await busy[Symbol.asyncDispose]();
  assert.deepEqual(started(), []);
});

test('a process that dies takes its job along, and the next one gets another', async () => {
  await using busy = new BackgroundPool();
  const before = new Set(processes().map(({ pid }) => pid));
  const rendering = busy.render(source, 'png');
  await rendering.next();
  const [running] = processes().filter(({ pid }) => !before.has(pid));
  process.kill(running?.pid ?? 0, 'SIGKILL');
  await assert.rejects(rendering.next(), /the process of a background job ended: SIGKILL/);
  assert.equal(busy.figures().render.failed, 1);
  assert.ok((await bytesOf(busy.render(source, 'png'))).length > 0);
});

test('a process that cannot be started fails its job alone', async () => {
  await using busy = new BackgroundPool();
  const { PATH } = process.env;
  process.env['PATH'] = temporaryFolder('no-programs');
  const failing = assert.rejects(bytesOf(busy.render(source, 'png')), /ended: spawn nice ENOENT/);
  process.env['PATH'] = PATH;
  await failing;
  assert.ok((await bytesOf(busy.render(source, 'png'))).length > 0);
});

test('a queue that is full says so, and the jobs in it are done all the same', async () => {
  await using busy = new BackgroundPool();
  const first = await occupy(busy);
  const waiting = Array.from({ length: 32 }, () => bytesOf(busy.render(source, 'png')));
  await assert.rejects(bytesOf(busy.render(source, 'png')), QueueFullError);
  assert.equal(busy.figures().render.refused, 1);
  await first.release();
  for (const video of waiting) assert.ok((await video).length > 0);
});
