/** What a load process is asked and what it answers, and how to start one. */
import { join } from 'node:path';
import { finished, type ManyOutcome, type RunningLoad, startLoadProcess } from '../start-load.ts';

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

export interface EchoOutcome {
  readonly kind: 'echo';
  /** Per endpoint: ms from each key to its echo. */
  readonly millis: readonly (readonly number[])[];
}
export type JobOutcome = ManyOutcome | EchoOutcome;

type Kind = Job['kind'];
/** The job of a kind, and the outcome that answers it. */
type JobOf<K extends Kind> = Extract<Job, { kind: K }>;
type OutcomeOf<K extends Kind> = K extends 'echo' ? EchoOutcome : ManyOutcome;

/** Starts a job in a new process; resolves when all that is not to be measured is done. */
export function startLoad<K extends Kind>(job: JobOf<K>): Promise<RunningLoad<OutcomeOf<K>>> {
  return startLoadProcess<OutcomeOf<K>>(join(import.meta.dirname, 'load.ts'), job);
}

/** Runs a job whose connections nobody needs afterwards. */
export async function runLoad<K extends Kind>(job: JobOf<K>): Promise<OutcomeOf<K>> {
  return await finished(await startLoad<K>(job));
}
