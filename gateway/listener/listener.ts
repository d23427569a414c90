/**
 * Accepts TCP connections for a protocol front: shared port, trusted PROXY headers, and
 * a bound on connections that have not yet logged on, and on those that have no session yet.
 */
import { BlockList, createServer, isIPv6, type Server, type Socket } from 'node:net';
import { listen } from './listen.ts';
import { MAX_PENDING, Pending } from './pending.ts';
import { parseProxyHeader } from './wire/proxy-protocol.ts';

/** Why a connection was not let in: stable words for counting. */
export type TurnedAway = 'source-limit' | 'limit' | 'bytes' | 'proxy-header';

export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  /** How a new connection is made ready; the default leaves it as Node made it. */
  readonly wrap?: (accepted: Socket) => Socket;
  /** CIDR ranges whose connections begin with a PROXY protocol header. */
  readonly proxyFrom: readonly string[];
  /** A connection, paused unless `wrap` made it otherwise; `source` is the client's address. */
  onConnection(socket: Socket, source: string): void;
  /** A load balancer that sends PROXY headers connected and left without one: a probe. */
  onProbe(): void;
  /** Turned away at the door. */
  onTurnedAway(reason: TurnedAway, source: string): void;
  /** Ends a connection that finds no place; the default hangs up. */
  readonly farewell?: (socket: Socket, reason: 'source-limit' | 'limit') => void;
}

/** A load balancer sends its header at once. */
const PROXY_HEADER_MS = 5_000;
/** Longer than any header (v2 with TLVs). */
const PROXY_HEADER_BYTES = 4_096 + 16;
/** How often connections that have not logged on are looked at for what they sent. */
const SWEEP_MS = 1_000;

export class Listener {
  readonly #options: ListenerOptions;
  readonly #trusted = new BlockList();
  readonly #server: Server;
  readonly #pending = new Pending();
  /** Logged on, and without a session yet: apart, so that a flood of the others takes no place of theirs. */
  readonly #waiting = new Pending();
  /** Connections of load balancers whose header is not there yet. */
  #greeting = 0;
  #connections = 0;

  constructor(options: ListenerOptions) {
    this.#options = options;
    for (const range of options.proxyFrom) {
      const [address = '', bits = ''] = range.split('/');
      this.#trusted.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4');
    }
    this.#server = createServer({ noDelay: true, pauseOnConnect: true }, (accepted) =>
      this.#accept(options.wrap?.(accepted) ?? accepted),
    );
  }

  /** Resolves to the port, once connections are accepted. Rejects when the address cannot be bound. */
  listen(): Promise<number> {
    setInterval(() => this.#sweep(), SWEEP_MS).unref();
    // Each worker listens itself and the kernel spreads connections: a worker's death
    // takes neither the port nor its peers' sessions.
    const { host, port } = this.#options;
    return listen(this.#server, { host, port, backlog: 1_024, reusePort: true });
  }

  /** Stops accepting; connections that are there stay. */
  close(): void {
    this.#server.close();
  }

  /** Open now, logged on or not. */
  get connections(): number {
    return this.#connections;
  }

  /**
   * The connection has logged on: from now on it counts among those that have no session yet.
   * @returns why there is no room for it, which has been counted: the caller ends it
   */
  loggedOn(socket: Socket, source: string): 'source-limit' | 'limit' | undefined {
    this.#pending.leave(socket);
    return socket.destroyed ? undefined : this.#enter(this.#waiting, socket, source);
  }

  /** The connection has a session: it no longer counts against the bounds. */
  settled(socket: Socket): void {
    this.#pending.leave(socket);
    this.#waiting.leave(socket);
  }

  #accept(socket: Socket): void {
    // Without a listener an error of the socket would end the worker.
    socket.on('error', () => {});
    const peer = plainAddress(socket.remoteAddress ?? '');
    if (this.#trusted.check(peer, isIPv6(peer) ? 'ipv6' : 'ipv4')) this.#readHeader(socket, peer);
    else this.#admit(socket, peer);
  }

  #admit(socket: Socket, source: string): void {
    if (socket.destroyed) return;
    const refused = this.#enter(this.#pending, socket, source);
    if (refused !== undefined) {
      if (this.#options.farewell === undefined) socket.destroy();
      else this.#options.farewell(socket, refused);
      return;
    }
    this.#connections += 1;
    socket.once('close', () => {
      this.settled(socket);
      this.#connections -= 1;
    });
    this.#options.onConnection(socket, source);
  }

  /** @returns why there is no place for it */
  #enter(pending: Pending, socket: Socket, source: string): 'source-limit' | 'limit' | undefined {
    const entered = pending.enter(socket, source);
    if ('refused' in entered) {
      this.#options.onTurnedAway(entered.refused, source);
      return entered.refused;
    }
    const { evicted } = entered;
    if (evicted === undefined) return undefined;
    this.#options.onTurnedAway('limit', evicted.source);
    evicted.socket.destroy();
    return undefined;
  }

  #sweep(): void {
    for (const greedy of this.#pending.greedy()) {
      this.#options.onTurnedAway('bytes', greedy.source);
      greedy.socket.destroy();
    }
  }

  /** haproxy's proxy-protocol.txt §2: the header comes before anything else. */
  #readHeader(socket: Socket, peer: string): void {
    let received = Buffer.alloc(0);
    let refused = false;
    const refuse = (): void => {
      refused = true;
      this.#options.onTurnedAway('proxy-header', peer);
      socket.destroy();
    };
    if (this.#greeting >= MAX_PENDING) return refuse();
    this.#greeting += 1;
    const timer = setTimeout(refuse, PROXY_HEADER_MS);
    const arrived = (): void => {
      clearTimeout(timer);
      this.#greeting -= 1;
    };
    const left = (): void => {
      arrived();
      if (received.length === 0 && !refused) this.#options.onProbe();
    };
    socket.once('close', left);
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      try {
        const parsed = parseProxyHeader(received);
        if ('need' in parsed) {
          if (received.length > PROXY_HEADER_BYTES) refuse();
          return;
        }
        arrived();
        socket.removeListener('close', left);
        socket.removeListener('data', onData);
        socket.pause();
        const rest = received.subarray(parsed.length);
        if (rest.length > 0) socket.unshift(rest);
        this.#admit(socket, parsed.header.source?.address ?? peer);
      } catch {
        refuse();
      }
    };
    socket.on('data', onData);
    socket.resume();
  }
}

/** `::ffff:10.0.0.1` as `10.0.0.1`: a dual-stack listener shows IPv4 clients that way. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}
