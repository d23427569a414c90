/** Counts who was let in and who was not: at the door, at the log-on, at the decision, inside of sessions. */
import { Counter, type Registry } from 'prom-client';
import { AUDIT_EVENTS } from '../audit/events.ts';
import type { Fact } from '../control/audit-trail.ts';
import { PROTOCOLS } from '../policy/capability.ts';

/** Reasons come from codes of ours; whatever happens, a label has no more values than this. */
const MAX_REASONS = 64;
const OTHER = 'other';

/** Reasons that are about what the node can bear, not about what somebody may do or did. */
const ADMISSION = new Set([
  'full',
  'overloaded',
  'draining',
  'lease-lost',
  'node-full',
  'node-overloaded',
  'node-draining',
]);

export class AccessMetrics {
  readonly #known = new Map<string, Set<string>>();
  readonly #events: Counter<'code'>;
  readonly #logOns: Counter<'protocol' | 'outcome' | 'factor'>;
  readonly #refusals: Counter<'stage' | 'reason'>;
  readonly #ends: Counter<'code'>;
  readonly #probes: Counter;
  readonly #dropped: Counter;

  constructor(registry: Registry) {
    const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Counter({ name, help, labelNames, registers: [registry] });
    this.#events = counter('sallyport_audit_events_total', 'Audit events by their code', ['code']);
    // Here and below: what is counted for the first time must show as an increase, for alerts to see it.
    for (const code of Object.keys(AUDIT_EVENTS)) this.#events.inc({ code }, 0);
    this.#logOns = counter('sallyport_log_ons_total', 'Log-ons of people: accepted, refused or blocked', [
      'protocol',
      'outcome',
      'factor',
    ]);
    for (const protocol of PROTOCOLS) this.#loggedOn('blocked', protocol, 'any', 0);
    this.#refusals = counter(
      'sallyport_refusals_total',
      'What was refused: connections at the door, log-ons, sessions for what the node can bear (admission), for limits of `capacity` and of systems (limit) or by policy, requests inside of sessions',
      ['stage', 'reason'],
    );
    for (const reason of ADMISSION) this.#refused('admission', reason, 0);
    this.#ends = counter('sallyport_sessions_ended_total', 'Sessions that ended, by the code of why', [
      'code',
    ]);
    this.#probes = counter(
      'sallyport_probes_total',
      'Connections that left without a word, as probes of load balancers do',
    );
    this.#dropped = counter(
      'sallyport_dropped_connections_total',
      'Connections that spoke and ended before their log-on was complete',
    );
  }

  /** A connection left without a word. */
  probed(): void {
    this.#probes.inc();
  }

  /** A connection spoke, and ended before its log-on was complete. */
  dropped(): void {
    this.#dropped.inc();
  }

  /** Connections were turned away at the door. */
  turnedAway(reason: string, count = 1): void {
    this.#refused(ADMISSION.has(reason) ? 'admission' : 'door', reason, count);
  }

  /** Counts what the audit trail hears, `times` of it, whether or not each has a row of its own there. */
  heard({ code, detail = {} }: Fact, times: number): void {
    this.#events.inc({ code }, times);
    const text = (key: string): string => String(detail[key] ?? OTHER);
    switch (code) {
      case 'user.login.succeeded':
        this.#loggedOn('accepted', text('protocol'), text('method'));
        return;
      case 'user.login.failed':
        this.#loggedOn('refused', text('protocol'), text('factor'));
        this.#refused('log-on', text('factor'));
        return;
      case 'user.login.blocked':
        this.#loggedOn('blocked', text('protocol'), 'any');
        this.#refused('log-on', 'blocked');
        return;
      case 'session.denied': {
        const reason = text('code');
        this.#refused(ADMISSION.has(reason) ? 'admission' : 'policy', reason);
        return;
      }
      case 'session.refused':
        // Those at the door, who are asked for no target, are counted there.
        if (detail['account'] !== undefined) {
          const reason = text('code');
          this.#refused(ADMISSION.has(reason) ? 'admission' : 'limit', reason);
        }
        return;
      case 'session.request.refused':
        this.#refused('session', 'request');
        return;
      case 'session.ended':
        this.#ends.inc({ code: this.#bounded('end', text('code')) });
    }
  }

  #loggedOn(outcome: string, protocol: string, factor: string, count = 1): void {
    this.#logOns.inc({ protocol, outcome, factor: this.#bounded('factor', factor) }, count);
  }

  #refused(stage: string, reason: string, count = 1): void {
    this.#refusals.inc({ stage, reason: this.#bounded(stage, reason) }, count);
  }

  /** INVARIANT: a label of a kind never has more than {@link MAX_REASONS} values, and {@link OTHER}. */
  #bounded(kind: string, value: string): string {
    let known = this.#known.get(kind);
    if (known === undefined) {
      known = new Set();
      this.#known.set(kind, known);
    }
    if (!known.has(value) && known.size >= MAX_REASONS) return OTHER;
    known.add(value);
    return value;
  }
}
