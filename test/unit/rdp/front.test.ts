/** How long the front waits for those who do not log on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { RdpFront } from '../../../gateway/rdp/front.ts';
import type { ControlRequests } from '../../../workers/messages.ts';
import { CERTIFICATE, dialling, PRIVATE_KEY } from './legs.ts';

const GRACE_MS = 10_000;
/** What somebody at the logon screen has. */
const SCREEN_MS = 180_000;

interface Door {
  readonly port: number;
  readonly log: string[];
}

/** A front whose clock stands still until the test moves it. */
async function door(t: TestContext): Promise<Door> {
  const log: string[] = [];
  const front = new RdpFront({
    tls: { key: PRIVATE_KEY, certificate: CERTIFICATE },
    name: 'test-node',
    nla: 'auto',
    banner: '',
    loginGraceMs: GRACE_MS,
    // Nobody here says who they are.
    control: {} as ControlRequests,
    onAuthenticated: () => log.push('authenticated'),
    onDropped: (spoke) => log.push(spoke ? 'dropped at the screen' : 'dropped'),
    onConnectionClosed: () => log.push('closed'),
    onFault: (error) => log.push(`fault: ${String(error)}`),
  });
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    front.accept(socket, '10.0.0.1');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  return { port: (server.address() as AddressInfo).port, log };
}

/** Everything that is under way on loopback has arrived. */
async function quiet(): Promise<void> {
  for (let n = 0; n < 200; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('who connects and says nothing is let go after the grace', async (t) => {
  const { port, log } = await door(t);
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  await quiet();
  t.mock.timers.tick(GRACE_MS - 1);
  await quiet();
  assert.deepEqual(log, []);
  t.mock.timers.tick(1);
  await once(socket, 'close');
  await quiet();
  assert.deepEqual(log, ['dropped']);
});

test('who stands before the logon screen has three minutes, and no more', async (t) => {
  const { port, log } = await door(t);
  const { stream } = await dialling(port, { username: '', password: '' });
  const gone = Promise.withResolvers<void>();
  stream.onClose = () => gone.resolve();
  // The gateway's desktop comes, which this client never takes.
  await stream.next();
  t.mock.timers.tick(SCREEN_MS - 1);
  await quiet();
  assert.deepEqual(log, []);
  t.mock.timers.tick(1);
  await gone.promise;
  await quiet();
  assert.deepEqual(log.toSorted(), ['closed', 'dropped at the screen']);
});
