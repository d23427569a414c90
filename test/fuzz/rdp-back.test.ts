/**
 * Hostile targets through the whole handshake of the back: X.224, TLS, CredSSP, GCC, joining
 * channels, licensing. The target is right until some stage and wrong from then on. However it goes
 * on, the dial ends in time, with a session or with words about the target, and never with an error
 * of the gateway's own.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, test } from 'node:test';
import { TLSSocket } from 'node:tls';
import type { RedirectedDial } from '../../gateway/rdp/back/dial.ts';
import { LicenseRefusedError } from '../../gateway/rdp/back/license-client.ts';
import { CredSspError } from '../../gateway/rdp/credssp/errors.ts';
import { ntlmHash, sessionBaseKeyOf } from '../../gateway/rdp/credssp/ntlm.ts';
import { subjectPublicKeyOf } from '../../gateway/rdp/credssp/public-key.ts';
import { CredSspServer } from '../../gateway/rdp/credssp/server.ts';
import { tsRequestLength } from '../../gateway/rdp/credssp/ts-request.ts';
import type { StaticChannel } from '../../gateway/rdp/front/accept.ts';
import { PduError } from '../../gateway/rdp/pdu/cursor.ts';
import type { ClientGccBlocks } from '../../gateway/rdp/pdu/gcc-client.ts';
import { LicenseMessage } from '../../gateway/rdp/pdu/license.ts';
import { readSendData } from '../../gateway/rdp/pdu/mcs-data.ts';
import { withTpkt } from '../../gateway/rdp/pdu/tpkt.ts';
import { encodeConnectionConfirm, Protocol } from '../../gateway/rdp/pdu/x224.ts';
import { PduStream, StreamClosedError } from '../../gateway/rdp/stream/stream.ts';
import { acceptTls } from '../../gateway/rdp/stream/tls.ts';
import { TargetError } from '../../gateway/session/dial.ts';
import { issueLicense } from '../support/license-issuer.ts';
import { damaged, pick } from '../support/random.ts';
import { type FuzzCase, type FuzzOutcome, fuzz, hostile, pieces } from '../support/rdp-fuzz.ts';
import { CERTIFICATE, dialling, realBlocks, sessionOf, TLS, TLS_FINGERPRINT } from '../unit/rdp/legs.ts';

const PUBLIC_KEY = subjectPublicKeyOf(new X509Certificate(CERTIFICATE).raw);

interface Script {
  /** Of the client that the server spoke with. */
  readonly blocks: ClientGccBlocks;
  readonly channels: readonly StaticChannel[];
  readonly confirm: Uint8Array;
  /** Behind TLS, up to the first updates. */
  readonly pdus: readonly Uint8Array[];
  /** The first of them behind the joining of channels. */
  readonly licensing: number;
}

/** What real servers sent. */
const SCRIPTS: readonly Script[] = ['xrdp-16', 'shadow-tls-16', 'rdesktop-xrdp-16'].map((name) => {
  const { messages, demand } = sessionOf(name);
  const server = messages.slice(0, demand + 8).filter(({ from }) => from === 'server');
  const [confirm, ...pdus] = server.map(({ bytes }) => new Uint8Array(bytes));
  const blocks = realBlocks(name);
  const channels = (blocks.channels ?? []).map((channel, i) => ({ ...channel, id: 1004 + i }));
  // Connect Response, Attach User Confirm, and a confirm for each channel, the user's and the I/O channel.
  return { blocks, channels, confirm: confirm ?? assert.fail(), pdus, licensing: channels.length + 4 };
});

function stageOf({ licensing }: Script, at: number): string {
  if (at === 0) return 'connect response';
  return at < licensing ? 'domain' : 'licensing';
}

/** Fields that were found wrong: how deep the damage reached. */
const blamed = new Set<string>();

/** How a dial ended; throws where it was not the target's fault. */
function endingOf(error: unknown): string {
  assert.ok(error instanceof TargetError, String(error));
  const { cause } = error;
  const known =
    cause === undefined ||
    cause instanceof PduError ||
    cause instanceof StreamClosedError ||
    cause instanceof CredSspError ||
    cause instanceof LicenseRefusedError ||
    (cause instanceof Error && 'syscall' in cause);
  if (!known) throw new Error(`not the target's fault: ${error.message}`, { cause });
  // Words of people, not of programs.
  assert.ok(error.message.length < 400 && !/undefined|NaN|\[object/.test(error.message), error.message);
  if (cause instanceof PduError) blamed.add(cause.field);
  if (cause instanceof CredSspError) return 'failed in CredSSP';
  if (cause instanceof LicenseRefusedError) return 'not licensed';
  return cause instanceof PduError ? 'broke the protocol' : cause === undefined ? 'refused' : 'closed';
}

const server = createServer({ noDelay: true });
after(() => server.close());

/** Dials a target that is `serve`. */
async function dial(
  script: Script,
  serve: (socket: Socket) => Promise<void>,
  redirection?: RedirectedDial,
): Promise<string> {
  if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening');
  const accepted = once(server, 'connection');
  const { blocks, channels } = script;
  const { port } = server.address() as AddressInfo;
  const ending = dialling(port, {
    blocks,
    channels,
    identity: TLS_FINGERPRINT,
    timeoutMs: 60_000,
    ...(redirection && { redirection }),
  }).then(({ stream }) => {
    stream.destroy();
    return 'logged on';
  }, endingOf);
  const [socket] = (await accepted) as [Socket];
  socket.on('error', () => {});
  const served = serve(socket);
  try {
    return await ending;
  } finally {
    socket.destroy();
    await served;
  }
}

/** Sends, and leaves: now or when all that answers it has come. */
async function say(input: FuzzCase, to: Duplex, bytes: readonly Uint8Array[]): Promise<void> {
  input.sent = bytes;
  for (const piece of pieces(input.random, bytes)) {
    if (to.destroyed) return;
    if (!to.write(piece)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
  }
  to.end();
}

async function secured(socket: Socket): Promise<TLSSocket> {
  const tls = new TLSSocket(socket, { isServer: true, secureContext: TLS });
  tls.on('error', () => {});
  await Promise.race([once(tls, 'secure'), once(tls, 'close')]);
  return tls;
}

function confirming(selectedProtocol: number): Uint8Array {
  const negotiation = { kind: 'selected', flags: 0, selectedProtocol } as const;
  return withTpkt((writer) => encodeConnectionConfirm(writer, { negotiation }));
}

async function plainStage(input: FuzzCase): Promise<FuzzOutcome> {
  const script = pick(input.random, SCRIPTS);
  const ending = await dial(script, async (socket) => {
    await once(socket, 'data');
    socket.resume();
    await say(input, socket, hostile(input.random, [script.confirm], 0));
  });
  return { stage: 'x224 confirm', ending };
}

async function tlsStage(input: FuzzCase): Promise<FuzzOutcome> {
  const { random } = input;
  const script = pick(random, SCRIPTS);
  const stage = pick(random, [0, random(script.licensing), script.licensing + random(2)]);
  const ending = await dial(script, async (socket) => {
    await once(socket, 'data');
    socket.pause();
    socket.write(script.confirm);
    const tls = await secured(socket);
    tls.resume();
    await say(input, tls, hostile(random, script.pdus, stage));
  });
  return { stage: stageOf(script, stage), ending };
}

/** CredSSP as a server speaks it, one of its messages or what comes behind it damaged. */
async function nlaStage(input: FuzzCase): Promise<FuzzOutcome> {
  const { random } = input;
  const script = pick(random, SCRIPTS);
  const early = random(2) === 0;
  const stage = random(early ? 4 : 3);
  const ending = await dial(script, async (socket) => {
    await once(socket, 'data');
    socket.pause();
    socket.write(confirming(early ? Protocol.hybridEx : Protocol.hybrid));
    const tls = await secured(socket);
    await converse(input, tls, { stage, early, pdus: script.pdus });
  });
  return { stage: ['nla challenge', 'nla binding', 'behind nla', 'nla result'][stage] ?? '', ending };
}

async function converse(
  input: FuzzCase,
  tls: TLSSocket,
  { stage, early, pdus }: { stage: number; early: boolean; pdus: readonly Uint8Array[] },
): Promise<void> {
  const target = new CredSspServer({
    publicKey: PUBLIC_KEY,
    targetName: 'win01',
    verify: async (proof) => sessionBaseKeyOf(ntlmHash('leased'), proof),
  });
  let heard = Buffer.alloc(0);
  tls.on('data', (chunk: Buffer) => {
    heard = Buffer.concat([heard, chunk]);
  });
  for (let round = 0; round < 2; round += 1) {
    let length = tsRequestLength(heard);
    while (length === undefined || length > heard.length) {
      await Promise.race([once(tls, 'data'), once(tls, 'close')]);
      if (tls.destroyed) return;
      length = tsRequestLength(heard);
    }
    const { send } = await target.receive(new Uint8Array(heard.subarray(0, length)));
    heard = heard.subarray(length);
    if (round === stage) return say(input, tls, hostile(input.random, [send ?? assert.fail()], 0));
    tls.write(send ?? assert.fail());
  }
  const result = new Uint8Array(4);
  if (stage === 3) return say(input, tls, hostile(input.random, [result, ...pdus], 0));
  await say(input, tls, [...(early ? [result] : []), ...hostile(input.random, pdus, input.random(6))]);
}

/** What a broker gave to log on with where it sent the session on. */
const REDIRECTION: RedirectedDial = {
  sessionId: 7,
  routingToken: undefined,
  rdstls: {
    redirectionGuid: new Uint8Array(16),
    userName: 'admin',
    domain: 'CORP',
    password: new Uint8Array(64),
  },
};
/** 2.2.17.1 and 2.2.17.4: version 1 is spoken, the log-on is right. */
const RDSTLS = ['0100010001000100', '01000400010000000000'].map((hex) => Buffer.from(hex, 'hex'));

async function rdstlsStage(input: FuzzCase): Promise<FuzzOutcome> {
  const { random } = input;
  const script = pick(random, SCRIPTS);
  const stage = random(RDSTLS.length);
  const serve = async (socket: Socket): Promise<void> => {
    await once(socket, 'data');
    socket.pause();
    socket.write(confirming(Protocol.rdstls));
    const tls = await secured(socket);
    tls.resume();
    await say(input, tls, hostile(random, [...RDSTLS, ...script.pdus], stage));
  };
  return { stage: ['capabilities', 'response'][stage] ?? '', ending: await dial(script, serve, REDIRECTION) };
}

/** Made once: keys take longer than all the rest. */
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 512 });

/** Licensing with a target that issues licences, one of whose messages is damaged. */
async function licenceStage(input: FuzzCase): Promise<FuzzOutcome> {
  const { random } = input;
  const script = pick(random, SCRIPTS);
  const { licenseRequest, platformChallenge, newLicense } = LicenseMessage;
  const which = pick(random, [licenseRequest, platformChallenge, newLicense]);
  const ending = await dial(script, async (socket) => {
    const stream = new PduStream(socket);
    const tamper = (message: Buffer, type: number): Buffer => {
      if (type !== which) return message;
      const wrong = Buffer.from(damaged(random, message));
      // Its length still holds: else nothing behind it would be looked at.
      if (wrong.length > 3 && random(4) > 0) wrong.writeUInt16LE(wrong.length, 2);
      input.sent = [wrong];
      return wrong;
    };
    const play = async (): Promise<void> => {
      await stream.next();
      stream.send(script.confirm);
      await stream.secure((plain) => acceptTls(plain, TLS));
      for (const pdu of script.pdus.slice(0, script.licensing)) stream.send(pdu);
      while (readSendData(await stream.next()) === undefined);
      await issueLicense(stream, { privateKey, tamper, upgrade: random(2) === 0 });
    };
    // Where the gateway gives up, the issuer waits in vain.
    await play().catch(() => {});
    stream.end();
  });
  return { stage: `licensing message ${which}`, ending };
}

test('a hostile answer to the first PDU', async (t) => {
  const { endings } = await fuzz(t, 160, plainStage);
  assert.ok((endings.get('broke the protocol') ?? 0) > 40);
});

test('a hostile target behind TLS', async (t) => {
  const { stages, endings } = await fuzz(t, 160, tlsStage);
  assert.equal(stages.size, 3, [...stages.keys()].join());
  for (const ending of ['broke the protocol', 'closed', 'logged on'])
    assert.ok((endings.get(ending) ?? 0) > 10, ending);
  assert.ok(blamed.size > 15, [...blamed].join());
});

test('a hostile target in network level authentication', async (t) => {
  const { stages, endings } = await fuzz(t, 120, nlaStage);
  assert.equal(stages.size, 4, [...stages.keys()].join());
  for (const ending of ['failed in CredSSP', 'broke the protocol'])
    assert.ok((endings.get(ending) ?? 0) > 10, ending);
});

test('a hostile target that a session was sent on to', async (t) => {
  const { stages, endings } = await fuzz(t, 80, rdstlsStage);
  assert.equal(stages.size, 2);
  assert.ok((endings.get('broke the protocol') ?? 0) > 10);
});

test('a hostile target that issues licences', async (t) => {
  const { stages, endings } = await fuzz(t, 120, licenceStage);
  assert.equal(stages.size, 3, [...stages.keys()].join());
  for (const ending of ['broke the protocol', 'not licensed'])
    assert.ok((endings.get(ending) ?? 0) > 10, ending);
});
