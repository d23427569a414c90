/** Several nodes on one database and one archive: what one leaves when it dies or hangs, the others finish. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDoor, PASSWORD, ssh } from '../support/bed.ts';
import { stillServes } from '../support/evidence.ts';
import {
  type ArchiveOf,
  assertProved,
  lostOf,
  lostUpdates,
  MIB,
  readRecorded,
  reportFault,
} from '../support/faults.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import {
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
/** Long for a machine that is busy, short for who waits for it to run out. */
const LEASE_SECONDS = 6;
const WINDOW = 4 * MIB;
const folder = temporaryFolder('nodes');
const url = `file:${temporaryFolder('archive')}`;
const archiveConfig = { url, window: { bytes: WINDOW } };
const nodeConfig = (name: string) => ({ name, dataDir: 'data', demo: false, leaseSeconds: LEASE_SECONDS });

let spy: Spy;
/** They share the database and the master key of the first. */
let others: readonly Gateway[] = [];
const bed = useRdpBed(NEEDS, {
  ssh: true,
  config: { node: nodeConfig('node-a'), archive: archiveConfig },
  xrdp: { startwm: RUNNING_PICTURE },
  document: () => ({
    users: ['bob', 'carol', 'dave'].map((name) => ({ name, password: PASSWORD, role: 'requester' })),
    policies: [
      ...['bob', 'carol', 'dave'].map(recordedInFull),
      { name: 'desktops', users: ['alice'], accounts: ['*@win01'], allow: ['desktop'], record: true },
    ],
  }),
  async prepare() {
    spy = await startDesktopSpy(bed.gateway);
    others = await Promise.all(['node-b', 'node-c'].map((name) => startGateway({ config: peer(name) })));
  },
});
after(async () => {
  await spy?.stop();
  await Promise.all(others.map((gateway) => gateway.stop()));
});

function peer(name: string): Readonly<Record<string, unknown>> {
  const { dataDir } = bed.gateway;
  return {
    node: nodeConfig(name),
    archive: archiveConfig,
    store: { url: `sqlite:${join(dataDir, 'sallyport.db')}` },
    vault: { masterKey: `file:${join(dataDir, 'keys/master.key')}` },
  };
}

const archive = (): ArchiveOf => ({ gateway: bed.gateway, urls: [url] });
const doorOf = (user: string) => bed.ssh.doorFor(bed.ssh.targetLogin(user), PASSWORD);

/** The codes of why a node takes no sessions, as it tells load balancers. */
async function notReadyFor({ healthPort }: Gateway): Promise<string[]> {
  const answer = await fetch(`http://127.0.0.1:${healthPort}/readyz`);
  const { reasons } = (await answer.json()) as { readonly reasons: readonly { readonly code: string }[] };
  assert.equal(answer.status, reasons.length === 0 ? 200 : 503);
  return reasons.map(({ code }) => code);
}

/** The newest session of a user once a node has sealed it in the place of its own. */
const recovered = async (user: string) =>
  await until(
    `the recording of ${user} is sealed`,
    async () => {
      const row = (await bed.evidence.sessions()).find((each) => each.user === user);
      return row?.recoveredBy === undefined ? undefined : row;
    },
    60_000,
  );

testWith(
  NEEDS,
  'a node that is killed: its peers end its sessions, seal their recordings and check the credentials in',
  async (t) => {
    const [desktop, typing] = await Promise.all([watchDesktop(bed, spy), startTyping(doorOf('carol'))]);
    const output = await runOutput(doorOf('bob'), join(folder, 'killed'));
    await until('some output', () => (output.size() > MIB ? true : undefined));
    await bed.gateway.kill9();
    assert.equal(await output.ended, 255);
    assert.equal(await typing.ended, 255);
    await desktop.ended;

    for (const user of ['alice', 'bob', 'carol']) {
      const row = await recovered(user);
      assert.match(row.recoveredBy ?? '', /^node-[bc]$/);
      assert.deepEqual([row.node, row.state, row.endCode], ['node-a', 'ended', 'worker-died']);
      assert.equal(row.credentialLease, undefined);
      const codes = (await bed.evidence.audit()).filter(({ sessionId }) => sessionId === row.id);
      for (const code of ['session.ended', 'credential.checked_in', 'recording.recovered']) {
        const told = codes.filter((event) => event.code === code);
        assert.deepEqual([code, told.length], [code, 1], 'by one of the two');
        assert.match(told[0]?.node ?? '', /^node-[bc]$/);
      }
      await assertProved(archive(), row);
      const kept = await readRecorded(archive(), row.id);
      assert.equal(kept.reason, 'the node stopped before it could close the session');
      const lost =
        user === 'alice'
          ? lostUpdates(desktop.shown(), kept.updates)
          : lostOf(user === 'bob' ? output.shown() : typing.screen, kept.output);
      const what = { alice: 'desktop', bob: 'output', carol: 'typing' }[user] ?? '';
      const figures = { declared: WINDOW, lost, recorded: kept.bytes };
      reportFault(t, { fault: 'a node killed, sealed by a peer', sink: 'file', what, ...figures });
    }

    // The survivor's own commands know it all, and prove it with the key of whoever sealed it.
    const { id } = await recovered('bob');
    const [survivor = assert.fail()] = others;
    const [verified, shown] = await Promise.all([
      survivor.sallyport(['recordings', 'verify', id]),
      survivor.sallyport(['recordings', 'show', id]),
    ]);
    assert.equal(verified.code, 0, verified.text);
    assert.match(verified.text, /^ok: (\d+) segments, truncated at segment \1$/m);
    assert.match(verified.text, /signature: the manifest is signed by node key/);
    assert.match(shown.text, /truncated at segment \d+/);
    await bed.evidence.event('node.recovered', ({ detail }) => detail['node'] === 'node-a');

    // And it takes sessions, as does the one that was killed once it is back.
    const login = bed.ssh.targetLogin('dave');
    const entrance = { host: survivor.host, port: survivor.sshPort, login, password: PASSWORD };
    await stillServes(bed.ssh, await openDoor(temporaryFolder('survivor'), entrance));
    await bed.gateway.start();
    await stillServes(bed.ssh, doorOf('dave'));
  },
  { timeout: 240_000 },
);

testWith(
  NEEDS,
  'a node that hangs for longer than its lease ends its sessions when it wakes, and writes nothing behind the seal',
  async () => {
    const output = await runOutput(doorOf('bob'), join(folder, 'hung'));
    const typing = await startTyping(doorOf('carol'));
    process.kill(bed.gateway.pid, 'SIGSTOP');
    // Longer than a worker may be silent, too: its people are to hear why their sessions end.
    const [rows] = await Promise.all([Promise.all(['bob', 'carol'].map(recovered)), sleep(17_000)]);
    assert.ok(rows.every(({ node, endCode }) => node === 'node-a' && endCode === 'worker-died'));
    process.kill(bed.gateway.pid, 'SIGCONT');

    assert.notEqual(await output.ended, 0);
    await typing.ended;
    const words = /the gateway was cut off from its peers, and nothing may go on unrecorded/;
    assert.match(output.said(), words);
    assert.match(typing.screen.toString(), words);
    await until('a new run', () =>
      /this node goes on as a new run/.test(bed.gateway.log()) ? true : undefined,
    );
    await stillServes(bed.ssh, doorOf('dave'));
    for (const { id } of rows) {
      const row = (await bed.evidence.sessions()).find((each) => each.id === id) ?? assert.fail();
      assert.deepEqual([row.sealed, row.endCode], [true, 'worker-died'], 'what its peer said stands');
      await assertProved(archive(), row);
      const events = (await bed.evidence.audit()).filter(({ sessionId }) => sessionId === id);
      for (const code of ['session.ended', 'credential.checked_in', 'recording.recovered'])
        assert.equal(events.filter((event) => event.code === code).length, 1, code);
    }
  },
  { timeout: 240_000 },
);

testWith(
  NEEDS,
  'a node that cannot renew its lease ends its sessions, and serves again when it can',
  async () => {
    const output = await runOutput(doorOf('bob'), join(folder, 'cut-off'));
    // Another program holds the database: nobody can write.
    const holder = new DatabaseSync(join(bed.gateway.dataDir, 'sallyport.db'), { timeout: 20_000 });
    holder.exec('BEGIN IMMEDIATE');
    // Load balancers are told at once, and while it lasts.
    const codes = await until('both are told', async () => {
      const told = await notReadyFor(bed.gateway);
      return told.length < 2 ? undefined : told;
    });
    assert.deepEqual(codes, ['store-down', 'lease-lost']);
    assert.notEqual(await output.ended, 0);
    holder.exec('ROLLBACK');
    holder.close();
    assert.match(output.said(), /the gateway was cut off from its peers, and nothing may go on unrecorded/);
    await until('the node serves again', async () => {
      const { code } = await ssh(doorOf('dave'), ['target', 'true']);
      return code === 0 ? true : undefined;
    });
    await until('/readyz says so', async () =>
      (await notReadyFor(bed.gateway)).length === 0 ? true : undefined,
    );
    const row = (await bed.evidence.sessions()).find(({ user }) => user === 'bob') ?? assert.fail();
    const sealed = await bed.evidence.sealed(row.id);
    assert.match(sealed.endCode ?? '', /^(lease-lost|worker-died)$/);
    await assertProved(archive(), sealed);
  },
);

testWith(NEEDS, 'a second node of the same name is refused in words, and changes nothing', async () => {
  await assert.rejects(
    startGateway({ config: peer('node-b') }),
    /node\.name: node node-b is running already, with another data folder: stop it, or give this node another name/,
  );
  await stillServes(bed.ssh, doorOf('dave'));
});
