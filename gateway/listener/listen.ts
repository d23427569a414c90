import type { ListenOptions, Server } from 'node:net';

/** Resolves to the port, once connections are accepted. Rejects when the address cannot be had. */
export function listen(server: Server, options: ListenOptions & { readonly port: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.removeListener('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : options.port);
    });
  });
}
