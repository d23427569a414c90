/** One session worker dies under load: it takes its own sessions along and no others, and is replaced. */
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { after } from 'node:test';
import type { SessionRow } from '../../gateway/store/port.ts';
import { PASSWORD } from '../support/bed.ts';
import { stillServes } from '../support/evidence.ts';
import { assertNoneFell, readExposition, sampleOf, scrape } from '../support/exposition.ts';
import {
  type ArchiveOf,
  assertNothingLeft,
  assertProved,
  lostAge,
  lostOf,
  lostUpdates,
  MIB,
  readRecorded,
  reportFault,
} from '../support/faults.ts';
import { INSPECTED, type InspectedWorker, openInspector } from '../support/inspector.ts';
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
import { PEOPLE_NEED } from '../support/people.ts';
import { until } from '../support/process.ts';
import { useRdpBed } from '../support/rdp-bed.ts';
import type { Spy } from '../support/rdp-spy.ts';
import { Sightings } from '../support/sightings.ts';
import { temporaryFolder } from '../support/temp.ts';

const NEEDS = PEOPLE_NEED;
const WORKERS = 2;
const WINDOW = 4 * MIB;
/** Those who type; one session each. */
const TYPISTS = Array.from({ length: 12 }, (_, index) => `typist${index}`);
const temporary = temporaryFolder('node-temp');
const archiveFolder = temporaryFolder('archive');

let spy: Spy;
let archive: ArchiveOf;
const bed = useRdpBed(NEEDS, {
  ssh: true,
  config: {
    archive: { url: `file:${archiveFolder}`, window: { bytes: WINDOW } },
    workers: { sessions: WORKERS },
  },
  env: { TMPDIR: temporary, ...INSPECTED },
  xrdp: { startwm: RUNNING_PICTURE },
  document: () => ({
    users: ['bob', ...TYPISTS].map((name) => ({ name, password: PASSWORD, role: 'requester' })),
    policies: [
      ...['bob', ...TYPISTS].map(recordedInFull),
      { name: 'desktops', users: ['alice'], accounts: ['*@win01'], allow: ['desktop'], record: true },
    ],
  }),
  async prepare() {
    spy = await startDesktopSpy(bed.gateway);
    archive = { gateway: bed.gateway, urls: [`file:${archiveFolder}`] };
  },
});
after(() => spy?.stop());

/** What somebody was shown, and how that goes on. */
interface AtWork {
  readonly user: string;
  readonly what: 'output' | 'typing' | 'desktop';
  /** Bytes so far. */
  size(): number;
  readonly seen: Sightings;
  lost(recorded: { readonly output: Buffer; readonly updates: readonly Buffer[] }): number;
  /** Resolves when the client has ended, by itself. */
  readonly ended: Promise<unknown>;
  stop(): void;
}

async function typing(user: string): Promise<AtWork> {
  const terminal = await startTyping(bed.ssh.doorFor(bed.ssh.targetLogin(user), PASSWORD));
  return {
    user,
    what: 'typing',
    size: () => terminal.screen.length,
    seen: new Sightings(() => terminal.screen.length),
    lost: ({ output }) => lostOf(terminal.screen, output),
    ended: terminal.ended,
    stop: () => terminal.kill(),
  };
}

/** Sessions that a worker holds: of each two connections. */
async function sessionsIn(worker: InspectedWorker): Promise<number> {
  const sockets = "process.getActiveResourcesInfo().filter((each) => each === 'TCPSocketWrap').length";
  return Number(await worker.evaluate(sockets)) / 2;
}

let typist = 0;
/** Everybody at work, in every worker somebody. */
async function everybody(workers: readonly InspectedWorker[], round: string): Promise<AtWork[]> {
  const desktop = await watchDesktop(bed, spy);
  const door = bed.ssh.doorFor(bed.ssh.targetLogin('bob'), PASSWORD);
  const output = await runOutput(door, join(temporaryFolder('received'), round));
  const all: AtWork[] = [
    {
      user: 'alice',
      what: 'desktop',
      size: () => desktop.size(),
      seen: new Sightings(() => desktop.size()),
      lost: ({ updates }) => lostUpdates(desktop.shown(), updates),
      ended: desktop.ended,
      stop: () => void desktop.client.stop(),
    },
    {
      user: 'bob',
      what: 'output',
      size: () => output.size(),
      seen: new Sightings(() => output.size()),
      lost: (recorded) => lostOf(output.shown(), recorded.output),
      ended: output.ended,
      stop: () => output.stop(),
    },
  ];
  // Three who type, and more until no worker is without a session.
  do {
    all.push(await typing(TYPISTS[typist++] ?? assert.fail('the kernel gives one worker everything')));
  } while (all.length < 5 || (await Promise.all(workers.map(sessionsIn))).includes(0));
  return all;
}

for (const [how, end] of [
  ['throws what nobody catches', "setImmediate(() => { throw new Error('a fault of the test') })"],
  ['ends', 'setImmediate(() => process.exit(1))'],
] as const) {
  testWith(NEEDS, `a worker that ${how} takes its own sessions along, and no others`, async (t) => {
    const before = new Set((await bed.evidence.sessions()).map(({ id }) => id));
    const inspector = await openInspector(bed.gateway, WORKERS);
    const people = await everybody(inspector.workers, how.replaceAll(' ', '-'));
    const [victim = assert.fail()] = inspector.workers;
    const doomed = await sessionsIn(victim);
    const counted = readExposition(await scrape(bed.gateway));
    const told = await bed.evidence.sessions();
    const now = performance.now();
    victim.run(end);
    const rows = await until('the sessions of the worker are closed', async () => {
      const all = (await bed.evidence.sessions()).filter(({ id }) => !before.has(id));
      return all.filter(({ state }) => state === 'ended').length === doomed ? all : undefined;
    });
    const sizes = new Map(people.map((person) => [person, person.size()]));
    inspector.close();
    const rowOf = ({ user }: AtWork): SessionRow =>
      rows.find((row) => row.user === user) ?? assert.fail(`${user} has no session`);
    const dead = people.filter((person) => rowOf(person).state === 'ended');
    const alive = people.filter((person) => !dead.includes(person));
    t.diagnostic(`dead: ${dead.map(({ what }) => what)}; alive: ${alive.map(({ what }) => what)}`);
    assert.ok(dead.length === doomed && alive.length > 0);

    for (const person of dead) {
      await person.ended;
      const row = await bed.evidence.sealed(rowOf(person).id);
      assert.deepEqual([row.endCode, row.endReason], ['worker-died', 'the session worker died']);
      person.seen.stop();
      await assertProved(
        archive,
        row,
        told.find(({ id }) => id === row.id),
      );
      const recorded = await readRecorded(archive, row.id);
      const { what } = person;
      const fault = `a worker that ${how}`;
      const lost = person.lost(recorded);
      const age = lostAge(person.seen, person.size() - lost, { begun: now, at: now });
      reportFault(t, { fault, sink: 'file', what, declared: WINDOW, lost, recorded: recorded.bytes, age });
    }
    // The others work on.
    for (const person of alive)
      await until(`${person.what} goes on`, () =>
        person.size() > (sizes.get(person) ?? 0) ? true : undefined,
      );
    await until('the worker is replaced', async () => {
      const again = await openInspector(bed.gateway, WORKERS).catch(() => undefined);
      again?.close();
      return again;
    });
    await stillServes(bed.ssh);
    const since = readExposition(await scrape(bed.gateway));
    assertNoneFell(counted, since);
    const died = [counted, since].map((metrics) => sampleOf(metrics, 'sallyport_workers_died_total'));
    assert.equal(died[1], (died[0] ?? 0) + 1);
    for (const person of alive) {
      person.seen.stop();
      person.stop();
    }
    for (const person of alive) {
      const row = await bed.evidence.sealed(rowOf(person).id);
      await assertProved(archive, row);
      assert.equal(person.lost(await readRecorded(archive, row.id)), 0, `${person.what} is whole`);
    }
    assertNothingLeft([dirname(bed.gateway.dataDir), temporary], [MARKER]);
  });
}
