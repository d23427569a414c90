import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { session } from '../store/contract.ts';
import { LEASE_MS, Peers, SILENCE_MS } from './peers.ts';

const DAY = '2026/11/21';
const END_REASON = 'the node stopped before it could close the session';

test('a node that is silent for longer than its lease is lost, and a peer finishes its sessions', async (t) => {
  const peers = await Peers.open(t);
  const [a, b] = [await peers.peer('a'), await peers.peer('b')];
  await peers.session('s1', a);
  await peers.session('s2', a, { recorded: false, credentialLease: undefined });
  await peers.pass(3 * LEASE_MS, a, b);
  assert.deepEqual(await peers.codes(), [], 'both are alive');

  // The clock on the wall tells nothing.
  peers.time.wall += 1e9;
  await peers.pass(SILENCE_MS - 5000, b);
  assert.equal((await peers.row('s1')).state, 'active', 'not lost yet');
  await peers.pass(10_000, b);
  const row = await peers.row('s1');
  assert.deepEqual(
    [row.state, row.endCode, row.endReason, row.sealed, row.recoveredBy, row.credentialLease],
    ['ended', 'worker-died', END_REASON, true, 'b', undefined],
  );
  assert.equal((await peers.row('s2')).state, 'ended');
  assert.deepEqual(peers.checkedIn, ['lease of s1']);
  assert.deepEqual((await peers.codes()).toSorted(), [
    'credential.checked_in s1',
    'node.lost',
    'node.recovered',
    'recording.recovered s1',
    'session.ended s1',
    'session.ended s2',
  ]);
  const recovered = (await peers.audit()).find(({ code }) => code === 'recording.recovered');
  assert.deepEqual(recovered?.detail, {
    node: 'a',
    segments: 1,
    bytes: row.recordedBytes,
    givenUp: 0,
    cut: false,
  });
  const report = await peers.verify('s1');
  assert.deepEqual([report.ok, report.truncatedAt], [true, 1]);
  assert.deepEqual(
    (await peers.store.nodes()).map(({ name }) => name),
    ['b'],
  );
  assert.deepEqual(b.tidied, [a.lease.run]);
  assert.equal(await a.lease.renew(), false, 'it never gets its lease back');
});

test('who slept, or has no lease, judges nobody', async (t) => {
  const peers = await Peers.open(t);
  const [a, b] = [await peers.peer('a'), await peers.peer('b')];
  await peers.turn(b);
  peers.time.at += 100 * LEASE_MS;
  await peers.turn(b);
  await b.lease.renew();
  await peers.turn(b);
  assert.equal((await peers.store.node(a.lease.run))?.state, 'running');
  assert.ok(await a.lease.renew());
});

test('of peers that see it at once one finishes, and another when that one dies over it', async (t) => {
  const peers = await Peers.open(t);
  const [a, b, c] = [await peers.peer('a'), await peers.peer('b'), await peers.peer('c')];
  for (const id of ['s1', 's2', 's3']) await peers.session(id, a);
  // The archive is away: whoever begins cannot end.
  renameSync(peers.archiveFolder, `${peers.archiveFolder}-away`);
  await peers.pass(2 * SILENCE_MS, b, c);
  const rows = await Promise.all(['s1', 's2', 's3'].map((id) => peers.row(id)));
  assert.ok(rows.every(({ state, sealed, unsealable }) => state === 'ended' && !sealed && !unsealable));
  // It dies while it has the claim.
  await peers.store.updateNode(a.lease.run, {}, { heir: b.lease.run });
  renameSync(`${peers.archiveFolder}-away`, peers.archiveFolder);
  await peers.turn(c);
  assert.equal((await peers.row('s1')).sealed, false, 'the other has it');
  await peers.pass(2 * SILENCE_MS, c);
  for (const id of ['s1', 's2', 's3']) assert.equal((await peers.row(id)).recoveredBy, 'c');
  const codes = await peers.codes();
  assert.equal(codes.filter((code) => code === 'node.lost').length, 2, 'one for each node');
  for (const id of ['s1', 's2', 's3'])
    for (const code of ['session.ended', 'credential.checked_in', 'recording.recovered'])
      assert.equal(codes.filter((each) => each === `${code} ${id}`).length, 1, `${code} ${id}`);
});

test('two that finish the same sessions at the same time come to one end', async (t) => {
  const peers = await Peers.open(t);
  const [a, b, c] = [await peers.peer('a'), await peers.peer('b'), await peers.peer('c')];
  // So many that the second catches up with the first.
  const ids = Array.from({ length: 24 }, (_, i) => `s${i}`);
  await Promise.all(ids.map((id) => peers.session(id, a)));
  await peers.store.updateNode(a.lease.run, {}, { state: 'lost' });
  await b.recovery.turn();
  await peers.store.updateNode(a.lease.run, {}, { heir: c.lease.run });
  await c.recovery.turn();
  await Promise.all([b.recovery.idle(), c.recovery.idle()]);
  await peers.turn(b, c);
  const codes = await peers.codes();
  for (const id of ids) {
    const report = await peers.verify(id);
    assert.deepEqual([report.ok, report.truncatedAt], [true, 1], report.problem ?? '');
    for (const code of ['session.ended', 'credential.checked_in', 'recording.recovered'])
      assert.equal(codes.filter((each) => each === `${code} ${id}`).length, 1, `${code} ${id}`);
  }
});

test('a recording that is missing or damaged is told, and not tried for ever', async (t) => {
  const peers = await Peers.open(t);
  const [a, b] = [await peers.peer('a'), await peers.peer('b')];
  for (const id of ['gone', 'damaged', 'cut']) await peers.session(id, a);
  // Its node died before it had begun to record.
  await peers.store.insertSession(session('early', { run: a.lease.run }));
  const path = (id: string): string => join(peers.archiveFolder, DAY, `${id}.slr`);
  rmSync(path('gone'));
  const bytes = readFileSync(path('damaged'));
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  writeFileSync(path('damaged'), bytes);
  truncateSync(path('cut'), readFileSync(path('cut')).lastIndexOf('SLYR'));
  await peers.pass(2 * SILENCE_MS, b);

  assert.match((await peers.row('gone')).unsealable ?? '', /holds no recording of session gone/);
  assert.match((await peers.row('damaged')).unsealable ?? '', /altered|header/);
  assert.match((await peers.row('early')).unsealable ?? '', /holds no recording/);
  const lost = (await peers.codes()).filter((code) => code.startsWith('recording.lost'));
  assert.deepEqual(lost.toSorted(), ['recording.lost damaged', 'recording.lost gone']);
  const cut = await peers.row('cut');
  assert.ok(cut.sealed);
  const report = await peers.verify('cut');
  assert.deepEqual([report.ok, report.code], [false, 'cut']);
  assert.equal(await peers.store.node(a.lease.run), undefined, 'nothing is left to do');
});

test('a recording is not taken for lost by an archive that holds nothing of its time', async (t) => {
  const peers = await Peers.open(t);
  const [a, b] = [await peers.peer('a'), await peers.peer('b')];
  for (const id of ['s1', 's2']) await peers.session(id, a);
  // As after `archive.url` was pointed elsewhere: what is recorded since then is there.
  renameSync(peers.archiveFolder, `${peers.archiveFolder}-before`);
  mkdirSync(peers.archiveFolder);
  const c = await peers.peer('c');
  await peers.session('s3', c);
  await peers.pass(2 * SILENCE_MS, b, c);
  for (const id of ['s1', 's2']) {
    const { state, sealed, unsealable } = await peers.row(id);
    assert.deepEqual([state, sealed, unsealable], ['ended', false, undefined], id);
  }
  assert.deepEqual(peers.checkedIn.toSorted(), ['lease of s1', 'lease of s2']);
  assert.ok(!(await peers.codes()).some((code) => code.startsWith('recording.lost')));

  // Both places are one again, but for what is really gone.
  cpSync(`${peers.archiveFolder}-before`, peers.archiveFolder, { recursive: true });
  rmSync(join(peers.archiveFolder, DAY, 's2.slr'));
  await peers.pass(60_000, b, c);
  assert.equal((await peers.row('s1')).sealed, true);
  assert.match((await peers.row('s2')).unsealable ?? '', /holds no recording/);
});

test('a recording that is not found comes to its end when an archive is gone for good', async (t) => {
  const peers = await Peers.open(t);
  const [a, b] = [await peers.peer('a'), await peers.peer('b')];
  await peers.session('s1', a);
  rmSync(join(peers.archiveFolder, DAY, 's1.slr'));
  await peers.pass(2 * SILENCE_MS, b);
  assert.equal((await peers.row('s1')).unsealable, undefined);
  peers.time.wall += 8 * 86_400_000;
  await peers.pass(60_000, b);
  assert.match((await peers.row('s1')).unsealable ?? '', /holds no recording/);
  assert.equal(await peers.store.node(a.lease.run), undefined, 'nothing is left to do');
});

test('a recording whose end is in the spool of a lost node waits for a node of that name', async (t) => {
  const peers = await Peers.open(t);
  const [a, b] = [await peers.peer('a'), await peers.peer('b')];
  await peers.session('s1', a, { spooledOn: 'a' });
  await peers.session('s2', a);
  await peers.pass(2 * SILENCE_MS, b);
  const [spooled, other] = [await peers.row('s1'), await peers.row('s2')];
  assert.deepEqual([spooled.state, spooled.sealed, spooled.credentialLease], ['ended', false, undefined]);
  assert.ok(other.sealed);
  // Its data folder may be another: then all that there is of the recording is in the archive.
  const again = await peers.peer('a');
  await peers.pass(SILENCE_MS, b, again);
  const { sealed, recoveredBy } = await peers.row('s1');
  assert.deepEqual([sealed, recoveredBy], [true, 'a']);
  assert.equal(await peers.store.node(a.lease.run), undefined);
});

test('a vault that takes nothing back holds up the check-in alone', async (t) => {
  const peers = await Peers.open(t);
  const [a, b] = [await peers.peer('a'), await peers.peer('b')];
  await peers.session('s1', a);
  peers.vaultError = new Error('the vault is away');
  await peers.pass(2 * SILENCE_MS, b);
  const { state, sealed, credentialLease } = await peers.row('s1');
  assert.deepEqual([state, sealed, credentialLease], ['ended', true, 'lease of s1']);
  peers.vaultError = undefined;
  await peers.pass(LEASE_MS, b);
  assert.equal((await peers.row('s1')).credentialLease, undefined);
  assert.equal(await peers.store.node(a.lease.run), undefined);
});

test('a node seals what its own workers could not, and leaves alone what they hold', async (t) => {
  const peers = await Peers.open(t);
  const a = await peers.peer('a');
  await peers.session('s1', a, { state: 'ended', endReason: 'the session worker died' });
  await peers.session('s2', a);
  await peers.turn(a);
  const [dead, open] = [await peers.row('s1'), await peers.row('s2')];
  assert.deepEqual([dead.sealed, dead.recoveredBy], [true, 'a']);
  assert.equal(dead.credentialLease, 'lease of s1', 'the session registry sees to it');
  assert.deepEqual([open.state, open.sealed], ['active', false]);
  assert.deepEqual(await peers.codes(), ['recording.recovered s1']);
});

test('the next run of a data folder ends the sessions of the last before it begins', async (t) => {
  const peers = await Peers.open(t);
  const first = await peers.peer('a', 'folder');
  await peers.session('s1', first);
  const other = await peers.peer('b');
  await peers.session('s2', other);
  const second = await peers.peer('a', 'folder');
  await second.recovery.endEarlier('folder');
  assert.equal((await peers.row('s1')).state, 'ended');
  assert.equal((await peers.row('s2')).state, 'active');
  await peers.turn(second);
  assert.equal((await peers.row('s1')).recoveredBy, 'a');
  assert.equal((await peers.verify('s1')).ok, true);
});
