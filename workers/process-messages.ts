/**
 * What the main process and its processes of session workers say to each other over IPC (structured clones,
 * `serialization: 'advanced'`). Memory is not shared between them: what threads read there is told here.
 */
import type { WorkerDeath } from './death.ts';
import type { Ports } from './messages.ts';
import type { ToMain, ToWorker } from './rpc.ts';
import type { WorkerSettings } from './settings.ts';

/** What a process of session workers begins with. */
export interface ProcessSettings extends Omit<WorkerSettings, 'deadline' | 'archive'> {
  readonly archive: Omit<WorkerSettings['archive'], 'spool'> & {
    readonly spool: Omit<WorkerSettings['archive']['spool'], 'used' | 'elsewhere'>;
  };
}

export type ToProcess =
  /** The first. `threads`: session workers in it; their numbers are counted from `base`. */
  | {
      readonly type: 'start';
      readonly settings: ProcessSettings;
      readonly threads: number;
      readonly base: number;
    }
  | { readonly type: 'worker'; readonly worker: number; readonly message: ToWorker }
  /** Until when it may write, as {@link Deadline.set} takes it. */
  | { readonly type: 'deadline'; readonly ms: number }
  /** Bytes that the spool takes by other processes. */
  | { readonly type: 'spooled'; readonly bytes: number }
  | { readonly type: 'drain' };

export type FromProcess =
  | { readonly type: 'listening'; readonly ports: Ports }
  /** It cannot start, and ends. */
  | { readonly type: 'failed'; readonly error: Error }
  | { readonly type: 'beat' }
  | { readonly type: 'worker'; readonly worker: number; readonly message: ToMain }
  | { readonly type: 'died'; readonly death: WorkerDeath }
  /** Bytes that it has in the spool. */
  | { readonly type: 'spooled'; readonly bytes: number }
  | {
      readonly type: 'log';
      readonly level: 'warn' | 'error';
      readonly fields: Readonly<Record<string, unknown>>;
      readonly text: string;
    }
  | { readonly type: 'drained' };
