/** `listen.agentCheck`: tells every connection in one line how the node is, and closes it. */
import { createServer, type Server } from 'node:net';
import type { Endpoint } from '../config/address.ts';
import { listen } from '../listener/listen.ts';
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
  listen(endpoint: Endpoint): Promise<number> {
    return listen(this.#server, endpoint);
  }

  close(): void {
    this.#server.close();
  }
}
