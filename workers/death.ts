/** What is known of session workers that died: plain data, which threads and processes hand on. */
import { Session } from 'node:inspector';
import type { Worker } from 'node:worker_threads';
import type { WorkerNotice } from './messages.ts';

/** How a worker was when it last said so. */
export type Beat = Omit<Extract<WorkerNotice, { readonly type: 'beat' }>, 'type' | 'metrics' | 'pid'>;

export type DeathReason =
  /** Something was thrown that nobody caught. */
  | 'error'
  /** Its heap was at its limit. */
  | 'out-of-memory'
  /** It ended by itself. */
  | 'exit'
  /** It no longer answered, and was ended. */
  | 'blocked'
  /** A signal ended its process. */
  | 'signal'
  /** It was told to end. */
  | 'stopped';

export interface DeadWorker {
  readonly worker: number;
  readonly aliveMs: number;
  /** Since its last beat, or its start. */
  readonly silentMs: number;
  /** Undefined: it never beat. */
  readonly lastBeat: Beat | undefined;
}

export interface WorkerDeath {
  readonly reason: DeathReason;
  /** More than one where their process died. */
  readonly workers: readonly DeadWorker[];
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly error?: DeathError | undefined;
  readonly blocked?: BlockedWorker | undefined;
}

export interface DeathError {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
  readonly stack: string | undefined;
}

/** A worker that no longer answers, as far as it can be looked into; a thread in native code cannot. */
export interface BlockedWorker {
  /** Where it was, the innermost call first. */
  readonly stack: readonly string[] | undefined;
  /** Of its heap. */
  readonly heapBytes: number | undefined;
  /** CPU time of the thread since its start. */
  readonly cpuMs: number | undefined;
}

/** An error as plain data. */
export function deathError(error: unknown): DeathError {
  if (!(error instanceof Error))
    return { name: 'unknown', message: String(error), code: undefined, stack: undefined };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return { name: error.name, message: error.message, code, stack: error.stack };
}

/** What is stuck in native code answers nothing. */
const PATIENCE_MS = 3_000;

/** Looks into a worker that no longer answers, from outside; never rejects. `name`: of its thread. */
export async function examine(worker: Worker, name: string): Promise<BlockedWorker> {
  const [heap, cpu, stack] = await Promise.all([
    inTime(worker.getHeapStatistics()),
    inTime(worker.cpuUsage()),
    stackOf(name),
  ]);
  return {
    stack,
    heapBytes: heap?.used_heap_size,
    cpuMs: cpu === undefined ? undefined : (cpu.user + cpu.system) / 1_000,
  };
}

async function inTime<T>(answer: Promise<T>): Promise<T | undefined> {
  const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), PATIENCE_MS).unref());
  return await Promise.race([answer.catch(() => undefined), late]);
}

/** What V8's debugger says. */
type DebuggerEvent =
  | {
      readonly method: 'Debugger.scriptParsed';
      readonly params: { readonly scriptId: string; readonly url: string };
    }
  | { readonly method: 'Debugger.paused'; readonly params: { readonly callFrames: readonly Frame[] } }
  | { readonly method?: undefined };
/** Lines and columns are counted from 0. */
interface Frame {
  readonly functionName: string;
  readonly location: {
    readonly scriptId: string;
    readonly lineNumber: number;
    readonly columnNumber?: number;
  };
}

/** The debugger stops the thread wherever it is in JavaScript; it is reached from within, and opens no port. */
async function stackOf(name: string): Promise<readonly string[] | undefined> {
  const session = new Session();
  session.connect();
  const { promise, resolve } = Promise.withResolvers<readonly string[]>();
  let attached: string | undefined;
  session.on('NodeWorker.attachedToWorker', ({ params: { sessionId, workerInfo } }) => {
    if (workerInfo.title.split(' ').at(-1) !== name) return;
    attached = sessionId;
    for (const [id, method] of ['Debugger.enable', 'Debugger.pause'].entries())
      session.post('NodeWorker.sendMessageToWorker', { sessionId, message: JSON.stringify({ id, method }) });
  });
  const scripts = new Map<string, string>();
  session.on('NodeWorker.receivedMessageFromWorker', ({ params: { sessionId, message } }) => {
    if (sessionId !== attached) return;
    const event = JSON.parse(message) as DebuggerEvent;
    if (event.method === 'Debugger.scriptParsed') scripts.set(event.params.scriptId, event.params.url);
    else if (event.method === 'Debugger.paused')
      resolve(event.params.callFrames.map((frame) => textOf(frame, scripts)));
  });
  session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  const stack = await inTime(promise);
  // A thread that stays paused can never be ended.
  if (attached !== undefined) session.post('NodeWorker.detach', { sessionId: attached });
  session.disconnect();
  return stack;
}

function textOf({ functionName, location }: Frame, scripts: ReadonlyMap<string, string>): string {
  const { scriptId, lineNumber, columnNumber = 0 } = location;
  return `${functionName || 'anonymous'} (${scripts.get(scriptId)}:${lineNumber + 1}:${columnNumber + 1})`;
}
