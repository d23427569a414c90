/** Starts a process that puts load on a server. What it does inside: load-process.ts. */
import { fork } from 'node:child_process';
import { atExit } from '../test/support/temp.ts';

/** What a job that does something many times answers. */
export interface ManyOutcome {
  readonly kind: 'set-ups' | 'idle';
  readonly seconds: number;
  /** Duration of each that went well. */
  readonly millis: readonly number[];
  readonly errors: readonly string[];
}

type FromLoad<Outcome> =
  | Outcome
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly error: string };

export interface RunningLoad<Outcome> {
  /** Tells a job that is ready to go; resolves with its outcome while connections may still be open. */
  outcome(): Promise<Outcome>;
  /** Closes the connections that the job left open. */
  stop(): Promise<void>;
}

/**
 * Starts a job in a new process; resolves when all that is not to be measured is done.
 * @param file the process's entry
 */
export async function startLoadProcess<Outcome extends { readonly kind: string }>(
  file: string,
  job: { readonly kind: Outcome['kind'] },
): Promise<RunningLoad<Outcome>> {
  const child = fork(file);
  const withdraw = atExit(() => child.kill('SIGKILL'));
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const answer = (): Promise<FromLoad<Outcome>> =>
    new Promise((resolve, reject) => {
      child.once('message', (message) => resolve(message as FromLoad<Outcome>));
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
      let outcome = ready;
      if (ready.kind === 'ready') {
        const second = answer();
        child.send('go');
        outcome = await second;
      }
      if (outcome.kind === job.kind) return outcome as Outcome;
      await stop();
      throw new Error('error' in outcome ? `load ${job.kind}: ${outcome.error}` : 'a wrong answer');
    },
    stop,
  };
}

/** Lets a load run whose connections nobody needs afterwards. */
export async function finished<Outcome>(load: RunningLoad<Outcome>): Promise<Outcome> {
  const outcome = await load.outcome();
  await load.stop();
  return outcome;
}
