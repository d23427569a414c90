/**
 * Makes a Node process collect its garbage, in its main thread and its workers, over the inspector
 * protocol. What stays resident afterwards is what the process really holds.
 */
import { until } from '../test/support/process.ts';

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly sessionId?: string; readonly message?: string };
}

/** Options that the process must be started with: its inspector takes any free port. */
export const INSPECTABLE = '--inspect-port=0';

const COLLECT = 'HeapProfiler.collectGarbage';

/**
 * Resolves when `workers` workers and the main thread have collected; twice each, because what a
 * finalizer lets go of is garbage only then.
 *
 * @param output what the process has printed so far, on standard error too
 */
export async function collectGarbage(pid: number, workers: number, output: () => string): Promise<void> {
  process.kill(pid, 'SIGUSR1');
  const url = await until(
    'the inspector',
    () => [...output().matchAll(/Debugger listening on (ws:\S+)/g)].at(-1)?.[1],
  );
  const socket = new WebSocket(url);
  const sessions: string[] = [];
  /** `session id`, of each command that was answered. */
  const answered = new Set<string>();
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(String(data)) as Message;
    const { sessionId, message: inner } = message.params ?? {};
    if (message.id !== undefined) answered.add(`main ${message.id}`);
    else if (message.method === 'NodeWorker.attachedToWorker' && sessionId !== undefined)
      sessions.push(sessionId);
    else if (message.method === 'NodeWorker.receivedMessageFromWorker' && inner !== undefined)
      answered.add(`${sessionId} ${(JSON.parse(inner) as Message).id}`);
  });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => resolve());
      socket.addEventListener('error', () => reject(new Error(`no inspector at ${url}`)));
    });
    const send = (id: number, method: string, params: object): void =>
      socket.send(JSON.stringify({ id, method, params }));
    send(1, 'NodeWorker.enable', { waitForDebuggerOnStart: false });
    await until('the workers', () => (sessions.length >= workers ? true : undefined));
    for (const id of [2, 3]) {
      send(id, COLLECT, {});
      for (const [index, sessionId] of sessions.entries())
        send(id * 100 + index, 'NodeWorker.sendMessageToWorker', {
          sessionId,
          message: JSON.stringify({ id, method: COLLECT }),
        });
      const all = ['main', ...sessions].map((session) => `${session} ${id}`);
      await until('the collections', () => (all.every((each) => answered.has(each)) ? true : undefined));
    }
  } finally {
    socket.close();
  }
}
