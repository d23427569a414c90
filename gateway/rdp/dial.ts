/**
 * The back leg's handshake ([MS-RDPBCGR] 1.3.1.1): the gateway is a full RDP client to the
 * target, with the leased credential, up to the first PDU behind licensing. What the client
 * said of itself is passed on, less what the recorder could not follow (profile.ts).
 */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { Secret } from '../../vault-client/index.ts';
import type { CheckedOutCredential, TargetAuthorization } from '../../workers/messages.ts';
import { describeTarget, dialTcp, TargetError } from '../session/dial.ts';
import type { AcceptedClient, StaticChannel } from './accept.ts';
import { CredSspClient } from './credssp/client.ts';
import { CredSspError } from './credssp/errors.ts';
import { subjectPublicKeyOf } from './credssp/public-key.ts';
import { tsRequestLength } from './credssp/ts-request.ts';
import { encodeClientInfo, InfoFlag } from './pdu/client-info.ts';
import { PduError, Reader, Writer } from './pdu/cursor.ts';
import { decodeConferenceCreateResponse, encodeConferenceCreateRequest } from './pdu/gcc.ts';
import { encodeClientBlocks } from './pdu/gcc-client.ts';
import { decodeServerBlocks } from './pdu/gcc-server.ts';
import { decodeLicense, encodeNewLicenseRequest, LicenseError } from './pdu/license.ts';
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
} from './pdu/mcs.ts';
import { encodeSendDataRequest, readSendData } from './pdu/mcs-data.ts';
import { decodeSecurityHeader, encodeSecurityHeader, SecurityFlag } from './pdu/security.ts';
import { TPKT_HEADER_BYTES, tpktLength, withTpkt } from './pdu/tpkt.ts';
import {
  dataReader,
  decodeConnectionConfirm,
  encodeConnectionRequest,
  FailureCode,
  Protocol,
  withData,
} from './pdu/x224.ts';
import { clientBlocksForTarget } from './profile.ts';
import { type Framing, PduStream, StreamClosedError } from './stream.ts';
import { dialTls, fingerprintOf, judgeCertificate, TlsHandshakeError } from './tls.ts';

export interface DialOptions {
  readonly authorization: TargetAuthorization;
  readonly credential: CheckedOutCredential;
  readonly client: AcceptedClient;
  /** Static channels of the client that policy lets through. */
  readonly channels: readonly StaticChannel[];
  /** For TCP, and once more for the handshake and log-on. */
  readonly timeoutMs: number;
  /** Trust on first use: `sha256:…` of the certificate that the target showed. */
  pin(certificate: string): Promise<void>;
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
  const { system } = options.authorization;
  const where = describeTarget(system);
  const socket = await dialTcp(system, options.timeoutMs);
  const stream = new PduStream(socket);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    stream.destroy();
  }, options.timeoutMs);
  try {
    return await logOn(stream, options, where);
  } catch (error) {
    stream.destroy();
    if (late)
      throw new TargetError(
        'target-unreachable',
        `cannot reach ${where}: it accepted the connection but did not complete the RDP log-on within ${options.timeoutMs / 1000} s`,
        error,
      );
    throw explained(error, where, options.credential.username);
  } finally {
    clearTimeout(timer);
  }
}

async function logOn(stream: PduStream, options: DialOptions, where: string): Promise<DialedTarget> {
  const selected = await negotiate(stream, where);
  const publicKey = await secure(stream, options, where);
  if (selected !== Protocol.ssl) await proveIdentity(stream, options.credential, publicKey, selected);
  const { ioChannel, channels } = await connectDomain(stream, options, selected, where);
  const userId = await joinChannels(stream, [ioChannel, ...channels.values()], where);
  sendClientInfo(stream, { ...options, userId, ioChannel });
  const first = await passLicensing(stream, { userId, ioChannel, where });
  return { stream, userId, ioChannel, channels, first };
}

/** @returns the protocol that the target selected */
async function negotiate(stream: PduStream, where: string): Promise<number> {
  const requestedProtocols = Protocol.ssl | Protocol.hybrid | Protocol.hybridEx;
  stream.send(
    withTpkt((writer) => encodeConnectionRequest(writer, { negotiation: { flags: 0, requestedProtocols } })),
  );
  const { negotiation } = decodeConnectionConfirm(
    new Reader(await stream.next(tpktLength), TPKT_HEADER_BYTES),
  );
  if (negotiation?.kind === 'failed')
    throw new TargetError('target-unreachable', `${where} ${failureWords(negotiation.failureCode)}`);
  const selected = negotiation?.selectedProtocol ?? Protocol.rdp;
  if (selected !== Protocol.ssl && selected !== Protocol.hybrid && selected !== Protocol.hybridEx)
    throw new TargetError(
      'target-unreachable',
      `${where} offers only Standard RDP Security, which can be read on the way: enable TLS there`,
    );
  return selected;
}

function failureWords(code: number): string {
  switch (code) {
    case FailureCode.sslNotAllowedByServer:
      return 'allows only Standard RDP Security, which can be read on the way: enable TLS there';
    case FailureCode.sslCertNotOnServer:
      return 'has no certificate for TLS';
    default:
      return `refused the connection (negotiation failure ${code})`;
  }
}

/** TLS with a target that proves to be the right one. @returns its public key, for CredSSP */
async function secure(stream: PduStream, options: DialOptions, where: string): Promise<Uint8Array> {
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
  if (identity === undefined)
    await options.pin(fingerprintOf(certificate)).catch((error: Error) => {
      throw new TargetError(
        'target-certificate',
        `cannot pin the certificate of ${where}: ${error.message}`,
        error,
      );
    });
  return subjectPublicKeyOf(certificate.raw);
}

/** Windows NT after 5.2, Microsoft ([MS-RDPELE] 2.2.2.2). */
const WINDOWS_PLATFORM = 0x0401_0000;

const tsRequest: Framing = (bytes, offset, end) => tsRequestLength(bytes.subarray(offset, end));

/** NLA: CredSSP ([MS-CSSP] 3.1.5) with the leased credential. */
async function proveIdentity(
  stream: PduStream,
  { username, password }: CheckedOutCredential,
  publicKey: Uint8Array,
  selected: number,
): Promise<void> {
  const client = new CredSspClient({
    ...accountName(username),
    password: new Secret(password ?? ''),
    publicKey,
  });
  stream.send(client.start());
  for (;;) {
    const answer = await stream.next(tsRequest).catch((error: unknown) => {
      throw error instanceof StreamClosedError ? client.closed() : error;
    });
    const { send, done } = client.receive(answer);
    stream.send(send);
    if (done) break;
  }
  if (selected !== Protocol.hybridEx) return;
  // Early User Authorization Result PDU (2.2.10.2).
  const result = new Reader(await stream.next((_bytes, offset, end) => (end - offset >= 4 ? 4 : undefined)));
  if (result.u32le('authorizationResult') !== 0) throw new CredSspError('restricted', 'may not log on here');
}

/** `CORP\admin` and `admin`; a UPN is a user name with an empty domain ([MS-NLMP] 2.2.1.3). */
export function accountName(username: string): { username: string; domain: string } {
  const at = username.indexOf('\\');
  return at < 0
    ? { username, domain: '' }
    : { username: username.slice(at + 1), domain: username.slice(0, at) };
}

async function connectDomain(
  stream: PduStream,
  { client, channels }: DialOptions,
  selected: number,
  where: string,
): Promise<{ ioChannel: number; channels: ReadonlyMap<string, number> }> {
  const conference = new Writer();
  encodeConferenceCreateRequest(
    conference,
    encodeClientBlocks(clientBlocksForTarget(client.blocks, channels, selected)),
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

/**
 * Licensing (2.2.1.12): most servers say that the client is valid, some ask first.
 * @returns the first PDU that is none of licensing, where one came instead of an answer
 */
async function passLicensing(
  stream: PduStream,
  { userId, ioChannel, where }: { userId: number; ioChannel: number; where: string },
): Promise<Uint8Array | undefined> {
  for (let asked = false; ; asked = true) {
    const pdu = await stream.next();
    const data = readSendData(pdu);
    if (data === undefined || data.channelId !== ioChannel) return pdu;
    const reader = new Reader(pdu, data.dataOffset);
    // A share control header begins with its length, which no PDU here has so short.
    if ((decodeSecurityHeader(reader) & ~SecurityFlag.licenseEncrypt) !== SecurityFlag.licensePacket)
      return pdu;
    const license = decodeLicense(reader);
    if (license.kind === 'error' && license.code === LicenseError.validClient) return undefined;
    if (license.kind !== 'request' || asked)
      throw new TargetError(
        'target-unreachable',
        license.kind === 'error'
          ? `${where} refused the gateway a client licence (error ${license.code})`
          : `${where} wants a client access licence, which the gateway does not have: license its session host per user`,
      );
    sendOnIoChannel(stream, userId, ioChannel, (writer) => {
      encodeSecurityHeader(writer, SecurityFlag.licensePacket);
      // Servers that only go through the motions never open the secret; one that issues
      // licences goes on with a platform challenge.
      encodeNewLicenseRequest(writer, {
        platformId: WINDOWS_PLATFORM,
        clientRandom: randomBytes(32),
        encryptedPremaster: Buffer.concat([randomBytes(64), Buffer.alloc(8)]),
        userName: 'sallyport',
        machineName: 'sallyport',
      });
    });
  }
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

function explained(error: unknown, where: string, username: string): unknown {
  if (error instanceof TargetError) return error;
  if (error instanceof CredSspError) return explainedNla(error, where, username);
  if (error instanceof PduError)
    return new TargetError('target-unreachable', `${where} broke the protocol: ${error.message}`, error);
  if (error instanceof TlsHandshakeError)
    return new TargetError('target-unreachable', `cannot open RDP to ${where}: ${error.message}`, error);
  if (error instanceof StreamClosedError)
    return new TargetError(
      'target-unreachable',
      `${where} closed the connection before the log-on was complete`,
      error,
    );
  return new TargetError('target-unreachable', `cannot open RDP to ${where}: ${String(error)}`, error);
}

/** What says nothing of the account is not the credential's fault. */
function explainedNla(error: CredSspError, where: string, username: string): TargetError {
  switch (error.code) {
    case 'binding':
      return new TargetError(
        'target-certificate',
        `${where} is not to be trusted: ${error.message}. An administrator must check it`,
        error,
      );
    case 'protocol':
    case 'not-supported':
    case 'no-authority':
      return new TargetError(
        'target-unreachable',
        `network level authentication with ${where} failed: ${error.message}`,
        error,
      );
    default:
      return new TargetError(
        'target-auth-failed',
        `${where} does not accept the credential of ${username}: ${error.message}`,
        error,
      );
  }
}
