/** A session worker as a thread of this process. */
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { deathError, examine } from './death.ts';
import type { ToMain } from './rpc.ts';
import type { WorkerSettings } from './settings.ts';
import type { UnitEnd, UnitKind } from './supervisor.ts';

/** Heap of one worker; 600 sessions take about 150 MB. A leak ends one worker, not the node. */
const HEAP_MB = 2_048;

// A worker's memory is buffers more than objects. Without this V8 collects the whole heap
// after every few megabytes of them, which took a third of the CPU of a bulk transfer.
// It holds for the isolates made from now on, the workers'.
setFlagsFromString('--external-memory-accounted-in-global-limit');

export interface ThreadOptions {
  /** What each thread runs. */
  readonly script?: URL;
  readonly heapMb?: number;
  /** Numbers of workers are counted from here. */
  readonly base?: number;
}

/** Units of one thread, which is one worker. */
export function threads(settings: WorkerSettings, options: ThreadOptions = {}): UnitKind {
  const { script = new URL('./session-worker.ts', import.meta.url), heapMb = HEAP_MB, base = 0 } = options;
  return {
    name: 'worker',
    start(number, listen, events) {
      const id = base + number;
      const name = `sessions-${id}`;
      const worker = new Worker(script, {
        name,
        workerData: { ...settings, listen },
        resourceLimits: { maxOldGenerationSizeMb: heapMb },
      });
      let failure: unknown;
      worker.on('message', (message: ToMain) => {
        events.heard(id, message);
        if (message.type === 'listening') events.listening(message);
        else if (message.type === 'beat') events.beat();
        else if (message.type === 'drained') events.drained();
      });
      worker.on('error', (error: unknown) => {
        failure = error;
      });
      worker.on('exit', (exitCode) => events.ended({ exitCode, ...endOf(failure) }, failure));
      return {
        send: (_, message) => worker.postMessage(message),
        drain: () => worker.postMessage({ type: 'drain' }),
        examine: () => examine(worker, name),
        end: () => worker.terminate(),
      };
    },
  };
}

function endOf(failure: unknown): UnitEnd {
  if (failure === undefined) return { reason: 'exit' };
  const error = deathError(failure);
  return { reason: error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'out-of-memory' : 'error', error };
}
