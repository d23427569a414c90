/**
 * The RDP front: takes connections to the end of their handshake and finds out who logs on.
 * It hands an authenticated client on and keeps nothing of it.
 */
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { ControlRequests, TargetName } from '../../workers/messages.ts';
import { type AcceptedClient, acceptClient, RefusedClientError } from './accept.ts';
import { PduError } from './pdu/cursor.ts';
import { PduStream, StreamClosedError } from './stream.ts';
import { MIN_TLS_VERSION } from './tls.ts';

/** Earned by authenticating: what the session driver takes. */
export interface AuthenticatedClient {
  /** Names the connection to the control plane. */
  readonly id: string;
  readonly socket: Socket;
  readonly stream: PduStream;
  readonly client: AcceptedClient;
  readonly user: string;
  readonly target: TargetName | undefined;
  readonly source: string;
}

export interface RdpFrontOptions {
  /** PEM. */
  readonly tls: { readonly key: string; readonly certificate: string };
  readonly loginGraceMs: number;
  readonly control: ControlRequests;
  onAuthenticated(client: AuthenticatedClient): void;
  /** A connection that ended before it was authenticated; `spoke`: it sent an RDP request. */
  onDropped(spoke: boolean): void;
  onConnectionClosed(id: string): void;
  /** An error of ours while somebody logs on. */
  onFault(error: unknown): void;
}

export class RdpFront {
  readonly #options: RdpFrontOptions;
  readonly #tls: SecureContext;

  constructor(options: RdpFrontOptions) {
    this.#options = options;
    this.#tls = createSecureContext({
      key: options.tls.key,
      cert: options.tls.certificate,
      minVersion: MIN_TLS_VERSION,
    });
  }

  /** Takes a TCP connection over; `source` is the client's address. */
  accept(socket: Socket, source: string): void {
    const id = randomUUID();
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    const stream = new PduStream(socket);
    let [spoke, authenticated] = [false, false];
    const grace = setTimeout(() => {
      if (!authenticated) socket.destroy();
    }, this.#options.loginGraceMs);
    socket.once('close', () => {
      clearTimeout(grace);
      if (!authenticated) this.#options.onDropped(spoke);
      if (spoke) this.#options.onConnectionClosed(id);
    });
    const logOn = async (): Promise<void> => {
      const client = await acceptClient(stream, { tls: this.#tls });
      spoke = true;
      const outcome = await this.#options.control.authenticate({
        connection: id,
        protocol: 'rdp',
        login: client.info.userName,
        source,
        factor: { kind: 'password', password: client.password.expose() },
      });
      if (stream.closed) return;
      if (outcome.outcome !== 'accepted') {
        stream.end();
        return;
      }
      authenticated = true;
      const { user, target } = outcome;
      this.#options.onAuthenticated({ id, socket, stream, client, user, target, source });
    };
    logOn().catch((error: unknown) => {
      // Clients that leave, break the protocol or fail in TLS end here; there is nobody to tell.
      const theirs =
        error instanceof PduError ||
        error instanceof StreamClosedError ||
        error instanceof RefusedClientError ||
        isTlsError(error);
      if (!theirs) this.#options.onFault(error);
      stream.end();
    });
  }
}

function isTlsError(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && /^(ERR_SSL|ERR_TLS|ECONN|EPIPE)/.test(String(error.code))
  );
}
