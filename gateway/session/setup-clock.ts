/** Times the stages of a session's set-up. */

/** In the order in which a session goes through them; see `sallyport_setup_seconds`. */
export const SETUP_STAGES = ['log-on', 'authorise', 'recording', 'check-out', 'dial', 'start'] as const;
export type SetupStage = (typeof SETUP_STAGES)[number];

export class SetupClock {
  readonly #begun: number;
  #last: number;
  readonly #observe: (stage: SetupStage, seconds: number) => void;

  /** @param begun when the connection was accepted, as `performance.now()` counts */
  constructor(begun: number, observe: (stage: SetupStage, seconds: number) => void) {
    this.#begun = begun;
    this.#last = begun;
    this.#observe = observe;
  }

  /** `stage` is complete, and the next begins. */
  done(stage: SetupStage): void {
    const now = performance.now();
    this.#observe(stage, (now - this.#last) / 1000);
    this.#last = now;
  }

  /** Seconds from the accept to the last stage that is complete. */
  get total(): number {
    return (this.#last - this.#begun) / 1000;
  }
}
