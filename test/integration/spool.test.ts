/**
 * What sessions do when their archive fails and they need not wait for it: they go on into the encrypted
 * spool of the node, which drains when the archive is back, or end at once. And what they share: memory.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before } from 'node:test';
import {
  ALL_CAPABILITIES,
  type Bed,
  type BedOptions,
  type Door,
  PASSWORD,
  ssh,
  sshTerminal,
  startBed,
} from '../support/bed.ts';
import { type SmallDisk, smallDisk } from '../support/disk.ts';
import { Evidence, stillServes } from '../support/evidence.ts';
import { assertNothingLeft } from '../support/faults.ts';
import { type FaultyMachine, faultyMachine } from '../support/faulty-machine.ts';
import { startGateway } from '../support/gateway.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { until } from '../support/process.ts';
import { digestFile, randomFile } from '../support/tree.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
const MIB = 1024 ** 2;
/** No test waits for it: what ends or goes on here does so for another reason. */
const GRACE_SECONDS = 600;

const people = ['bob', 'carol', 'dave', 'erin'] as const;
const document: NonNullable<BedOptions['document']> = () => ({
  users: people.map((name) => ({ name, password: PASSWORD, role: 'requester' })),
  policies: [
    {
      name: 'full',
      users: [...people],
      accounts: ['*@web01'],
      allow: ALL_CAPABILITIES,
      keystrokes: true,
      execLimit: 'full',
    },
  ],
});

/** A gateway with an archive on a disk of its own, and what the tests look at. */
interface Site {
  readonly bed: Bed;
  readonly disk: SmallDisk;
  readonly machine: FaultyMachine;
  readonly evidence: Evidence;
  doorOf(user: string): Door;
  /** Files in the spool. */
  spooled(): readonly string[];
  exported(sessionId: string): Promise<string>;
}

/** Long for a machine that is busy, short for who waits for it to run out. */
const LEASE_SECONDS = 6;

async function startSite(
  archive: Readonly<Record<string, unknown>>,
  workers = 2,
  env: Readonly<Record<string, string>> = {},
): Promise<Site> {
  const disk = await smallDisk(128);
  const machine = await faultyMachine(disk.folder);
  const bed = await startBed({
    config: {
      node: { name: 'spools', dataDir: 'data', leaseSeconds: LEASE_SECONDS },
      archive: { url: `file:${disk.folder}`, graceSeconds: GRACE_SECONDS, ...archive },
      workers: { sessions: workers },
    },
    env: { ...machine.env, ...env },
    document,
  });
  const evidence = await Evidence.of(bed.gateway);
  const folder = join(bed.gateway.dataDir, 'spool');
  return {
    bed,
    disk,
    machine,
    evidence,
    doorOf: (user) => bed.doorFor(bed.targetLogin(user), PASSWORD),
    spooled: () => (existsSync(folder) ? readdirSync(folder) : []),
    async exported(sessionId) {
      const output = join(bed.folder, `${sessionId}.txt`);
      const result = await bed.gateway.sallyport([
        ...['recordings', 'export', sessionId, '--format', 'txt', '--output', output],
      ]);
      assert.equal(result.code, 0, result.stderr);
      return output;
    },
  };
}

let spooling: Site;
let ending: Site;
before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  [spooling, ending] = await Promise.all([
    startSite({ onFailure: 'spool', window: { bytes: '1MiB' } }),
    startSite({ onFailure: 'terminate', window: { bytes: '4MiB', nodeBytes: '16MiB' } }, 1),
  ]);
});
after(async () => {
  await Promise.all(
    [spooling, ending].map(async (site) => {
      await site?.evidence.close();
      await site?.bed.stop();
    }),
  );
});

/** What stands in the text that a session was shown, and nowhere in what was typed. */
const say = (mark: string): string => `echo ${mark}$((40 + 2))\r`;

testWith(NEEDS, 'an archive that hangs with more sessions than files can be written at once', async () => {
  const SESSIONS = 6;
  const HANGS_MS = 30_000;
  const site = await startSite({ onFailure: 'spool' }, 2, { UV_THREADPOOL_SIZE: '5' });
  try {
    const sessions = Array.from({ length: SESSIONS }, () =>
      ssh(site.doorOf('bob'), ['target', 'for n in $(seq 100); do echo $n; sleep 0.1; done'], {
        timeoutMs: 120_000,
      }),
    );
    await until('they run', async () => {
      const rows = await site.evidence.sessions();
      return rows.filter(({ state }) => state === 'active').length === SESSIONS ? true : undefined;
    });
    site.machine.slow(HANGS_MS);
    const hung = performance.now();
    await until('all are spooled', () => (site.spooled().length === SESSIONS ? true : undefined), HANGS_MS);
    assert.ok(performance.now() - hung < HANGS_MS - 5_000, 'while it hangs');
    site.machine.slow(0);
    for (const { code, text } of await Promise.all(sessions))
      assert.deepEqual([code, text.split('\n').length], [0, 101]);
    await until('the archive has all', () => (site.spooled().length === 0 ? true : undefined), 60_000);
  } finally {
    await site.evidence.close();
    await site.bed.stop();
  }
});

testWith(
  NEEDS,
  'a session goes on while the archive is full, another begins, and nothing of them stays',
  async (t) => {
    const { bed, disk, evidence, doorOf, spooled, exported } = spooling;
    const terminal = sshTerminal(doorOf('bob'), ['target']);
    await terminal.expect('$ ');
    const { id } = await evidence.session('bob', 'active');
    terminal.type(say('before'));
    await terminal.expect('before42');
    disk.fill(0);
    terminal.type(`seq 1 20000; ${say('during')}`);
    await terminal.expect('during42');
    await until('the session is spooled', () => (spooled().length > 0 ? true : undefined));
    const other = await ssh(doorOf('carol'), ['target', 'echo meanwhile$((40 + 2))']);
    assert.deepEqual([other.code, other.text], [0, 'meanwhile42\n'], other.stderr);
    terminal.type(say('stillduring'));
    await terminal.expect('stillduring42');

    const files = spooled();
    assert.equal(files.length, 2);
    const sizes = files.map((name) => statSync(join(bed.gateway.dataDir, 'spool', name)).size);
    t.diagnostic(`${sizes.join(' and ')} bytes are spooled`);
    // It holds frames of recordings, which is what it is for; but nobody can read them here.
    for (const mark of ['during42', 'meanwhile42'])
      assert.throws(() => assertNothingLeft([dirname(bed.gateway.dataDir)], [mark]), /spool.*SLYR/);
    const advice = await bed.gateway.sallyport(['check']);
    assert.match(
      advice.text,
      /spool +advice +\d+ encrypted bytes of 2 recordings are in .*: this node keeps them/,
    );
    const { detail } = await evidence.event('archive.spooling');
    assert.match(String(detail['reason']), /is full: free space on it \(ENOSPC\)/);

    disk.empty();
    await until('the spool is empty', () => (spooled().length === 0 ? true : undefined));
    terminal.type(`${say('after')}exit\r`);
    await terminal.expect('after42');
    assert.equal(await terminal.ended, 0);
    await evidence.sealed(id);
    const recorded = readFileSync(await exported(id));
    assert.ok(terminal.screen.includes(recorded), 'the recording holds what was shown');
    for (const mark of ['before42', '20000', 'during42', 'stillduring42', 'after42'])
      assert.ok(recorded.includes(mark), mark);
    const brief = await evidence.session('carol', 'ended');
    await evidence.sealed(brief.id);
    for (const each of [id, brief.id]) {
      const verified = await bed.gateway.sallyport(['recordings', 'verify', each]);
      assert.equal(verified.code, 0, verified.text);
    }
    assertNothingLeft([dirname(bed.gateway.dataDir)], ['during42', 'meanwhile42']);
    await stillServes(bed, doorOf('bob'));
  },
);

testWith(
  NEEDS,
  'what a killed node has spooled is in the archive before its recordings are sealed',
  async () => {
    const { bed, disk, evidence, doorOf, spooled, exported } = spooling;
    const folder = join(bed.gateway.dataDir, 'spool');
    const terminal = sshTerminal(doorOf('dave'), ['target']);
    await terminal.expect('$ ');
    const { id } = await evidence.session('dave', 'active');
    disk.fill(0);
    terminal.type(`seq 1 20000; ${say('doomed')}`);
    await terminal.expect('doomed42');
    const finished = await ssh(doorOf('erin'), ['target', 'echo finished$((40 + 2))']);
    assert.equal(finished.code, 0, finished.stderr);
    const { id: other } = await evidence.session('erin', 'ended');
    // What was shown is on its way to the disk for as long as the spool grows.
    await until('both are spooled', () => (spooled().length === 2 ? true : undefined));
    let [size, same] = [0, 0];
    await until('the spool stands still', () => {
      const now = spooled().reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
      same = now === size ? same + 1 : 0;
      size = now;
      return same >= 30 ? true : undefined;
    });
    await bed.gateway.kill9();
    terminal.kill();
    disk.empty();
    const { dataDir } = bed.gateway;
    const peer = await startGateway({
      config: {
        node: { name: 'peer', dataDir: 'data', demo: false, leaseSeconds: LEASE_SECONDS },
        archive: { url: `file:${disk.folder}` },
        store: { url: `sqlite:${join(dataDir, 'sallyport.db')}` },
        vault: { masterKey: `file:${join(dataDir, 'keys/master.key')}` },
      },
    });
    try {
      await evidence.event('credential.checked_in', (row) => row.sessionId === id);
      await until('the peer says why it seals nothing', () =>
        peer.log().includes('the spool of node spools holds the end') ? true : undefined,
      );
      const rows = (await evidence.sessions()).filter((row) => row.id === id || row.id === other);
      for (const { state, sealed, unsealable } of rows)
        assert.deepEqual([state, sealed, unsealable], ['ended', false, undefined]);
    } finally {
      await peer.stop();
    }
    disk.fill(0);
    await bed.gateway.start();
    assert.equal(spooled().length, 2, 'the archive is full still');
    disk.empty();
    await until('the spool is empty', () => (spooled().length === 0 ? true : undefined));
    await evidence.sealed(id);
    await evidence.sealed(other);
    for (const [each, mark] of [
      [id, /doomed42/],
      [other, /finished42/],
    ] as const) {
      const verified = await bed.gateway.sallyport(['recordings', 'verify', each]);
      assert.equal(verified.code, 0, verified.text);
      assert.match(readFileSync(await exported(each), 'latin1'), mark);
    }
    const drained = await evidence.event('archive.drained', (row) => row.sessionId === id);
    assert.ok(Number(drained.detail['bytes']) > 0);
    assertNothingLeft([dirname(bed.gateway.dataDir)], ['doomed42', 'finished42']);
  },
);

testWith(NEEDS, 'the first refusal ends a session at once where that is configured', async () => {
  const { bed, disk, evidence, doorOf } = ending;
  const terminal = sshTerminal(doorOf('bob'), ['target']);
  await terminal.expect('$ ');
  const { id } = await evidence.session('bob', 'active');
  disk.fill(0);
  try {
    terminal.type('seq 1 20000\r');
    await terminal.expect(/sallyport: the recording cannot be kept: archive folder .* is full/, 60_000);
    assert.notEqual(await terminal.ended, 0);
  } finally {
    disk.empty();
  }
  const row = await evidence.session('bob', 'ended');
  assert.deepEqual([row.id, row.endCode], [id, 'archive-failed']);
  await stillServes(bed, doorOf('bob'));
});

testWith(
  NEEDS,
  'bulk sessions share little memory with a slow archive, and hold nobody up who types',
  async (t) => {
    const { bed, machine, evidence, doorOf } = ending;
    const file = randomFile(join(bed.sshd.account.home, 'shared'), 12 * MIB);
    const typist = sshTerminal(doorOf('erin'), ['target']);
    await typist.expect('$ ');
    machine.slow(250);
    const received = people.slice(0, 3).map((user) => join(bed.folder, `shared-${user}`));
    const running = people
      .slice(0, 3)
      .map((user, i) =>
        ssh(doorOf(user), ['target', 'cat shared'], { outputFile: received[i] ?? '', timeoutMs: 120_000 }),
      );
    const sized = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    await until(
      'all are under way',
      () => (received.every((path) => sized(path) > MIB) ? true : undefined),
      60_000,
    );
    const echoes: number[] = [];
    for (let i = 0; i < 5; i += 1) {
      const at = performance.now();
      typist.type(say(`key${i}x`));
      await typist.expect(`key${i}x42`, 30_000);
      echoes.push(Math.round(performance.now() - at));
    }
    const meanwhile = received.map(sized);
    machine.slow(0);
    t.diagnostic(`a line took ${echoes.join(', ')} ms while ${meanwhile.join(', ')} bytes were through`);
    for (const [i, each] of (await Promise.all(running)).entries()) {
      assert.equal(each.code, 0, each.stderr);
      assert.equal(digestFile(received[i] ?? ''), digestFile(file));
    }
    typist.kill();
    for (const user of people.slice(0, 3)) {
      const { id } = await evidence.session(user, 'ended');
      const row = await evidence.sealed(id);
      assert.equal(row.bytesFromTarget, 12 * MIB);
      const verified = await bed.gateway.sallyport(['recordings', 'verify', id]);
      assert.equal(verified.code, 0, verified.text);
    }
  },
);
