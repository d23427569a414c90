/** What a load process is asked and what it answers, and how to start one. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { atExit } from '../../test/support/temp.ts';
import type { FloodKind } from './content.ts';

/** Of everybody here. */
export const PASSWORD = 'bench-password-1';

/** What the target says when it listens. */
export interface TargetFacts {
  readonly rdpPort: number;
  readonly tlsPort: number;
  /** `sha256:…` of its certificate. */
  readonly fingerprint: string;
}

/** Where a client logs on. `login`: on a port for TLS alone the line that it sends. */
export interface Endpoint {
  readonly protocol: 'rdp' | 'tls';
  readonly port: number;
  readonly login: string;
}

export type Job =
  /** Log on, then, when told to go, take a flood. `verify`: compare every byte. */
  | {
      readonly kind: 'flood';
      readonly endpoint: Endpoint;
      readonly flood: FloodKind;
      readonly bytes: number;
      readonly verify: boolean;
    }
  /** Log on up to an active desktop and leave: `count` times, `concurrency` at once. */
  | {
      readonly kind: 'set-ups';
      readonly endpoint: Endpoint;
      readonly count: number;
      readonly concurrency: number;
    }
  /** Open `count` desktops and leave them open. */
  | {
      readonly kind: 'idle';
      readonly endpoint: Endpoint;
      readonly count: number;
      readonly concurrency: number;
    }
  /** Open `count` desktops, press a key in each and, when told to go, count for a while what they show. */
  | { readonly kind: 'typing'; readonly endpoint: Endpoint; readonly count: number; readonly seconds: number }
  /** Press `keys` keys at each endpoint, `spacingMs` apart. */
  | {
      readonly kind: 'latency';
      readonly endpoints: readonly Endpoint[];
      readonly keys: number;
      readonly spacingMs: number;
    };

export interface ManyOutcome {
  readonly kind: 'set-ups' | 'idle';
  readonly seconds: number;
  /** Duration of each that went well. */
  readonly millis: readonly number[];
  readonly errors: readonly string[];
}
/** Bytes of RDP inside TLS. */
export interface BytesOutcome {
  readonly kind: 'flood' | 'typing';
  readonly seconds: number;
  readonly bytes: number;
}
export interface LatencyOutcome {
  readonly kind: 'latency';
  /** Per endpoint: ms from each key to the update that answers it. */
  readonly millis: readonly (readonly number[])[];
}
export type JobOutcome =
  | ManyOutcome
  | BytesOutcome
  | LatencyOutcome
  | { readonly kind: 'failed'; readonly error: string };
export type FromLoad = { readonly kind: 'ready' } | JobOutcome;

type Kind = Job['kind'];
type JobOf<K extends Kind> = Extract<Job, { kind: K }>;
type OutcomeOf<K extends Kind> = K extends 'latency'
  ? LatencyOutcome
  : K extends 'flood' | 'typing'
    ? BytesOutcome
    : ManyOutcome;

export interface RunningLoad<K extends Kind> {
  /** Tells a job that is ready to go; resolves with its outcome while connections may still be open. */
  outcome(): Promise<OutcomeOf<K>>;
  /** Closes the connections that the job left open. */
  stop(): Promise<void>;
}

/** Starts a job in a new process; resolves when all that is not to be measured is done. */
export async function startLoad<K extends Kind>(job: JobOf<K>): Promise<RunningLoad<K>> {
  const child = fork(join(import.meta.dirname, 'load.ts'));
  const withdraw = atExit(() => child.kill('SIGKILL'));
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const answer = (): Promise<FromLoad> =>
    new Promise((resolve, reject) => {
      child.once('message', (message) => resolve(message as FromLoad));
      child.once('error', reject);
      child.once('exit', (code) =>
        reject(new Error(`the load process ended with ${code} before its answer`)),
      );
    });
  const stop = async (): Promise<void> => {
    if (child.connected) child.disconnect();
    await exited;
    withdraw();
  };
  const first = answer();
  child.send(job);
  const ready = await first;
  return {
    async outcome() {
      let outcome: FromLoad = ready;
      if (ready.kind === 'ready') {
        const second = answer();
        child.send('go');
        outcome = await second;
      }
      if (outcome.kind === job.kind) return outcome as OutcomeOf<K>;
      await stop();
      throw new Error(outcome.kind === 'failed' ? `load ${job.kind}: ${outcome.error}` : 'a wrong answer');
    },
    stop,
  };
}

/** Runs a job whose connections nobody needs afterwards. */
export async function runLoad<K extends Kind>(job: JobOf<K>): Promise<OutcomeOf<K>> {
  const load = await startLoad<K>(job);
  const outcome = await load.outcome();
  await load.stop();
  return outcome;
}
