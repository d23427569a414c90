/** The hybrid key exchange that ssh2 has of its patch; with clients and servers of others it is OpenSSH's own default. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { after, before, test } from 'node:test';
import ssh2 from 'ssh2';
import { BACK_ALGORITHMS, FRONT_ALGORITHMS } from '../../../gateway/ssh/algorithms.ts';
import { Leg } from '../../../gateway/ssh/leg.ts';
import { plainPacket } from '../../../gateway/ssh/turn-away.ts';
import { encodeMessage, Message } from '../../../gateway/ssh/wire/connection.ts';
import { kexInit } from '../../support/ssh-packet.ts';

const IDENTIFICATION = Buffer.from('SSH-2.0-test\r\n');
const HYBRID = 'mlkem768x25519-sha256';
const hostKey = ssh2.utils.generateKeyPairSync('ed25519').private;
const server = new ssh2.Server({ hostKeys: [hostKey], algorithms: FRONT_ALGORITHMS }, (connection) => {
  connection.on('authentication', (context) => context.accept());
  connection.on('error', (error) => errors.push(error.message));
});
const errors: string[] = [];
const port = (): number => (server.address() as AddressInfo).port;

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
after(() => void server.close());

test('both legs exchange keys that quantum computers do not break, where the other side can', async () => {
  const client = new ssh2.Client();
  const agreed = once(client, 'handshake');
  const ready = once(client, 'ready');
  client.connect({ host: '127.0.0.1', port: port(), username: 'any', algorithms: BACK_ALGORITHMS });
  const [{ kex }] = (await agreed) as [{ kex: string }];
  assert.equal(kex, HYBRID);
  await ready;
  client.end();
});

test('a packet that grows beyond any packet when it is inflated ends the connection', async () => {
  errors.length = 0;
  const socket = connect(port(), '127.0.0.1');
  const client = new ssh2.Client();
  const ready = Promise.withResolvers<Leg>();
  client.on('ready', () => ready.resolve(new Leg(client, socket)));
  const algorithms = { ...BACK_ALGORITHMS, compress: ['zlib@openssh.com'] } as ssh2.Algorithms;
  client.connect({ sock: socket, username: 'any', algorithms });
  const leg = await ready.promise;
  const closed = once(client, 'close');
  // What fits passes: its answer comes back.
  const answered = new Promise<void>((resolve) => {
    leg.onMessage = () => resolve();
  });
  leg.send(encodeMessage(Message.ignore, 'x'.repeat(200_000)));
  leg.send(encodeMessage(Message.globalRequest, 'anything', true));
  await answered;
  assert.deepEqual(errors, []);
  leg.send(encodeMessage(Message.ignore, 'x'.repeat(1_000_000)));
  await closed;
  assert.match(errors.join(), /Output length exceeded maximum/);
});

for (const [what, key] of [
  ['nothing', Buffer.alloc(0)],
  ['a byte too few', Buffer.alloc(1215)],
  ['a byte too many', Buffer.alloc(1217)],
  // FIPS 203 §7.2: coefficients are below 3329.
  ['an encapsulation key out of range', Buffer.alloc(1216, 0xff)],
  // RFC 7748 §6.1: the shared secret would be known to all.
  ['a point of small order', Buffer.alloc(1216)],
] as const)
  test(`${what} for a public key ends the connection`, async () => {
    errors.length = 0;
    const socket = connect(port(), '127.0.0.1');
    const closed = once(socket, 'close');
    socket.resume();
    socket.write(
      Buffer.concat([IDENTIFICATION, plainPacket(kexInit(HYBRID)), plainPacket(encodeMessage(30, key))]),
    );
    await closed;
    assert.match(errors.join(), /Error while computing DH secret|malformed/i);
  });
