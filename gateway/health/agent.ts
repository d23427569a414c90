/** `listen.agentCheck`: tells every connection in one line how the node is, and closes it. */
import { createServer, type Server } from 'node:net';
import type { Endpoint } from '../config/address.ts';
import { agentLine, type Report } from './report.ts';

export interface AgentServerOptions {
  readonly report: () => Report;
  /** A load balancer asked. */
  readonly onAsked: () => void;
}

/** More than a few balancers need. */
const MAX_CONNECTIONS = 128;
const CONNECTION_MS = 2_000;

export class AgentServer {
  readonly #server: Server;

  constructor({ report, onAsked }: AgentServerOptions) {
    this.#server = createServer((socket) => {
      socket.on('error', () => {});
      const late = setTimeout(() => socket.destroy(), CONNECTION_MS);
      socket.once('close', () => clearTimeout(late));
      // What it may send (`agent-send`) is read and dropped: unread, it would cost the answer at the close.
      socket.resume();
      onAsked();
      socket.end(`${agentLine(report())}\n`);
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** Resolves to the port; rejects when the address cannot be had. */
  listen({ host, port }: Endpoint): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.removeListener('error', reject);
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  close(): void {
    this.#server.close();
  }
}
