/** A leg over a real SSH connection on loopback. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import ssh2 from 'ssh2';
import { Leg } from '../../../gateway/ssh/leg.ts';

const HOST_KEY = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
}).privateKey;

/** The gateway's end of a connection that has logged on, and its client's socket. */
async function loggedOn(t: TestContext): Promise<{ leg: Leg; peer: Socket }> {
  const server = new ssh2.Server({ hostKeys: [HOST_KEY] });
  const made = Promise.withResolvers<Leg>();
  const listening = createServer((socket) => {
    server.once('connection', (connection) => {
      connection.on('authentication', (context) => context.accept());
      connection.on('ready', () => made.resolve(new Leg(connection, socket)));
    });
    server.injectSocket(socket);
  });
  await once(listening.listen(0, '127.0.0.1'), 'listening');
  const peer = connect((listening.address() as AddressInfo).port, '127.0.0.1');
  t.after(() => {
    peer.destroy();
    listening.close();
  });
  const client = new ssh2.Client();
  client.on('error', () => {});
  client.connect({ sock: peer, username: 'alice' });
  return { leg: await made.promise, peer };
}

/** Resolves when the leg tells that it has closed. */
const told = (leg: Leg): Promise<void> =>
  new Promise((resolve) => {
    leg.onClose = () => resolve();
  });

test('whoever attends to a leg that has closed is told so, once', { timeout: 30_000 }, async (t) => {
  const { leg, peer } = await loggedOn(t);
  const first = told(leg);
  peer.destroy();
  await first;
  assert.equal(leg.closed, true);
  await told(leg);
  let heard = 0;
  leg.onClose = () => assert.fail('it was replaced before it could be told');
  leg.onClose = () => {
    heard += 1;
  };
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(heard, 1);
});
