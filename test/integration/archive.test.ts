/** An archive that is missing, read-only or full: nothing goes on unrecorded, and what heals in time loses nothing. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import {
  ALL_CAPABILITIES,
  type Bed,
  type Door,
  PASSWORD,
  ssh,
  sshTerminal,
  startBed,
} from '../support/bed.ts';
import { type SmallDisk, smallDisk } from '../support/disk.ts';
import { Evidence, stillServes } from '../support/evidence.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';
import { digestFile, randomFile } from '../support/tree.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
const GRACE_SECONDS = 8;
const MIB = 1024 ** 2;
let bed: Bed;
let door: Door;
let evidence: Evidence;
let disk: SmallDisk;
/** On the target, and what is in it. Random, so that the recording is as large. */
let file: string;
before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  disk = await smallDisk(48);
  bed = await startBed({
    config: {
      archive: {
        url: `file:${disk.folder}`,
        graceSeconds: GRACE_SECONDS,
        window: { bytes: '1MiB' },
      },
    },
    document: () => ({
      users: [{ name: 'bob', password: PASSWORD, role: 'requester' }],
      policies: [
        {
          name: 'full',
          users: ['bob'],
          accounts: ['*@web01'],
          allow: ALL_CAPABILITIES,
          keystrokes: true,
          execLimit: 'full',
        },
      ],
    }),
  });
  door = bed.doorFor(bed.targetLogin('bob'), PASSWORD);
  evidence = await Evidence.of(bed.gateway);
  file = randomFile(join(bed.sshd.account.home, 'random'), 20 * MIB);
});
after(async () => {
  await evidence?.close();
  await bed?.stop();
});

for (const [what, breakIt, heal, words] of [
  ['missing', () => disk.hide(), () => disk.show(), /is missing: create it or mount it \(ENOENT\)/],
  [
    'read-only',
    () => disk.access('ro'),
    () => disk.access('rw'),
    /is read-only: mount it writable \(EROFS\)/,
  ],
  ['full', () => disk.fill(0), () => disk.empty(), /is full: free space on it \(ENOSPC\)/],
] as const) {
  testWith(NEEDS, `an archive that is ${what} opens no session, and says why`, async () => {
    const before = (await evidence.audit('recording.failed')).length;
    const sessions = (bed.sshd.log().match(/Accepted/g) ?? []).length;
    await breakIt();
    try {
      const result = await ssh(door, ['target', 'id'], { timeoutMs: 60_000 });
      assert.deepEqual([result.code, result.text], [255, '']);
      assert.match(
        result.stderr,
        /sallyport: the session cannot be recorded, so it is not opened: archive folder/,
      );
      assert.match(result.stderr, words);
    } finally {
      await heal();
    }
    assert.equal(
      (bed.sshd.log().match(/Accepted/g) ?? []).length,
      sessions,
      'the target was not logged on to',
    );
    await until('the audit event', async () =>
      (await evidence.audit('recording.failed')).length > before ? true : undefined,
    );
    assert.equal((await evidence.session('bob', 'ended')).endCode, 'archive-failed');
    await stillServes(bed, door);
  });
}

/** Resolves with the size of a file that has stopped growing. */
async function standstill(path: string): Promise<number> {
  let last = -1;
  let same = 0;
  return await until(
    `${path} stands still`,
    () => {
      const { size } = statSync(path);
      same = size === last && size > 0 ? same + 1 : 0;
      last = size;
      return same >= 20 ? size : undefined;
    },
    30_000,
  );
}

testWith(
  NEEDS,
  'a disk full in mid-session pauses both ways; space in time, and not a byte is lost',
  async (t) => {
    disk.fill(4 * MIB);
    const received = join(bed.folder, 'healed');
    const running = ssh(door, ['target', 'cat random'], { outputFile: received, timeoutMs: 60_000 });
    const typed = sshTerminal(door, ['target']);
    await until('the first output', () =>
      statSync(received, { throwIfNoEntry: false })?.size ? true : undefined,
    );
    const paused = await standstill(received);
    t.diagnostic(`paused after ${paused} of ${20 * MIB} bytes with ${disk.free()} bytes free`);
    assert.ok(paused < 20 * MIB);
    disk.empty();
    assert.equal((await running).code, 0);
    assert.equal(digestFile(received), digestFile(file));
    // A shell that was opened or typed to meanwhile goes on, too.
    typed.kill();
    const { id } = await until('the session ends, sealed', async () =>
      (await evidence.sessions()).find(
        (row) => row.user === 'bob' && row.bytesFromTarget === 20 * MIB && row.sealed,
      ),
    );
    const verified = await bed.gateway.sallyport(['recordings', 'verify', id]);
    assert.equal(verified.code, 0, verified.text);
    const exported = join(bed.folder, 'healed.txt');
    assert.equal(
      (await bed.gateway.sallyport(['recordings', 'export', id, '--format', 'txt', '--output', exported]))
        .code,
      0,
    );
    assert.equal(digestFile(exported), digestFile(file), 'the recording holds every byte');
    await stillServes(bed, door);
  },
);

testWith(
  NEEDS,
  'a disk full in mid-session and not healed ends it with the reason on the screen',
  async (t) => {
    const terminal = sshTerminal(door, ['target']);
    await terminal.expect('$ ');
    const { id } = await evidence.session('bob', 'active');
    disk.fill(2 * MIB);
    try {
      terminal.type('base64 random\r');
      await terminal.expect(/sallyport: the recording cannot be kept: archive folder .* is full/, 45_000);
      assert.notEqual(await terminal.ended, 0);
    } finally {
      disk.empty();
    }
    const event = await evidence.event('recording.failed', (row) => row.sessionId === id);
    assert.match(String(event.detail['reason']), /is full: free space on it/);
    const row = await evidence.session('bob', 'ended');
    assert.deepEqual([row.id, row.endCode, row.sealed], [id, 'archive-failed', false]);
    const shown = terminal.screen.length;
    const exported = join(bed.folder, 'unhealed.txt');
    const result = await bed.gateway.sallyport([
      'recordings',
      'export',
      id,
      '--format',
      'txt',
      '--output',
      exported,
    ]);
    assert.equal(result.code, 0, result.stderr);
    const recorded = statSync(exported).size;
    t.diagnostic(
      `shown ${shown} bytes, recorded ${recorded}: ${shown - recorded} of a window of ${MIB} unrecorded`,
    );
    assert.ok(shown - recorded <= MIB, `${shown - recorded} bytes are lost`);
    // The store knows up to where the archive took it: to there it is proved, and nobody signed it.
    const verified = await bed.gateway.sallyport(['recordings', 'verify', id]);
    assert.match(verified.text, /not proved {2}seal: the recording has no manifest/);
    const listed = await bed.gateway.sallyport(['recordings', 'show', id]);
    assert.match(listed.text, /truncated at segment \d+/);
    await stillServes(bed, door);
  },
);
