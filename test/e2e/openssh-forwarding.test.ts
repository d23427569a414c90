/** Forwarding of OpenSSH's client: local, remote, dynamic, sockets, agent and X11. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { EventKind } from '../../recorder/index.ts';
import { type Bed, DIRECT, ssh, startBed, userKey } from '../support/bed.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { startAgent } from '../support/peers.ts';
import { type Daemon, freePort, run, startDaemon, until } from '../support/process.ts';
import { newestEvents, said } from '../support/recording.ts';
import { startDisplay } from '../support/x11.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
let bed: Bed;
let echoPort: number;
const servers: Server[] = [];
const clients: Daemon[] = [];

/** A server on loopback that greets first and returns what it gets, then its end. */
async function listen(greeting: string, handle?: (socket: Socket) => void): Promise<[Server, number]> {
  const port = await freePort();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.write(greeting);
    if (handle === undefined) socket.pipe(socket);
    else handle(socket);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  servers.push(server);
  return [server, port];
}

before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  [bed, [, echoPort]] = await Promise.all([startBed(), listen('hello\n')]);
});
after(async () => {
  for (const client of clients) await client.stop();
  for (const server of servers) server.close();
  await bed?.stop();
});

/** Starts `ssh -N` with options and waits until `port` takes connections. */
async function tunnel(options: readonly string[], port: number): Promise<Daemon> {
  const args = [
    '-F',
    bed.door.sshConfig,
    '-N',
    '-o',
    'LogLevel=INFO',
    '-o',
    'ExitOnForwardFailure=yes',
    ...options,
    'target',
  ];
  const client = startDaemon('ssh', args, { env: bed.door.env });
  clients.push(client);
  await until(`the tunnel ${options.join(' ')}: ${client.output()}`, async () => {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
    return open ? true : undefined;
  });
  return client;
}

/** Sends `data` and its end to a port (or socket path); resolves with everything that comes back. */
function exchange(to: number | string, data: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = typeof to === 'number' ? connect(to, '127.0.0.1') : connect(to);
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('end', () => resolve(Buffer.concat(chunks)));
    socket.end(data);
  });
}

function digest(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

async function assertEchoes(to: number | string): Promise<void> {
  const data = randomBytes(300_000);
  assert.equal(digest(await exchange(to, data)), digest(Buffer.concat([Buffer.from('hello\n'), data])));
}

/** Ends the client and finds the connections that carried so much in its recording: where from, where to, how many. */
async function assertRecorded(
  client: Daemon,
  opened: { type: string; openedBy: 'client' | 'target'; destination: string },
  bytes: { fromClient: number; fromTarget: number },
  count: number,
): Promise<void> {
  await client.stop();
  if (DIRECT) return;
  const events = await newestEvents(bed.gateway);
  const closed = events.filter(({ kind }) => kind === EventKind.channelClose);
  // Others carried less: `tunnel` looks whether the port takes connections.
  const carried = closed.filter((event) => isDeepStrictEqual(said(event), bytes));
  assert.equal(carried.length, count, JSON.stringify(closed.map(said)));
  for (const { channel } of carried) {
    const [open, ...more] = events.filter(
      (event) => event.kind === EventKind.channelOpen && event.channel === channel,
    );
    assert.ok(open !== undefined && more.length === 0);
    const { originator, ...rest } = said(open);
    assert.deepEqual(rest, opened);
    assert.match(String(originator), /^127\.0\.0\.1:[1-9]\d*$/);
  }
}

testWith(NEEDS, 'ssh -L carries data, half-close and a server that speaks first', async () => {
  const port = await freePort();
  const client = await tunnel(['-L', `127.0.0.1:${port}:127.0.0.1:${echoPort}`], port);
  await assertEchoes(port);
  await Promise.all(Array.from({ length: 20 }, () => assertEchoes(port)));
  const opened = { type: 'direct-tcpip', openedBy: 'client', destination: `127.0.0.1:${echoPort}` } as const;
  await assertRecorded(client, opened, { fromClient: 300_000, fromTarget: 300_006 }, 21);
});

testWith(NEEDS, 'ssh -L carries twenty megabytes', async () => {
  const port = await freePort();
  await tunnel(['-L', `127.0.0.1:${port}:127.0.0.1:${echoPort}`], port);
  const data = randomBytes(20 * 1024 * 1024);
  assert.equal(digest(await exchange(port, data)), digest(Buffer.concat([Buffer.from('hello\n'), data])));
});

testWith(NEEDS, 'ssh -L to a port where nobody listens closes that connection only', async () => {
  const [port, dead] = [await freePort(), await freePort()];
  const client = await tunnel(['-L', `127.0.0.1:${port}:127.0.0.1:${dead}`], port);
  const answer = await exchange(port, Buffer.from('x')).catch(() => Buffer.alloc(0));
  assert.equal(answer.length, 0);
  await until('the client says why', () =>
    /open failed: connect failed/.test(client.output()) ? true : undefined,
  );
  const still = await Promise.race([
    client.exited,
    new Promise((resolve) => setTimeout(resolve, 200, 'running')),
  ]);
  assert.equal(still, 'running');
});

testWith(NEEDS, 'ssh -L reaches a socket file on the target', async () => {
  const path = join(bed.sshd.account.home, 'echo.sock');
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.write('hello\n');
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen({ path, writableAll: true }, resolve));
  servers.push(server);
  const port = await freePort();
  await tunnel(['-L', `127.0.0.1:${port}:${path}`], port);
  await assertEchoes(port);
});

testWith(NEEDS, 'ssh -R lets the target reach a server at the client', async () => {
  const port = await freePort();
  const client = await tunnel(['-R', `127.0.0.1:${port}:127.0.0.1:${echoPort}`], port);
  await assertEchoes(port);
  await Promise.all(Array.from({ length: 10 }, () => assertEchoes(port)));
  const opened = { type: 'forwarded-tcpip', openedBy: 'target', destination: `127.0.0.1:${port}` } as const;
  await assertRecorded(client, opened, { fromClient: 300_006, fromTarget: 300_000 }, 11);
});

testWith(NEEDS, 'ssh -R with port 0 says which port the target chose', async () => {
  const client = startDaemon(
    'ssh',
    [
      '-F',
      bed.door.sshConfig,
      '-N',
      '-o',
      'LogLevel=INFO',
      '-R',
      `127.0.0.1:0:127.0.0.1:${echoPort}`,
      'target',
    ],
    { env: bed.door.env },
  );
  clients.push(client);
  const port = await until('the allocated port', () => /Allocated port (\d+) for/.exec(client.output())?.[1]);
  await assertEchoes(Number(port));
});

testWith(NEEDS, 'ssh -R of a taken port is refused to the client', async () => {
  const result = await ssh(bed.door, [
    ...['-N', '-o', 'ExitOnForwardFailure=yes', '-R', `127.0.0.1:${echoPort}:127.0.0.1:1`, 'target'],
  ]);
  assert.equal(result.code, 255);
  assert.match(result.stderr, /remote port forwarding failed for listen port/);
});

testWith(NEEDS, 'a remote forward ends when the client cancels it', async () => {
  const port = await freePort();
  const socket = join(bed.folder, 'mux');
  const client = await tunnel(['-M', '-S', socket, '-R', `127.0.0.1:${port}:127.0.0.1:${echoPort}`], port);
  const spec = `127.0.0.1:${port}:127.0.0.1:${echoPort}`;
  const cancel = await run('ssh', [
    '-F',
    bed.door.sshConfig,
    '-S',
    socket,
    '-O',
    'cancel',
    '-R',
    spec,
    'target',
  ]);
  assert.equal(cancel.code, 0, cancel.stderr);
  await until('nobody listens any more', () =>
    exchange(port, Buffer.alloc(0)).then(
      () => undefined,
      () => true,
    ),
  );
  await client.stop();
});

testWith([...NEEDS, 'netcat-openbsd'], 'ssh -D is a SOCKS proxy at the target', async () => {
  const port = await freePort();
  const client = await tunnel(['-D', `127.0.0.1:${port}`], port);
  const result = await run(
    '/bin/nc.openbsd',
    [...['-X', '5', '-x', `127.0.0.1:${port}`, '-N', '127.0.0.1', String(echoPort)]],
    { input: 'through socks' },
  );
  assert.equal(result.text, 'hello\nthrough socks');
  const opened = { type: 'direct-tcpip', openedBy: 'client', destination: `127.0.0.1:${echoPort}` } as const;
  await assertRecorded(client, opened, { fromClient: 13, fromTarget: 19 }, 1);
});

testWith(NEEDS, 'ssh -W gives a jump through the target', async () => {
  const result = await ssh(bed.door, ['-W', `127.0.0.1:${echoPort}`, 'target'], { input: 'jump' });
  assert.equal(result.text, 'hello\njump');
});

testWith(NEEDS, 'ssh -A lets the session use the keys of the client', async () => {
  const key = await userKey(bed.folder, 'agent-key');
  const agent = await startAgent(key.file);
  const env = { SSH_AUTH_SOCK: agent.socket };
  const listed = await ssh(bed.door, ['-A', 'target', 'ssh-add -l'], { env });
  assert.match(listed.text, new RegExp(`${agent.fingerprint.replaceAll('+', '\\+')} `), listed.stderr);
  // A signature needs several round trips with the agent.
  const signed = await ssh(
    bed.door,
    ['-A', 'target', 'ssh-add -L > key.pub && echo text | ssh-keygen -Y sign -n file -f key.pub'],
    { env },
  );
  assert.match(signed.text, /BEGIN SSH SIGNATURE/, signed.stderr);
  const without = await ssh(bed.door, ['target', 'ssh-add -l'], { env });
  assert.equal(without.code, 2);
  await agent.stop();
});

testWith(
  [...NEEDS, 'xauth', 'xvfb', 'x11-utils'],
  'ssh -X shows programs on the display of the client',
  async () => {
    const display = await startDisplay();
    const env = { DISPLAY: display.name, XAUTHORITY: display.authority };
    const local = await run('xdpyinfo', [], { env });
    const dimensions = (text: string): string | undefined => /dimensions: .*/.exec(text)?.[0];
    for (const option of ['-X', '-Y']) {
      const remote = await ssh(bed.door, [option, 'target', 'echo "$DISPLAY"; xdpyinfo; echo "code $?"'], {
        env,
      });
      assert.match(remote.text, /^localhost:\d+\.0\n/, remote.stderr);
      assert.match(remote.text, /code 0\n$/, remote.stderr);
      assert.equal(dimensions(remote.text), dimensions(local.text));
      assert.ok(dimensions(local.text));
    }
    const several = await ssh(
      bed.door,
      ['-X', 'target', 'for i in 1 2 3 4; do xdpyinfo > x$i & done; wait; cat x?'],
      { env },
    );
    assert.equal(several.text.match(/dimensions:/g)?.length, 4);
    await display.stop();
  },
);

testWith(NEEDS, 'forwarded connections die with the client', async () => {
  let ended = 0;
  const [, port] = await listen('hi', (socket) => {
    socket.resume();
    socket.on('close', () => {
      ended += 1;
    });
    socket.on('end', () => socket.end());
  });
  const local = await freePort();
  const client = await tunnel(['-L', `127.0.0.1:${local}:127.0.0.1:${port}`], local);
  const before = ended;
  const socket = connect(local, '127.0.0.1');
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('data', resolve));
  client.kill('SIGKILL');
  await until('the far end is closed', () => (ended > before ? true : undefined));
  socket.destroy();
});
