/**
 * The front leg: an SSH server (RFC 4252, 4253 by ssh2) that knows people, not targets.
 * It hands an authenticated connection on and keeps nothing of it.
 */
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import ssh2, {
  type AuthContext,
  type Connection,
  type KeyboardAuthContext,
  type PublicKeyAuthContext,
} from 'ssh2';
import type {
  AuthenticationOutcome,
  ControlRequests,
  Factor,
  Method,
  TargetName,
} from '../../workers/messages.ts';
import { FRONT_ALGORITHMS } from './algorithms.ts';
import { disconnect, Leg, writePerTurn } from './leg.ts';
import { gateLogOn } from './log-on-gate.ts';
import { DisconnectReason } from './wire/connection.ts';

/** What a person may start with, the same for everybody, so that names cannot be told apart. */
const FIRST_METHODS: readonly Method[] = ['publickey', 'password', 'keyboard-interactive'];

/**
 * Refused tries before the connection is ended; an agent with a dozen keys still gets to
 * its password. Guessing is bounded by the control plane's limiter, not by this.
 */
const MAX_REFUSALS = 16;

/** Earned by authenticating: what the session driver takes. */
export interface AuthenticatedConnection {
  /** Names the connection to the control plane. */
  readonly id: string;
  readonly leg: Leg;
  readonly socket: Socket;
  readonly user: string;
  readonly target: TargetName | undefined;
  /** `address` of the client, from the PROXY header where a trusted load balancer sent one. */
  readonly source: string;
  /** As `performance.now()` counts. */
  readonly acceptedAt: number;
}

export interface FrontOptions {
  /** Private keys in PEM or OpenSSH form, one of a type. */
  readonly hostKeys: readonly string[];
  readonly banner: string | undefined;
  readonly loginGraceMs: number;
  readonly control: ControlRequests;
  onAuthenticated(connection: AuthenticatedConnection): void;
  /** A connection that ended before it was authenticated; `spoke`: it sent an SSH banner. */
  onDropped(spoke: boolean): void;
  onConnectionClosed(id: string): void;
  /** An error of ours while somebody logs on. */
  onFault(error: unknown): void;
}

// ssh2 pings every client by itself and would take the answers for its own; after the log-on
// they are the relay's, which knows of no question. TCP keepalive finds dead clients.
(ssh2.Server as unknown as { KEEPALIVE_CLIENT_INTERVAL: number }).KEEPALIVE_CLIENT_INTERVAL = 0;

interface Arrival {
  readonly id: string;
  readonly source: string;
  readonly acceptedAt: number;
  spoke: boolean;
  authenticated: boolean;
  /** Lets data through as it comes. */
  readonly openGate: () => void;
}

export class SshFront {
  readonly #options: FrontOptions;
  readonly #server: ssh2.Server;
  readonly #arrivals = new WeakMap<Socket, Arrival>();

  constructor(options: FrontOptions) {
    this.#options = options;
    this.#server = new ssh2.Server({
      hostKeys: [...options.hostKeys],
      ident: 'Sallyport',
      algorithms: FRONT_ALGORITHMS,
      ...(options.banner === undefined ? {} : { banner: options.banner }),
    });
    this.#server.on('connection', (connection) => this.#greeted(connection));
  }

  /** Takes a TCP connection over; `source` is the client's address. */
  accept(socket: Socket, source: string): void {
    const acceptedAt = performance.now();
    const openGate = gateLogOn(socket, source, () => socket.destroy());
    const id = randomUUID();
    const arrival: Arrival = { id, source, acceptedAt, spoke: false, authenticated: false, openGate };
    this.#arrivals.set(socket, arrival);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    const grace = setTimeout(() => {
      if (!arrival.authenticated) socket.destroy();
    }, this.#options.loginGraceMs);
    socket.once('close', () => {
      clearTimeout(grace);
      if (!arrival.authenticated) this.#options.onDropped(arrival.spoke);
      if (arrival.spoke) this.#options.onConnectionClosed(arrival.id);
    });
    this.#server.injectSocket(socket);
  }

  #greeted(connection: Connection): void {
    const socket = (connection as unknown as { _sock: Socket })._sock;
    const arrival = this.#arrivals.get(socket);
    if (arrival === undefined) return;
    arrival.spoke = true;
    // Malformed packets and lost connections end in `close`; there is nobody to tell.
    connection.on('error', () => {});
    writePerTurn(connection, socket);
    const logOn = new LogOn(connection, socket, arrival, this.#options);
    connection.on('authentication', (context) => logOn.attempt(context));
    // A key exchange costs us more than the client: one is enough to log on.
    connection.on('rekey', () => {
      if (!arrival.authenticated) socket.destroy();
    });
    connection.on('ready', () => {
      arrival.authenticated = true;
      arrival.openGate();
      const { user, target } = logOn.accepted;
      this.#options.onAuthenticated({
        id: arrival.id,
        leg: new Leg(connection, socket),
        socket,
        user,
        target,
        source: arrival.source,
        acceptedAt: arrival.acceptedAt,
      });
    });
  }
}

/** One connection's way through RFC 4252. */
class LogOn {
  readonly #connection: Connection;
  readonly #socket: Socket;
  readonly #arrival: Arrival;
  readonly #options: FrontOptions;
  #refusals = 0;
  /** The first factor was right; only a one-time code is missing. */
  #secondFactor = false;
  /** The key of this user that will do, once it is proved (SSH_MSG_USERAUTH_PK_OK, RFC 4252 §7). */
  #asked: { readonly username: string; readonly blob: Buffer } | undefined;
  #accepted: { user: string; target: TargetName | undefined } | undefined;

  constructor(connection: Connection, socket: Socket, arrival: Arrival, options: FrontOptions) {
    this.#connection = connection;
    this.#socket = socket;
    this.#arrival = arrival;
    this.#options = options;
  }

  /** Who was let in. Only to be asked once the connection is ready. */
  get accepted(): { user: string; target: TargetName | undefined } {
    if (this.#accepted === undefined) throw new Error('the connection is not authenticated');
    return this.#accepted;
  }

  attempt(context: AuthContext): void {
    this.#decide(context).catch((error: unknown) => {
      this.#options.onFault(error);
      this.#end('the gateway cannot check log-ons right now, please try again later');
    });
  }

  async #decide(context: AuthContext): Promise<void> {
    switch (context.method) {
      case 'password':
        this.#answer(context, await this.#present(context, { kind: 'password', password: context.password }));
        return;
      case 'publickey':
        this.#answer(context, await this.#publicKey(context));
        return;
      case 'keyboard-interactive':
        await this.#keyboard(context);
        return;
      default:
        context.reject([...FIRST_METHODS]);
    }
  }

  async #publicKey(context: PublicKeyAuthContext): Promise<AuthenticationOutcome> {
    // Copies: what ssh2 hands over is valid until its handler returns.
    const blob = Buffer.from(context.key.data);
    const signature = context.signature && Buffer.from(context.signature);
    if (isOutdated(context.key.algo, context.hashAlgo))
      return { outcome: 'rejected', methods: FIRST_METHODS };
    const { username } = context;
    const asked = this.#asked?.username === username && this.#asked.blob.equals(blob);
    // Signatures are checked of keys that are known: with one of their own making a stranger could have it take long.
    if (signature === undefined || !asked) {
      const outcome = await this.#present(context, { kind: 'publickey', blob, proven: false });
      if (outcome.outcome !== 'accepted') return outcome;
      this.#asked = { username, blob };
      if (signature === undefined) return outcome;
    }
    const key = ssh2.utils.parseKey(blob);
    // What the client called the key counts for nothing here: the key itself does.
    const proven =
      context.blob !== undefined &&
      !(key instanceof Error) &&
      !isOutdated(key.type, context.hashAlgo) &&
      key.verify(context.blob, signature, context.hashAlgo) === true;
    if (!proven) return { outcome: 'rejected', methods: FIRST_METHODS };
    return await this.#present(context, { kind: 'publickey', blob, proven: true });
  }

  /** RFC 4256: the password, then the one-time code when the control plane asks for it. */
  async #keyboard(context: KeyboardAuthContext): Promise<void> {
    if (!this.#secondFactor) {
      const password = await this.#ask(context, 'Password: ', false);
      if (password === undefined) return;
      const outcome = await this.#present(context, { kind: 'password', password });
      if (outcome.outcome !== 'continue') return this.#answer(context, outcome);
      this.#secondFactor = true;
    }
    const code = await this.#ask(context, 'One-time code: ', true);
    if (code === undefined) return;
    this.#answer(context, await this.#present(context, { kind: 'otp', code: code.trim() }));
  }

  #ask(context: KeyboardAuthContext, prompt: string, echo: boolean): Promise<string | undefined> {
    return new Promise((resolve) => {
      context.prompt([{ prompt, echo }], '', '', (answers: string[] | Error) =>
        resolve(Array.isArray(answers) ? (answers[0] ?? '') : undefined),
      );
    });
  }

  async #present(context: AuthContext, factor: Factor): Promise<AuthenticationOutcome> {
    return await this.#options.control.authenticate({
      connection: this.#arrival.id,
      protocol: 'ssh',
      login: context.username,
      source: this.#arrival.source,
      factor,
    });
  }

  #answer(context: AuthContext, outcome: AuthenticationOutcome): void {
    if (this.#socket.destroyed) return;
    switch (outcome.outcome) {
      case 'accepted':
        this.#accepted = { user: outcome.user, target: outcome.target };
        // For a key without a signature this sends SSH_MSG_USERAUTH_PK_OK (RFC 4252 §7).
        context.accept();
        return;
      case 'continue':
        this.#secondFactor = true;
        context.reject([...outcome.methods], true);
        return;
      case 'rejected':
        this.#refusals += 1;
        if (this.#refusals >= MAX_REFUSALS) this.#end('too many authentication failures');
        else context.reject([...outcome.methods]);
        return;
      case 'blocked':
        this.#end(outcome.message);
    }
  }

  #end(text: string): void {
    if (!this.#socket.destroyed)
      disconnect(this.#connection, this.#socket, DisconnectReason.noMoreAuthMethods, text);
  }
}

/** Signatures with SHA-1: of DSA keys, and of RSA keys where the client asks for nothing newer (RFC 8332 §2). */
function isOutdated(keyType: string, hash: string | undefined): boolean {
  return keyType === 'ssh-dss' || (keyType === 'ssh-rsa' && hash === undefined);
}
