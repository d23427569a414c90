/** Waiting for servers that do not greet. */
import { createConnection } from 'node:net';
import { type Daemon, until } from './process.ts';

function accepts(port: number, host: string): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection(port, host);
    socket.once('connect', () => {
      resolve(true);
      socket.destroy();
    });
    socket.once('error', () => resolve(undefined));
  });
}

/** Waits until a server accepts connections on the loopback; fails with its output when it ends before. */
export async function waitForPort(daemon: Daemon, port: number): Promise<void> {
  let ended: number | undefined;
  daemon.exited.then((code) => {
    ended = code;
  });
  await until(`a server on port ${port}`, async () => {
    if (ended !== undefined) throw new Error(`the server ended with ${ended}`);
    return (await accepts(port, '127.0.0.1')) ?? accepts(port, '::1');
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${daemon.output()}`);
  });
}
