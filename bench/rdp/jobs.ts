/** What a load process is asked and what it answers, and how to start one. */
import { join } from 'node:path';
import { finished, type ManyOutcome, type RunningLoad, startLoadProcess } from '../start-load.ts';
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
export type JobOutcome = ManyOutcome | BytesOutcome | LatencyOutcome;

type Kind = Job['kind'];
type JobOf<K extends Kind> = Extract<Job, { kind: K }>;
type OutcomeOf<K extends Kind> = K extends 'latency'
  ? LatencyOutcome
  : K extends 'flood' | 'typing'
    ? BytesOutcome
    : ManyOutcome;

/** Starts a job in a new process; resolves when all that is not to be measured is done. */
export function startLoad<K extends Kind>(job: JobOf<K>): Promise<RunningLoad<OutcomeOf<K>>> {
  return startLoadProcess<OutcomeOf<K>>(join(import.meta.dirname, 'load.ts'), job);
}

/** Runs a job whose connections nobody needs afterwards. */
export async function runLoad<K extends Kind>(job: JobOf<K>): Promise<OutcomeOf<K>> {
  return await finished(await startLoad<K>(job));
}
