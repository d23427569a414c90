/** What sessions count while they run. */
import type { Protocol } from '../policy/capability.ts';
import { SETUP_STAGES, SetupClock, type SetupStage } from '../session/setup-clock.ts';
import { type Histogram, Sheet, type Value } from './sheet.ts';
import { WORKER_PLAN } from './worker-families.ts';

/** Of the sessions of one protocol. */
export class SessionFigures {
  readonly #stages: Readonly<Record<SetupStage, Histogram>>;
  readonly #total: Histogram;
  readonly #started: Value;
  /** What was passed on, by the side that it came from. */
  readonly delays: { readonly client: Histogram; readonly target: Histogram };

  /** @param sheet of {@link WORKER_PLAN} */
  constructor(protocol: Protocol, sheet: Sheet = new Sheet(WORKER_PLAN)) {
    const stage = (name: SetupStage) => sheet.histogram('sallyport_setup_seconds', { protocol, stage: name });
    this.#stages = Object.fromEntries(SETUP_STAGES.map((name) => [name, stage(name)])) as Record<
      SetupStage,
      Histogram
    >;
    this.#total = sheet.histogram('sallyport_setup_total_seconds', { protocol });
    this.#started = sheet.value('sallyport_sessions_started_total', { protocol });
    const delay = (from: string) => sheet.histogram('sallyport_relay_delay_seconds', { protocol, from });
    this.delays = { client: delay('client'), target: delay('target') };
  }

  /** @param acceptedAt when the connection was accepted, as `performance.now()` counts */
  setupSince(acceptedAt: number): SetupClock {
    return new SetupClock(acceptedAt, (stage, seconds) => this.#stages[stage].observe(seconds));
  }

  /** The session is relayed from now on. */
  started(setup: SetupClock): void {
    this.#started.add(1);
    this.#total.observe(setup.total);
  }
}
