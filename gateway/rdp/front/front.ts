/**
 * The RDP front: takes connections to the end of their handshake and finds out who logs on.
 * It hands an authenticated client on and keeps nothing of it.
 */
import { randomUUID, X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { ControlRequests } from '../../../workers/messages.ts';
import type { Standing } from '../../control/admission.ts';
import { sourceKey } from '../../listener/source.ts';
import { turnstile } from '../../listener/turnstile.ts';
import { subjectPublicKeyOf } from '../credssp/public-key.ts';
import { PduError } from '../pdu/cursor.ts';
import { ErrorInfo } from '../pdu/error-info.ts';
import { logonScreenBytes } from '../screen/logon-screen.ts';
import { screenSize } from '../screen-size.ts';
import { PduStream, StreamClosedError } from '../stream/stream.ts';
import { MIN_TLS_VERSION } from '../stream/tls.ts';
import { acceptClient, RefusedClientError } from './accept.ts';
import { Allowance } from './allowance.ts';
import { type NlaOptions, NlaRefusedError, type Present } from './nla.ts';
import { type LoggedOn, logOn, Reception } from './reception.ts';
import { endWithError, refuse } from './refuse.ts';

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
  /** A connection that ended before it was authenticated; `spoke`: it sent something. */
  onDropped(spoke: boolean): void;
  /** NLA failed in another way than by a wrong name or password, which the control plane knows of. */
  onNlaBroken(id: string, source: string, code: string): void;
  onConnectionClosed(id: string): void;
  /** An error of ours while somebody logs on. */
  onFault(error: unknown): void;
}

/** A TLS handshake's CPU: 0.5 ms with an ECDSA key, 2 with RSA. */
const TLS_MS = 1;
/** Of screens: 500 on desktops of the usual size, and 120 on the largest. */
const SCREEN_BYTES = 256 * 1024 ** 2;
/** Of one source; a whole office may share one. */
const SCREEN_BYTES_PER_SOURCE = SCREEN_BYTES / 4;
/** How long the logon screen waits for a person who does not log on. */
const LOGON_SCREEN_MS = 180_000;

export class RdpFront {
  readonly #options: RdpFrontOptions;
  readonly #tls: SecureContext;
  /** What NLA binds its log-on to. */
  readonly #publicKey: Uint8Array;
  /** Memory of the screens of clients that nobody has logged on to. */
  readonly #screens = new Allowance(SCREEN_BYTES, SCREEN_BYTES_PER_SOURCE);
  /** Of those who have, and choose a target or read a last word: a flood of the others leaves them room. */
  readonly #choices = new Allowance(SCREEN_BYTES, SCREEN_BYTES_PER_SOURCE);

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
    const key = sourceKey(source);
    const acceptedAt = performance.now();
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    const stream = new PduStream(socket);
    /** `known`: to the control plane. */
    let [spoke, known, authenticated] = [false, false, false];
    socket.once('data', () => {
      spoke = true;
    });
    let freeScreen = (): void => {};
    const tooLate = (): void => {
      if (!authenticated) socket.destroy();
    };
    let grace = setTimeout(tooLate, this.#options.loginGraceMs);
    socket.once('close', () => {
      clearTimeout(grace);
      freeScreen();
      if (!authenticated) this.#options.onDropped(spoke);
      if (known) this.#options.onConnectionClosed(id);
    });
    const arrive = async (): Promise<void> => {
      const present: Present = (login, factor) => {
        known = true;
        return this.#options.control.authenticate({ connection: id, protocol: 'rdp', login, source, factor });
      };
      const client = await acceptClient(stream, {
        tls: this.#tls,
        turn: () => turnstile.turn(key, TLS_MS),
        ...this.#nla(present, source, closed !== undefined),
      });
      const reception = new Reception(stream, client, this.#options.banner, (work) =>
        turnstile.pass(key, work),
      );
      const takeScreen = (allowance: Allowance): void => {
        if (socket.destroyed) throw new StreamClosedError('the client left');
        const bytes = logonScreenBytes(screenSize(client.blocks), this.#options.banner);
        const free = allowance.take(key, bytes);
        if (free === undefined) {
          endWithError(stream, client, ErrorInfo.outOfMemory);
          throw new RefusedClientError('too many logon screens are open');
        }
        freeScreen();
        freeScreen = free;
      };
      reception.onOpening = () => {
        takeScreen(authenticated ? this.#choices : this.#screens);
        if (authenticated) return;
        // A person who types takes longer than a client that sends what it knows.
        clearTimeout(grace);
        grace = setTimeout(tooLate, LOGON_SCREEN_MS);
      };
      reception.onHandedOver = () => freeScreen();
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
      if (reception.open !== undefined) takeScreen(this.#choices);
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
