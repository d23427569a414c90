/**
 * The synthetic target's handshake: the gateway's own server half with network level authentication,
 * and the activation that the gateway leaves to others. The account's name says what it shows.
 */
import type { SecureContext } from 'node:tls';
import { ntlmHash, sessionBaseKeyOf } from '../../gateway/rdp/credssp/ntlm.ts';
import { acceptClient, IO_CHANNEL, sendOnIoChannel } from '../../gateway/rdp/front/accept.ts';
import type { Present } from '../../gateway/rdp/front/nla.ts';
import type { Writer } from '../../gateway/rdp/pdu/cursor.ts';
import {
  ControlAction,
  encodeControl,
  encodeFonts,
  encodeSynchronize,
  FONT_MAP,
} from '../../gateway/rdp/pdu/finalization.ts';
import { readSendData } from '../../gateway/rdp/pdu/mcs-data.ts';
import {
  DataType,
  encodeShareData,
  readShareControl,
  readShareData,
  SERVER_CHANNEL_ID,
  ShareType,
} from '../../gateway/rdp/pdu/share.ts';
import type { PduStream } from '../../gateway/rdp/stream/stream.ts';
import { PASSWORD } from './jobs.ts';
import { demandActive, SHARE_ID } from './peer.ts';

export interface Identity {
  readonly tls: SecureContext;
  /** The subjectPublicKey bits of its certificate: what CredSSP binds. */
  readonly publicKey: Uint8Array;
}

const NT_HASH = ntlmHash(PASSWORD);

/** Takes a client to its active desktop. @returns the name of the account that it logged on with */
export async function serveHandshake(stream: PduStream, { tls, publicKey }: Identity): Promise<string> {
  const client = await acceptClient(stream, {
    tls,
    nla: { wanted: async () => true, publicKey, targetName: 'BENCH', present },
  });
  await activate(stream, client.userId);
  return client.info.userName;
}

/** Everybody has the same password. */
const present: Present = async (user, factor) => {
  const sessionBaseKey = factor.kind === 'ntlm' ? sessionBaseKeyOf(NT_HASH, { user, ...factor }) : undefined;
  return sessionBaseKey === undefined
    ? { outcome: 'rejected', methods: [] }
    : { outcome: 'accepted', user, target: undefined, sessionBaseKey };
};

/** Capability exchange and finalization (1.3.1.1), as far as the client's Font List. */
async function activate(stream: PduStream, targetUser: number): Promise<void> {
  sendOnIoChannel(stream, (writer) => writer.bytes(demandActive()));
  for (let type: number | undefined; type !== DataType.fontList; ) {
    const pdu = await stream.next();
    const data = readSendData(pdu);
    if (data?.channelId !== IO_CHANNEL) continue;
    const control = readShareControl(pdu, data.dataOffset);
    type = control.type === ShareType.data ? readShareData(pdu, control).type : undefined;
  }
  const send = (type: number, body: (writer: Writer) => void): void =>
    sendOnIoChannel(stream, (writer) =>
      encodeShareData(writer, { type, source: SERVER_CHANNEL_ID, shareId: SHARE_ID }, body),
    );
  const control = (action: number) => (writer: Writer) =>
    encodeControl(writer, { action, grantId: 0, controlId: 0 });
  send(DataType.synchronize, (writer) => encodeSynchronize(writer, { targetUser }));
  send(DataType.control, control(ControlAction.cooperate));
  send(DataType.control, control(ControlAction.grantedControl));
  send(DataType.fontMap, (writer) => encodeFonts(writer, FONT_MAP));
}
