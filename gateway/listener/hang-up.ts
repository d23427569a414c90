import type { Socket } from 'node:net';

/** How long a peer has to read what is unsent: one that no longer reads must not keep the socket. */
const LINGER_MS = 2_000;

/**
 * Sends what is unsent, `last` behind it, then closes. What the peer still sends is read away: closing over unread
 * bytes resets the connection, and the last words are lost. Nothing of the socket is held once it is closed.
 */
export function hangUp(socket: Socket, last?: Uint8Array): void {
  socket.resume();
  if (last === undefined) socket.end();
  else socket.end(last);
  if (socket.closed) return;
  const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.once('close', () => clearTimeout(timer));
}
