/** A man in the middle of an RDP connection: it relays every byte and sees it in plain. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { freePort } from './process.ts';
import { MessageSplitter, type TraceMessage } from './rdp-traces.ts';

export interface SpyOptions {
  /** Of the server, on 127.0.0.1. */
  readonly port: number;
  /**
   * PEM files. Clients see this certificate. CredSSP is bound to its key, so that network level
   * authentication passes only with the server's own.
   */
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Sees every chunk before it is passed on, as it came, in plain: of both directions of all connections. */
  readonly onChunk?: (from: TraceMessage['from'], bytes: Buffer, connection: number) => void;
}

export interface SpyConnection {
  /** Whole messages so far, of both directions, X.224 first. */
  readonly messages: readonly TraceMessage[];
  /** Of the negotiation (MS-RDPBCGR 2.2.1.2.1): 0 RDP's own security, 1 TLS, 2 CredSSP; undefined before. */
  readonly selectedProtocol: number | undefined;
  /** Resolves when one side has closed and the other knows, with the fault if one broke off. */
  readonly ended: Promise<unknown>;
}

export interface Spy {
  readonly port: number;
  /** In the order in which they were accepted. */
  readonly connections: readonly SpyConnection[];
  stop(): Promise<void>;
}

/** Reads from a socket until what came holds a whole TPKT; undefined when it ended before. */
async function readTpkt(socket: Socket, splitter: MessageSplitter): Promise<TraceMessage[] | undefined> {
  const messages: TraceMessage[] = [];
  for (;;) {
    // One byte at a time of what is there: TLS begins right behind, and belongs to its own reader.
    const byte: Buffer | null = socket.read(1);
    if (byte === null) {
      if (socket.readableEnded || socket.destroyed) return undefined;
      await Promise.race([once(socket, 'readable'), once(socket, 'end')]);
      continue;
    }
    messages.push(...splitter.push(byte));
    if (messages.at(-1)?.bytes[0] === 3) return messages;
  }
}

/** `selectedProtocol` of a Connection Confirm; 0 where it carries no negotiation response. */
function selectedProtocol(confirm: Buffer): number {
  return confirm.length >= 19 && confirm[11] === 2 ? confirm.readUInt32LE(15) : 0;
}

class Connection implements SpyConnection {
  readonly messages: TraceMessage[] = [];
  selectedProtocol: number | undefined;
  readonly ended: Promise<unknown>;
  readonly #client: Socket;
  readonly #target: Socket;
  readonly #options: SpyOptions;
  readonly #number: number;
  readonly #splitters = { client: new MessageSplitter('client'), server: new MessageSplitter('server') };

  constructor(client: Socket, options: SpyOptions, number: number) {
    this.#client = client;
    this.#options = options;
    this.#number = number;
    this.#target = connect(options.port, '127.0.0.1');
    for (const socket of [client, this.#target]) {
      // A test file that failed must still end: neither these nor the listener hold it.
      socket.setNoDelay(true).unref();
      socket.on('error', () => {});
    }
    this.ended = this.#run().catch((fault: unknown) => fault);
    this.ended.then(() => this.destroy());
  }

  destroy(): void {
    this.#client.destroy();
    this.#target.destroy();
  }

  #see(from: TraceMessage['from'], bytes: Buffer): void {
    this.#options.onChunk?.(from, bytes, this.#number);
  }

  /** Passes the negotiation on in plain; false when one side ended before. */
  async #negotiate(): Promise<boolean> {
    const request = await readTpkt(this.#client, this.#splitters.client);
    if (request === undefined) return false;
    for (const message of request) this.#pass(message, this.#target);
    const confirm = await readTpkt(this.#target, this.#splitters.server);
    if (confirm === undefined) return false;
    this.selectedProtocol = selectedProtocol(confirm.at(-1)?.bytes ?? Buffer.alloc(0));
    for (const message of confirm) this.#pass(message, this.#client);
    return true;
  }

  #pass(message: TraceMessage, to: Socket): void {
    this.messages.push(message);
    this.#see(message.from, message.bytes);
    to.write(message.bytes);
  }

  async #run(): Promise<void> {
    if (!(await this.#negotiate())) return;
    const cert = readFileSync(this.#options.certificateFile);
    const key = readFileSync(this.#options.keyFile);
    const plain = this.selectedProtocol === 0;
    const client = plain ? this.#client : new TLSSocket(this.#client, { isServer: true, cert, key });
    const target = plain ? this.#target : connectTls({ socket: this.#target, rejectUnauthorized: false });
    // RDP knows no half-closed connection: the end of one direction is the end of both.
    await Promise.race([this.#relay('client', client, target), this.#relay('server', target, client)]);
  }

  async #relay(from: TraceMessage['from'], source: Duplex, sink: Duplex): Promise<void> {
    sink.on('error', () => {});
    try {
      for await (const chunk of source as AsyncIterable<Buffer>) {
        this.#see(from, chunk);
        // What RDP's own security encrypts is still in whole messages.
        this.messages.push(...this.#splitters[from].push(chunk));
        if (sink.write(chunk)) continue;
        const heard = new AbortController();
        const { signal } = heard;
        // The one that does not come must not stay registered.
        await Promise.race([once(sink, 'drain', { signal }), once(sink, 'close', { signal })]);
        heard.abort();
      }
    } finally {
      await new Promise<void>((resolve) => sink.once('close', resolve).end(resolve));
    }
  }
}

/** Listens on a free port of 127.0.0.1 and relays to the server at `options.port`. */
export async function startSpy(options: SpyOptions): Promise<Spy> {
  const connections: Connection[] = [];
  const port = await freePort();
  const server = createServer((client) => {
    connections.push(new Connection(client, options, connections.length));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return {
    port,
    connections,
    async stop(): Promise<void> {
      for (const connection of connections) connection.destroy();
      server.close();
      await Promise.all(connections.map((connection) => connection.ended));
    },
  };
}
