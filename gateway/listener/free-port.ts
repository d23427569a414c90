import { createServer } from 'node:net';

/** An address cannot be listened on; `key` names it in the configuration. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly key: string;

  constructor(key: string, { host, port }: Address, cause: NodeJS.ErrnoException) {
    super(`${host}:${port} ${REASONS[cause.code ?? ''] ?? cause.message}`, { cause });
    this.key = key;
  }
}

interface Address {
  readonly host: string;
  readonly port: number;
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use by another program',
  EACCES: "is not this user's to open",
  EADDRNOTAVAIL: 'is no address of this machine',
};

/**
 * Rejects with a {@link ListenError} when the address cannot be had alone. Workers
 * share their port with everyone who asks for it shared: a second gateway on the same port
 * would silently take its part of the connections.
 */
export function requireFree(key: string, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => reject(new ListenError(key, address, error)));
    probe.listen({ ...address }, () => probe.close(() => resolve()));
  });
}
