/**
 * Checks passwords on threads of their own, at a lower priority than those that sessions live on: a burst of
 * log-ons slows down log-ons, and no keystroke. Node's own thread pool, where argon2 runs otherwise, is not
 * nice, and recordings are written on it, too.
 */
import { Piscina } from 'piscina';

/** A password on its way to its thread. */
export interface PasswordCheck {
  /** PHC string. */
  readonly phc: string;
  readonly password: string;
}

/** Two at once: a thread takes a core and, while it hashes, 19 MiB. */
export const PASSWORD_THREADS = 2;
/** Behind sessions ([nice(2)]: they get three parts of four where both want a core), before recordings that wait. */
const NICE = 5;
/** Threads with nothing to do end after this, ms. */
const IDLE_MS = 60_000;

export class PasswordPool implements AsyncDisposable {
  readonly #pool = new Piscina<PasswordCheck, boolean>({
    filename: new URL('./password-thread.ts', import.meta.url).href,
    name: 'check',
    // The first one after a quiet time does not wait for a thread to begin.
    minThreads: 1,
    maxThreads: PASSWORD_THREADS,
    idleTimeout: IDLE_MS,
    niceIncrement: NICE,
    resourceLimits: { maxOldGenerationSizeMb: 64 },
    // A thread that waits by blocking could not be ended.
    atomics: 'disabled',
  });

  constructor() {
    // Told when a thread dies, whose checks reject.
    this.#pool.on('error', () => {});
  }

  /** As {@link verifyPassword}. Whoever asks bounds how many wait. */
  async verify(phc: string, password: string): Promise<boolean> {
    return await this.#pool.run({ phc, password });
  }

  /** What waits, now; what runs is beside it. */
  get queued(): number {
    return this.#pool.queueSize;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }
}
