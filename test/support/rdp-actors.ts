/** A target with a desktop and a client that shows it, played in the test's own process: they can do what real ones never would. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import {
  type AcceptedClient,
  acceptClient,
  IO_CHANNEL,
  sendOnIoChannel,
} from '../../gateway/rdp/front/accept.ts';
import { Writer } from '../../gateway/rdp/pdu/cursor.ts';
import { encodeFastPathInput } from '../../gateway/rdp/pdu/input.ts';
import { encodeSendDataRequest, readSendData } from '../../gateway/rdp/pdu/mcs-data.ts';
import { bitmapUpdates, encodeFastPathOutput } from '../../gateway/rdp/pdu/output.ts';
import { DataType, readShareControl, readShareData, ShareType } from '../../gateway/rdp/pdu/share.ts';
import { withData } from '../../gateway/rdp/pdu/x224.ts';
import { PduStream } from '../../gateway/rdp/stream/stream.ts';
import { dialling, realActivation, TLS } from '../unit/rdp/legs.ts';
import { until } from './process.ts';

const { demand: DEMAND, confirm: CONFIRM } = realActivation('xrdp-16');
/** Of shareId, in a share control PDU. */
const SHARE_ID_OFFSET = 6;

/** Somebody's session at the target. */
export interface DesktopSession {
  readonly stream: PduStream;
  readonly client: AcceptedClient;
  /** Whole PDUs that have come, copied. */
  readonly received: Uint8Array[];
}

export interface DesktopTarget {
  readonly port: number;
  readonly sessions: readonly DesktopSession[];
  /** The newest session, once there are more than `before`. */
  session(before?: number): Promise<DesktopSession>;
  stop(): void;
}

export interface DesktopTargetOptions {
  /** The certificate that it shows to its next client. */
  tls?: SecureContext;
  /** What it does once somebody has logged on; by default it activates a desktop. */
  begin?(session: DesktopSession): void;
}

/** What the target may be told while it runs is in `options`. */
export async function startDesktop(options: DesktopTargetOptions = {}): Promise<DesktopTarget> {
  const sessions: DesktopSession[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    const stream = new PduStream(socket);
    acceptClient(stream, { tls: options.tls ?? TLS }).then(
      (client) => {
        const session: DesktopSession = { stream, client, received: [] };
        stream.take((pdu) => session.received.push(new Uint8Array(pdu)));
        sessions.push(session);
        (options.begin ?? activate)(session);
      },
      () => {},
    );
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : assert.fail(),
    sessions,
    session: (before = 0) =>
      until('a session at the target', () => (sessions.length > before ? sessions.at(-1) : undefined)),
    stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** The target asks its client to show a desktop. */
export function activate({ stream }: DesktopSession): void {
  sendOnIoChannel(stream, (writer) => writer.bytes(DEMAND));
}

/** A fast-path update that paints 64 × 64 pixels of one colour. */
export function paints(colour: number): Uint8Array {
  const pixels = new Uint32Array(64 * 64).fill(colour);
  const writer = new Writer();
  for (const update of bitmapUpdates({ width: 64, height: 64, pixels }, 16, 0, 0))
    encodeFastPathOutput(writer, update);
  return writer.done();
}

/** A fast-path update of the target's with these bytes, whatever they are. */
export function rawUpdate(code: number, data: Uint8Array): Uint8Array {
  const length = 6 + data.length;
  return Buffer.concat([
    Buffer.from([0, 0x80 | (length >> 8), length & 0xff, code, data.length & 0xff, data.length >> 8]),
    data,
  ]);
}

export interface DesktopClient {
  readonly stream: PduStream;
  /** Whole PDUs that have come, copied. */
  readonly received: Uint8Array[];
  /** Resolves once the target's desktop is taken. */
  activated(): Promise<void>;
  /** Presses the space bar. */
  press(): void;
  /** Code of the Set Error Info PDU that came, if one did. */
  errorInfo(): number | undefined;
  readonly ended: Promise<void>;
}

export interface DesktopClientOptions {
  readonly password: string;
  /** False: it never confirms a desktop. */
  readonly confirms?: boolean;
}

/** Logs on at the gateway as a client would, and shows what it is asked to. */
export async function openDesktop(
  port: number,
  username: string,
  { password, confirms = true }: DesktopClientOptions,
): Promise<DesktopClient> {
  const { stream, userId } = await dialling(port, { username, password, timeoutMs: 60_000 });
  const received: Uint8Array[] = [];
  const gone = Promise.withResolvers<void>();
  let taken = 0;
  stream.onClose = () => gone.resolve();
  const send = (data: Uint8Array): void =>
    stream.send(
      withData((pdu) => encodeSendDataRequest(pdu, { initiator: userId, channelId: IO_CHANNEL, data })),
    );
  stream.take((pdu) => {
    received.push(new Uint8Array(pdu));
    const data = pdu[0] === 3 ? readSendData(pdu) : undefined;
    if (data?.channelId !== IO_CHANNEL || !confirms) return;
    const control = readShareControl(pdu, data.dataOffset);
    if (control.type !== ShareType.demandActive) return;
    const confirm = Buffer.from(CONFIRM);
    confirm.set(pdu.subarray(control.dataOffset, control.dataOffset + 4), SHARE_ID_OFFSET);
    send(confirm);
    taken += 1;
  });
  return {
    stream,
    received,
    activated: () => until('a desktop', () => (taken > 0 ? true : undefined)).then(() => {}),
    press() {
      const writer = new Writer();
      encodeFastPathInput(
        writer,
        [false, true].map((release) => ({
          kind: 'key',
          scancode: 0x39,
          release,
          extended: false,
          extended1: false,
        })),
      );
      stream.send(writer.done());
    },
    errorInfo() {
      for (const pdu of received) {
        const data = pdu[0] === 3 && (pdu[7] ?? 0) >= 0x64 ? readSendData(pdu) : undefined;
        if (data?.channelId !== IO_CHANNEL) continue;
        const control = readShareControl(pdu, data.dataOffset);
        if (control.type !== ShareType.data) continue;
        const share = readShareData(pdu, control);
        if (share.type === DataType.setErrorInfo) return Buffer.from(pdu).readUInt32LE(share.dataOffset);
      }
      return undefined;
    },
    ended: gone.promise,
  };
}
