import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { hangUp } from '../../../gateway/listener/hang-up.ts';

/** Both ends of a connection; the peer reads nothing until it is told to. */
async function pair(t: TestContext): Promise<{ own: Socket; peer: Socket }> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const peer = connect({ port: address.port, host: '127.0.0.1', allowHalfOpen: true }).pause();
  const [own] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    peer.destroy();
    own.destroy();
    server.close();
  });
  return { own, peer };
}

test('the last words arrive, whatever the peer has sent, and nothing of the socket is held behind them', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { own, peer } = await pair(t);
  const destroy = t.mock.method(own, 'destroy');
  peer.write(Buffer.alloc(100_000));
  hangUp(own, Buffer.from('bye'));
  const heard: Buffer[] = [];
  peer.on('data', (chunk: Buffer) => heard.push(chunk));
  await once(peer.resume(), 'end');
  assert.equal(Buffer.concat(heard).toString(), 'bye');
  peer.end();
  await once(own, 'close');
  const calls = destroy.mock.callCount();
  t.mock.timers.tick(10_000);
  assert.equal(destroy.mock.callCount(), calls, 'its timer is gone');
});

test('a peer that neither reads nor leaves loses its socket after two seconds', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { own } = await pair(t);
  hangUp(own, Buffer.alloc(32 * 1024 ** 2));
  t.mock.timers.tick(1_999);
  assert.equal(own.destroyed, false);
  t.mock.timers.tick(1);
  assert.equal(own.destroyed, true);
});

test('a socket that is closed already is left alone', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { own } = await pair(t);
  own.destroy();
  await once(own, 'close');
  const destroy = t.mock.method(own, 'destroy');
  hangUp(own);
  t.mock.timers.tick(10_000);
  assert.equal(destroy.mock.callCount(), 0);
});
