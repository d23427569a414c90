/**
 * The front leg's handshake ([MS-RDPBCGR] 1.3.1.1): the gateway is a full RDP server to the
 * client, up to licensing. What follows, the activation, comes from the target.
 */
import type { SecureContext } from 'node:tls';
import { Secret } from '../../../vault-client/index.ts';
import { type ClientInfoWithPassword, decodeClientInfo } from '../pdu/client-info.ts';
import { PduError, Reader, Writer } from '../pdu/cursor.ts';
import { decodeConferenceCreateRequest, encodeConferenceCreateResponse } from '../pdu/gcc.ts';
import { type ClientGccBlocks, decodeClientBlocks } from '../pdu/gcc-client.ts';
import { encodeServerBlocks } from '../pdu/gcc-server.ts';
import { encodeErrorAlert, VALID_CLIENT } from '../pdu/license.ts';
import {
  DomainPdu,
  decodeChannelJoinRequest,
  decodeConnectInitial,
  domainPduOf,
  encodeAttachUserConfirm,
  encodeChannelJoinConfirm,
  encodeConnectResponse,
  McsResult,
  usualParameters,
} from '../pdu/mcs.ts';
import { encodeSendDataIndication, readSendData } from '../pdu/mcs-data.ts';
import { decodePreconnection, preconnectionLength } from '../pdu/preconnection.ts';
import { decodeSecurityHeader, encodeSecurityHeader, SecurityFlag } from '../pdu/security.ts';
import { SERVER_CHANNEL_ID } from '../pdu/share.ts';
import { TPKT_HEADER_BYTES, tpktLength, withTpkt } from '../pdu/tpkt.ts';
import {
  type ConnectionRequest,
  dataReader,
  decodeConnectionRequest,
  encodeConnectionConfirm,
  FailureCode,
  type NegotiationResult,
  Protocol,
  ResponseFlag,
  withData,
} from '../pdu/x224.ts';
import type { PduStream } from '../stream/stream.ts';
import { acceptTls } from '../stream/tls.ts';
import { acceptNla, type NlaLogOn, type NlaOptions } from './nla.ts';

/** The I/O channel of the front leg, the number that Windows servers give it; static channels follow. */
export const IO_CHANNEL = 1003;
/** RDP 5.0 and later (2.2.1.4.2). */
const SERVER_VERSION = 0x0008_0004;
/** A client joins its user channel, the I/O channel and up to 31 static ones. */
const MAX_DOMAIN_PDUS = 64;

/** A static virtual channel of the front leg (2.2.1.3.4.1). */
export interface StaticChannel {
  readonly name: string;
  readonly options: number;
  readonly id: number;
}

/** What the client said of itself, and what it logs on with. */
export interface AcceptedClient {
  /** `mstshash` of its first PDU. */
  readonly cookie: string | undefined;
  /** Bits of {@link Protocol}, as the client asked. */
  readonly requestedProtocols: number;
  readonly blocks: ClientGccBlocks;
  readonly userId: number;
  readonly channels: readonly StaticChannel[];
  /** Its password is in `password` alone. */
  readonly info: Omit<ClientInfoWithPassword, 'password'>;
  readonly password: Secret;
  /** Where it logged on with NLA: `info` and `password` then prove nothing more. */
  readonly nla: NlaLogOn | undefined;
}

export interface AcceptOptions {
  readonly tls: SecureContext;
  /** Absent: log-ons with TLS only. */
  readonly nla?: NlaOptions;
  /** Resolves when there is time for a TLS handshake; absent: always. */
  readonly turn?: () => Promise<void>;
}

/** The client cannot be served; it has been told, as far as it can be. */
export class RefusedClientError extends Error {
  override readonly name = 'RefusedClientError';
}

/**
 * Takes a client to the end of licensing.
 * @throws RefusedClientError, PduError, StreamClosedError (TlsHandshakeError among them)
 */
export async function acceptClient(stream: PduStream, options: AcceptOptions): Promise<AcceptedClient> {
  const request = await readRequest(stream);
  const requestedProtocols = request.negotiation?.requestedProtocols ?? Protocol.rdp;
  const nla = await negotiate(stream, request, options);
  const blocks = await readConnectInitial(stream);
  const channels = (blocks.channels ?? []).map(({ name, options: flags }, i) => ({
    name,
    options: flags,
    id: IO_CHANNEL + 1 + i,
  }));
  const userId = IO_CHANNEL + 1 + channels.length;
  sendConnectResponse(stream, requestedProtocols, channels);
  const { password, ...info } = await joinChannels(stream, userId, channels);
  sendOnIoChannel(stream, (writer) => {
    encodeSecurityHeader(writer, SecurityFlag.licensePacket);
    encodeErrorAlert(writer, VALID_CLIENT);
  });
  return {
    cookie: request.cookie,
    requestedProtocols,
    blocks,
    userId,
    channels,
    info,
    password: new Secret(password),
    nla,
  };
}

/** Sends what `write` writes to the client, on the I/O channel. */
export function sendOnIoChannel(stream: PduStream, write: (writer: Writer) => void): void {
  const writer = new Writer();
  write(writer);
  const data = writer.done();
  stream.send(
    withData((pdu) =>
      encodeSendDataIndication(pdu, { initiator: SERVER_CHANNEL_ID, channelId: IO_CHANNEL, data }),
    ),
  );
}

/** The X.224 request, behind a preconnection PDU where the client sends one ([MS-RDPEPS]). */
async function readRequest(stream: PduStream): Promise<ConnectionRequest> {
  const first = await stream.next((bytes, offset, end) => {
    const length = preconnectionLength(bytes, offset, end);
    return length === 0 ? tpktLength(bytes, offset, end) : length;
  });
  if (preconnectionLength(first, 0, first.length) === 0)
    return decodeConnectionRequest(new Reader(first, TPKT_HEADER_BYTES));
  decodePreconnection(new Reader(first));
  return decodeConnectionRequest(new Reader(await stream.next(tpktLength), TPKT_HEADER_BYTES));
}

/**
 * Chooses how the connection is secured (5.4.2), and logs on with NLA where that is chosen. A
 * client that insists on NLA cannot be told from one that does not: both offer TLS alone, too.
 */
async function negotiate(
  stream: PduStream,
  { cookie, negotiation }: ConnectionRequest,
  { tls, nla, turn }: AcceptOptions,
): Promise<NlaLogOn | undefined> {
  const requested = negotiation?.requestedProtocols ?? Protocol.rdp;
  const offered = (protocol: number): boolean => (requested & protocol) !== 0;
  const plain = offered(Protocol.ssl) ? Protocol.ssl : undefined;
  const hybrid = nla && [Protocol.hybridEx, Protocol.hybrid].find(offered);
  const selectedProtocol =
    hybrid !== undefined && (plain === undefined || (await nla?.wanted(cookie))) ? hybrid : plain;
  if (selectedProtocol === undefined) {
    const failureCode = FailureCode.sslRequiredByServer;
    confirm(stream, { kind: 'failed', failureCode });
    stream.end();
    throw new RefusedClientError('the client offers neither TLS nor NLA');
  }
  const flags = ResponseFlag.extendedClientDataSupported;
  confirm(stream, { kind: 'selected', flags, selectedProtocol });
  await stream.secure((socket) => acceptTls(socket, tls, turn));
  if (nla === undefined || selectedProtocol === Protocol.ssl) return undefined;
  return acceptNla(stream, selectedProtocol === Protocol.hybridEx, nla);
}

function confirm(stream: PduStream, negotiation: NegotiationResult): void {
  stream.send(withTpkt((writer) => encodeConnectionConfirm(writer, { negotiation })));
}

async function readConnectInitial(stream: PduStream): Promise<ClientGccBlocks> {
  const initial = decodeConnectInitial(dataReader(await stream.next()));
  return decodeClientBlocks(decodeConferenceCreateRequest(new Reader(initial.userData)));
}

function sendConnectResponse(
  stream: PduStream,
  requestedProtocols: number,
  channels: readonly StaticChannel[],
): void {
  const blocks = encodeServerBlocks({
    // mstsc compares clientRequestedProtocols with what it sent.
    core: { version: SERVER_VERSION, clientRequestedProtocols: requestedProtocols, earlyCapabilityFlags: 0 },
    security: { encryptionMethod: 0, encryptionLevel: 0 },
    network: { ioChannelId: IO_CHANNEL, channelIds: channels.map(({ id }) => id) },
    unknown: [],
  });
  const conference = new Writer();
  encodeConferenceCreateResponse(conference, blocks);
  stream.send(
    withData((writer) =>
      encodeConnectResponse(writer, {
        result: McsResult.successful,
        calledConnectId: 0,
        parameters: usualParameters.granted,
        userData: conference.done(),
      }),
    ),
  );
}

/** Channel connection (1.3.1.1, 2.2.1.5 to 2.2.1.9), up to the Client Info PDU behind it. */
async function joinChannels(
  stream: PduStream,
  userId: number,
  channels: readonly StaticChannel[],
): Promise<ClientInfoWithPassword> {
  const known = new Set([userId, IO_CHANNEL, ...channels.map(({ id }) => id)]);
  for (let count = 0; count < MAX_DOMAIN_PDUS; count += 1) {
    const pdu = await stream.next();
    const data = readSendData(pdu);
    if (data !== undefined) return readClientInfo(new Reader(pdu, data.dataOffset), data.channelId);
    switch (domainPduOf(pdu)) {
      case DomainPdu.erectDomainRequest:
        break;
      case DomainPdu.attachUserRequest:
        stream.send(
          withData((writer) =>
            encodeAttachUserConfirm(writer, { result: McsResult.successful, initiator: userId }),
          ),
        );
        break;
      case DomainPdu.channelJoinRequest: {
        const { channelId } = decodeChannelJoinRequest(dataReader(pdu));
        const joined = known.has(channelId);
        stream.send(
          withData((writer) =>
            encodeChannelJoinConfirm(writer, {
              result: joined ? McsResult.successful : McsResult.noSuchChannel,
              initiator: userId,
              requested: channelId,
              ...(joined ? { channelId } : {}),
            }),
          ),
        );
        break;
      }
      default:
        throw new PduError('DomainMCSPDU', 7, `is choice ${domainPduOf(pdu)}, not one of joining channels`);
    }
  }
  throw new PduError('DomainMCSPDU', 7, `comes once more after ${MAX_DOMAIN_PDUS}, without a log-on`);
}

function readClientInfo(reader: Reader, channelId: number): ClientInfoWithPassword {
  const flags = decodeSecurityHeader(reader);
  if (channelId !== IO_CHANNEL || (flags & SecurityFlag.infoPacket) === 0)
    throw new PduError('flags', reader.offset, 'are not those of the client info that must come first');
  return decodeClientInfo(reader);
}
