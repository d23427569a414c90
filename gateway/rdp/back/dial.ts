/**
 * The back leg's handshake ([MS-RDPBCGR] 1.3.1.1): the gateway is a full RDP client to the
 * target, with the leased credential, up to the first PDU behind licensing. What the client
 * said of itself is passed on, less what the recorder could not follow (profile.ts).
 */
import { addAbortListener } from 'node:events';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { CheckedOutCredential, TargetAuthorization } from '../../../workers/messages.ts';
import { describeTarget, dialTcp, TargetError } from '../../session/dial.ts';
import { subjectPublicKeyOf } from '../credssp/public-key.ts';
import type { AcceptedClient, StaticChannel } from '../front/accept.ts';
import { encodeClientInfo, InfoFlag } from '../pdu/client-info.ts';
import { PduError, Reader, Writer } from '../pdu/cursor.ts';
import { decodeConferenceCreateResponse, encodeConferenceCreateRequest } from '../pdu/gcc.ts';
import { type ClientCluster, ClusterFlag, encodeClientBlocks } from '../pdu/gcc-client.ts';
import { decodeServerBlocks } from '../pdu/gcc-server.ts';
import {
  decodeAttachUserConfirm,
  decodeChannelJoinConfirm,
  decodeConnectResponse,
  encodeAttachUserRequest,
  encodeChannelJoinRequest,
  encodeConnectInitial,
  encodeErectDomainRequest,
  McsResult,
  usualParameters,
} from '../pdu/mcs.ts';
import { encodeSendDataRequest } from '../pdu/mcs-data.ts';
import type { RdstlsCredentials } from '../pdu/rdstls.ts';
import { encodeSecurityHeader, SecurityFlag } from '../pdu/security.ts';
import { TPKT_HEADER_BYTES, tpktLength, withTpkt } from '../pdu/tpkt.ts';
import {
  type ConnectionConfirm,
  dataReader,
  decodeConnectionConfirm,
  encodeConnectionRequest,
  Protocol,
  withData,
} from '../pdu/x224.ts';
import { clientBlocksForTarget } from '../profile.ts';
import { PduStream } from '../stream/stream.ts';
import { dialTls, fingerprintOf, judgeCertificate } from '../stream/tls.ts';
import { explained, negotiationWords } from './dial-failure.ts';
import { accountName, proveByNla, proveByRdstls } from './dial-identity.ts';
import { passLicensing } from './dial-license.ts';

export interface DialOptions {
  readonly authorization: TargetAuthorization;
  readonly credential: CheckedOutCredential;
  readonly client: AcceptedClient;
  /** Static channels of the client that policy lets through. */
  readonly channels: readonly StaticChannel[];
  /** For TCP, and once more for the handshake and log-on. */
  readonly timeoutMs: number;
  /** The target was named by another one, in this way. */
  readonly redirection?: RedirectedDial;
  /** Nobody waits for the target any more: the dial is given up, its connection destroyed. */
  readonly signal?: AbortSignal;
  /** Trust on first use: `sha256:…` of the certificate that the target showed. */
  pin(certificate: string): Promise<void>;
}

/** What a redirection (2.2.13.1) has its client say to the next server. */
export interface RedirectedDial {
  /** Of the session there that is to be taken up (2.2.1.3.5). */
  readonly sessionId: number;
  /** A line for the load balancer in front (2.2.1.1), without CR LF. */
  readonly routingToken: string | undefined;
  /** The log-on, where its password can be read only by the next server: RDSTLS with it. */
  readonly rdstls: RdstlsCredentials | undefined;
}

export interface DialedTarget {
  readonly stream: PduStream;
  readonly userId: number;
  readonly ioChannel: number;
  /** Its number of each static channel, by name. */
  readonly channels: ReadonlyMap<string, number>;
  /** The PDU behind licensing, as it came, where it had to be read to know that licensing was over. */
  readonly first: Uint8Array | undefined;
}

/**
 * Connects to an authorised target and logs on.
 * @throws TargetError saying which step failed and why
 */
export async function dialDesktop(options: DialOptions): Promise<DialedTarget> {
  const { authorization, timeoutMs, signal } = options;
  const where = describeTarget(authorization.system);
  const socket = await dialTcp(authorization.system, timeoutMs, { signal });
  const stream = new PduStream(socket);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    stream.destroy();
  }, timeoutMs);
  const abandoned = signal && addAbortListener(signal, () => stream.destroy());
  try {
    return await logOn(stream, options, where);
  } catch (error) {
    stream.destroy();
    if (late)
      throw new TargetError(
        'target-unreachable',
        `cannot reach ${where}: it accepted the connection but did not complete the RDP log-on within ${timeoutMs / 1000} s`,
        error,
      );
    throw explained(error, where, options.credential.username);
  } finally {
    clearTimeout(timer);
    abandoned?.[Symbol.dispose]();
  }
}

async function logOn(stream: PduStream, options: DialOptions, where: string): Promise<DialedTarget> {
  const { credential, client } = options;
  const selected = await negotiate(stream, options, where);
  const shown = await secure(stream, options, where);
  await prove(stream, options, { selected, shown, where });
  const { ioChannel, channels } = await connectDomain(stream, options, selected, where);
  const userId = await joinChannels(stream, [ioChannel, ...channels.values()], where);
  sendClientInfo(stream, { ...options, userId, ioChannel });
  const first = await passLicensing(stream, {
    ioChannel,
    where,
    userName: accountName(credential.username).username,
    machineName: client.blocks.core.clientName,
    send: (message) =>
      sendOnIoChannel(stream, userId, ioChannel, (writer) => {
        encodeSecurityHeader(writer, SecurityFlag.licensePacket);
        writer.bytes(message);
      }),
  });
  return { stream, userId, ioChannel, channels, first };
}

/** @returns the protocol that the target selected, of those that were asked for */
async function negotiate(stream: PduStream, { redirection }: DialOptions, where: string): Promise<number> {
  // What RDSTLS proves oneself with cannot be used in any other way.
  const offered =
    redirection?.rdstls === undefined
      ? [Protocol.hybridEx, Protocol.hybrid, Protocol.ssl]
      : [Protocol.rdstls, Protocol.ssl];
  const routingToken = redirection?.routingToken;
  stream.send(
    withTpkt((writer) =>
      encodeConnectionRequest(writer, {
        ...(routingToken === undefined ? {} : { routingToken }),
        negotiation: { flags: 0, requestedProtocols: offered.reduce((all, each) => all | each, 0) },
      }),
    ),
  );
  const { negotiation } = await readConfirm(stream, where);
  if (negotiation?.kind === 'failed')
    throw new TargetError('target-unreachable', `${where} ${negotiationWords(negotiation.failureCode)}`);
  const selected = negotiation?.selectedProtocol ?? Protocol.rdp;
  if (selected === Protocol.rdp)
    throw new TargetError(
      'target-unreachable',
      `${where} offers only Standard RDP Security, which can be read on the way: enable TLS there`,
    );
  if (!offered.some((each) => each === selected))
    throw new TargetError(
      'target-unreachable',
      `${where} chose security protocol ${selected}, which was not offered to it`,
    );
  return selected;
}

/** What is no X.224 Connection Confirm comes from no RDP server. */
async function readConfirm(stream: PduStream, where: string): Promise<ConnectionConfirm> {
  try {
    return decodeConnectionConfirm(new Reader(await stream.next(tpktLength), TPKT_HEADER_BYTES));
  } catch (error) {
    if (!(error instanceof PduError)) throw error;
    throw new TargetError(
      'target-unreachable',
      `${where} does not speak RDP: ${error.message}. An administrator must check its address and port`,
      error,
    );
  }
}

interface Shown {
  readonly publicKey: Uint8Array;
  /** `sha256:…` of a certificate that is to be pinned; undefined: it was known before. */
  readonly unknown: string | undefined;
}

/** TLS with a target that proves to be the right one, as far as that is known. @returns its certificate */
async function secure(stream: PduStream, options: DialOptions, where: string): Promise<Shown> {
  const { host, identity } = options.authorization.system;
  let secured: TLSSocket | undefined;
  await stream.secure(async (plain: Socket) => {
    secured = await dialTls(plain, host);
    return secured;
  });
  if (secured === undefined) throw new TypeError('TLS without a socket');
  const wrong = judgeCertificate(secured, host, identity);
  if (wrong !== undefined)
    throw new TargetError(
      'target-certificate',
      `the certificate of ${where} is not the right one: ${wrong}. Nothing was sent to it. An administrator must check it`,
    );
  const certificate = secured.getPeerCertificate();
  return {
    publicKey: subjectPublicKeyOf(certificate.raw),
    unknown: identity === undefined ? fingerprintOf(certificate) : undefined,
  };
}

/** Pins a certificate that nobody knows yet, then says who the gateway is, where that comes before RDP. */
async function prove(
  stream: PduStream,
  options: DialOptions,
  { selected, shown, where }: { selected: number; shown: Shown; where: string },
): Promise<void> {
  const { credential, redirection } = options;
  const approved = async (): Promise<void> => {
    if (shown.unknown === undefined) return;
    await options.pin(shown.unknown).catch((error: Error) => {
      throw new TargetError(
        'target-certificate',
        `cannot pin the certificate of ${where}: ${error.message}`,
        error,
      );
    });
  };
  if (selected === Protocol.hybrid || selected === Protocol.hybridEx) {
    const { publicKey, unknown } = shown;
    const certificateKnown = unknown === undefined;
    await proveByNla(stream, { credential, publicKey, certificateKnown, selected, approved });
    return;
  }
  await approved();
  if (selected === Protocol.rdstls && redirection?.rdstls !== undefined)
    await proveByRdstls(stream, redirection.rdstls, where);
}

async function connectDomain(
  stream: PduStream,
  { client, channels, redirection }: DialOptions,
  selected: number,
  where: string,
): Promise<{ ioChannel: number; channels: ReadonlyMap<string, number> }> {
  const conference = new Writer();
  const blocks = clientBlocksForTarget(client.blocks, channels, selected);
  encodeConferenceCreateRequest(
    conference,
    encodeClientBlocks({ ...blocks, cluster: clusterBlock(blocks.cluster, redirection) }),
  );
  const { target, minimum, maximum } = usualParameters;
  stream.send(
    withData((writer) =>
      encodeConnectInitial(writer, {
        targetParameters: target,
        minimumParameters: minimum,
        maximumParameters: maximum,
        userData: conference.done(),
      }),
    ),
  );
  const response = decodeConnectResponse(dataReader(await stream.next()));
  if (response.result !== McsResult.successful)
    throw new TargetError(
      'target-unreachable',
      `${where} refused the conference (result ${response.result})`,
    );
  const { network } = decodeServerBlocks(decodeConferenceCreateResponse(new Reader(response.userData)));
  const ids = new Map<string, number>();
  channels.forEach(({ name }, i) => {
    const id = network.channelIds[i];
    // 0: the target does not have it.
    if (id !== undefined && id !== 0) ids.set(name, id);
  });
  return { ioChannel: network.ioChannelId, channels: ids };
}

/** REDIRECTION_VERSION5 (2.2.1.3.5): RDSTLS too; the next version needs UDP. */
const REDIRECTION_VERSION_5 = 4 << 2;

/** Says that redirections are followed, by the gateway whatever its client can, and which session is meant. */
function clusterBlock(
  cluster: ClientCluster = { flags: 0, redirectedSessionId: 0 },
  redirection: RedirectedDial | undefined,
): ClientCluster {
  const flags =
    (cluster.flags & ~ClusterFlag.versionMask) | ClusterFlag.redirectionSupported | REDIRECTION_VERSION_5;
  return redirection === undefined
    ? { ...cluster, flags }
    : {
        flags: flags | ClusterFlag.redirectedSessionIdValid,
        redirectedSessionId: redirection.sessionId,
      };
}

async function joinChannels(stream: PduStream, ids: readonly number[], where: string): Promise<number> {
  stream.send(withData((writer) => encodeErectDomainRequest(writer)));
  stream.send(withData((writer) => encodeAttachUserRequest(writer)));
  const { initiator } = decodeAttachUserConfirm(dataReader(await stream.next()));
  if (initiator === undefined) throw new TargetError('target-unreachable', `${where} admits no user`);
  for (const channelId of [initiator, ...ids]) {
    stream.send(withData((writer) => encodeChannelJoinRequest(writer, { initiator, channelId })));
    const confirm = decodeChannelJoinConfirm(dataReader(await stream.next()));
    if (confirm.result !== McsResult.successful)
      throw new TargetError(
        'target-unreachable',
        `${where} did not let the gateway join channel ${channelId}`,
      );
  }
  return initiator;
}

/** Bulk compression would hide the picture from the recorder; RAIL is not offered; the log-on is with a password. */
const REFUSED_INFO =
  InfoFlag.compression |
  InfoFlag.compressionTypeMask |
  InfoFlag.rail |
  InfoFlag.hiDefRailSupported |
  InfoFlag.passwordIsSmartCardPin;

function sendClientInfo(
  stream: PduStream,
  { client, credential, userId, ioChannel }: DialOptions & { userId: number; ioChannel: number },
): void {
  const { info } = client;
  const { username, domain } = accountName(credential.username);
  sendOnIoChannel(stream, userId, ioChannel, (writer) => {
    encodeSecurityHeader(writer, SecurityFlag.infoPacket);
    encodeClientInfo(writer, {
      ...info,
      flags: (info.flags & ~REFUSED_INFO) | InfoFlag.autologon | InfoFlag.unicode,
      domain,
      userName: username,
      password: credential.password ?? '',
      // It stands for a log-on to another session.
      extended:
        info.extended === undefined ? undefined : { ...info.extended, autoReconnectCookie: undefined },
    });
  });
}

function sendOnIoChannel(
  stream: PduStream,
  initiator: number,
  channelId: number,
  write: (writer: Writer) => void,
): void {
  const writer = new Writer();
  write(writer);
  const data = writer.done();
  stream.send(withData((pdu) => encodeSendDataRequest(pdu, { initiator, channelId, data })));
}
