/**
 * Taking a node out of service: load balancers see it first, then no new sessions are opened, the people in
 * the running ones are told, and what is left at the limit is ended.
 */
import type { LiveSession } from '../control/session-registry.ts';

export type DrainPhase = 'serving' | 'draining' | 'maintenance';

export interface DrainHands {
  sessions(): readonly LiveSession[];
  /** Shows a line in a session. */
  notify(session: LiveSession, message: string): void;
  /** Ends a session and shows why; may be asked again. */
  end(session: LiveSession, reason: string): void;
  /** The phase has changed. */
  moved(phase: DrainPhase): void;
  /** ms since the epoch, as {@link LiveSession.startedAt}. */
  now(): number;
  /** ms that no clock's setting changes. */
  monotonic(): number;
}

export const BEING_STOPPED = 'this gateway is being stopped';
const TICK_MS = 250;
/** People are told a second time so long before the end. */
const LAST_WARNING_MS = 60_000;
/** A session that has only just begun has no screen yet to show a line on. */
const SETTLED_MS = 2_000;

interface Course {
  /** Monotonic ms. */
  readonly graceUntil: number;
  readonly until: number;
  readonly warned: 'never' | 'first' | 'last';
  /** Resolved with whether no session is left. */
  readonly done: PromiseWithResolvers<boolean>;
}

export class Drain {
  readonly #hands: DrainHands;
  /** How long sessions may take to seal their recordings once they were ended. */
  readonly #sealMs: number;
  #phase: DrainPhase = 'serving';
  #course: Course | undefined;
  /** Sessions that were told by the warning of now. */
  readonly #told = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(hands: DrainHands, sealMs: number) {
    this.#hands = hands;
    this.#sealMs = sealMs;
  }

  get phase(): DrainPhase {
    return this.#phase;
  }

  /** Why no session is opened now; undefined: it is. */
  get refusal(): string | undefined {
    if (this.#phase === 'maintenance') return 'this gateway is out of service: connect to another one';
    if (this.#course === undefined || this.#hands.monotonic() < this.#course.graceUntil) return undefined;
    return `${BEING_STOPPED}: connect again in a moment`;
  }

  /**
   * Drains from now on, or goes on under other limits.
   *
   * @param limitMs what running sessions still have
   * @param graceMs how long new ones are opened still, at most `limitMs`
   * @returns whether no session is left; false: it was resumed before
   */
  begin(limitMs: number, graceMs: number): Promise<boolean> {
    if (this.#phase === 'maintenance') return Promise.resolve(true);
    const now = this.#hands.monotonic();
    const { graceUntil, done } = this.#course ?? {
      graceUntil: now + Math.min(graceMs, limitMs),
      done: Promise.withResolvers<boolean>(),
    };
    this.#course = { graceUntil, until: now + limitMs, warned: 'never', done };
    this.#move('draining');
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
    return done.promise;
  }

  /** Serves again; whether it did not. */
  resume(): boolean {
    if (this.#phase === 'serving') return false;
    this.#end('serving', false);
    return true;
  }

  #tick(): void {
    if (this.#course === undefined) return;
    const { graceUntil, until } = this.#course;
    const now = this.#hands.monotonic();
    const sessions = this.#hands.sessions();
    if (now < until) this.#tell(sessions, until - now);
    // One that was being opened meanwhile is ended by the next turn.
    else for (const session of sessions) this.#hands.end(session, BEING_STOPPED);
    const empty = sessions.length === 0 && now >= Math.min(graceUntil, until);
    if (empty || now >= until + this.#sealMs) this.#end('maintenance', true);
  }

  #tell(sessions: readonly LiveSession[], leftMs: number): void {
    const warning = leftMs <= LAST_WARNING_MS ? 'last' : 'first';
    if (this.#course !== undefined && this.#course.warned !== warning) {
      this.#told.clear();
      this.#course = { ...this.#course, warned: warning };
    }
    const settled = this.#hands.now() - SETTLED_MS;
    for (const session of sessions) {
      const { id, startedAt } = session;
      if (this.#told.has(id) || startedAt === undefined || startedAt > settled) continue;
      this.#told.add(id);
      this.#hands.notify(session, `This gateway is being stopped: your session ends in ${inWords(leftMs)}.`);
    }
  }

  #end(phase: DrainPhase, drained: boolean): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#told.clear();
    const course = this.#course;
    this.#course = undefined;
    this.#move(phase);
    course?.done.resolve(drained);
  }

  #move(phase: DrainPhase): void {
    if (phase === this.#phase) return;
    this.#phase = phase;
    this.#hands.moved(phase);
  }
}

/** `45 s`, `10 min`: rounded as people say it. */
function inWords(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
