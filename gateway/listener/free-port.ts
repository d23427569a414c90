import { createServer } from 'node:net';

/**
 * Rejects, with the error that binding gives, when the address cannot be had alone. Workers
 * share their port with everyone who asks for it shared: a second gateway on the same port
 * would silently take its part of the connections.
 */
export function requireFree({ host, port }: { readonly host: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen({ host, port }, () => probe.close(() => resolve()));
  });
}
