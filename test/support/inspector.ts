/**
 * Node's own inspector, opened from outside by a signal: it reaches into the session workers of a gateway that
 * runs, which has nothing of its own for this.
 */
import assert from 'node:assert/strict';
import type { Gateway } from './gateway.ts';
import { until } from './process.ts';

/** What `serve` is started with, so that two of them do not want the same port. */
export const INSPECTED = { NODE_OPTIONS: '--inspect-port=0' } as const;

export interface InspectedWorker {
  /** The value of an expression in the worker's thread; must be plain data. */
  evaluate(expression: string): Promise<unknown>;
  /** Runs an expression that ends the thread; what becomes of it is not waited for. */
  run(expression: string): void;
}

export interface Inspector {
  readonly workers: readonly InspectedWorker[];
  close(): void;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: { readonly result?: { readonly value?: unknown } };
}

/** Opens the inspector of a gateway that has `count` workers. */
export async function openInspector(gateway: Gateway, count: number): Promise<Inspector> {
  process.kill(gateway.pid, 'SIGUSR1');
  const url = await until('the inspector', () => /listening on (ws:\/\/\S+)/.exec(gateway.log())?.[1]);
  const socket = new WebSocket(url);
  const workers: InspectedWorker[] = [];
  const answers = new Map<number, (message: Message) => void>();
  let last = 0;
  const inWorker = (sessionId: string, expression: string, answered: (message: Message) => void): void => {
    last += 1;
    answers.set(last, answered);
    const params = { expression, returnByValue: true, awaitPromise: true };
    const message = JSON.stringify({ id: last, method: 'Runtime.evaluate', params });
    last += 1;
    const outer = { id: last, method: 'NodeWorker.sendMessageToWorker', params: { sessionId, message } };
    socket.send(JSON.stringify(outer));
  };
  socket.addEventListener('message', ({ data }) => {
    const { method, params = {} } = JSON.parse(String(data)) as Message;
    const sessionId = String(params['sessionId']);
    if (method === 'NodeWorker.attachedToWorker') {
      // Other threads, of the background pool, have no name or another.
      const { title } = params['workerInfo'] as { readonly title: string };
      if (!/\bsessions-\d+/.test(title)) return;
      workers.push({
        evaluate: (expression) =>
          new Promise((resolve) =>
            inWorker(sessionId, expression, ({ result }) => resolve(result?.result?.value)),
          ),
        run: (expression) => inWorker(sessionId, expression, () => {}),
      });
    } else if (method === 'NodeWorker.receivedMessageFromWorker') {
      const answer = JSON.parse(String(params['message'])) as Message;
      answers.get(answer.id ?? -1)?.(answer);
      answers.delete(answer.id ?? -1);
    }
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true });
    socket.addEventListener('error', () => reject(new Error(`the inspector at ${url} does not answer`)));
  });
  const enable = { id: 0, method: 'NodeWorker.enable', params: { waitForDebuggerOnStart: false } };
  socket.send(JSON.stringify(enable));
  await until('all workers', () => (workers.length >= count ? true : undefined));
  assert.ok(workers.length >= count);
  return { workers, close: () => socket.close() };
}
