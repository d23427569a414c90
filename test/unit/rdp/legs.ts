/** The two legs of a relayed session in memory, with captured connections to send over them. */
import assert from 'node:assert/strict';
import { hash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import type { TestContext } from 'node:test';
import { createSecureContext } from 'node:tls';
import { openCertificate, type TlsCertificate } from '../../../gateway/bootstrap/keys.ts';
import {
  type DialedTarget,
  type DialOptions,
  dialDesktop,
  type RedirectedDial,
} from '../../../gateway/rdp/back/dial.ts';
import type { ChannelEvent, RdpChannelPolicy, Side } from '../../../gateway/rdp/channels/policy.ts';
import { type AcceptedClient, IO_CHANNEL, type StaticChannel } from '../../../gateway/rdp/front/accept.ts';
import { Reader, Writer } from '../../../gateway/rdp/pdu/cursor.ts';
import { decodeConferenceCreateRequest } from '../../../gateway/rdp/pdu/gcc.ts';
import { type ClientGccBlocks, decodeClientBlocks } from '../../../gateway/rdp/pdu/gcc-client.ts';
import type { InputEvent } from '../../../gateway/rdp/pdu/input.ts';
import { decodeConnectInitial } from '../../../gateway/rdp/pdu/mcs.ts';
import {
  encodeSendDataIndication,
  encodeSendDataRequest,
  readSendData,
} from '../../../gateway/rdp/pdu/mcs-data.ts';
import { encodeShareData, readShareControl, ShareType } from '../../../gateway/rdp/pdu/share.ts';
import { framePdu } from '../../../gateway/rdp/pdu/tpkt.ts';
import { dataReader, withData } from '../../../gateway/rdp/pdu/x224.ts';
import { DesktopRecord } from '../../../gateway/rdp/relay/record.ts';
import { DesktopRelay } from '../../../gateway/rdp/relay/relay.ts';
import { PduStream } from '../../../gateway/rdp/stream/stream.ts';
import { Secret } from '../../../vault-client/index.ts';
import { AUTHORIZATION } from '../../support/authorization.ts';
import { loadTrace, type TraceMessage } from '../../support/rdp-traces.ts';
import { temporaryFolder } from '../../support/temp.ts';
import { connections } from './pdu/connections.ts';

/** Numbers of the target's leg, all other than the front's. */
export const TARGET_USER = 1099;
export const TARGET_IO = 1050;
export const TARGET_CLIPBOARD = 1051;
export const CLIPBOARD = { name: 'cliprdr', options: 0xc0a0_0000, id: IO_CHANNEL + 1 };
export const SHARE_ID = 0x0001_03ea;

/** Nothing but clipboard text, both ways. */
export const TEXT_ONLY: RdpChannelPolicy = {
  clipboard: { toTarget: 'text', fromTarget: 'text' },
  drives: false,
  printers: false,
  smartCards: false,
  ports: false,
  audioOutput: false,
  audioInput: false,
  displayControl: true,
  staticChannels: [],
  dynamicChannels: [],
};

/** One end of a leg that the relay holds, and what arrives at the peer's. */
export interface Leg {
  readonly stream: PduStream;
  readonly peer: Duplex;
  /** Whole PDUs that the peer has got so far. */
  received(): Uint8Array[];
}

export function leg(): Leg {
  const [near, peer] = duplexPair();
  // What a stream of PDUs needs of a socket, any duplex has.
  const stream = new PduStream(near as unknown as Socket);
  const chunks: Buffer[] = [];
  peer.on('data', (chunk: Buffer) => chunks.push(chunk));
  peer.on('error', () => {});
  return { stream, peer, received: () => split(Buffer.concat(chunks)) };
}

export function split(bytes: Uint8Array): Uint8Array[] {
  const pdus: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = framePdu(bytes, at, bytes.length)?.length;
    assert.ok(length !== undefined && at + length <= bytes.length, 'half a PDU was sent');
    pdus.push(new Uint8Array(bytes.subarray(at, at + length)));
    at += length;
  }
  return pdus;
}

/** Until everything that was written has arrived everywhere. */
export async function settled(): Promise<void> {
  for (let n = 0; n < 8; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** What happened to the relay, in words. */
export interface Relayed {
  readonly front: Leg;
  readonly back: Leg;
  readonly relay: DesktopRelay;
  readonly log: string[];
  readonly input: InputEvent[];
  readonly told: readonly ChannelEvent[];
  readonly drawn: { readonly fast: Uint8Array[]; readonly slow: [number, Uint8Array][] };
}

/** Keeps what the relay shows to the recorder. */
class Spy extends DesktopRecord {
  readonly input_: InputEvent[] = [];
  readonly told: ChannelEvent[] = [];
  readonly fast: Uint8Array[] = [];
  readonly slow: [number, Uint8Array][] = [];

  constructor() {
    super({
      sessionId: 's',
      recording: undefined,
      keystrokes: false,
      maskKeystrokes: false,
      keyboardLayout: 0x409,
    });
  }
  override input(event: InputEvent): void {
    this.input_.push(event);
  }
  override channel(event: ChannelEvent): void {
    this.told.push(event);
  }
  override fastPath(updates: Uint8Array): void {
    this.fast.push(new Uint8Array(updates));
  }
  override slowPath(data: Uint8Array): void {
    this.slow.push([data[0] ?? 0, new Uint8Array(data.subarray(4))]);
  }
}

/** The blocks of a real client. */
export function realBlocks(name = 'xrdp-16'): ClientGccBlocks {
  const initial = connections().find((each) => each.name === name)?.connect[2];
  assert.ok(initial);
  const { userData } = decodeConnectInitial(dataReader(initial));
  return decodeClientBlocks(decodeConferenceCreateRequest(new Reader(userData)));
}

export function relayed({
  blocks = realBlocks(),
  first,
}: {
  blocks?: ClientGccBlocks;
  first?: Uint8Array;
} = {}): Relayed {
  const [front, back] = [leg(), leg()];
  const record = new Spy();
  const log: string[] = [];
  const relay = new DesktopRelay({
    front: front.stream,
    client: {
      cookie: undefined,
      requestedProtocols: 1,
      blocks,
      userId: IO_CHANNEL + 2,
      channels: [CLIPBOARD],
      info: { codePage: 0, flags: 0, domain: '', userName: 'alice', alternateShell: '', workingDir: '' },
      password: new Secret(''),
      nla: undefined,
    },
    target: {
      stream: back.stream,
      userId: TARGET_USER,
      ioChannel: TARGET_IO,
      channels: new Map([[CLIPBOARD.name, TARGET_CLIPBOARD]]),
      first,
    },
    channels: [CLIPBOARD],
    policy: TEXT_ONLY,
    record,
    onRefusal: (request) => log.push(`refused ${request}`),
    onGoodbye: (side) => log.push(`${side} left`),
    onRedirection: ({ sessionId }) => log.push(`sent on to session ${sessionId}`),
    onProtocolError: (side, error) => log.push(`${side} broke: ${error.message}`),
    onFault: (error) => log.push(`fault: ${String(error)}`),
  });
  relay.start();
  return { front, back, relay, log, input: record.input_, told: record.told, drawn: record };
}

/** As the peers of the two legs send them. */
export function fromTarget(channelId: number, data: Uint8Array, initiator = 1002): Uint8Array {
  return withData((pdu) => encodeSendDataIndication(pdu, { initiator, channelId, data }));
}
export function fromClient(channelId: number, data: Uint8Array, initiator = IO_CHANNEL + 2): Uint8Array {
  return withData((pdu) => encodeSendDataRequest(pdu, { initiator, channelId, data }));
}

/** A share data PDU, uncompressed. */
export function shareData(type: number, source: number, body: Uint8Array = new Uint8Array(8)): Uint8Array {
  const writer = new Writer();
  encodeShareData(writer, { type, source, shareId: SHARE_ID }, (out) => out.bytes(body));
  return writer.done();
}

/** The other side of a relay. */
export function across({ front, back }: Relayed, from: Side): Uint8Array[] {
  return (from === 'client' ? back : front).received();
}

/** Of a captured connection all messages, and where among them the first Demand Active stands. */
export function sessionOf(name: string): { messages: TraceMessage[]; demand: number } {
  const messages = loadTrace(name);
  const demand = messages.findIndex(
    ({ from, bytes }) => from === 'server' && shareTypeOf(bytes) === ShareType.demandActive,
  );
  assert.ok(demand >= 0, `${name} has no Demand Active`);
  return { messages, demand };
}

/** The share PDUs with which a captured session is activated, without the layers below them. */
export function realActivation(name: string): { demand: Uint8Array; confirm: Uint8Array } {
  const { messages, demand } = sessionOf(name);
  const found = messages
    .slice(demand)
    .find(({ from, bytes }) => from === 'client' && shareTypeOf(bytes) === ShareType.confirmActive);
  const payload = (pdu: Uint8Array): Uint8Array =>
    new Uint8Array(pdu.subarray(readSendData(pdu)?.dataOffset ?? 0));
  return {
    demand: payload(messages[demand]?.bytes ?? assert.fail()),
    confirm: payload(found?.bytes ?? assert.fail()),
  };
}

/** Of a PDU on the I/O channel; undefined for another, and for what comes before activation. */
function shareTypeOf(pdu: Uint8Array): number | undefined {
  const data = pdu[0] === 3 && (pdu[7] ?? 0) >= 0x64 ? readSendData(pdu) : undefined;
  if (data?.channelId !== IO_CHANNEL) return undefined;
  const [low, high] = pdu.subarray(data.dataOffset);
  if (((low ?? 0) | ((high ?? 0) << 8)) !== data.dataLength) return undefined;
  return readShareControl(pdu, data.dataOffset).type;
}

/** Of nobody: made for these tests. */
const KEY_PAIR = await makeCertificate();
/** PEM. */
export const { certificate: CERTIFICATE, key: PRIVATE_KEY } = KEY_PAIR;
export const TLS = createSecureContext({ key: KEY_PAIR.key, cert: KEY_PAIR.certificate });
export const TLS_FINGERPRINT = `sha256:${hash('sha256', new X509Certificate(KEY_PAIR.certificate).raw)}`;

async function makeCertificate(): Promise<TlsCertificate> {
  const made = await openCertificate(temporaryFolder('legs'), 'target');
  return made ?? assert.fail('openssl is not installed');
}

/** Listens for the time of the test; each connection goes to `serve`. @returns its port */
export async function startTarget(t: TestContext, serve: (stream: PduStream) => unknown): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    void Promise.resolve(serve(new PduStream(socket))).catch(() => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : assert.fail();
}

export interface Dialling {
  readonly identity?: string;
  readonly timeoutMs?: number;
  readonly blocks?: ClientGccBlocks;
  readonly channels?: readonly StaticChannel[];
  readonly username?: string;
  readonly password?: string;
  readonly redirection?: RedirectedDial;
  pin?(shown: string): Promise<void>;
}

/** Dials 127.0.0.1 as the gateway dials a target, for a real client. */
export function dialling(port: number, options: Dialling = {}): Promise<DialedTarget> {
  return dialDesktop(dialOptions(port, options));
}

/** What the gateway dials 127.0.0.1 with. */
export function dialOptions(port: number, options: Dialling = {}): DialOptions {
  const { identity, blocks = realBlocks(), channels = [CLIPBOARD], timeoutMs = 20_000 } = options;
  return {
    authorization: {
      ...AUTHORIZATION,
      account: 'admin',
      system: { name: 'win01', host: '127.0.0.1', port, identity, legacyAlgorithms: false },
      allow: ['desktop'],
    },
    credential: {
      username: options.username ?? 'CORP\\admin',
      password: options.password ?? 'leased',
      privateKey: undefined,
      passphrase: undefined,
    },
    client: acceptedClient(blocks, channels),
    channels,
    timeoutMs,
    pin: options.pin ?? (async () => {}),
    ...(options.redirection === undefined ? {} : { redirection: options.redirection }),
  };
}

/** What a front would know of a client that asks for all that the gateway does not pass on. */
export function acceptedClient(blocks: ClientGccBlocks, channels: readonly StaticChannel[]): AcceptedClient {
  const extended = {
    clientAddressFamily: 2,
    clientAddress: '10.0.0.1',
    clientDir: 'C:\\',
    timeZone: new Uint8Array(172),
    sessionId: 0,
    performanceFlags: 0,
    autoReconnectCookie: new Uint8Array(28).fill(0xab),
  };
  return {
    cookie: undefined,
    requestedProtocols: 1,
    blocks,
    userId: IO_CHANNEL + 1 + channels.length,
    channels,
    info: {
      codePage: 0x409,
      flags: 0xffff_ffff,
      domain: '',
      userName: 'alice',
      alternateShell: '',
      workingDir: '',
      extended,
    },
    password: new Secret(''),
    nla: undefined,
  };
}
