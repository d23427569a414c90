/**
 * An archive folder that is missing, read-only, full or slow under load: nothing goes on unrecorded, what heals
 * in time loses nothing, and what does not ends sessions with the reason.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after } from 'node:test';
import { openArchive } from '../../recorder/index.ts';
import { ssh } from '../support/bed.ts';
import { type SmallDisk, smallDisk } from '../support/disk.ts';
import { stillServes } from '../support/evidence.ts';
import { type ArchiveOf, assertNothingLeft, MIB, readRecorded } from '../support/faults.ts';
import { type FaultyMachine, faultyMachine } from '../support/faulty-machine.ts';
import { MARKER, RUNNING_PICTURE, startDesktopSpy } from '../support/load.ts';
import { testWith } from '../support/packages.ts';
import { doorOf, PEOPLE_NEED, People, peopleDocument } from '../support/people.ts';
import { until } from '../support/process.ts';
import { useRdpBed } from '../support/rdp-bed.ts';
import type { Spy } from '../support/rdp-spy.ts';
import { sealAtOnce } from '../support/sealers.ts';
import { temporaryFolder } from '../support/temp.ts';

const NEEDS = PEOPLE_NEED;
const WINDOW = MIB;
const GRACE_SECONDS = 10;
const HOUR_MS = 3_600_000;
const temporary = temporaryFolder('node-temp');
let disk: SmallDisk;
let machine: FaultyMachine;
let spy: Spy;
let archive: ArchiveOf;
const bed = useRdpBed(NEEDS, {
  ssh: true,
  async gateway() {
    disk = await smallDisk(96);
    machine = await faultyMachine(disk.folder);
    return {
      config: {
        archive: { url: `file:${disk.folder}`, window: { bytes: WINDOW }, graceSeconds: GRACE_SECONDS },
      },
      env: { TMPDIR: temporary, ...machine.env },
    };
  },
  xrdp: { startwm: RUNNING_PICTURE },
  document: peopleDocument,
  async prepare() {
    spy = await startDesktopSpy(bed.gateway);
    archive = { gateway: bed.gateway, urls: [`file:${disk.folder}`] };
  },
});
after(() => spy?.stop());

/** What becomes of a folder whose server is gone: its name leads nowhere, and files that are open stay stale. */
async function unmount(): Promise<void> {
  await disk.unmount();
  // Only now: whoever found them stale before would have opened them anew where they still were.
  machine.restart();
}

/** Where nothing of a recording may be. */
const nothingLeft = (): void => assertNothingLeft([dirname(bed.gateway.dataDir), temporary], [MARKER]);

/** Of these recordings those that are not sealed, and not given up. */
async function openRecordings(ids: readonly string[]): Promise<readonly string[]> {
  const rows = await bed.evidence.sessions();
  return ids.filter((wanted) =>
    rows.some(({ id, sealed, unsealable }) => id === wanted && !sealed && unsealable === undefined),
  );
}

/** Whether the gateway has said that it could not finish a session for this reason. */
const notFinished = (id: string, words: RegExp): boolean =>
  bed.gateway
    .log()
    .split('\n')
    .some((line) => line.includes(id) && /a session is not finished/.test(line) && words.test(line));

for (const [what, breakIt, heal, words] of [
  ['missing', () => disk.unmount(), () => disk.mount(), /is missing: create it or mount it \(ENOENT\)/],
  [
    'read-only',
    () => disk.access('ro'),
    () => disk.access('rw'),
    /is read-only: mount it writable \(EROFS\)/,
  ],
  ['full', () => disk.fill(0), () => disk.empty(), /is full: free space on it \(ENOSPC\)/],
] as const) {
  testWith(NEEDS, `an archive that is ${what} opens no session, and says why`, async () => {
    const before = (await bed.evidence.audit('recording.failed')).length;
    const { sshd } = bed.ssh;
    const logOns = (sshd.log().match(/Accepted/g) ?? []).length;
    await breakIt();
    try {
      const result = await ssh(doorOf(bed, 'bob'), ['target', 'id'], { timeoutMs: 60_000 });
      assert.deepEqual([result.code, result.text], [255, '']);
      assert.match(
        result.stderr,
        /sallyport: the session cannot be recorded, so it is not opened: archive folder/,
      );
      assert.match(result.stderr, words);
    } finally {
      await heal();
    }
    assert.equal((sshd.log().match(/Accepted/g) ?? []).length, logOns, 'the target was not logged on to');
    await until('the audit event', async () =>
      (await bed.evidence.audit('recording.failed')).length > before ? true : undefined,
    );
    assert.equal((await bed.evidence.session('bob', 'ended')).endCode, 'archive-failed');
    await stillServes(bed.ssh, doorOf(bed, 'bob'));
  });
}

testWith(NEEDS, 'what heals in time pauses people or slows them down, and loses nothing', async (t) => {
  const people = await People.atWork(bed, spy);
  for (const [what, breakIt, heal, pauses] of [
    ['full', () => disk.fill(MIB), () => disk.empty(), true],
    ['read-only', () => machine.refuse('EROFS'), () => machine.refuse(undefined), true],
    ['failing', () => machine.refuse('EIO'), () => machine.refuse(undefined), true],
    ['slow', () => machine.slow(500), () => machine.slow(0), false],
    ['restarted', () => machine.restart(), () => {}, false],
    ['unmounted', unmount, () => disk.mount(), true],
  ] as const) {
    await people.goOn();
    await breakIt();
    const broken = people.sizes();
    try {
      if (pauses) await people.standStill();
      else await people.goOn(broken);
    } finally {
      await heal();
    }
    const healed = people.sizes();
    t.diagnostic(
      `${what}: ${healed.map((size, index) => size - (broken[index] ?? 0))} bytes went on being shown`,
    );
    await people.goOn(healed);
  }
  await people.leave();
  await people.report(t, archive, {
    fault: 'archive full, read-only, failing, slow, restarted (ESTALE), unmounted, and back',
    sink: 'file',
    declared: 0,
  });
  nothingLeft();
});

for (const [what, breakIt, heal, words] of [
  ['full', () => disk.fill(MIB), () => disk.empty(), /archive folder .* is full: free space on it/],
  [
    'read-only',
    () => machine.refuse('EROFS'),
    () => machine.refuse(undefined),
    /archive folder .* is read-only: mount it writable/,
  ],
] as const)
  testWith(NEEDS, `an archive that stays ${what} ends sessions with the reason on the screen`, async (t) => {
    const people = await People.atWork(bed, spy);
    await people.brace();
    await breakIt();
    try {
      await people.assertToldWhy(words);
      // To seal takes as much space again: it is tried again until there is.
      await until('sealing to fail', () => (notFinished(people.ids.output, words) ? true : undefined));
      assert.deepEqual(await openRecordings([people.ids.output]), [people.ids.output]);
    } finally {
      await heal();
    }
    await people.report(t, archive, { fault: `archive ${what} for good`, sink: 'file', declared: WINDOW });
    const files = readdirSync(disk.folder, { recursive: true, encoding: 'utf8' });
    assert.deepEqual(
      files.filter((file) => file.endsWith('.part')),
      [],
    );
    nothingLeft();
    await stillServes(bed.ssh, doorOf(bed, 'bob'));
  });

testWith(NEEDS, 'kill -9 while the archive takes 500 ms a write, sealed by two at once', async (t) => {
  const people = await People.atWork(bed, spy);
  machine.slow(500);
  await people.goOn();
  await new Promise((resolve) => setTimeout(resolve, 1_000 + Math.random() * 1_000));
  await people.kill();
  machine.slow(0);
  nothingLeft();
  // Others are quicker than the node itself, two for each recording.
  await sealAtOnce(archive, Object.values(people.ids));
  await bed.gateway.start();
  await people.report(t, archive, {
    fault: 'kill -9 while the archive takes 500 ms a write',
    sink: 'file',
    declared: WINDOW,
  });
  nothingLeft();
});

testWith(NEEDS, 'a clock that jumps back costs no session and nothing of a recording', async (t) => {
  const people = await People.atWork(bed, spy);
  const before = new Set((await bed.evidence.sessions()).map(({ id }) => id));
  const logged = bed.gateway.log().length;
  machine.jump(-HOUR_MS / 1_000);
  await people.goOn();
  // What is opened now began an hour before what is open.
  await stillServes(bed.ssh, doorOf(bed, 'bob'));
  const opened = await until('the session that was opened', async () =>
    (await bed.evidence.sessions()).find(({ id, sealed }) => sealed && !before.has(id)),
  );
  const anHourAgo = (what: string, time: number | undefined): void =>
    assert.ok(Math.abs(Date.now() - HOUR_MS - (time ?? 0)) < HOUR_MS / 2, `${what}: ${time}`);
  anHourAgo('the session', opened.startedAt);
  anHourAgo('its recording', (await readRecorded(archive, opened.id)).startedAt);
  const line = bed.gateway
    .log()
    .slice(logged)
    .split('\n')
    .find((each) => each.includes(opened.id));
  anHourAgo('the log', (JSON.parse(line ?? assert.fail('nothing is logged of it')) as { time: number }).time);
  await people.leave();
  await people.report(t, archive, { fault: 'clock jumping back an hour', sink: 'file', declared: 0 });
  const id = people.ids.typing;
  const cast = ['--format', 'cast', '--output', join(temporaryFolder('cast'), 'cast')];
  const [verified, exported, listed] = await Promise.all([
    bed.gateway.sallyport(['recordings', 'verify', id]),
    bed.gateway.sallyport(['recordings', 'export', id, ...cast]),
    bed.gateway.sallyport(['recordings', 'ls']),
  ]);
  assert.equal(verified.code, 0, verified.text);
  assert.equal(exported.code, 0, exported.stderr);
  assert.doesNotMatch(listed.text, / -\d/, 'nothing took less than no time');
  machine.jump(0);
  await stillServes(bed.ssh, doorOf(bed, 'bob'));
  nothingLeft();
});

testWith(NEEDS, 'kill -9 while the archive is unmounted: nothing is taken for lost', async (t) => {
  const people = await People.atWork(bed, spy);
  await unmount();
  await people.standStill();
  await people.kill();
  nothingLeft();
  const before = bed.gateway.log().length;
  await bed.gateway.start();
  await until('it finds the archive missing', () =>
    /is missing: create it or mount it/.test(bed.gateway.log().slice(before)) ? true : undefined,
  );
  const ids = Object.values(people.ids);
  assert.deepEqual(await openRecordings(ids), ids);
  await disk.mount();
  const fault = 'kill -9 while the archive is unmounted';
  await people.report(t, archive, { fault, sink: 'file', declared: WINDOW });
  nothingLeft();
});

testWith(NEEDS, 'an archive that is a mount itself is noticed when that is gone', async () => {
  const other = await smallDisk(4);
  const folder = openArchive(`file:${other.mountPoint}`);
  const startedAt = Date.now();
  await (await folder.create('before', startedAt, Buffer.from('kept'))).close();
  await other.unmount();
  const away = {
    name: 'ArchiveError',
    code: 'archive-missing',
    message: /is not mounted any more: mount it/,
  };
  await assert.rejects(folder.create('below', startedAt, Buffer.from('lost')), away);
  await assert.rejects(folder.resume('before', startedAt, 4), away);
  await assert.rejects(folder.open('before'), away);
  await assert.rejects(folder.remove('before', startedAt), away);
  // Who begins only now sees a folder with nothing in it.
  const late = openArchive(`file:${other.mountPoint}`);
  const empty = { code: 'archive-missing', message: /is empty: mount what belongs there/ };
  await assert.rejects(late.open('before'), empty);
  await assert.rejects(late.remove('before', startedAt), empty);
  assert.deepEqual(readdirSync(other.mountPoint), []);
  await other.mount();
  const reader = await folder.open('before');
  assert.equal(Buffer.from(await reader.read(0, 4)).toString(), 'kept');
  await reader.close();
});
