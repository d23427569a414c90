/**
 * A connection broker of the tests' own: an RDP server that sends its clients on ([MS-RDPBCGR] 2.2.13),
 * maybe after it has licensed them, maybe after it has shown them a desktop. Who comes again with its
 * routing token is passed on to the server behind it.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { type AcceptedClient, acceptClient, sendOnIoChannel } from '../../gateway/rdp/front/accept.ts';
import { Desk } from '../../gateway/rdp/front/desk.ts';
import { Reader } from '../../gateway/rdp/pdu/cursor.ts';
import { readSendData } from '../../gateway/rdp/pdu/mcs-data.ts';
import {
  encodeEnhancedRedirection,
  encodeRedirection,
  type ServerRedirectionWithPassword,
} from '../../gateway/rdp/pdu/redirection.ts';
import { SecurityFlag } from '../../gateway/rdp/pdu/security.ts';
import { encodeShareControl, SERVER_CHANNEL_ID, ShareType } from '../../gateway/rdp/pdu/share.ts';
import { TPKT_HEADER_BYTES } from '../../gateway/rdp/pdu/tpkt.ts';
import { type ConnectionRequest, decodeConnectionRequest } from '../../gateway/rdp/pdu/x224.ts';
import { PduStream } from '../../gateway/rdp/stream/stream.ts';
import { type Issued, type IssuerOptions, issueLicense } from './license-issuer.ts';

export interface BrokerOptions {
  /** Where it listens; default a free port of 127.0.0.1. */
  readonly host?: string;
  readonly port?: number;
  readonly tls: SecureContext;
  /** Where each client is sent; the same one again and again where there is one only. */
  readonly redirections: readonly ServerRedirectionWithPassword[];
  /** In the envelope of standard security. */
  readonly standard?: boolean;
  /** Shows a desktop first, and sends people on when they press a key on it, or when this resolves. */
  readonly desktop?: true | Promise<unknown>;
  /** Issues a licence first. */
  readonly license?: IssuerOptions;
  /** Port on 127.0.0.1 of the server for those who come with a routing token. */
  readonly behind?: number;
}

/** A connection that came. */
export interface BrokerVisit {
  readonly request: ConnectionRequest;
  client?: AcceptedClient;
  issued?: Issued;
  /** What went wrong. */
  error?: unknown;
}

export interface Broker {
  readonly port: number;
  /** In the order in which they came. */
  readonly visits: readonly BrokerVisit[];
  stop(): Promise<void>;
}

/** Keeps to itself the word that no licence is needed, with which the front's handshake ends. */
class LicensingStream extends PduStream {
  #kept = false;

  override send(pdu: Uint8Array): void {
    const data = pdu[5] === 0xf0 ? readSendData(pdu) : undefined;
    const alert = data !== undefined && pdu[data.dataOffset] === SecurityFlag.licensePacket;
    if (this.#kept || !alert) super.send(pdu);
    else this.#kept = true;
  }
}

export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const sockets = new Set<Socket>();
  const visits: BrokerVisit[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.once('data', (first: Buffer) => {
      socket.pause();
      socket.unshift(first);
      const visit: BrokerVisit = { request: decodeConnectionRequest(new Reader(first, TPKT_HEADER_BYTES)) };
      visits.push(visit);
      if (visit.request.routingToken !== undefined && options.behind !== undefined)
        passOn(socket, options.behind, sockets);
      else
        serve(socket, visit, visits.length - 1, options).catch((error: unknown) => {
          visit.error = error;
          socket.destroy();
        });
    });
  });
  server.listen(options.port ?? 0, options.host ?? '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    visits,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

function passOn(socket: Socket, port: number, sockets: Set<Socket>): void {
  const behind = connect(port, '127.0.0.1');
  sockets.add(behind);
  behind.on('error', () => socket.destroy());
  behind.on('close', () => {
    sockets.delete(behind);
    socket.destroy();
  });
  socket.on('close', () => behind.destroy());
  socket.pipe(behind);
  behind.pipe(socket);
}

async function serve(
  socket: Socket,
  visit: BrokerVisit,
  number: number,
  { tls, redirections, standard, desktop, license }: BrokerOptions,
): Promise<void> {
  const stream = license === undefined ? new PduStream(socket) : new LicensingStream(socket);
  const client = await acceptClient(stream, { tls });
  visit.client = client;
  if (license !== undefined) visit.issued = await issueLicense(stream, license);
  if (desktop !== undefined) {
    const desk = new Desk(stream, client, '');
    stream.onClose = () => desk.closed();
    const pressed = desk.ask({ kind: 'message', title: 'Broker', text: 'Press Return.', retry: false });
    await (desktop === true ? pressed : Promise.race([desktop, pressed]));
    // It draws no more.
    desk.closed();
  }
  const redirection = redirections[Math.min(number, redirections.length - 1)];
  if (redirection === undefined) return;
  sendOnIoChannel(stream, (writer) => {
    if (standard) encodeRedirection(writer, redirection);
    else
      encodeShareControl(writer, ShareType.serverRedirection, SERVER_CHANNEL_ID, (body) =>
        encodeEnhancedRedirection(body, redirection),
      );
  });
}
