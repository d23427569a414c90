/**
 * What a node says of itself to load balancers: whether it takes sessions, why not, and how much more it
 * could take. Pure: facts in, words out.
 */

/** Stable: monitoring is written against them. */
export const REASONS = {
  starting: 'the node starts',
  draining: 'the node is told to stop or to drain: it takes no new sessions',
  maintenance: 'the node has drained and waits for `sallyport node resume`',
  full: 'as many sessions are open as capacity.maxSessions allows',
  overloaded: 'the node has no memory or no time for another session',
  'archive-down': 'the archive takes no recordings',
  'store-down': 'the store cannot be read or written',
  'lease-lost': 'the node could not renew its lease among its peers',
  'workers-down': 'no session worker answers',
  'worker-stuck':
    'a session worker is stuck, and who comes to it waits for nothing: restart the node when its people can bear it',
} as const satisfies Readonly<Record<string, string>>;
export type ReasonCode = keyof typeof REASONS;

/** `message`: for people; says nothing that only the node's own may know. */
export interface Reason {
  readonly code: ReasonCode;
  readonly message: string;
}

export type Phase = 'starting' | 'serving' | 'draining' | 'maintenance';

export interface Facts {
  readonly node: string;
  readonly phase: Phase;
  /** Open now, and at most. */
  readonly sessions: number;
  readonly maxSessions: number;
  /** How late the session workers' event loops are, ms. */
  readonly lagMs: number;
  /** Session workers that answer, and how many there should be. */
  readonly workers: { readonly beating: number; readonly expected: number };
  /** Why no session can be taken, the phase aside. */
  readonly reasons: readonly Reason[];
  /** What is wrong, although sessions are taken. */
  readonly warnings: readonly Reason[];
}

export interface Report {
  readonly ready: boolean;
  readonly node: string;
  readonly state: Phase;
  readonly sessions: number;
  readonly maxSessions: number;
  /** Share of the node's capacity that is free, from 1 to 100; 0: not ready. */
  readonly weight: number;
  readonly reasons: readonly Reason[];
  readonly warnings: readonly Reason[];
}

/** Nobody notices turns as short as the first; of a worker whose turns take the second everybody notices each. */
const LAG_MS = { unnoticed: 50, full: 500 } as const;

export function reportOf(facts: Facts): Report {
  const { node, phase, sessions, maxSessions, warnings } = facts;
  const reasons = [...(phase === 'serving' ? [] : [reason(phase)]), ...facts.reasons];
  const ready = reasons.length === 0;
  return {
    ready,
    node,
    state: phase,
    sessions,
    maxSessions,
    weight: ready ? weightOf(facts) : 0,
    reasons,
    warnings,
  };
}

export const reason = (code: ReasonCode): Reason => ({ code, message: REASONS[code] });

function weightOf({ sessions, maxSessions, lagMs, workers }: Facts): number {
  const room = 1 - sessions / maxSessions;
  const time = (LAG_MS.full - lagMs) / (LAG_MS.full - LAG_MS.unnoticed);
  const hands = workers.beating / workers.expected;
  return Math.min(100, Math.max(1, Math.round(100 * Math.min(room, time, hands))));
}

/** New sessions are not wanted, but the node is sound. */
const BUSY: ReadonlySet<ReasonCode> = new Set(['draining', 'full', 'overloaded']);

/**
 * The line of HAProxy's agent check (its configuration manual, `agent-check`). Each answer says everything
 * that an earlier one may have changed: HAProxy keeps what it is not told again.
 */
export function agentLine({ ready, state, weight, reasons }: Report): string {
  if (ready) return `up ready ${weight}%`;
  if (state === 'maintenance') return 'maint';
  if (reasons.every(({ code }) => BUSY.has(code))) return 'up drain';
  return `down #${reasons.map(({ code }) => code).join(',')}`;
}
