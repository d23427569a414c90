/**
 * Reading all sockets of a thread into one buffer. Node gives each read 64 KiB of fresh
 * memory, which costs more than relaying it; a read is handed over before the next is
 * made, so one buffer is enough for readers that keep nothing of it beyond the call.
 */
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { readBegins, readEnds } from '../metrics/read-clock.ts';
import { readerInTurn } from './turn.ts';

/**
 * Larger than Node's own 64 KiB: fewer calls, and fewer packets that span two reads. Well within what
 * a recording still takes when it says pause in the middle of a read (READ_AHEAD_BYTES).
 */
export const READ_BYTES = 256 * 1024;
const buffer = Buffer.allocUnsafeSlow(READ_BYTES);

/** The `onread` option of a socket whose `data` is valid only until its listeners return. */
export function sharedRead(socket: () => Socket): OnReadOpts {
  const stops = readerInTurn(() => {
    // Whoever paused it meanwhile resumes it.
    if (!socket().isPaused()) socket().resume();
  });
  return {
    buffer,
    callback: (bytes) => {
      const reader = socket();
      readBegins(reader);
      reader.emit('data', buffer.subarray(0, bytes));
      readEnds();
      return !stops(bytes);
    },
  };
}

/**
 * The same for an accepted connection, for which Node's server has no such option: a new
 * socket takes the connection's handle over.
 * @param accepted of a server with `pauseOnConnect`, so that nothing has been read yet
 */
export function withSharedRead(accepted: Socket): Socket {
  const owner = accepted as unknown as { _handle: SocketConstructorOpts['handle'] | null };
  const { _handle: handle } = owner;
  if (handle === null || handle === undefined) return accepted;
  const socket: Socket = new Socket({ handle, onread: sharedRead(() => socket) });
  owner._handle = null;
  return socket;
}

/** Where Node's sockets keep their `onread` option: `[kBuffer]` and `[kBufferCb]` of each. */
const ownSymbols = Object.getOwnPropertySymbols(new Socket());
const kBuffer = ownSymbols.find(({ description }) => description === 'kBuffer');
const kBufferCb = ownSymbols.find(({ description }) => description === 'kBufferCb');

/**
 * The same for a TLS socket over another one, for which Node has no such option: `onread` is set
 * behind its handshake, as its constructor would have set it. What was decrypted before is given
 * to its `data` listeners at once. Where Node has no such fields any more, it reads as it always did.
 */
export function readShared(socket: TLSSocket): void {
  const fields = socket as unknown as Record<symbol, unknown> & {
    _handle: { useUserBuffer?(buffer: Uint8Array): void } | null;
  };
  if (kBuffer === undefined || kBufferCb === undefined || fields._handle?.useUserBuffer === undefined) return;
  const early: Buffer | null = socket.read();
  fields[kBuffer] = buffer;
  fields[kBufferCb] = sharedRead(() => socket).callback;
  fields._handle.useUserBuffer(buffer);
  if (early !== null) socket.emit('data', early);
}
