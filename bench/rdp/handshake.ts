/**
 * The synthetic target's handshake: an RDP server with network level authentication, or TLS alone
 * where a client asks for no more, up to an active desktop. The account's name says what it shows.
 */
import type { SecureContext } from 'node:tls';
import { ntlmHash, sessionBaseKeyOf } from '../../gateway/rdp/credssp/ntlm.ts';
import { CredSspServer } from '../../gateway/rdp/credssp/server.ts';
import { tsRequestLength } from '../../gateway/rdp/credssp/ts-request.ts';
import { decodeClientInfo } from '../../gateway/rdp/pdu/client-info.ts';
import { Reader, Writer } from '../../gateway/rdp/pdu/cursor.ts';
import {
  ControlAction,
  encodeControl,
  encodeFonts,
  encodeSynchronize,
  FONT_MAP,
} from '../../gateway/rdp/pdu/finalization.ts';
import { decodeConferenceCreateRequest, encodeConferenceCreateResponse } from '../../gateway/rdp/pdu/gcc.ts';
import { decodeClientBlocks } from '../../gateway/rdp/pdu/gcc-client.ts';
import { encodeServerBlocks } from '../../gateway/rdp/pdu/gcc-server.ts';
import { encodeErrorAlert, VALID_CLIENT } from '../../gateway/rdp/pdu/license.ts';
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
} from '../../gateway/rdp/pdu/mcs.ts';
import { encodeSendDataIndication, readSendData } from '../../gateway/rdp/pdu/mcs-data.ts';
import { decodeSecurityHeader, encodeSecurityHeader, SecurityFlag } from '../../gateway/rdp/pdu/security.ts';
import {
  DataType,
  encodeShareData,
  readShareControl,
  readShareData,
  SERVER_CHANNEL_ID,
  ShareType,
} from '../../gateway/rdp/pdu/share.ts';
import { TPKT_HEADER_BYTES, tpktLength, withTpkt } from '../../gateway/rdp/pdu/tpkt.ts';
import {
  dataReader,
  decodeConnectionRequest,
  encodeConnectionConfirm,
  Protocol,
  ResponseFlag,
  withData,
} from '../../gateway/rdp/pdu/x224.ts';
import type { PduStream } from '../../gateway/rdp/stream.ts';
import { acceptTls } from '../../gateway/rdp/tls.ts';
import { PASSWORD } from './jobs.ts';
import { demandActive, SHARE_ID } from './peer.ts';

export interface Identity {
  readonly tls: SecureContext;
  /** The subjectPublicKey bits of its certificate: what CredSSP binds. */
  readonly publicKey: Uint8Array;
}

const IO_CHANNEL = 1003;
const SERVER_VERSION = 0x0008_0004;
const NT_HASH = ntlmHash(PASSWORD);

/** Takes a client to its active desktop. @returns the name of the account that it logged on with */
export async function serveHandshake(stream: PduStream, identity: Identity): Promise<string> {
  const request = decodeConnectionRequest(new Reader(await stream.next(tpktLength), TPKT_HEADER_BYTES));
  const requested = request.negotiation?.requestedProtocols ?? Protocol.rdp;
  const selectedProtocol = (requested & Protocol.hybrid) === 0 ? Protocol.ssl : Protocol.hybrid;
  const flags = ResponseFlag.extendedClientDataSupported;
  stream.send(
    withTpkt((writer) =>
      encodeConnectionConfirm(writer, { negotiation: { kind: 'selected', flags, selectedProtocol } }),
    ),
  );
  await stream.secure((plain) => acceptTls(plain, identity.tls));
  if (selectedProtocol === Protocol.hybrid) await proveIdentity(stream, identity.publicKey);
  const userName = await joinChannels(stream, await connectDomain(stream, requested));
  sendOnIoChannel(stream, (writer) => {
    encodeSecurityHeader(writer, SecurityFlag.licensePacket);
    encodeErrorAlert(writer, VALID_CLIENT);
  });
  await activate(stream);
  return userName;
}

async function proveIdentity(stream: PduStream, publicKey: Uint8Array): Promise<void> {
  const server = new CredSspServer({
    publicKey,
    targetName: 'BENCH',
    verify: async (proof) => sessionBaseKeyOf(NT_HASH, proof),
  });
  for (;;) {
    const request = await stream.next((bytes, offset, end) => tsRequestLength(bytes.subarray(offset, end)));
    const { send, done } = await server.receive(request);
    if (send !== undefined) stream.send(send);
    if (done !== undefined) return;
  }
}

/** @returns the number of its static channels */
async function connectDomain(stream: PduStream, clientRequestedProtocols: number): Promise<number> {
  const initial = decodeConnectInitial(dataReader(await stream.next()));
  const { channels = [] } = decodeClientBlocks(decodeConferenceCreateRequest(new Reader(initial.userData)));
  const conference = new Writer();
  encodeConferenceCreateResponse(
    conference,
    encodeServerBlocks({
      core: { version: SERVER_VERSION, clientRequestedProtocols, earlyCapabilityFlags: 0 },
      security: { encryptionMethod: 0, encryptionLevel: 0 },
      network: { ioChannelId: IO_CHANNEL, channelIds: channels.map((_, at) => IO_CHANNEL + 1 + at) },
      unknown: [],
    }),
  );
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
  return channels.length;
}

/** @returns the user name of the Client Info PDU that follows the joins */
async function joinChannels(stream: PduStream, channels: number): Promise<string> {
  const initiator = IO_CHANNEL + 1 + channels;
  const result = McsResult.successful;
  for (;;) {
    const pdu = await stream.next();
    const data = readSendData(pdu);
    if (data !== undefined) {
      const reader = new Reader(pdu, data.dataOffset);
      decodeSecurityHeader(reader);
      return decodeClientInfo(reader).userName;
    }
    const choice = domainPduOf(pdu);
    if (choice === DomainPdu.attachUserRequest)
      stream.send(withData((writer) => encodeAttachUserConfirm(writer, { result, initiator })));
    if (choice !== DomainPdu.channelJoinRequest) continue;
    const { channelId } = decodeChannelJoinRequest(dataReader(pdu));
    stream.send(
      withData((writer) =>
        encodeChannelJoinConfirm(writer, { result, initiator, requested: channelId, channelId }),
      ),
    );
  }
}

/** Capability exchange and finalization (1.3.1.1), as far as the client's Font List. */
async function activate(stream: PduStream): Promise<void> {
  sendOnIoChannel(stream, (writer) => writer.bytes(demandActive()));
  for (let type: number | undefined; type !== DataType.fontList; ) {
    const pdu = await stream.next();
    const data = readSendData(pdu);
    if (data?.channelId !== IO_CHANNEL) continue;
    const control = readShareControl(pdu, data.dataOffset);
    type = control.type === ShareType.data ? readShareData(pdu, control).type : undefined;
  }
  const sendData = (type: number, body: (writer: Writer) => void): void =>
    sendOnIoChannel(stream, (writer) =>
      encodeShareData(writer, { type, source: SERVER_CHANNEL_ID, shareId: SHARE_ID }, body),
    );
  const control = (action: number) => (writer: Writer) =>
    encodeControl(writer, { action, grantId: 0, controlId: 0 });
  sendData(DataType.synchronize, (writer) => encodeSynchronize(writer, { targetUser: IO_CHANNEL + 1 }));
  sendData(DataType.control, control(ControlAction.cooperate));
  sendData(DataType.control, control(ControlAction.grantedControl));
  sendData(DataType.fontMap, (writer) => encodeFonts(writer, FONT_MAP));
}

function sendOnIoChannel(stream: PduStream, write: (writer: Writer) => void): void {
  const writer = new Writer();
  write(writer);
  const data = writer.done();
  stream.send(
    withData((pdu) =>
      encodeSendDataIndication(pdu, { initiator: SERVER_CHANNEL_ID, channelId: IO_CHANNEL, data }),
    ),
  );
}
