/** kill -9 of the whole gateway under load on both protocols: what is lost, what is readable, what stays on the node. */
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { after } from 'node:test';
import { PASSWORD } from '../support/bed.ts';
import { stillServes } from '../support/evidence.ts';
import {
  type ArchiveOf,
  assertNothingLeft,
  assertProved,
  lostOf,
  lostUpdates,
  MIB,
  markOf,
  readRecorded,
  reportFault,
} from '../support/faults.ts';
import {
  MARKER,
  RUNNING_PICTURE,
  recordedInFull,
  runOutput,
  startDesktopSpy,
  startTyping,
  watchDesktop,
} from '../support/load.ts';
import { testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';
import { useRdpBed } from '../support/rdp-bed.ts';
import type { Spy } from '../support/rdp-spy.ts';
import { temporaryFolder } from '../support/temp.ts';

const NEEDS = [
  ...(['openssh-server', 'openssh-client', 'xrdp', 'xorgxrdp', 'freerdp2-x11'] as const),
  ...(['xvfb', 'xauth', 'x11-utils', 'xdotool', 'xterm'] as const),
] as const;
const KILLS = 20;
const WINDOW = 4 * MIB;
/** What the gateway has for temporary files. */
const temporary = temporaryFolder('node-temp');
const archiveFolder = temporaryFolder('archive');
const outside = temporaryFolder('received');

let spy: Spy;
let archive: ArchiveOf;
const bed = useRdpBed(NEEDS, {
  ssh: true,
  config: { archive: { url: `file:${archiveFolder}`, window: { bytes: WINDOW } } },
  env: { TMPDIR: temporary },
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
    archive = { gateway: bed.gateway, urls: [`file:${archiveFolder}`] };
  },
});
after(() => spy?.stop());

/** Ids of sessions that rounds before have had. */
const seen = new Set<string>();
/** Bytes that the recordings hold, all rounds together. */
const recorded = { output: 0, typing: 0, desktop: 0 };

/** What each client was sent until the gateway was gone. */
interface Shown {
  readonly output: Buffer;
  readonly typing: Buffer;
  readonly desktop: readonly Buffer[];
}

/** Puts the gateway under load, kills it at a random moment, and resolves with what was shown until then. */
async function killUnderLoad(round: number): Promise<{ readonly shown: Shown; readonly delay: number }> {
  const doors = ['bob', 'carol'].map((user) => bed.ssh.doorFor(bed.ssh.targetLogin(user), PASSWORD));
  const [bob = assert.fail(), carol = assert.fail()] = doors;
  const [desktop, typing] = await Promise.all([watchDesktop(bed, spy), startTyping(carol)]);
  const output = await runOutput(bob, join(outside, `received-${round}`));
  const delay = Math.floor(Math.random() * 1_200);
  await new Promise((resolve) => setTimeout(resolve, delay));
  await bed.gateway.kill9();
  assert.equal(await output.ended, 255, 'ssh notices');
  assert.equal(await typing.ended, 255, 'ssh at a terminal notices');
  await desktop.ended;
  assert.notEqual(await desktop.client.exited, 0, 'xfreerdp notices');
  return { shown: { output: output.shown(), typing: typing.screen, desktop: desktop.shown() }, delay };
}

for (let round = 1; round <= KILLS; round += 1) {
  testWith(
    NEEDS,
    `kill -9 number ${round}: no more than the window is lost, and the rest is readable`,
    async (t) => {
      const { shown, delay } = await killUnderLoad(round);
      t.diagnostic(`killed after ${delay} ms under load`);
      // Before anything is started again: nothing of the recordings lies outside the archive.
      const needles = [MARKER, markOf(shown.desktop) ?? assert.fail('the picture has no mark')];
      assertNothingLeft([dirname(bed.gateway.dataDir), temporary], needles);

      await bed.gateway.start();
      const ended = await until('all sessions are closed', async () => {
        const rows = (await bed.evidence.sessions()).filter(({ id }) => !seen.has(id));
        return rows.length === 3 && rows.every(({ state }) => state === 'ended') ? rows : undefined;
      });
      for (const row of ended) {
        seen.add(row.id);
        assert.equal(row.endCode, 'worker-died');
        assert.match(row.endReason ?? '', /the node stopped before it could close the session/);
        await assertProved(archive, row);
        const kept = await readRecorded(archive, row.id);
        const what = row.user === 'alice' ? 'desktop' : row.user === 'bob' ? 'output' : 'typing';
        const lost =
          what === 'desktop' ? lostUpdates(shown.desktop, kept.updates) : lostOf(shown[what], kept.output);
        recorded[what] += kept.bytes;
        const fault = 'kill -9 of the gateway';
        reportFault(t, { fault, sink: 'file', what, declared: WINDOW, lost, recorded: kept.bytes });
      }
      assertNothingLeft([dirname(bed.gateway.dataDir), temporary], needles);
    },
    { timeout: 120_000 },
  );
}

testWith(NEEDS, 'the recordings held something all the same, and commands tell of them', async (t) => {
  t.diagnostic(JSON.stringify(recorded));
  const { output, typing, desktop } = recorded;
  assert.ok(output > MIB && typing > 1000 && desktop > MIB, JSON.stringify(recorded));
  const [id = assert.fail()] = seen;
  const [shown, verified, listed] = await Promise.all([
    bed.gateway.sallyport(['recordings', 'show', id]),
    bed.gateway.sallyport(['recordings', 'verify', id]),
    bed.gateway.json<{ id: string; sealed: boolean }[]>(['recordings', 'ls']),
  ]);
  assert.match(shown.text, /truncated at segment \d+/);
  assert.equal(verified.code, 1);
  assert.match(verified.text, /NOT OK: the recording is not sealed: it ends after segment \d+/);
  assert.equal(listed.find((each) => each.id === id)?.sealed, false);
  await stillServes(bed.ssh);
});
