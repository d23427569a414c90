/** RDP connections that never become sessions, at a real gateway. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { Reader } from '../../gateway/rdp/pdu/cursor.ts';
import { encodeSendDataRequest } from '../../gateway/rdp/pdu/mcs-data.ts';
import { withTpkt } from '../../gateway/rdp/pdu/tpkt.ts';
import { decodeConnectionConfirm, FailureCode, withData } from '../../gateway/rdp/pdu/x224.ts';
import { assertUndisturbed, Evidence } from '../support/evidence.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { until } from '../support/process.ts';
import {
  type DesktopClient,
  type DesktopTarget,
  openDesktop,
  paints,
  startDesktop,
} from '../support/rdp-actors.ts';
import { dialling, sessionOf, TLS_FINGERPRINT } from '../unit/rdp/legs.ts';

const GRACE_SECONDS = 3;
const PASSWORD = 'Correct-horse-7';
let gateway: Gateway;
let evidence: Evidence;
let target: DesktopTarget;
/** Opened before all this, and used after it. */
let other: DesktopClient;

before(async () => {
  target = await startDesktop();
  const system = { name: 'good', protocol: 'rdp', host: '127.0.0.1', port: target.port };
  gateway = await startGateway({
    config: { ssh: { loginGraceSeconds: GRACE_SECONDS } },
    document: {
      users: [{ name: 'alice', password: PASSWORD, role: 'requester' }],
      systems: [{ ...system, certificate: TLS_FINGERPRINT }],
      accounts: [{ name: 'admin', system: 'good', password: 'leased' }],
      policies: [{ name: 'all', users: ['alice'], accounts: ['*'], allow: ['desktop'], record: true }],
    },
  });
  evidence = await Evidence.of(gateway);
  other = await openDesktop(gateway.rdpPort, 'alice+admin+good', { password: PASSWORD });
  await other.activated();
});
after(async () => {
  await evidence?.close();
  await gateway?.stop();
  target?.stop();
});
afterEach(stillServes);

/** A desktop opens as if nothing had happened. */
async function stillServes(): Promise<void> {
  const client = await openDesktop(gateway.rdpPort, 'alice+admin+good', { password: PASSWORD });
  await client.activated();
  client.stream.destroy();
}

interface Caller {
  readonly socket: Socket;
  heard(): Buffer;
  /** Resolves with how many ms the connection lasted. */
  readonly ended: Promise<number>;
}

function call(): Caller {
  const socket = connect(gateway.rdpPort, gateway.host);
  const started = performance.now();
  let bytes = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
  });
  socket.on('error', () => {});
  const ended = once(socket, 'close').then(() => performance.now() - started);
  return { socket, heard: () => bytes, ended };
}

/** The client's side of a captured handshake before Client Info: X.224, Connect Initial, domain PDUs. */
const HANDSHAKE = (() => {
  const { messages, demand } = sessionOf('xrdp-16');
  const client = messages.slice(0, demand).filter(({ from }) => from === 'client');
  const info = client.findIndex(({ bytes }) => bytes[7] === 25 << 2);
  return client.slice(0, info).map(({ bytes }) => bytes);
})();

/** Goes on over TLS once the gateway has confirmed. */
async function secured({ socket, heard }: Caller): Promise<TLSSocket> {
  await until('the confirm', () => (heard().length > 0 ? true : undefined));
  socket.removeAllListeners('data');
  const tls = connectTls({ socket, rejectUnauthorized: false });
  tls.on('error', () => {});
  tls.resume();
  await once(tls, 'secureConnect');
  return tls;
}

/** Goes so many PDUs into the handshake and no further; resolves with ms until the gateway let go. */
async function stall(steps: number): Promise<number> {
  const caller = call();
  const [request, ...rest] = HANDSHAKE;
  if (steps === 0) caller.socket.write((request ?? assert.fail()).subarray(0, 7));
  else caller.socket.write(request ?? assert.fail());
  if (steps < 2) return caller.ended;
  if (steps === 2) {
    await until('the confirm', () => (caller.heard().length > 0 ? true : undefined));
    // A handshake record that announces a ClientHello and holds a little of it.
    caller.socket.write(Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3));
    return caller.ended;
  }
  const tls = await secured(caller);
  for (const pdu of rest.slice(0, steps - 3)) tls.write(pdu);
  return caller.ended;
}

test('who stalls at any stage of the handshake is let go after the grace, and is no failed log-on', async (t) => {
  const stages = Array.from({ length: HANDSHAKE.length + 3 }, (_, n) => n);
  const silent = call();
  const lasted = await Promise.all([silent.ended, ...stages.map(stall)]);
  t.diagnostic(`let go after ${lasted.map((ms) => Math.round(ms)).join(', ')} ms of ${GRACE_SECONDS} s`);
  for (const [stage, ms] of lasted.entries()) assert.ok(ms > GRACE_SECONDS * 900, `stage ${stage}: ${ms} ms`);
  assert.deepEqual(await evidence.audit('user.login.failed'), []);
});

test('garbage instead of X.224, and a preconnection PDU without end, end the connection at once', async () => {
  const endless = Buffer.alloc(1024 ** 2, 'x');
  endless.writeUInt32LE(0x00ff_ffff);
  for (const garbage of [
    Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    Buffer.alloc(64),
    Buffer.from([3, 0, 0xff]),
    Buffer.from([3, 0, 0, 8, 2, 0xf0, 0x80, 0]),
    endless,
  ]) {
    const caller = call();
    caller.socket.write(garbage);
    // A TPKT that is cut waits for its rest.
    if (garbage.length === 3) caller.socket.end();
    const ms = await caller.ended;
    assert.ok(ms < GRACE_SECONDS * 900, `${garbage.subarray(0, 8).toString('hex')}: ${ms} ms`);
  }
});

test('a client that offers only Standard RDP Security is told that TLS is required', async () => {
  const caller = call();
  // A connection request without RDP_NEG_REQ.
  caller.socket.write(withTpkt((writer) => writer.u8(6).u8(0xe0).u16be(0).u16be(0).u8(0)));
  await caller.ended;
  assert.deepEqual(decodeConnectionConfirm(new Reader(new Uint8Array(caller.heard()), 4)), {
    negotiation: { kind: 'failed', failureCode: FailureCode.sslRequiredByServer },
  });
});

test('a user name of a mebibyte, and one of all that a PDU holds, are refused without being kept', async () => {
  const before = (await evidence.audit()).length;
  const { stream } = await dialling(gateway.rdpPort, { username: 'x'.repeat(14_000), password: 'wrong' });
  stream.destroy();
  await until('it is written down', async () =>
    (await evidence.audit()).length > before ? true : undefined,
  );
  const longest = Math.max(...(await evidence.audit()).map((row) => JSON.stringify(row).length));
  assert.ok(longest < 16_000, `an audit row of ${longest} characters`);

  // Client Info whose cbUserName tells of what no PDU holds, and the name behind it.
  const caller = call();
  caller.socket.write(HANDSHAKE[0] ?? assert.fail());
  const tls = await secured(caller);
  for (const pdu of HANDSHAKE.slice(1)) tls.write(pdu);
  const info = Buffer.alloc(22);
  info.writeUInt16LE(0x0040);
  info.writeUInt32LE(0x10, 8);
  info.writeUInt16LE(0xfffe, 14);
  tls.write(withData((pdu) => encodeSendDataRequest(pdu, { initiator: 1007, channelId: 1003, data: info })));
  tls.write(Buffer.alloc(1024 ** 2, 'x'));
  const started = performance.now();
  await Promise.race([once(tls, 'close'), caller.ended]);
  const ended = performance.now() - started;
  assert.ok(ended < GRACE_SECONDS * 900, `${ended} ms`);
});

test('a desktop that was open all the time works on', async () => {
  const [session = assert.fail()] = target.sessions;
  const [typed, shown] = [session.received.length, other.received.length];
  other.press();
  await until('the key arrives', () => (session.received.length > typed ? true : undefined));
  session.stream.send(paints(0xffffff));
  await until('the picture arrives', () => (other.received.length > shown ? true : undefined));
  other.stream.destroy();
});

test('nothing of all this cost a worker, and none of it was an error of the gateway', async () => {
  assertUndisturbed(gateway);
});
