import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lease } from '../../../gateway/control/lease.ts';
import { session } from '../store/contract.ts';
import { LEASE_MS, Peers, SILENCE_MS } from './peers.ts';

test('a lease is held as long as it is renewed, however the clock on the wall is set', async (t) => {
  const peers = await Peers.open(t);
  const { lease } = await peers.peer('a');
  for (const wall of [0, 9e12, -1, 5e12]) {
    peers.time.wall = wall;
    peers.time.at += LEASE_MS - 1;
    assert.ok(lease.held);
    assert.ok(await lease.renew());
  }
  peers.time.at += LEASE_MS;
  assert.ok(!lease.held, 'not renewed in time');
  assert.ok(await lease.renew(), 'nobody took it for lost meanwhile');
  assert.ok(lease.held);
});

test('each renewal tells how the node is, and when', async (t) => {
  const peers = await Peers.open(t);
  const options = peers.leaseOptions('a');
  let standing = 'starting';
  const lease = await Lease.take({ ...options, standing: () => standing });
  const told = async () => {
    const row = await peers.store.node(lease.run);
    return [row?.standing, row?.standingAt];
  };
  assert.deepEqual(await told(), ['starting', peers.time.wall]);
  standing = 'draining';
  peers.time.wall += 5_000;
  await lease.renew();
  assert.deepEqual(await told(), ['draining', peers.time.wall]);
});

test('a store out of reach renews nothing', async (t) => {
  const peers = await Peers.open(t);
  const { lease } = await peers.peer('a');
  await peers.store.close();
  peers.time.at += LEASE_MS - 1;
  await assert.rejects(lease.renew(), { code: 'closed' });
  assert.ok(lease.held);
  peers.time.at += 1;
  assert.ok(!lease.held);
});

test('a second process of the same name is refused while the first lives', async (t) => {
  const peers = await Peers.open(t);
  const first = await peers.peer('a');
  peers.time.onSleep = async () => void (await first.lease.renew());
  await assert.rejects(Lease.take(peers.leaseOptions('a')), {
    name: 'ConfigurationError',
    message:
      'node.name: node a is running already, with another data folder: stop it, or give this node another name',
  });
  assert.equal((await peers.store.nodes()).length, 1);
  await peers.peer('b');
});

test('a second process of the same name takes over once the first is silent, which then never renews again', async (t) => {
  const peers = await Peers.open(t);
  const first = await peers.peer('a');
  const from = peers.time.at;
  const second = await peers.peer('a');
  assert.ok(peers.time.at - from >= SILENCE_MS, `${peers.time.at - from}`);
  assert.notEqual(second.lease.run, first.lease.run);
  assert.equal(await first.lease.renew(), false);
  assert.ok(!first.lease.held);
  assert.ok(second.lease.held);
  assert.deepEqual(
    (await peers.store.nodes()).map(({ id, state }) => [id, state]),
    [
      [second.lease.run, 'running'],
      [first.lease.run, 'lost'],
    ],
  );
});

test('who holds the same data folder knows that the last run is gone, and waits for nothing', async (t) => {
  const peers = await Peers.open(t);
  await peers.peer('a', 'folder');
  const from = peers.time.at;
  await peers.peer('a', 'folder');
  assert.equal(peers.time.at, from);
});

test('of processes that start at once under one name one gets the lease', async (t) => {
  const peers = await Peers.open(t);
  const starts = ['x', 'y', 'z'].map((home) => Lease.take(peers.leaseOptions('a', home)));
  peers.time.onSleep = async () => {
    // The one that has it renews.
    const [running] = await peers.store.nodes();
    if (running !== undefined)
      await peers.store.updateNode(running.id, {}, { renewals: running.renewals + 1 });
  };
  const results = await Promise.allSettled(starts);
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
});

test('a node that stops gives its lease up, with what is left for its peers', async (t) => {
  const peers = await Peers.open(t);
  const [clean, busy] = [await peers.peer('a'), await peers.peer('b')];
  await peers.store.insertSession(session('s1', { run: busy.lease.run, state: 'ended' }));
  for (const { lease } of [clean, busy]) {
    await lease.giveUp();
    assert.ok(!lease.held);
    assert.equal(await lease.renew(), false);
  }
  assert.deepEqual(
    (await peers.store.nodes()).map(({ name, state }) => [name, state]),
    [['b', 'lost']],
  );
});
