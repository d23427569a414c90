/** What a load process is asked and what it answers, and how to start one. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { atExit } from '../../test/support/temp.ts';

/** Where a client logs on, and with which private key file. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly login: string;
  readonly keyFile: string;
}

export type Job =
  /** Log on, run `true`, leave: `count` times, `concurrency` at once. */
  | {
      readonly kind: 'set-ups';
      readonly endpoint: Endpoint;
      readonly count: number;
      readonly concurrency: number;
    }
  /** Open `count` shells, each on a connection of its own, and leave them open. */
  | {
      readonly kind: 'idle';
      readonly endpoint: Endpoint;
      readonly count: number;
      readonly concurrency: number;
    }
  /** Type `keys` keys at each endpoint, `spacingMs` apart. */
  | {
      readonly kind: 'echo';
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
export interface EchoOutcome {
  readonly kind: 'echo';
  /** Per endpoint: ms from each key to its echo. */
  readonly millis: readonly (readonly number[])[];
}
export type JobOutcome = ManyOutcome | EchoOutcome | { readonly kind: 'failed'; readonly error: string };

type Kind = Job['kind'];
/** The job of a kind, and the outcome that answers it. */
type JobOf<K extends Kind> = Extract<Job, { kind: K }>;
type OutcomeOf<K extends Kind> = K extends 'echo' ? EchoOutcome : ManyOutcome;

export interface RunningLoad<K extends Kind> {
  readonly outcome: OutcomeOf<K>;
  /** Closes the connections that the job left open. */
  stop(): Promise<void>;
}

/** Runs a job in a new process; resolves with its outcome while its connections may still be open. */
export async function startLoad<K extends Kind>(job: JobOf<K>): Promise<RunningLoad<K>> {
  const child = fork(join(import.meta.dirname, 'load.ts'));
  const withdraw = atExit(() => child.kill('SIGKILL'));
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const outcome = await new Promise<JobOutcome>((resolve, reject) => {
    child.once('message', (message) => resolve(message as JobOutcome));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the load process ended with ${code} before its answer`)));
    child.send(job);
  });
  const stop = async (): Promise<void> => {
    if (child.connected) child.disconnect();
    await exited;
    withdraw();
  };
  if (outcome.kind !== job.kind) {
    await stop();
    throw new Error(outcome.kind === 'failed' ? `load ${job.kind}: ${outcome.error}` : 'a wrong answer');
  }
  return { outcome: outcome as OutcomeOf<K>, stop };
}

/** Runs a job whose connections nobody needs afterwards. */
export async function runLoad<K extends Kind>(job: JobOf<K>): Promise<OutcomeOf<K>> {
  const load = await startLoad<K>(job);
  await load.stop();
  return load.outcome;
}
