/** TLS on the two legs (RFC 8446, RFC 5246): begun on a connection that has spoken X.224 in plain. */
import { hash } from 'node:crypto';
import { isIP, type Socket } from 'node:net';
import { checkServerIdentity, connect, type PeerCertificate, type SecureContext, TLSSocket } from 'node:tls';
import { StreamClosedError } from './stream.ts';

/** Earlier versions are broken; whoever needs them for an old target terminates them elsewhere. */
export const MIN_TLS_VERSION = 'TLSv1.2';

const CLOSED = 'the TLS handshake failed: the connection was closed';

/** The handshake failed, or the connection closed before its end; `message` says why, as far as it is known. */
export class TlsHandshakeError extends StreamClosedError {
  override readonly name = 'TlsHandshakeError';
}

/**
 * Takes the client's handshake.
 * @param turn resolves when there is time for it, which is asked for once the client has begun
 * @throws TlsHandshakeError
 */
export async function acceptTls(
  plain: Socket,
  context: SecureContext,
  turn?: () => Promise<void>,
): Promise<TLSSocket> {
  if (turn !== undefined) {
    await begun(plain);
    await turn();
    if (plain.destroyed) throw new TlsHandshakeError(CLOSED);
  }
  const socket = new TLSSocket(plain, { isServer: true, secureContext: context });
  return handshake(socket, 'secure');
}

/**
 * Opens TLS to a target. The certificate is not judged here, see {@link judgeCertificate}.
 * @param host as it was dialled: a name is sent as SNI (RFC 6066 §3)
 * @throws TlsHandshakeError
 */
export function dialTls(plain: Socket, host: string): Promise<TLSSocket> {
  const socket = connect({
    socket: plain,
    minVersion: MIN_TLS_VERSION,
    rejectUnauthorized: false,
    ...(isIP(host) === 0 ? { servername: host } : {}),
  });
  return handshake(socket, 'secureConnect');
}

/** Resolves when the client has sent something, which is then to be read again. */
function begun(plain: Socket): Promise<void> {
  if (plain.readableLength > 0) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(new TlsHandshakeError(CLOSED));
    plain.once('close', gone);
    plain.once('end', gone);
    plain.once('data', (chunk: Buffer) => {
      plain.removeListener('close', gone);
      plain.removeListener('end', gone);
      plain.pause();
      plain.unshift(chunk);
      resolve();
    });
    plain.resume();
  });
}

function handshake(socket: TLSSocket, done: 'secure' | 'secureConnect'): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const fail = (error?: Error): void =>
      reject(
        new TlsHandshakeError(
          error === undefined ? CLOSED : `the TLS handshake failed: ${error.message}`,
          error === undefined ? undefined : { cause: error },
        ),
      );
    // It stays: an error before the owner listens would otherwise end the process.
    socket.on('error', fail);
    socket.once('close', () => fail());
    socket.once(done, () => {
      socket.pause();
      resolve(socket);
    });
  });
}

/** `sha256:…` over the DER certificate, lower-case hex: how certificates are pinned. */
export function fingerprintOf(certificate: PeerCertificate): string {
  return `sha256:${hash('sha256', certificate.raw)}`;
}

/**
 * Whether the certificate of a target is the right one.
 * @param identity `sha256:…` or `ca`; undefined: any (it is to be pinned)
 * @returns what is wrong with it, in words, or undefined
 */
export function judgeCertificate(
  socket: TLSSocket,
  host: string,
  identity: string | undefined,
): string | undefined {
  const certificate = socket.getPeerCertificate();
  if (identity === undefined) return undefined;
  if (identity === 'ca') {
    if (!socket.authorized)
      return `no trusted authority has issued it (${String(socket.authorizationError)})`;
    return checkServerIdentity(host, certificate)?.message;
  }
  const shown = fingerprintOf(certificate);
  return shown === identity ? undefined : `it is ${shown}, not the pinned one`;
}
