/** Time limits of one session: how long at most, how long idle, until when the schedule allows it. */
import type { EndCode, TargetAuthorization } from '../../workers/messages.ts';

export class SessionLimits {
  readonly #authorization: TargetAuthorization;
  readonly #startedAt: number;
  #activeAt: number;

  /** @param at ms, monotonic: how long something lasts is no matter of the time of day, which may be set */
  constructor(authorization: TargetAuthorization, at: number) {
    this.#authorization = authorization;
    this.#startedAt = at;
    this.#activeAt = at;
  }

  /**
   * @param at ms, monotonic
   * @param now ms since the epoch
   * @param active whether anything happened since the last call
   * @returns the limit that is over, if any, in words for the person
   */
  check(at: number, now: number, active: boolean): { code: EndCode; reason: string } | undefined {
    if (active) this.#activeAt = at;
    const { maxDuration, idleTimeout, notAfter, policy } = this.#authorization;
    if (maxDuration !== undefined && at - this.#startedAt >= maxDuration)
      return {
        code: 'max-duration',
        reason: `policy ${policy} ends sessions after ${duration(maxDuration)}`,
      };
    if (notAfter !== undefined && now >= notAfter)
      return { code: 'schedule-ended', reason: `the hours that policy ${policy} allows are over` };
    if (idleTimeout !== undefined && at - this.#activeAt >= idleTimeout)
      return {
        code: 'idle-timeout',
        reason: `policy ${policy} ends sessions idle for ${duration(idleTimeout)}`,
      };
    return undefined;
  }
}

/** `8 h`, `15 min`, `30 s`: the largest unit that divides it. */
export function duration(ms: number): string {
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000} h`;
  if (ms % 60_000 === 0) return `${ms / 60_000} min`;
  return `${Math.round(ms / 1000)} s`;
}
