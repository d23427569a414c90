/** TCP to a target, and what is said where a target cannot be reached. */
import { addAbortListener } from 'node:events';
import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';
import type { EndCode, TargetAuthorization } from '../../workers/messages.ts';

/** The target leg could not be made; `message` is for the person. */
export class TargetError extends Error {
  override readonly name = 'TargetError';
  readonly code: EndCode;

  constructor(code: EndCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** Why a dial was given up whose session has ended; the session has better words. */
export const ABANDONED = 'the session ended before it was there';

/** `web01 (10.0.0.5:22)`: a target as people know it. */
export function describeTarget({ name, host, port }: TargetAuthorization['system']): string {
  return `${name} (${host.includes(':') ? `[${host}]` : host}:${port})`;
}

/**
 * Connects to an authorised target.
 * @param signal gives up while it connects; the socket that was returned is its owner's
 * @param options beside host and port, for the socket
 * @throws TargetError saying why not
 */
export function dialTcp(
  system: TargetAuthorization['system'],
  timeoutMs: number,
  { signal, ...options }: Partial<TcpNetConnectOpts> = {},
): Promise<Socket> {
  const where = describeTarget(system);
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...options,
      host: system.host,
      port: system.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    });
    const settled = (): void => {
      clearTimeout(timer);
      abandoned?.[Symbol.dispose]();
    };
    const fail = (reason: string, cause?: unknown): void => {
      settled();
      socket.destroy();
      reject(new TargetError('target-unreachable', `cannot reach ${where}: ${reason}`, cause));
    };
    const timer = setTimeout(() => fail(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
    const abandoned = signal && addAbortListener(signal, () => fail(ABANDONED));
    socket.once('connect', () => {
      settled();
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => fail(reasonOf(error), error));
  });
}

function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'connection refused';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'no route to host';
    case 'ETIMEDOUT':
      return 'connection timed out';
    case 'ECONNRESET':
      return 'connection reset';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'its name cannot be resolved';
    default:
      return error.code ?? error.message;
  }
}
