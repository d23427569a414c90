/** Requests with answers over a MessagePort: a worker asks, the main thread answers. */
import type { ControlNotice, ControlRequests, WorkerNotice } from './messages.ts';

type RequestName = keyof ControlRequests;

interface Request {
  readonly type: 'request';
  readonly id: number;
  readonly name: RequestName;
  readonly params: unknown;
}
type Answer =
  | { readonly type: 'answer'; readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly type: 'answer'; readonly id: number; readonly ok: false; readonly error: string };

/** What travels from a worker to the main thread, and back. */
export type ToMain = Request | WorkerNotice;
export type ToWorker = Answer | ControlNotice;

/** What MessagePort and Worker have in common. */
export interface Port {
  postMessage(message: unknown): void;
}

/** The worker's side. */
export class ControlClient {
  readonly #port: Port;
  readonly #open = new Map<
    number,
    {
      readonly name: RequestName;
      readonly at: number;
      resolve(value: unknown): void;
      reject(error: Error): void;
    }
  >();
  #nextId = 1;
  /** Told of each answer, and how many seconds it took. */
  onAnswer: (name: RequestName, seconds: number) => void = () => {};
  /** The control plane, as a worker sees it. */
  readonly control: ControlRequests;

  constructor(port: Port) {
    this.#port = port;
    const request =
      (name: RequestName) =>
      (params: unknown): Promise<never> =>
        this.#request(name, params) as Promise<never>;
    this.control = {
      authenticate: request('authenticate'),
      nlaKnows: request('nlaKnows'),
      targets: request('targets'),
      authorise: request('authorise'),
      checkOut: request('checkOut'),
      pin: request('pin'),
      redirect: request('redirect'),
      sessionStarted: request('sessionStarted'),
      spooled: request('spooled'),
      sessionEnded: request('sessionEnded'),
    };
  }

  notify(notice: WorkerNotice): void {
    this.#port.postMessage(notice satisfies ToMain);
  }

  /** @returns true when the message was an answer */
  receive(message: ToWorker): message is Answer {
    if (message.type !== 'answer') return false;
    const waiting = this.#open.get(message.id);
    this.#open.delete(message.id);
    if (waiting !== undefined) this.onAnswer(waiting.name, (performance.now() - waiting.at) / 1000);
    if (message.ok) waiting?.resolve(message.value);
    else waiting?.reject(new Error(message.error));
    return true;
  }

  #request(name: RequestName, params: unknown): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#open.set(id, { name, at: performance.now(), resolve, reject });
      this.#port.postMessage({ type: 'request', id, name, params } satisfies ToMain);
    });
  }
}

/**
 * The main thread's side: answers a request.
 * @param onFault told of every error, because the worker gets only its text; with the session that asked
 */
export async function answerRequest(
  request: Request,
  control: ControlRequests,
  port: Port,
  onFault: (name: string, error: unknown, session: string | undefined) => void,
): Promise<void> {
  const { id, name } = request;
  try {
    const handler = control[name] as (params: unknown) => Promise<unknown>;
    const value = await handler.call(control, request.params);
    port.postMessage({ type: 'answer', id, ok: true, value } satisfies ToWorker);
  } catch (error) {
    onFault(name, error, sessionOf(request.params));
    const text = error instanceof Error ? error.message : String(error);
    port.postMessage({ type: 'answer', id, ok: false, error: text } satisfies ToWorker);
  }
}

/** Most requests are a session's. */
function sessionOf(params: unknown): string | undefined {
  if (typeof params !== 'object' || params === null || !('sessionId' in params)) return undefined;
  return typeof params.sessionId === 'string' ? params.sessionId : undefined;
}
