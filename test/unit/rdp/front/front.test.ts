/** How long the front waits for those who do not log on. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { SessionFigures } from '../../../../gateway/metrics/session-figures.ts';
import { proveByNla } from '../../../../gateway/rdp/back/dial-identity.ts';
import { ntlmHash, sessionBaseKeyOf } from '../../../../gateway/rdp/credssp/ntlm.ts';
import { subjectPublicKeyOf } from '../../../../gateway/rdp/credssp/public-key.ts';
import { type AuthenticatedClient, RdpFront } from '../../../../gateway/rdp/front/front.ts';
import { Reception } from '../../../../gateway/rdp/front/reception.ts';
import { Reader } from '../../../../gateway/rdp/pdu/cursor.ts';
import { withTpkt } from '../../../../gateway/rdp/pdu/tpkt.ts';
import {
  decodeConnectionConfirm,
  encodeConnectionRequest,
  Protocol,
} from '../../../../gateway/rdp/pdu/x224.ts';
import { type RdpServices, runRdpSession } from '../../../../gateway/rdp/session.ts';
import { PduStream } from '../../../../gateway/rdp/stream/stream.ts';
import { dialTls } from '../../../../gateway/rdp/stream/tls.ts';
import type { ControlRequests, EndCode } from '../../../../workers/messages.ts';
import { until } from '../../../support/process.ts';
import { startDesktop } from '../../../support/rdp-actors.ts';
import {
  acceptedClient,
  CERTIFICATE,
  dialling,
  dialOptions,
  type Leg,
  leg,
  PRIVATE_KEY,
  realBlocks,
  settled,
} from '../legs.ts';

const PUBLIC_KEY = subjectPublicKeyOf(new X509Certificate(CERTIFICATE).raw);
const GRACE_MS = 10_000;
/** What somebody at the logon screen has. */
const SCREEN_MS = 180_000;

interface Door {
  readonly port: number;
  readonly log: string[];
  readonly inside: AuthenticatedClient[];
}

/** A front whose clock stands still until the test moves it, unless `clock` runs. */
async function door(
  t: TestContext,
  control: Partial<ControlRequests> = {},
  clock: 'stands' | 'runs' = 'stands',
): Promise<Door> {
  const log: string[] = [];
  const inside: AuthenticatedClient[] = [];
  const front = new RdpFront({
    tls: { key: PRIVATE_KEY, certificate: CERTIFICATE },
    name: 'test-node',
    nla: 'auto',
    banner: '',
    loginGraceMs: GRACE_MS,
    // Nobody says who they are where nothing else is given.
    control: control as ControlRequests,
    onAuthenticated: (client) => {
      log.push('authenticated');
      inside.push(client);
    },
    onDropped: (spoke) => log.push(spoke ? 'dropped, had spoken' : 'dropped'),
    onTurnedAway: (code, source) => log.push(`${code} to ${source}`),
    onNlaBroken: (_id, source, code) => log.push(`nla ${code} from ${source}`),
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
  if (clock === 'stands') t.mock.timers.enable({ apis: ['setTimeout'] });
  return { port: (server.address() as AddressInfo).port, log, inside };
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

for (const [what, bytes] of [
  ['half an X.224 request', Buffer.from('030000', 'hex')],
  [
    'an X.224 request and half a TLS handshake',
    Buffer.from('030000130ee000000000000100080001000000160301', 'hex'),
  ],
] as const)
  test(`who sends ${what} and leaves is no probe`, async (t) => {
    const { port, log } = await door(t);
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write(bytes);
    await quiet();
    socket.destroy();
    await quiet();
    assert.deepEqual(log, ['dropped, had spoken']);
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
  assert.deepEqual(log, ['dropped, had spoken']);
});

/** A client that claims the largest desktop there is. */
const HUGE = (() => {
  const blocks = realBlocks();
  return { ...blocks, core: { ...blocks.core, desktopWidth: 8192, desktopHeight: 8192 } };
})();

test('clients that claim huge desktops take what their logon screens take, and leave room for others', async (t) => {
  const { port, log } = await door(t);
  for (let count = 0; count < 5; count += 1) {
    const { stream } = await dialling(port, { username: '', password: '', blocks: HUGE });
    t.after(() => stream.destroy());
    // The gateway's desktop, or its end.
    await stream.next();
    await quiet();
  }
  assert.deepEqual(log, []);
});

test('who has logged on holds only so much on screens, until each is handed over or closed', async (t) => {
  const authenticate = async () => ({ outcome: 'accepted', user: 'alice', target: undefined }) as const;
  const { port, inside } = await door(t, { authenticate }, 'runs');
  /** Somebody else who is shown something; undefined: there was no room. */
  const another = async (): Promise<AuthenticatedClient | undefined> => {
    const before = inside.length;
    const { stream } = await dialling(port, { username: 'alice', password: 'Pa55', blocks: HUGE });
    t.after(() => stream.destroy());
    const client = await until('it is let in', () => inside[before]);
    try {
      client.reception.desk.show({ kind: 'waiting', text: '' });
      return client;
    } catch (error) {
      assert.match(String(error), /too many logon screens are open/);
      return undefined;
    }
  };
  const shown: AuthenticatedClient[] = [];
  for (let client = await another(); client !== undefined; client = await another()) {
    shown.push(client);
    assert.ok(shown.length < 64, 'each takes a mebibyte at least, of 64 for a source');
  }
  assert.ok(shown.length >= 16, `${shown.length} were shown something`);
  const [first = assert.fail(), second = assert.fail()] = shown;
  first.reception.handOver();
  assert.ok(await another());
  assert.equal(await another(), undefined);
  second.socket.destroy();
  await once(second.socket, 'close');
  assert.ok(await another());
});

/** Somebody who has logged on and is shown two targets; resolves when that is over. */
function choosing(): { readonly chooser: Leg; readonly over: Promise<void> } {
  const chooser = leg();
  const reception = new Reception(chooser.stream, acceptedClient(realBlocks(), []), '');
  const target = { account: 'admin', system: 'win01', protocol: 'rdp', policy: 'p', reasonRequired: false };
  const services = {
    control: { targets: async () => [target, { ...target, system: 'win02' }] },
    figures: new SessionFigures('rdp'),
    onFault: (error: unknown) => assert.fail(String(error)),
  } as unknown as RdpServices;
  const loggedOn = { user: 'alice', target: undefined };
  // Nothing of the socket is used but what the stream has of it.
  const socket = chooser.peer as unknown as Socket;
  const client = { id: 'c', socket, reception, loggedOn, source: '10.0.0.1', acceptedAt: 0 };
  const over = runRdpSession(client, services);
  return { chooser, over };
}

test('who has logged on and chooses no target has five minutes', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { chooser, over } = choosing();
  await settled();
  t.mock.timers.tick(300_000 - 1);
  await settled();
  assert.equal(chooser.stream.closed || chooser.peer.readableEnded, false);
  t.mock.timers.tick(1);
  await settled();
  assert.ok(chooser.peer.readableEnded);
  chooser.peer.end();
  await over;
});

test('who has logged on and breaks the protocol is let go, which is no error of the gateway', async () => {
  const { chooser, over } = choosing();
  await settled();
  chooser.peer.write(Buffer.alloc(8, 0x33));
  await over;
  await settled();
  assert.ok(chooser.peer.readableEnded);
});

test('who leaves while the control plane decides has no session for long', async (t) => {
  const target = await startDesktop();
  t.after(() => target.stop());
  const { authorization } = dialOptions(target.port);
  const [asked, granted] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const ends: EndCode[] = [];
  const client = leg();
  const services = {
    control: {
      authorise: async () => {
        asked.resolve();
        await granted.promise;
        return { granted: true, authorization };
      },
      checkOut: async () => ({ username: 'admin', password: 'leased' }),
      sessionStarted: async () => {},
      pin: async () => {},
      sessionEnded: async ({ code }: { code: EndCode }) => void ends.push(code),
    },
    connectTimeoutMs: 20_000,
    figures: new SessionFigures('rdp'),
    started: () => {},
    ended: () => {},
    onFault: (error: unknown) => assert.fail(String(error)),
  } as unknown as RdpServices;
  const over = runRdpSession(
    {
      id: 'c',
      socket: client.peer as unknown as Socket,
      reception: new Reception(client.stream, acceptedClient(realBlocks(), []), ''),
      loggedOn: { user: 'alice', target: { account: 'admin', system: 'win01' } },
      source: '10.0.0.1',
      acceptedAt: 0,
    },
    services,
  );
  await asked.promise;
  client.peer.end();
  await settled();
  granted.resolve();
  await over;
  assert.deepEqual(ends, ['client-closed']);
});

for (const [name, key, expected] of [
  ['the right key', PUBLIC_KEY, []],
  ['another key', PUBLIC_KEY.toReversed(), ['nla binding from 10.0.0.1']],
] as const)
  test(`who does NLA over ${name} ${expected.length === 0 ? 'gets in' : 'is told of, though the password was right'}`, async (t) => {
    const { port, log } = await door(t, {
      nlaKnows: async ({ name: said, source }) => said === 'alice' && source === '10.0.0.1',
      authenticate: async ({ login, factor }) => {
        assert.ok(factor.kind === 'ntlm');
        const sessionBaseKey = sessionBaseKeyOf(ntlmHash('Pa55'), { user: login, ...factor });
        assert.ok(sessionBaseKey);
        return { outcome: 'accepted', user: 'alice', target: undefined, sessionBaseKey };
      },
    });
    const stream = new PduStream(connect(port, '127.0.0.1'));
    const requestedProtocols = Protocol.ssl | Protocol.hybrid;
    stream.send(
      withTpkt((writer) =>
        encodeConnectionRequest(writer, { cookie: 'alice', negotiation: { flags: 0, requestedProtocols } }),
      ),
    );
    const { negotiation } = decodeConnectionConfirm(new Reader(await stream.next(), 4));
    assert.ok(negotiation?.kind === 'selected' && negotiation.selectedProtocol === Protocol.hybrid);
    await stream.secure((plain) => dialTls(plain, '127.0.0.1'));
    const credential = { username: 'alice', password: 'Pa55', privateKey: undefined, passphrase: undefined };
    const proved = proveByNla(stream, {
      credential,
      publicKey: key,
      certificateKnown: true,
      selected: Protocol.hybrid,
      approved: async () => {},
    });
    await (expected.length === 0 ? proved : assert.rejects(proved));
    await quiet();
    assert.deepEqual(
      log.filter((line) => line.startsWith('nla')),
      expected,
    );
    stream.destroy();
  });
