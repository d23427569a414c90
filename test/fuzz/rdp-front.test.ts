/**
 * Hostile clients through the whole handshake of the front: X.224, TLS, CredSSP, GCC, joining
 * channels, log-on, and the gateway's own desktop behind it. The client is right until some stage
 * and wrong from then on. However it goes on, the gateway ends with one of the errors that its
 * driver knows, in time, and keeps nothing.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { CredSspClient } from '../../gateway/rdp/credssp/client.ts';
import { CredSspError } from '../../gateway/rdp/credssp/errors.ts';
import { ntlmHash, sessionBaseKeyOf } from '../../gateway/rdp/credssp/ntlm.ts';
import { subjectPublicKeyOf } from '../../gateway/rdp/credssp/public-key.ts';
import { tsRequestLength } from '../../gateway/rdp/credssp/ts-request.ts';
import { type AcceptedClient, acceptClient, RefusedClientError } from '../../gateway/rdp/front/accept.ts';
import { Desk } from '../../gateway/rdp/front/desk.ts';
import type { NlaOptions } from '../../gateway/rdp/front/nla.ts';
import { PduError, Writer } from '../../gateway/rdp/pdu/cursor.ts';
import { encodePreconnection } from '../../gateway/rdp/pdu/preconnection.ts';
import { withTpkt } from '../../gateway/rdp/pdu/tpkt.ts';
import { encodeConnectionRequest, Protocol } from '../../gateway/rdp/pdu/x224.ts';
import { PduStream, StreamClosedError } from '../../gateway/rdp/stream/stream.ts';
import { Secret } from '../../vault-client/index.ts';
import { pick } from '../support/random.ts';
import { type FuzzCase, type FuzzOutcome, fuzz, hostile, pieces } from '../support/rdp-fuzz.ts';
import { CERTIFICATE, sessionOf, TLS } from '../unit/rdp/legs.ts';

const PUBLIC_KEY = subjectPublicKeyOf(new X509Certificate(CERTIFICATE).raw);
const PASSWORD = 'Correct-horse-7';

interface Script {
  readonly request: Uint8Array;
  /** Behind TLS, up to and on the desktop. */
  readonly pdus: readonly Uint8Array[];
  /** The first of them that is sent to the desktop. */
  readonly desktop: number;
}

/** What real clients sent, from their first PDU on. */
const SCRIPTS: readonly Script[] = ['xrdp-16', 'rdesktop-xrdp-16', 'shadow-tls-16', 'xrdp-monitors'].map(
  (name) => {
    const { messages, demand } = sessionOf(name);
    const client = messages.slice(0, demand + 60).filter(({ from }) => from === 'client');
    const [request, ...pdus] = client.map(({ bytes }) => new Uint8Array(bytes));
    const desktop = messages.slice(0, demand).filter(({ from }) => from === 'client').length - 1;
    return { request: request ?? assert.fail(), pdus, desktop };
  },
);

function stageOf({ pdus, desktop }: Script, at: number): string {
  const pdu = pdus[at] ?? assert.fail();
  if (at >= desktop) return pdu[0] === 3 ? 'desktop' : 'input';
  if (at === 0) return 'connect initial';
  return at === desktop - 1 ? 'client info' : 'domain';
}

const preconnection = (() => {
  const writer = new Writer();
  encodePreconnection(writer, { id: 7, text: 'a text' });
  return writer.done();
})();

const NLA: NlaOptions = {
  wanted: async () => false,
  publicKey: PUBLIC_KEY,
  targetName: 'gateway.example',
  present: async (login, factor) => {
    assert.ok(factor.kind === 'ntlm');
    const sessionBaseKey = sessionBaseKeyOf(ntlmHash(PASSWORD), { ...factor, user: login });
    return sessionBaseKey === undefined
      ? { outcome: 'rejected', methods: [] }
      : { outcome: 'accepted', user: login, target: undefined, sessionBaseKey };
  },
};

/** Fields that were found wrong: how deep the damage reached. */
const blamed = new Set<string>();

/** Resolves to how the front's side of the connection ended. */
async function serve(stream: PduStream): Promise<string> {
  try {
    const client = await acceptClient(stream, { tls: TLS, nla: NLA });
    await useDesk(stream, client);
    return 'asked';
  } catch (error) {
    if (error instanceof PduError) {
      blamed.add(error.field);
      return 'broke the protocol';
    }
    if (error instanceof RefusedClientError) return 'refused';
    if (error instanceof StreamClosedError)
      return error.cause instanceof CredSspError ? 'failed in CredSSP' : 'left';
    throw error;
  } finally {
    stream.end();
  }
}

/** Asks until the client leaves, as the reception would. */
async function useDesk(stream: PduStream, client: AcceptedClient): Promise<void> {
  const desk = new Desk(stream, client, 'Read this first.');
  stream.onClose = () => desk.closed();
  for (;;) {
    await desk.ask({ kind: 'log-on', user: client.info.userName.slice(0, 20) });
  }
}

interface Called {
  readonly peer: Socket;
  /** How the front's side ended. */
  readonly served: Promise<string>;
}

const server = createServer({ noDelay: true });
after(() => server.close());

async function call(): Promise<Called> {
  if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening');
  const accepted = once(server, 'connection');
  const peer = connect((server.address() as AddressInfo).port, '127.0.0.1');
  peer.on('error', () => {});
  const [socket] = (await accepted) as [Socket];
  return { peer, served: serve(new PduStream(socket)) };
}

/** TLS once the gateway has confirmed; undefined: it did not. */
async function secured({ peer }: Called): Promise<TLSSocket | undefined> {
  const confirm = await Promise.race([once(peer, 'data'), once(peer, 'close')]);
  if (!(confirm[0] instanceof Buffer) || confirm[0][11] !== 2) return undefined;
  const tls = connectTls({ socket: peer, rejectUnauthorized: false });
  tls.on('error', () => {});
  await Promise.race([once(tls, 'secureConnect'), once(tls, 'close')]);
  return tls;
}

/** Sends and leaves, now or when all that answers it has come. */
async function say(input: FuzzCase, to: Duplex, bytes: readonly Uint8Array[]): Promise<void> {
  input.sent = bytes;
  for (const piece of pieces(input.random, bytes)) {
    if (to.destroyed) return;
    if (!to.write(piece)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
  }
}

async function plainStage(input: FuzzCase): Promise<FuzzOutcome> {
  const { random } = input;
  const called = await call();
  called.peer.resume();
  const script = pick(random, SCRIPTS);
  const withPreconnection = random(3) === 0;
  const right = withPreconnection ? [preconnection, script.request] : [script.request];
  const stage = random(right.length);
  await say(input, called.peer, hostile(random, right, stage));
  called.peer.end();
  const ending = await called.served;
  called.peer.destroy();
  return { stage: withPreconnection && stage === 0 ? 'preconnection' : 'x224 request', ending };
}

async function tlsStage(input: FuzzCase): Promise<FuzzOutcome> {
  const { random } = input;
  const called = await call();
  const script = pick(random, SCRIPTS);
  called.peer.write(script.request);
  const tls = (await secured(called)) ?? assert.fail('the request was right');
  tls.resume();
  const stage =
    random(3) === 0
      ? random(script.desktop)
      : pick(random, [0, script.desktop - 1, random(script.pdus.length)]);
  await say(input, tls, hostile(random, script.pdus, stage));
  if (random(2) === 0) await settle();
  tls.end();
  const ending = await called.served;
  called.peer.destroy();
  return { stage: stageOf(script, stage), ending };
}

/** Logs on with CredSSP, one of its messages or what comes behind it damaged. */
async function nlaStage(input: FuzzCase): Promise<FuzzOutcome> {
  const { random } = input;
  const called = await call();
  const early = random(2) === 0;
  const requestedProtocols = early ? Protocol.hybrid | Protocol.hybridEx : Protocol.hybrid;
  called.peer.write(
    withTpkt((writer) => encodeConnectionRequest(writer, { negotiation: { flags: 0, requestedProtocols } })),
  );
  const tls = (await secured(called)) ?? assert.fail('the request was right');
  const client = new CredSspClient({
    username: 'alice',
    domain: '',
    password: new Secret(random(8) === 0 ? 'wrong' : PASSWORD),
    publicKey: PUBLIC_KEY,
  });
  const stage = random(4);
  const script = pick(random, SCRIPTS);
  let answers = Buffer.alloc(0);
  tls.on('data', (chunk: Buffer) => {
    answers = Buffer.concat([answers, chunk]);
  });
  const answered = async (): Promise<Uint8Array | undefined> => {
    while (!tls.destroyed) {
      const length = tsRequestLength(answers);
      if (length !== undefined && length <= answers.length) {
        const one = new Uint8Array(answers.subarray(0, length));
        answers = answers.subarray(length);
        return one;
      }
      await Promise.race([once(tls, 'data'), once(tls, 'close')]);
    }
    return undefined;
  };
  const conversation = async (): Promise<void> => {
    let next = client.start();
    for (let round = 0; round < 3; round += 1) {
      if (round === stage) return say(input, tls, hostile(random, [next], 0));
      tls.write(next);
      if (round === 2) break;
      const answer = await answered();
      if (answer === undefined) return;
      next = client.receive(answer).send;
    }
    await say(input, tls, hostile(random, script.pdus, random(script.desktop)));
  };
  await conversation().catch((error: unknown) => {
    // The password was wrong.
    if (!(error instanceof CredSspError)) throw error;
  });
  tls.end();
  const ending = await called.served;
  called.peer.destroy();
  return {
    stage: ['nla negotiate', 'nla authenticate', 'nla credentials', 'behind nla'][stage] ?? '',
    ending,
  };
}

/** Everything that is to happen has. */
async function settle(): Promise<void> {
  for (let n = 0; n < 6; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('a hostile first PDU', async (t) => {
  const { stages, endings } = await fuzz(t, 300, plainStage);
  assert.ok(stages.size === 2 && (endings.get('broke the protocol') ?? 0) > 100);
});

test('a hostile client behind TLS', async (t) => {
  const { stages, endings } = await fuzz(t, 160, tlsStage);
  assert.equal(stages.size, 5, [...stages.keys()].join());
  for (const ending of ['broke the protocol', 'left']) assert.ok((endings.get(ending) ?? 0) > 20, ending);
  assert.ok(blamed.size > 15, [...blamed].join());
});

test('a hostile client in network level authentication', async (t) => {
  const { stages, endings } = await fuzz(t, 120, nlaStage);
  assert.equal(stages.size, 4, [...stages.keys()].join());
  for (const ending of ['failed in CredSSP', 'broke the protocol'])
    assert.ok((endings.get(ending) ?? 0) > 10, ending);
});
