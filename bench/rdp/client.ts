/** A light RDP client: the gateway's own client half, and the activation that the gateway leaves to others. */
import { connect } from 'node:net';
import { dialDesktop } from '../../gateway/rdp/back/dial.ts';
import { Reader, Writer } from '../../gateway/rdp/pdu/cursor.ts';
import {
  ControlAction,
  encodeControl,
  encodeFonts,
  encodeSynchronize,
  FONT_LIST,
} from '../../gateway/rdp/pdu/finalization.ts';
import { encodeFastPathInput } from '../../gateway/rdp/pdu/input.ts';
import { encodeSendDataRequest, readSendData } from '../../gateway/rdp/pdu/mcs-data.ts';
import {
  DataType,
  encodeShareData,
  readShareControl,
  readShareData,
  SERVER_CHANNEL_ID,
  ShareType,
} from '../../gateway/rdp/pdu/share.ts';
import { withData } from '../../gateway/rdp/pdu/x224.ts';
import { PduStream } from '../../gateway/rdp/stream/stream.ts';
import { dialTls } from '../../gateway/rdp/stream/tls.ts';
import { AUTHORIZATION } from '../../test/support/authorization.ts';
import { Secret } from '../../vault-client/index.ts';
import { type Endpoint, PASSWORD } from './jobs.ts';
import { clientBlocks, confirmActive } from './peer.ts';

const HOST = '127.0.0.1';
const TIMEOUT_MS = 60_000;
const blocks = clientBlocks();

/** TLS alone: resolves when its handshake is complete. */
export async function openTls({ port }: Endpoint): Promise<PduStream> {
  const socket = connect({ port, host: HOST, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const stream = new PduStream(socket);
  await stream.secure((plain) => dialTls(plain, HOST));
  return stream;
}

/** Logs on and resolves when the server has said that the desktop is active. */
export async function openDesktop({ port, login }: Endpoint): Promise<PduStream> {
  const { stream, userId, ioChannel, first } = await dialDesktop({
    authorization: {
      ...AUTHORIZATION,
      account: login,
      system: { name: 'bench', host: HOST, port, identity: undefined, legacyAlgorithms: false },
      allow: ['desktop'],
    },
    credential: { username: login, password: PASSWORD, privateKey: undefined, passphrase: undefined },
    client: {
      cookie: undefined,
      nla: undefined,
      requestedProtocols: 0,
      blocks,
      userId: 0,
      channels: [],
      info: {
        codePage: 0x409,
        flags: 0,
        domain: '',
        userName: login,
        alternateShell: '',
        workingDir: '',
      },
      password: new Secret(''),
    },
    channels: [],
    timeoutMs: TIMEOUT_MS,
    pin: async () => {},
  });
  const send = (write: (writer: Writer) => void): void => {
    const writer = new Writer();
    write(writer);
    const data = writer.done();
    stream.send(
      withData((pdu) => encodeSendDataRequest(pdu, { initiator: userId, channelId: ioChannel, data })),
    );
  };
  // Where the gateway asks on a desktop of its own, another Demand Active follows: all are answered.
  for (let pdu = first ?? (await stream.next()); ; pdu = await stream.next()) {
    const data = pdu[0] === 3 ? readSendData(pdu) : undefined;
    if (data?.channelId !== ioChannel) continue;
    const control = readShareControl(pdu, data.dataOffset);
    if (control.type === ShareType.demandActive) {
      const shareId = new Reader(pdu, control.dataOffset).u32le('shareId');
      const share = { shareId, source: userId };
      send((writer) => writer.bytes(confirmActive(shareId, userId)));
      for (const [type, body] of FINALIZATION)
        send((writer) => encodeShareData(writer, { ...share, type }, body));
    } else if (control.type === ShareType.data && readShareData(pdu, control).type === DataType.fontMap) {
      return stream;
    }
  }
}

const control = (action: number) => (writer: Writer) =>
  encodeControl(writer, { action, grantId: 0, controlId: 0 });

/** What a client sends behind its Confirm Active (1.3.1.1). */
const FINALIZATION: readonly (readonly [number, (writer: Writer) => void])[] = [
  [DataType.synchronize, (writer) => encodeSynchronize(writer, { targetUser: SERVER_CHANNEL_ID })],
  [DataType.control, control(ControlAction.cooperate)],
  [DataType.control, control(ControlAction.requestControl)],
  [DataType.fontList, (writer) => encodeFonts(writer, FONT_LIST)],
];

/** Presses the key A. */
export function pressKey(stream: PduStream): void {
  const writer = new Writer();
  encodeFastPathInput(writer, [
    { kind: 'key', scancode: 0x1e, extended: false, extended1: false, release: false },
  ]);
  stream.send(writer.done());
}
