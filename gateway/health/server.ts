/**
 * `listen.health`: plain HTTP for load balancers and Prometheus. Whoever reaches the port may ask, so that it
 * tells no secrets and takes nothing but short requests without a body.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Endpoint } from '../config/address.ts';
import { listen } from '../listener/listen.ts';
import type { Exposition } from '../metrics/node-metrics.ts';
import type { Report } from './report.ts';

export interface HealthServerOptions {
  readonly report: () => Report;
  /** What Prometheus scrapes; absent: there is no `/metrics`. */
  readonly metrics?: () => Promise<Exposition>;
  /** A load balancer asked whether this node is ready. */
  readonly onAsked: () => void;
  /** An error of ours. */
  readonly onFault: (error: unknown) => void;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly allow?: string;
}

/** More than a few balancers and scrapers together need. */
const MAX_CONNECTIONS = 128;
const REQUEST_MS = 5_000;
/** What probes send is a tenth of it. */
const MAX_HEADER_BYTES = 8 * 1024;
const TEXT = 'text/plain; charset=utf-8';

export class HealthServer {
  readonly #options: HealthServerOptions;
  readonly #server: Server;
  /** Scrapes that come together get one answer. */
  #scrape: Promise<Exposition> | undefined;

  constructor(options: HealthServerOptions) {
    this.#options = options;
    this.#server = createServer(
      {
        maxHeaderSize: MAX_HEADER_BYTES,
        headersTimeout: REQUEST_MS,
        requestTimeout: REQUEST_MS,
        keepAliveTimeout: REQUEST_MS,
        connectionsCheckingInterval: 1_000,
      },
      (request, response) => void this.#serve(request, response),
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
    // It would send a body, which is not read.
    this.#server.on('checkContinue', (request, response) => void this.#serve(request, response));
    // An answer that nobody reads must not stay.
    this.#server.on('connection', (socket) => socket.setTimeout(2 * REQUEST_MS, () => socket.destroy()));
  }

  /** Resolves to the port; rejects when the address cannot be had. */
  listen(endpoint: Endpoint): Promise<number> {
    return listen(this.#server, endpoint);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, contentType, body, allow } = await this.#answer(request).catch((error: unknown) => {
      this.#options.onFault(error);
      return text(500, 'internal error: the log of the node has it');
    });
    response.writeHead(status, {
      'Content-Type': contentType,
      'Content-Length': Buffer.byteLength(body),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      ...(allow === undefined ? {} : { Allow: allow }),
      // What follows a request that is refused is not looked for.
      ...(status < 400 || status === 503 ? {} : { Connection: 'close' }),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const { method, headers, url = '' } = request;
    if (method !== 'GET' && method !== 'HEAD')
      return { ...text(405, 'only GET and HEAD are served here'), allow: 'GET, HEAD' };
    if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0)
      return text(400, 'a request without a body is wanted');
    switch (url.split('?', 1)[0]) {
      case '/healthz':
        return json(200, { alive: true, node: this.#options.report().node });
      case '/readyz': {
        this.#options.onAsked();
        const report = this.#options.report();
        return json(report.ready ? 200 : 503, report);
      }
      case '/metrics':
        return await this.#metrics();
      default:
        return text(404, 'there are /healthz, /readyz and /metrics');
    }
  }

  async #metrics(): Promise<Answer> {
    const { metrics } = this.#options;
    if (metrics === undefined) return text(404, 'this node has no metrics');
    this.#scrape ??= metrics().finally(() => {
      this.#scrape = undefined;
    });
    const { contentType, body } = await this.#scrape;
    return { status: 200, contentType, body };
  }
}

const text = (status: number, line: string): Answer => ({ status, contentType: TEXT, body: `${line}\n` });

const json = (status: number, value: object): Answer => ({
  status,
  contentType: 'application/json',
  body: `${JSON.stringify(value)}\n`,
});
