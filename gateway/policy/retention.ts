/**
 * How long recordings are kept. What was promised when a recording was made is never shortened: its
 * session keeps the rule of that day, and the rule of today counts only where it keeps longer. Where
 * neither says anything it is kept for ever.
 */

/** Milliseconds from the end of the session, or for ever. */
export type Retention = number | 'forever';

/** What counts of the session that was recorded. */
export interface Recorded {
  /** Name of the policy that it ran under. */
  readonly policy: string;
  /** What its policy, else `archive.retention`, said when it began; undefined: nothing. */
  readonly retention: Retention | undefined;
  /** ms since the epoch. */
  readonly openedAt: number;
  readonly endedAt: number | undefined;
}

/** What decides today, for recordings made under any policy. */
export interface RetentionToday {
  /** `archive.retention` */
  readonly standard: Retention | undefined;
  /** Of the policies that there are, by name; undefined: the policy says nothing. */
  readonly policies: ReadonlyMap<string, Retention | undefined>;
}

/** Why a recording is kept so long. */
export interface Rule {
  readonly retention: Retention;
  /** For people: `90d (policy ops)`. */
  readonly text: string;
}

/** The rule of a recording; undefined: nobody said how long, so it is kept for ever. */
export function ruleOf(session: Recorded, today: RetentionToday): Rule | undefined {
  const { policy } = session;
  const ofPolicy = today.policies.get(policy);
  const then = rule(session.retention, 'as it was when recorded');
  const now =
    ofPolicy === undefined ? rule(today.standard, 'archive.retention') : rule(ofPolicy, `policy ${policy}`);
  if (then === undefined || now === undefined) return then ?? now;
  return longer(then.retention, now.retention) ? then : now;
}

/** When a recording under this rule may go, ms since the epoch; infinity: never. */
export function dueAt(session: Recorded, { retention }: Rule): number {
  return retention === 'forever'
    ? Number.POSITIVE_INFINITY
    : (session.endedAt ?? session.openedAt) + retention;
}

/** `90d`, `1d12h` or `for ever`; `ms` is whole milliseconds. */
export function retentionText(retention: Retention): string {
  if (retention === 'forever') return 'for ever';
  let rest = retention;
  let text = '';
  for (const [unit, ms] of UNITS) {
    const count = Math.floor(rest / ms);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * ms;
  }
  return text;
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const;

function rule(retention: Retention | undefined, source: string): Rule | undefined {
  return retention === undefined ? undefined : { retention, text: `${retentionText(retention)} (${source})` };
}

function longer(a: Retention, b: Retention): boolean {
  return b !== 'forever' && (a === 'forever' || a > b);
}
