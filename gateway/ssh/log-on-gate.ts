/** What a connection sends before it has logged on: bounded in bytes, and handled in its turn. */
import { Socket } from 'node:net';
import { sourceKey } from '../listener/source.ts';
import { turnstile } from '../listener/turnstile.ts';

/** A key exchange takes 3 KiB, each of an agent's keys at most 2. */
const LOG_ON_BYTES = 128 * 1024;

/**
 * Holds the `data` of `socket` to that, until it is opened.
 * @param tooMuch told once the bound is passed; the data is dropped
 * @returns opens the gate
 */
export function gateLogOn(socket: Socket, source: string, tooMuch: () => void): () => void {
  const key = sourceKey(source);
  const before = socket.bytesRead;
  const emit = (event: string | symbol, ...args: unknown[]): boolean =>
    Reflect.apply(Socket.prototype.emit, socket, [event, ...args]);
  const feed = (chunk: Buffer): void => {
    if (!socket.destroyed) emit('data', chunk);
  };
  socket.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    const [chunk] = args;
    if (event !== 'data' || !Buffer.isBuffer(chunk)) return emit(event, ...args);
    if (socket.bytesRead - before > LOG_ON_BYTES) tooMuch();
    else if (turnstile.free) turnstile.pass(key, () => feed(chunk));
    else {
      const held = Buffer.from(chunk);
      socket.pause();
      turnstile.pass(key, () => {
        // First: whoever takes the connection over may pause it, and then it stays so.
        socket.resume();
        feed(held);
      });
    }
    return true;
  };
  return () => {
    socket.emit = Socket.prototype.emit;
  };
}
