import type { Server } from 'node:net';
import type { Endpoint } from '../config/address.ts';

/** Resolves to the port; rejects when the address cannot be had. */
export function listen(server: Server, { host, port }: Endpoint): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.removeListener('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}
