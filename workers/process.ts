/**
 * Session workers in a process of their own, as the main process sees them: what crashes in native code
 * takes the sessions of its process along, and no others.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { Deadline } from './deadline.ts';
import { deathError } from './death.ts';
import type { FromProcess, ProcessSettings, ToProcess } from './process-messages.ts';
import type { WorkerSettings } from './settings.ts';
import type { SupervisorLog, UnitEnd, UnitEvents, UnitKind } from './supervisor.ts';

/** The part of one process in a spool that several fill. */
export interface SpoolShare {
  /** It has so many bytes there now. */
  set(bytes: number): void;
  /** It is gone: what it has left there is the main process's. */
  leave(): void;
}

export interface ProcessOptions {
  /** Session workers in each process. */
  readonly threads: number;
  readonly deadline: Deadline;
  /** Begins a part; `tell` is told how much is not of that part, now and whenever it changes. */
  readonly joinSpool: (tell: (bytes: number) => void) => SpoolShare;
  readonly log: SupervisorLog;
  /** What each process runs. */
  readonly script?: URL;
}

/** Numbers of workers: the process's, and within it the thread's. */
const NUMBERS = 1_000_000;

/** Units of one process. */
export function processes(settings: WorkerSettings, options: ProcessOptions): UnitKind {
  const { script = new URL('./session-process.ts', import.meta.url), log } = options;
  return {
    name: 'process',
    start(number, listen, events) {
      // Secrets go over IPC: arguments and environment can be read from outside.
      const child = fork(script, {
        serialization: 'advanced',
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      const send = (message: ToProcess): void => {
        // To one that is gone: its exit has been seen, or will be.
        child.send(message, () => {});
      };
      send({
        type: 'start',
        settings: withoutMemory({ ...settings, listen }),
        threads: options.threads,
        base: number * NUMBERS,
      });
      const unfollow = options.deadline.follow((ms) => send({ type: 'deadline', ms }));
      const share = options.joinSpool((bytes) => send({ type: 'spooled', bytes }));
      const failures: Error[] = [];
      child.on('message', (message: FromProcess) => {
        if (message.type === 'failed') failures.push(message.error);
        else if (message.type === 'spooled') share.set(message.bytes);
        else if (message.type === 'log')
          log[message.level]({ process: number, ...message.fields }, message.text);
        else tell(events, message);
      });
      const ended = endOf(child);
      void ended.then(({ cause = failures[0], ...end }) => {
        unfollow();
        share.leave();
        events.ended(
          cause === undefined ? end : { ...end, reason: 'error', error: deathError(cause) },
          cause,
        );
      });
      return {
        send: (worker, message) => send({ type: 'worker', worker, message }),
        drain: () => send({ type: 'drain' }),
        examine: async () => undefined,
        async end() {
          child.kill('SIGKILL');
          await ended;
        },
      };
    },
  };
}

function tell(
  events: UnitEvents,
  message: Exclude<FromProcess, { readonly type: 'failed' | 'spooled' | 'log' }>,
): void {
  switch (message.type) {
    case 'listening':
      events.listening(message.ports);
      return;
    case 'beat':
      events.beat();
      return;
    case 'worker':
      events.heard(message.worker, message.message);
      return;
    case 'died':
      events.died(message.death);
      return;
    case 'drained':
      events.drained();
  }
}

/** Resolves when it is gone and all that it said has been heard. */
async function endOf(child: ChildProcess): Promise<UnitEnd & { readonly cause?: Error }> {
  const { promise: left, resolve: leave } = Promise.withResolvers<void>();
  const { promise, resolve } = Promise.withResolvers<UnitEnd & { readonly cause?: Error }>();
  child.on('disconnect', leave);
  child.on('exit', (exitCode, signal) =>
    resolve(
      signal === null ? { reason: 'exit', exitCode: exitCode ?? undefined } : { reason: 'signal', signal },
    ),
  );
  child.on('error', (cause) => {
    if (child.pid !== undefined) return;
    leave();
    resolve({ reason: 'error', cause });
  });
  const end = await promise;
  await left;
  return end;
}

function withoutMemory({ deadline: _, archive, ...settings }: WorkerSettings): ProcessSettings {
  const { folder, limit } = archive.spool;
  return { ...settings, archive: { ...archive, spool: { folder, limit } } };
}
