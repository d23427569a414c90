import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Listener } from '../../../gateway/listener/listener.ts';
import { withSharedRead } from '../../../gateway/listener/shared-read.ts';
import { until } from '../../support/process.ts';

interface Arrived {
  readonly socket: Socket;
  readonly source: string;
}

async function listen(t: TestContext, proxyFrom: readonly string[] = []) {
  const arrived: Arrived[] = [];
  const turnedAway: string[] = [];
  const probes = { count: 0 };
  const waiting: ((arrival: Arrived) => void)[] = [];
  const listener = new Listener({
    host: '127.0.0.1',
    port: 0,
    proxyFrom,
    wrap: withSharedRead,
    onConnection: (socket, source) => {
      arrived.push({ socket, source });
      waiting.shift()?.({ socket, source });
    },
    onProbe: () => void probes.count++,
    onTurnedAway: (reason) => turnedAway.push(reason),
  });
  const port = await listener.listen();
  const clients: Socket[] = [];
  t.after(() => {
    listener.close();
    for (const { socket } of arrived) socket.destroy();
    for (const client of clients) client.destroy();
  });
  const dial = (): Socket => {
    const client = connect(port, '127.0.0.1');
    client.on('error', () => {});
    client.resume();
    clients.push(client);
    return client;
  };
  const next = (): Promise<Arrived> => new Promise((resolve) => waiting.push(resolve));
  return { listener, arrived, turnedAway, probes, dial, next };
}

test('a connection comes with its peer as source and untouched bytes', async (t) => {
  const { dial, next } = await listen(t);
  const coming = next();
  const client = dial();
  client.write('PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n');
  const { socket, source } = await coming;
  assert.equal(source, '127.0.0.1', 'who is not trusted cannot say who it is');
  const [bytes] = await once(socket, 'data');
  assert.equal(String(bytes), 'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n');
});

test('a trusted balancer names the client, and what follows its header is kept, however it is cut', async (t) => {
  const { dial, next } = await listen(t, ['127.0.0.0/8']);
  const bytes = Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 56324 4422\r\nSSH-2.0-x\r\n');
  for (const cut of [1, 10, 46, 48, bytes.length]) {
    const coming = next();
    const client = dial();
    client.setNoDelay(true);
    client.write(bytes.subarray(0, cut));
    await new Promise((resolve) => setTimeout(resolve, 5));
    client.write(bytes.subarray(cut));
    const { socket, source } = await coming;
    assert.equal(source, '192.0.2.7');
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.resume();
    while (text.length < 11) await once(socket, 'data');
    assert.equal(text, 'SSH-2.0-x\r\n', `cut at ${cut}`);
  }
});

test('a trusted balancer that sends no valid header is turned away', async (t) => {
  const { arrived, turnedAway, dial } = await listen(t, ['127.0.0.1/32']);
  const client = dial();
  client.write('SSH-2.0-client\r\n');
  await once(client, 'close');
  assert.deepEqual(turnedAway, ['proxy-header']);
  assert.equal(arrived.length, 0);
});

test('a trusted balancer that leaves without a word has probed', async (t) => {
  const { arrived, turnedAway, probes, dial } = await listen(t, ['127.0.0.1/32']);
  dial().end();
  await until('the probe is counted', () => (probes.count === 1 ? true : undefined));
  const half = dial();
  half.end('PROXY TCP4');
  await once(half, 'close');
  dial().end();
  await until('another one is counted', () => (probes.count === 2 ? true : undefined));
  assert.deepEqual([turnedAway, arrived], [[], []]);
});

test('connections that have not logged on are bounded per source, and a log-on makes room', async (t) => {
  const { listener, arrived, turnedAway, dial, next } = await listen(t);
  for (let count = 0; count < 200; count += 1) {
    const coming = next();
    dial();
    await coming;
  }
  assert.equal(listener.connections, 200);
  const refused = dial();
  await once(refused, 'close');
  assert.deepEqual(turnedAway, ['source-limit']);
  const first = arrived[0];
  assert.ok(first !== undefined);
  listener.settled(first.socket);
  listener.settled(first.socket);
  const coming = next();
  dial();
  assert.equal((await coming).source, '127.0.0.1');
  const alsoRefused = dial();
  await once(alsoRefused, 'close');
  assert.equal(turnedAway.length, 2, 'one log-on makes room for one connection');
});

test('who has logged on and has no session yet is bounded apart: 200 of a source, and the door stays open', async (t) => {
  const { listener, turnedAway, dial, next } = await listen(t);
  const enter = async (): Promise<{ socket: Socket; refused: string | undefined }> => {
    const coming = next();
    dial();
    const { socket, source } = await coming;
    return { socket, refused: listener.loggedOn(socket, source) };
  };
  const inside: Socket[] = [];
  for (let count = 0; count < 200; count += 1) {
    const { socket, refused } = await enter();
    assert.equal(refused, undefined, `connection ${count}`);
    inside.push(socket);
  }
  assert.equal((await enter()).refused, 'source-limit');
  assert.deepEqual(turnedAway, ['source-limit']);
  // One gets its session, another leaves.
  const [first = assert.fail(), second = assert.fail()] = inside;
  listener.settled(first);
  second.destroy();
  await once(second, 'close');
  assert.equal((await enter()).refused, undefined);
  assert.equal((await enter()).refused, undefined);
  assert.equal((await enter()).refused, 'source-limit');
});
