/** Connections that never become log-ons: silence, garbage, half a handshake, messages out of all bounds. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { connect, type Socket } from 'node:net';
import { after, before } from 'node:test';
import { type Bed, startBed } from '../support/bed.ts';
import { Evidence, stillServes } from '../support/evidence.ts';
import { obstacle, testWith } from '../support/packages.ts';
import { run, until } from '../support/process.ts';

const NEEDS = ['openssh-server', 'openssh-client'] as const;
const GRACE_SECONDS = 4;
let bed: Bed;
let evidence: Evidence;
before(async () => {
  if (obstacle(NEEDS) !== undefined) return;
  bed = await startBed({ config: { ssh: { loginGraceSeconds: GRACE_SECONDS } } });
  evidence = await Evidence.of(bed.gateway);
});
after(async () => {
  await evidence?.close();
  await bed?.stop();
});

interface Caller {
  readonly socket: Socket;
  /** What the gateway said. */
  heard(): string;
  /** Resolves with how many ms the connection lasted. */
  readonly ended: Promise<number>;
}

function call(): Caller {
  const socket = connect(bed.gateway.sshPort, bed.gateway.host);
  const started = performance.now();
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  const ended = new Promise<number>((resolve) =>
    socket.on('close', () => resolve(performance.now() - started)),
  );
  return { socket, heard: () => text, ended };
}

/** Resident memory of the gateway, bytes. */
async function memory(): Promise<number> {
  const result = await run('ps', ['-o', 'rss=', '-p', String(bed.gateway.pid)]);
  return Number(result.text) * 1024;
}

/** Sends without end until the gateway hangs up; resolves with how much it took. */
async function pour(caller: Caller, chunk: Buffer): Promise<number> {
  let over = false;
  void caller.ended.then(() => {
    over = true;
  });
  while (!over) {
    if (!caller.socket.write(chunk))
      await new Promise<void>((resolve) => {
        caller.socket.once('drain', resolve);
        caller.socket.once('close', () => resolve());
      });
    else await new Promise((resolve) => setImmediate(resolve));
  }
  return caller.socket.bytesWritten;
}

testWith(
  NEEDS,
  'who connects and says nothing is let go after the grace, and is no failed log-on',
  async (t) => {
    const silent = [call(), call(), call()];
    const lasted = await Promise.all(silent.map((caller) => caller.ended));
    t.diagnostic(`ended after ${lasted.map((ms) => Math.round(ms)).join(', ')} ms of ${GRACE_SECONDS} s`);
    for (const ms of lasted) assert.ok(ms > GRACE_SECONDS * 900, `${ms} ms`);
    assert.match(silent[0]?.heard() ?? '', /^SSH-2\.0-Sallyport\r\n/);
    assert.equal((await evidence.audit('user.login.failed')).length, 0);
    await stillServes(bed);
  },
);

testWith(NEEDS, 'garbage before the banner ends the connection', async () => {
  for (const garbage of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', '\0\0\0\0\0\0\0\0\r\n', 'SSH-1.5-old\r\n']) {
    const caller = call();
    caller.socket.write(garbage);
    assert.ok((await caller.ended) < GRACE_SECONDS * 900, garbage);
  }
  await stillServes(bed);
});

testWith(NEEDS, 'an endless banner line is cut off, not kept', async (t) => {
  const before = await memory();
  const taken = await pour(call(), Buffer.alloc(65_536, 'x'));
  const many = await pour(call(), Buffer.from('not a banner\r\n'.repeat(4_000)));
  const grown = (await memory()) - before;
  t.diagnostic(`took ${taken} bytes of one line, ${many} of many lines; memory grew by ${grown}`);
  assert.ok(taken < 32 * 1024 ** 2 && many < 32 * 1024 ** 2);
  assert.ok(grown < 128 * 1024 ** 2);
  await stillServes(bed);
});

testWith(NEEDS, 'half a handshake and then silence is let go after the grace', async () => {
  const caller = call();
  caller.socket.write('SSH-2.0-half\r\n');
  await until('the key exchange offer', () => (caller.heard().includes('curve25519') ? true : undefined));
  // A packet of 1,008 bytes of which only the beginning ever comes.
  caller.socket.write(Buffer.from([0, 0, 3, 0xec, 10, 20, 1, 2, 3]));
  const ms = await caller.ended;
  assert.ok(ms > GRACE_SECONDS * 900, `${ms} ms`);
  await stillServes(bed);
});

/** ssh2 keeps to itself what a peer may only send that means harm. */
interface Protocol {
  readonly _packetRW: {
    readonly write: {
      readonly allocStart: number;
      alloc(size: number): Buffer;
      finalize(packet: Buffer): Buffer;
    };
  };
  rekey(): void;
}

/** Comes as far as the log-on, and does `harm` there instead. @returns how many ms until it was hung up on */
async function insteadOfLoggingOn(harm: (protocol: Protocol) => void): Promise<number> {
  const { default: ssh2 } = await import('ssh2');
  const client = new ssh2.Client();
  const { _protocol: own } = await new Promise<{ _protocol: Protocol }>((resolve, reject) => {
    client.on('error', reject);
    client.connect({
      host: bed.gateway.host,
      port: bed.gateway.sshPort,
      username: 'alice',
      authHandler: () => resolve(client as unknown as { _protocol: Protocol }),
    });
  });
  const started = performance.now();
  client.on('error', () => {});
  const closed = new Promise<void>((resolve) => client.on('close', () => resolve()));
  harm(own);
  await closed;
  return performance.now() - started;
}

testWith(NEEDS, 'who sends more than a log-on takes is hung up on', async () => {
  const { sendPacket } = createRequire(import.meta.url)('ssh2/lib/protocol/utils.js') as {
    sendPacket(protocol: Protocol, packet: Buffer): void;
  };
  const ms = await insteadOfLoggingOn((protocol) => {
    const { write } = protocol._packetRW;
    for (let sent = 0; sent < 300; sent += 1) {
      // SSH_MSG_IGNORE of 1,000 bytes (RFC 4253 §11.2), which may be sent at any time.
      const packet = write.alloc(1_005);
      packet[write.allocStart] = 2;
      packet.writeUInt32BE(1_000, write.allocStart + 1);
      sendPacket(protocol, write.finalize(packet));
    }
  });
  assert.ok(ms < GRACE_SECONDS * 900, `${ms} ms`);
  await stillServes(bed);
});

testWith(NEEDS, 'a second key exchange before the log-on ends the connection', async () => {
  const ms = await insteadOfLoggingOn((protocol) => protocol.rekey());
  assert.ok(ms < GRACE_SECONDS * 900, `${ms} ms`);
  await stillServes(bed);
});

testWith(NEEDS, 'a packet beyond every bound ends the connection at once', async () => {
  for (const length of [0xffff_ffff, 0x7fff_ffff, 1024 ** 2, 0]) {
    const caller = call();
    caller.socket.write('SSH-2.0-huge\r\n');
    const packet = Buffer.alloc(64);
    packet.writeUInt32BE(length);
    caller.socket.write(packet);
    assert.ok((await caller.ended) < GRACE_SECONDS * 900, `length ${length}`);
  }
  await stillServes(bed);
});

testWith(NEEDS, 'a user name of a mebibyte is refused without being kept', async (t) => {
  const { default: ssh2 } = await import('ssh2');
  for (const [size, words] of [
    [1024 ** 2, /./],
    // Fits a packet, but is no name.
    [30_000, /authentication methods failed/],
  ] as const) {
    const error = await new Promise<Error>((resolve) => {
      const client = new ssh2.Client();
      client.on('error', resolve);
      client.on('close', () => resolve(new Error('closed')));
      client.connect({
        host: bed.gateway.host,
        port: bed.gateway.sshPort,
        username: 'x'.repeat(size),
        password: 'wrong',
      });
    });
    t.diagnostic(`${size} bytes: ${error.message}`);
    assert.match(error.message, words);
  }
  const longest = Math.max(...(await evidence.audit()).map((row) => JSON.stringify(row).length));
  assert.ok(longest < 2_000, `an audit row of ${longest} characters`);
  await stillServes(bed);
});

testWith(NEEDS, 'a hundred connections that say nothing leave room for one that does', async () => {
  const crowd = Array.from({ length: 100 }, call);
  await until('all are connected', () => (crowd.every((one) => one.heard() !== '') ? true : undefined));
  await stillServes(bed);
  for (const one of crowd) one.socket.destroy();
});

testWith(NEEDS, 'nothing of all this cost a worker', () => {
  assert.ok(!/worker (failed|is replaced|is blocked)/.test(bed.gateway.log()), bed.gateway.log());
  return Promise.resolve();
});
