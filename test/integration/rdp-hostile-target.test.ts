/** Targets that never become desktops, at a real gateway: each refuses, fails or stalls in its own way. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { TLSSocket } from 'node:tls';
import { withTpkt } from '../../gateway/rdp/pdu/tpkt.ts';
import { encodeConnectionConfirm, FailureCode, Protocol } from '../../gateway/rdp/pdu/x224.ts';
import type { EndCode } from '../../workers/messages.ts';
import { assertUndisturbed, Evidence } from '../support/evidence.ts';
import { type FaultyTarget, startTcpTarget } from '../support/faulty-targets.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { freePort, until } from '../support/process.ts';
import { type DesktopTarget, openDesktop, startDesktop } from '../support/rdp-actors.ts';
import { sessionOf, TLS, TLS_FINGERPRINT } from '../unit/rdp/legs.ts';

const TIMEOUT_SECONDS = 4;
const PASSWORD = 'Correct-horse-7';

/** What a real server sent up to its desktop, for a client without channels: the first PDU is before TLS. */
const HANDSHAKE = (() => {
  const { messages, demand } = sessionOf('xrdp-16');
  const server = messages.slice(0, demand).filter(({ from }) => from === 'server');
  const [confirm, response, attach, join, ...rest] = server.map(({ bytes }) => bytes);
  const licensing = rest.slice(-2);
  return [confirm, response, attach, join, join, ...licensing].map((pdu) => pdu ?? assert.fail());
})();

const confirming = (negotiation: Parameters<typeof encodeConnectionConfirm>[1]) => (socket: Socket) => {
  socket.once('data', () => socket.write(withTpkt((writer) => encodeConnectionConfirm(writer, negotiation))));
};

async function secured(socket: Socket): Promise<TLSSocket> {
  const tls = new TLSSocket(socket, { isServer: true, secureContext: TLS });
  tls.on('error', () => {});
  tls.resume();
  await once(tls, 'secure');
  return tls;
}

/** Goes so many PDUs into the handshake and no further. */
function stallsAfter(pdus: number): (socket: Socket) => void {
  return (socket) => {
    const play = async (): Promise<void> => {
      await once(socket, 'data');
      socket.pause();
      const [confirm = assert.fail(), ...rest] = HANDSHAKE.slice(0, pdus);
      socket.write(confirm);
      if (rest.length === 0) return;
      const tls = await secured(socket);
      for (const pdu of rest) tls.write(pdu);
    };
    play().catch(() => {});
  };
}

/** Says nothing once there is TLS: with NLA it should challenge, without it should answer Connect Initial. */
const stallsBehindTls =
  (selectedProtocol: number) =>
  (socket: Socket): void => {
    const negotiation = { kind: 'selected', flags: 0, selectedProtocol } as const;
    const play = async (): Promise<void> => {
      await once(socket, 'data');
      socket.pause();
      socket.write(withTpkt((writer) => encodeConnectionConfirm(writer, { negotiation })));
      await secured(socket);
    };
    play().catch(() => {});
  };

interface Faulty {
  readonly what: string;
  readonly serve?: (socket: Socket) => void;
  readonly code?: 'target-certificate';
  readonly words: RegExp;
}

const STALLED = new RegExp(`did not complete the RDP log-on within ${TIMEOUT_SECONDS} s`);
const FAULTY: readonly Faulty[] = [
  { what: 'that says nothing', serve: () => {}, words: STALLED },
  { what: 'that does not begin TLS', serve: stallsAfter(1), words: STALLED },
  {
    what: 'that does not answer network level authentication',
    serve: stallsBehindTls(Protocol.hybrid),
    words: STALLED,
  },
  { what: 'that answers no Connect Initial', serve: stallsBehindTls(Protocol.ssl), words: STALLED },
  ...HANDSHAKE.slice(1, -1).map((_, at) => ({
    what: `that stalls after ${at + 2} PDUs`,
    serve: stallsAfter(at + 2),
    words: STALLED,
  })),
  { what: 'that is down', words: /connection refused/ },
  { what: 'that closes at once', serve: (socket) => socket.destroy(), words: /closed the connection|reset/ },
  {
    what: 'that speaks another protocol',
    serve: (socket) => void socket.write('SSH-2.0-none\r\n'),
    words: /does not speak RDP|broke the protocol/,
  },
  {
    what: 'with Standard RDP Security alone',
    serve: confirming({}),
    words: /only Standard RDP Security/,
  },
  {
    what: 'that refuses TLS',
    serve: confirming({ negotiation: { kind: 'failed', failureCode: FailureCode.sslNotAllowedByServer } }),
    words: /only Standard RDP Security/,
  },
  { what: 'with another certificate', code: 'target-certificate', words: /not the pinned one/ },
];

let gateway: Gateway;
let evidence: Evidence;
let good: DesktopTarget;
const targets: FaultyTarget[] = [];

before(async () => {
  good = await startDesktop();
  const portOf = async ({ serve, code }: Faulty): Promise<number> => {
    if (code !== undefined) return good.port;
    if (serve === undefined) return await freePort();
    const target = await startTcpTarget(serve);
    targets.push(target);
    return target.port;
  };
  const systems = await Promise.all(
    FAULTY.map(async (faulty, n) => ({
      name: `faulty${n}`,
      port: await portOf(faulty),
      certificate: faulty.code === undefined ? TLS_FINGERPRINT : `sha256:${'0'.repeat(64)}`,
    })),
  );
  const all = [...systems, { name: 'good', port: good.port, certificate: TLS_FINGERPRINT }];
  gateway = await startGateway({
    config: { ssh: { connectTimeoutSeconds: TIMEOUT_SECONDS } },
    document: {
      users: [{ name: 'alice', password: PASSWORD, role: 'requester' }],
      systems: all.map((system) => ({ ...system, protocol: 'rdp', host: '127.0.0.1' })),
      accounts: all.map(({ name }) => ({ name: 'admin', system: name, password: 'leased' })),
      policies: [
        { name: 'all', users: ['alice'], accounts: ['*'], allow: ['desktop'], record: true, maxSessions: 40 },
      ],
    },
  });
  evidence = await Evidence.of(gateway);
});
after(async () => {
  await evidence?.close();
  await gateway?.stop();
  for (const target of targets) await target.stop();
  good?.stop();
});
afterEach(async () => {
  // A desktop opens as if nothing had happened.
  const client = await openDesktop(gateway.rdpPort, 'alice+admin+good', { password: PASSWORD });
  await client.activated();
  client.stream.destroy();
});

/** Opens it, and is told why it cannot be. */
async function failsIn(faulty: Faulty, system: string): Promise<void> {
  const { words } = faulty;
  const code: EndCode = faulty.code ?? 'target-unreachable';
  const client = await openDesktop(gateway.rdpPort, `alice+admin+${system}`, { password: PASSWORD });
  const ended = await until(
    `the session with ${system} is closed`,
    async () => (await evidence.sessions()).find((row) => row.system === system && row.state === 'ended'),
    60_000,
  );
  assert.equal(ended.endCode, code);
  assert.match(ended.endReason ?? '', words);
  const audit = code === 'target-certificate' ? 'target.certificate.changed' : 'target.unreachable';
  const event = await evidence.event(audit, ({ sessionId }) => sessionId === ended.id);
  assert.match(String(event.detail['reason']), words);
  // The words are on the screen: a desktop of the gateway's own, where nothing else is shown.
  await client.activated();
  client.stream.destroy();
}

for (const [n, faulty] of FAULTY.entries())
  if (faulty.words !== STALLED)
    test(`a target ${faulty.what}`, async () => {
      await failsIn(faulty, `faulty${n}`);
    });

test('targets that stall, wherever they do, are told of after the time to connect', async (t) => {
  const started = performance.now();
  const stalled = FAULTY.flatMap((faulty, n) => (faulty.words === STALLED ? [{ faulty, n }] : []));
  await Promise.all(stalled.map(({ faulty, n }) => failsIn(faulty, `faulty${n}`)));
  const seconds = (performance.now() - started) / 1000;
  t.diagnostic(`${stalled.map(({ faulty }) => faulty.what).join(', ')}: ${seconds.toFixed(1)} s`);
  assert.ok(stalled.length >= 8 && seconds > TIMEOUT_SECONDS * 0.9);
});

test('nothing of all this cost a worker, and none of it was an error of the gateway', async () => {
  assertUndisturbed(gateway);
});
