/** An HTTP proxy of a test's own in front of a real server, over real sockets, that fails as it is told. */
import {
  type ClientRequest,
  createServer,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http';
import { freePort } from './process.ts';

export type Fault =
  | 'none'
  /** Nothing listens: connecting is refused. */
  | 'refuse'
  /** Takes requests, passes nothing on and never answers. */
  | 'hang'
  /** Passes the first half of a request's body on, then resets both connections. */
  | 'cut'
  /** The server does what is asked, but its answer is lost with the connection. */
  | 'deaf'
  /** Answers so in the server's place, as an S3 server does; with 403 as Ceph does where a quota is used up. */
  | { readonly status: 403 | 500 | 503 }
  /** Passes on after so long. */
  | { readonly delayMs: number };

export interface Seen {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
}

export interface FaultProxy {
  /** `http://127.0.0.1:port` */
  readonly endpoint: string;
  /** Requests that came, oldest first; not those that were refused. */
  readonly seen: readonly Seen[];
  /**
   * What happens from now on, to requests that are under way too where nobody listens any more; `when`:
   * only to these, all others pass. In force when it resolves.
   */
  set(fault: Fault, when?: (seen: Seen) => boolean): Promise<void>;
  stop(): Promise<void>;
}

const ERRORS = { 403: 'QuotaExceeded', 500: 'InternalError', 503: 'SlowDown' } as const;

/** `target`: `http://host:port`, which sees requests with the proxy's own name as their host. */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const port = await freePort();
  const seen: Seen[] = [];
  let fault: Fault = 'none';
  let concerns: (seen: Seen) => boolean = () => true;
  const timers = new Set<NodeJS.Timeout>();

  const server = createServer((incoming, answer) => {
    const one = { method: incoming.method ?? '', url: incoming.url ?? '' };
    seen.push(one);
    incoming.on('error', () => {});
    answer.on('error', () => {});
    const now = concerns(one) ? fault : 'none';
    if (now === 'hang') return;
    if (typeof now === 'object' && 'delayMs' in now) {
      const timer = setTimeout(() => {
        timers.delete(timer);
        passOn(target, incoming, answer, 'none');
      }, now.delayMs);
      timers.add(timer);
    } else if (typeof now === 'object') refuseWith(now.status, incoming, answer);
    else passOn(target, incoming, answer, now);
  });
  const listen = (): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => {
        server.off('error', reject);
        resolve();
      });
    });
  const close = async (): Promise<void> => {
    for (const timer of timers) clearTimeout(timer);
    timers.clear();
    if (!server.listening) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };

  await listen();
  return {
    endpoint: `http://127.0.0.1:${port}`,
    seen,
    async set(next, when = () => true): Promise<void> {
      fault = next;
      concerns = when;
      if (next === 'refuse') await close();
      else if (!server.listening) await listen();
    },
    stop: close,
  };
}

function passOn(
  target: string,
  incoming: IncomingMessage,
  answer: ServerResponse,
  fault: 'none' | 'cut' | 'deaf' | 'refuse',
): void {
  const { method, url, headers, rawHeaders } = incoming;
  // As they came: the host is signed too.
  const onward = request(target, { method, path: url, headers: rawHeaders, setHost: false, agent: false });
  const drop = (): void => {
    onward.destroy();
    incoming.socket.destroy();
  };
  onward.on('error', drop);
  answer.on('close', () => onward.destroy());
  onward.on('response', (response) => {
    response.on('error', drop);
    if (fault === 'deaf') return drop();
    answer.writeHead(response.statusCode ?? 502, response.rawHeaders);
    response.pipe(answer);
  });
  if (fault === 'cut') passHalf(incoming, onward, Number(headers['content-length'] ?? 0) / 2, drop);
  else incoming.pipe(onward);
}

/** Passes the first `half` bytes of a body on. */
function passHalf(incoming: IncomingMessage, onward: ClientRequest, half: number, drop: () => void): void {
  let passed = 0;
  onward.flushHeaders();
  if (half < 1) onward.once('socket', (socket) => socket.once('connect', drop));
  incoming.on('data', (chunk: Buffer) => {
    const part = chunk.subarray(0, Math.max(0, half - passed));
    passed += part.length;
    onward.write(part, () => {
      if (passed >= Math.floor(half)) drop();
    });
  });
}

function refuseWith(status: keyof typeof ERRORS, incoming: IncomingMessage, answer: ServerResponse): void {
  incoming.resume();
  incoming.on('end', () => {
    const xml = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${ERRORS[status]}</Code><Message>no</Message></Error>`;
    answer.writeHead(status, { 'content-type': 'application/xml', 'content-length': xml.length });
    answer.end(incoming.method === 'HEAD' ? undefined : xml);
  });
}
