/**
 * The RDP front: takes connections to the end of their handshake and finds out who logs on.
 * It hands an authenticated client on and keeps nothing of it.
 */
import { randomUUID, X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { ControlRequests } from '../../../workers/messages.ts';
import type { Standing } from '../../control/admission.ts';
import { subjectPublicKeyOf } from '../credssp/public-key.ts';
import { PduError } from '../pdu/cursor.ts';
import { PduStream, StreamClosedError } from '../stream/stream.ts';
import { MIN_TLS_VERSION } from '../stream/tls.ts';
import { acceptClient, RefusedClientError } from './accept.ts';
import { type NlaOptions, NlaRefusedError, type Present } from './nla.ts';
import { type LoggedOn, logOn, Reception } from './reception.ts';
import { refuse } from './refuse.ts';

/** Earned by authenticating: what the session driver takes. */
export interface AuthenticatedClient {
  /** Names the connection to the control plane. */
  readonly id: string;
  readonly socket: Socket;
  readonly reception: Reception;
  readonly loggedOn: LoggedOn;
  readonly source: string;
  /** As `performance.now()` counts. */
  readonly acceptedAt: number;
}

export interface RdpFrontOptions {
  /** PEM. */
  readonly tls: { readonly key: string; readonly certificate: string };
  /** `rdp.nla` */
  readonly nla: 'auto' | 'preferred' | 'never';
  /** The node's name: how it calls itself to clients that do NLA. */
  readonly name: string;
  /** What the node's owner wants to be read before people log on. */
  readonly banner: string;
  readonly loginGraceMs: number;
  readonly control: ControlRequests;
  onAuthenticated(client: AuthenticatedClient): void;
  /** Told why it is not let in. */
  onTurnedAway(code: Standing['code'], source: string): void;
  /** A connection that ended before it was authenticated; `spoke`: it tried to log on, or could have. */
  onDropped(spoke: boolean): void;
  /** NLA failed in another way than by a wrong name or password, which the control plane knows of. */
  onNlaBroken(id: string, source: string, code: string): void;
  onConnectionClosed(id: string): void;
  /** An error of ours while somebody logs on. */
  onFault(error: unknown): void;
}

/** How long the logon screen waits for a person who does not log on. */
const LOGON_SCREEN_MS = 180_000;

export class RdpFront {
  readonly #options: RdpFrontOptions;
  readonly #tls: SecureContext;
  /** What NLA binds its log-on to. */
  readonly #publicKey: Uint8Array;

  constructor(options: RdpFrontOptions) {
    this.#options = options;
    this.#tls = createSecureContext({
      key: options.tls.key,
      cert: options.tls.certificate,
      minVersion: MIN_TLS_VERSION,
    });
    this.#publicKey = subjectPublicKeyOf(new X509Certificate(options.tls.certificate).raw);
  }

  /** Takes a TCP connection over; `source` is the client's address, `closed` why it is not let in. */
  accept(socket: Socket, source: string, closed?: Standing): void {
    const id = randomUUID();
    const acceptedAt = performance.now();
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    const stream = new PduStream(socket);
    let [spoke, authenticated] = [false, false];
    const tooLate = (): void => {
      if (!authenticated) socket.destroy();
    };
    let grace = setTimeout(tooLate, this.#options.loginGraceMs);
    socket.once('close', () => {
      clearTimeout(grace);
      if (!authenticated) this.#options.onDropped(spoke);
      if (spoke) this.#options.onConnectionClosed(id);
    });
    const arrive = async (): Promise<void> => {
      const present: Present = (login, factor) => {
        spoke = true;
        return this.#options.control.authenticate({ connection: id, protocol: 'rdp', login, source, factor });
      };
      const client = await acceptClient(stream, {
        tls: this.#tls,
        ...this.#nla(present, source, closed !== undefined),
      });
      spoke = true;
      const reception = new Reception(stream, client, this.#options.banner);
      // A person who types takes longer than a client that sends what it knows.
      reception.onOpened = () => {
        clearTimeout(grace);
        grace = setTimeout(tooLate, LOGON_SCREEN_MS);
      };
      if (closed !== undefined) {
        this.#options.onTurnedAway(closed.code, source);
        await refuse(reception, closed);
        return;
      }
      const loggedOn = await logOn(reception, present);
      if (stream.closed) return;
      if (loggedOn === undefined) {
        stream.end();
        return;
      }
      authenticated = true;
      this.#options.onAuthenticated({ id, socket, reception, loggedOn, source, acceptedAt });
    };
    arrive().catch((error: unknown) => {
      // Clients that leave, break the protocol or fail in TLS end here; there is nobody to tell.
      const theirs =
        error instanceof PduError ||
        error instanceof StreamClosedError ||
        error instanceof RefusedClientError;
      if (!theirs) this.#options.onFault(error);
      if (error instanceof NlaRefusedError && error.code !== 'logon-failed')
        this.#options.onNlaBroken(id, source, error.code);
      stream.end();
    });
  }

  /** @param refused nobody is asked to log on whose client can do without */
  #nla(present: Present, source: string, refused: boolean): { readonly nla?: NlaOptions } {
    const { nla: mode, name, control } = this.#options;
    if (mode === 'never') return {};
    const wanted = async (cookie: string | undefined): Promise<boolean> =>
      !refused &&
      (mode === 'preferred' || (cookie !== undefined && (await control.nlaKnows({ name: cookie, source }))));
    return { nla: { wanted, publicKey: this.#publicKey, targetName: name, present } };
  }
}
