/** A leg over a real SSH connection on loopback. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import ssh2 from 'ssh2';
import { KeyExchangeAbandoned, Leg } from '../../../gateway/ssh/leg.ts';
import {
  DisconnectReason,
  encodeMessage,
  Message,
  readUint32,
} from '../../../gateway/ssh/wire/connection.ts';
import { until } from '../../support/process.ts';

const HOST_KEY = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
}).privateKey;

// As the front has it: an hour that passes at once is not to be taken for silence.
(ssh2.Server as unknown as { KEEPALIVE_CLIENT_INTERVAL: number }).KEEPALIVE_CLIENT_INTERVAL = 0;

interface Ends {
  readonly leg: Leg;
  readonly socket: Socket;
  /** The client's end. */
  readonly far: Leg;
  readonly peer: Socket;
  readonly client: ssh2.Client;
}

/** Both ends of a connection that has logged on. */
async function loggedOn(t: TestContext): Promise<Ends> {
  const server = new ssh2.Server({ hostKeys: [HOST_KEY] });
  const made = Promise.withResolvers<{ leg: Leg; socket: Socket }>();
  const listening = createServer((socket) => {
    server.once('connection', (connection) => {
      connection.on('authentication', (context) => context.accept());
      connection.on('ready', () => made.resolve({ leg: new Leg(connection, socket), socket }));
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
  const reached = new Promise<Leg>((resolve) => client.on('ready', () => resolve(new Leg(client, peer))));
  client.connect({ sock: peer, username: 'alice' });
  return { ...(await made.promise), far: await reached, peer, client };
}

/** The client begins a key exchange (RFC 4253 §9) and reads nothing more; resolves when the gateway knows it. */
async function exchangeLeft({ socket, far, client }: Ends): Promise<void> {
  far.pause(1);
  const { bytesRead } = socket;
  (client as unknown as { _protocol: { rekey(): void } })._protocol.rekey();
  await until('the gateway reads KEXINIT', () => (socket.bytesRead > bytesRead ? true : undefined));
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

test('what waits for a key exchange counts as congestion, and goes out behind it', {
  timeout: 30_000,
}, async (t) => {
  const ends = await loggedOn(t);
  const { leg, far, socket } = ends;
  let congested = false;
  leg.onCongestion = (now) => {
    congested = now;
  };
  const came: number[] = [];
  far.onMessage = (message) => came.push(readUint32(message, 1));
  await exchangeLeft(ends);
  const SENT = 60;
  for (let number = 0; number < SENT; number += 1) {
    assert.equal(congested, number > 32, `after ${number} times 32 KiB`);
    leg.send(encodeMessage(Message.channelData, number, Buffer.alloc(32 * 1024 - 9)));
  }
  assert.ok(socket.writableLength < 64 * 1024, 'none of it is in the socket');
  far.resume(1);
  await until('the others may go on', () => (congested ? undefined : true));
  await until('all has come', () => (came.length === SENT ? true : undefined));
  assert.deepEqual(came, [...Array(SENT).keys()]);
});

for (const [when, begin] of [
  ['', async ({ far }: Ends) => far.pause(1)],
  [' while keys are exchanged', exchangeLeft],
] as const)
  test(`who is answered and answered${when}, and does not read, is let go`, {
    timeout: 30_000,
  }, async (t) => {
    const ends = await loggedOn(t);
    const { leg, socket } = ends;
    await begin(ends);
    const closed = told(leg);
    const answer = encodeMessage(Message.channelData, 1, Buffer.alloc(32 * 1024 - 9));
    let [sent, most] = [0, 0];
    for (; !leg.closed && sent < 64 * 1024 ** 2; sent += answer.length) {
      leg.send(answer);
      most = Math.max(most, socket.writableLength);
      // The socket takes what a turn has sent at its end.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await closed;
    assert.ok(most < 17 * 1024 ** 2, `${most} bytes waited`);
  });

test('a key exchange in which nothing is said is given up', { timeout: 30_000 }, async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const ends = await loggedOn(t);
  const { leg, far } = ends;
  await exchangeLeft(ends);
  await new Promise((resolve) => setImmediate(resolve));
  t.mock.timers.tick(59_000);
  leg.pause(2);
  t.mock.timers.tick(600_000);
  leg.resume(2);
  t.mock.timers.tick(59_000);
  const ours = new Promise((resolve) => {
    leg.onClose = resolve;
  });
  const theirs = new Promise((resolve) => {
    far.onClose = resolve;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(leg.closed, false);
  t.mock.timers.tick(1_000);
  far.resume(1);
  assert.ok((await ours) instanceof KeyExchangeAbandoned);
  assert.equal(((await theirs) as Error & { code?: number }).code, DisconnectReason.keyExchangeFailed);
});

test('keys are exchanged anew each hour, and no message is lost meanwhile', {
  timeout: 30_000,
}, async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { leg, far, client } = await loggedOn(t);
  let exchanges = 0;
  client.on('handshake', () => {
    exchanges += 1;
  });
  const came: number[] = [];
  leg.onMessage = (message) => leg.send(message);
  far.onMessage = (message) => came.push(readUint32(message, 1));
  let sent = 0;
  const send = (): void => far.send(encodeMessage(Message.channelData, sent++, 'some data'));
  for (let hour = 1; hour <= 3; hour += 1) {
    send();
    t.mock.timers.tick(3_600_000);
    send();
    await until('the exchange', () => (exchanges >= hour ? true : undefined));
    send();
  }
  await until('all has come back', () => (came.length === sent ? true : undefined));
  assert.deepEqual(came, [...Array(sent).keys()]);
  assert.equal(exchanges, 3);
});
