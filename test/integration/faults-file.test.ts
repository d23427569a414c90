/**
 * An archive folder that is missing, read-only, full or slow under load: nothing goes on unrecorded, what heals
 * in time loses nothing, and what does not ends sessions with the reason.
 */
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { after } from 'node:test';
import { PASSWORD, ssh } from '../support/bed.ts';
import { type SmallDisk, smallDisk } from '../support/disk.ts';
import { stillServes } from '../support/evidence.ts';
import {
  type ArchiveOf,
  assertNothingLeft,
  assertProved,
  lostOf,
  lostUpdates,
  MIB,
  readRecorded,
  reportFault,
} from '../support/faults.ts';
import { type FaultyMachine, faultyMachine } from '../support/faulty-machine.ts';
import {
  MARKER,
  type Output,
  RUNNING_PICTURE,
  recordedInFull,
  runOutput,
  startDesktopSpy,
  startTyping,
  type Watched,
  watchDesktop,
} from '../support/load.ts';
import { testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';
import { useRdpBed } from '../support/rdp-bed.ts';
import type { Spy } from '../support/rdp-spy.ts';
import { temporaryFolder } from '../support/temp.ts';
import type { Terminal } from '../support/terminal.ts';

const NEEDS = [
  ...(['openssh-server', 'openssh-client', 'xrdp', 'xorgxrdp', 'freerdp2-x11'] as const),
  ...(['xvfb', 'xauth', 'x11-utils', 'xdotool', 'xterm'] as const),
] as const;
const WINDOW = MIB;
const GRACE_SECONDS = 10;
const temporary = temporaryFolder('node-temp');
const received = temporaryFolder('received');
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
  document: () => ({
    users: ['bob', 'carol'].map((name) => ({ name, password: PASSWORD, role: 'requester' })),
    policies: [
      recordedInFull('bob'),
      recordedInFull('carol'),
      { name: 'desktops', users: ['alice'], accounts: ['*@win01'], allow: ['desktop'], record: true },
    ],
  }),
  async prepare() {
    spy = await startDesktopSpy(bed.gateway);
    archive = { gateway: bed.gateway, urls: [`file:${disk.folder}`] };
  },
});
after(() => spy?.stop());

const doorOf = (user: string) => bed.ssh.doorFor(bed.ssh.targetLogin(user), PASSWORD);
/** Where nothing of a recording may be. */
const nothingLeft = (): void => assertNothingLeft([dirname(bed.gateway.dataDir), temporary], [MARKER]);

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
      const result = await ssh(doorOf('bob'), ['target', 'id'], { timeoutMs: 60_000 });
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
    await stillServes(bed.ssh, doorOf('bob'));
  });
}

/** Somebody at each kind of work. */
interface AtWork {
  readonly output: Output;
  readonly typing: Terminal;
  readonly desktop: Watched;
  /** Of their sessions, by user. */
  readonly ids: Readonly<Record<'alice' | 'bob' | 'carol', string>>;
}

let rounds = 0;
async function everybody(): Promise<AtWork> {
  rounds += 1;
  const [desktop, typing] = await Promise.all([watchDesktop(bed, spy), startTyping(doorOf('carol'))]);
  const output = await runOutput(doorOf('bob'), join(received, String(rounds)));
  const idOf = async (user: string): Promise<string> => (await bed.evidence.session(user, 'active')).id;
  const ids = { alice: await idOf('alice'), bob: await idOf('bob'), carol: await idOf('carol') };
  return { output, typing, desktop, ids };
}

const sizes = ({ output, typing, desktop }: AtWork): number[] => [
  output.size(),
  typing.screen.length,
  desktop.size(),
];

/** Resolves when nobody has been shown anything for a second. */
async function standstill(people: AtWork): Promise<void> {
  let [last, same] = ['', 0];
  await until('everybody to stand still', () => {
    const now = sizes(people).join();
    same = now === last ? same + 1 : 0;
    last = now;
    return same >= 10 ? true : undefined;
  });
}

/** Resolves when everybody has been shown more than they had. */
async function goesOn(people: AtWork, before: readonly number[]): Promise<void> {
  await until('everybody to go on', () =>
    sizes(people).every((size, index) => size > (before[index] ?? 0)) ? true : undefined,
  );
}

/** Tells of each what is lost; with `whole`, nothing may be. */
async function figures(
  t: Parameters<typeof reportFault>[0],
  fault: string,
  { output, typing, desktop, ids }: AtWork,
  declared: number,
): Promise<void> {
  for (const [what, id] of [
    ['output', ids.bob],
    ['typing', ids.carol],
    ['desktop', ids.alice],
  ] as const) {
    const row = (await bed.evidence.sessions()).find((each) => each.id === id) ?? assert.fail();
    await assertProved(archive, row);
    const kept = await readRecorded(archive, id);
    const lost =
      what === 'desktop'
        ? lostUpdates(desktop.shown(), kept.updates)
        : lostOf(what === 'output' ? output.shown() : typing.screen, kept.output);
    reportFault(t, { fault, sink: 'file', what, declared, lost, recorded: kept.bytes });
  }
}

testWith(NEEDS, 'what heals in time pauses people or slows them down, and loses nothing', async (t) => {
  const people = await everybody();
  for (const [what, breakIt, heal, pauses] of [
    ['full', () => disk.fill(MIB), () => disk.empty(), true],
    ['read-only', () => machine.refuse('EROFS'), () => machine.refuse(undefined), true],
    ['failing', () => machine.refuse('EIO'), () => machine.refuse(undefined), true],
    ['slow', () => machine.slow(500), () => machine.slow(0), false],
    // Who has a recording open keeps it; the disk behind is there.
    ['unmounted', () => disk.unmount(), () => disk.mount(), false],
  ] as const) {
    await goesOn(people, sizes(people));
    await breakIt();
    const broken = sizes(people);
    try {
      if (pauses) await standstill(people);
      else await goesOn(people, broken);
    } finally {
      await heal();
    }
    const healed = sizes(people);
    t.diagnostic(
      `${what}: ${healed.map((size, index) => size - (broken[index] ?? 0))} bytes went on being shown`,
    );
    await goesOn(people, healed);
  }
  people.output.stop();
  people.typing.kill();
  await people.desktop.client.stop();
  for (const id of Object.values(people.ids)) await bed.evidence.sealed(id);
  await figures(t, 'archive full, read-only, failing, slow, unmounted, and back', people, 0);
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
    const people = await everybody();
    await breakIt();
    try {
      await people.typing.expect(/sallyport: the recording cannot be kept: /, 60_000);
      assert.match(people.typing.screen.toString(), words);
      assert.notEqual(await people.typing.ended, 0);
      assert.notEqual(await people.output.ended, 0);
      assert.match(people.output.said(), words);
      await people.desktop.ended;
      assert.notEqual(await people.desktop.client.exited, 0);
    } finally {
      await heal();
    }
    for (const id of Object.values(people.ids)) {
      const row = await until(`session ${id} is closed`, async () =>
        (await bed.evidence.sessions()).find((each) => each.id === id && each.state === 'ended'),
      );
      assert.equal(row.endCode, 'archive-failed');
      assert.match(row.endReason ?? '', words);
      const event = await bed.evidence.event('recording.failed', ({ sessionId }) => sessionId === id);
      assert.match(String(event.detail['reason']), words);
    }
    await figures(t, `archive ${what} for good`, people, WINDOW);
    nothingLeft();
    await stillServes(bed.ssh, doorOf('bob'));
  });

testWith(NEEDS, 'kill -9 while the archive takes 500 ms a write', async (t) => {
  const people = await everybody();
  machine.slow(500);
  await goesOn(people, sizes(people));
  await new Promise((resolve) => setTimeout(resolve, 1_000 + Math.random() * 1_000));
  await bed.gateway.kill9();
  machine.slow(0);
  await Promise.all([people.output.ended, people.typing.ended, people.desktop.ended]);
  nothingLeft();
  await bed.gateway.start();
  for (const id of Object.values(people.ids))
    await until(`session ${id} is closed`, async () =>
      (await bed.evidence.sessions()).find((each) => each.id === id && each.state === 'ended'),
    );
  await figures(t, 'kill -9 while the archive takes 500 ms a write', people, WINDOW);
  nothingLeft();
});

testWith(NEEDS, 'a clock that jumps back costs no session and nothing of a recording', async (t) => {
  const people = await everybody();
  machine.jump(-3600);
  await goesOn(people, sizes(people));
  // What is opened now began an hour before what is open.
  await stillServes(bed.ssh, doorOf('bob'));
  people.output.stop();
  people.typing.kill();
  await people.desktop.client.stop();
  for (const id of Object.values(people.ids)) await bed.evidence.sealed(id);
  await figures(t, 'clock jumping back an hour', people, 0);
  const id = people.ids.carol;
  const [verified, played, listed] = await Promise.all([
    bed.gateway.sallyport(['recordings', 'verify', id]),
    bed.gateway.sallyport([
      'recordings',
      'export',
      id,
      '--format',
      'cast',
      '--output',
      join(received, 'cast'),
    ]),
    bed.gateway.sallyport(['recordings', 'ls']),
  ]);
  assert.equal(verified.code, 0, verified.text);
  assert.equal(played.code, 0, played.stderr);
  t.diagnostic(listed.text);
  machine.jump(0);
  await stillServes(bed.ssh, doorOf('bob'));
  nothingLeft();
});
