/**
 * Decides whether an authenticated person may open a target, and registers the session
 * when they may, before anything is said to the target.
 */
import type { Logger } from 'pino';
import type { AuthorisationOutcome, TargetChoice, TargetName } from '../../workers/messages.ts';
import { sourceKey } from '../listener/source.ts';
import type { Protocol } from '../policy/capability.ts';
import { type Access, evaluate, matchingPolicies, notCovered } from '../policy/evaluate.ts';
import { matchesGlob } from '../policy/glob.ts';
import type { Retention } from '../policy/retention.ts';
import type { PolicyRow, Store, StoreTransaction, SystemRow } from '../store/port.ts';
import { type Admission, type Counted, type Limits, limitReached } from './admission.ts';
import type { AuditTrail, Fact } from './audit-trail.ts';
import type { AuthenticatedUser } from './authenticator.ts';
import type { Clock } from './clock.ts';
import { newSessionId } from './session-id.ts';
import type { SessionRegistry } from './session-registry.ts';
import { sessionRow } from './session-row.ts';

/** Long enough to explain, short enough for a list of sessions. */
const MAX_REASON_LENGTH = 500;
/** A client that asks on and on must not fill the audit trail. */
const DENIED_BOUND = { rows: 1, windowMs: 1000 };

export interface AuthorisationRequest {
  readonly protocol: Protocol;
  readonly target: TargetName;
  readonly reason: string | undefined;
}

/** A denial, and what the audit trail says beyond it. */
interface Refusal {
  readonly granted: false;
  readonly code: string;
  readonly message: string;
  readonly reasonRequired: boolean;
  readonly policy: string | undefined;
  /** The true cause where the person hears a neutral sentence. */
  readonly cause?: string;
  /** It was for want of room, not of permission. */
  readonly capacity?: true;
}

type Grant = Extract<AuthorisationOutcome, { granted: true }>;

export class Authorisation {
  readonly #store: Store;
  readonly #sessions: SessionRegistry;
  readonly #audit: AuditTrail;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #node: string;
  readonly #run: () => string;
  readonly #leaseHeld: () => boolean;
  readonly #refusal: () => string | undefined;
  readonly #compacts: boolean;
  readonly #admission: Admission;
  readonly #limits: Limits;
  readonly #retention: Retention | undefined;
  /** Decisions under way: they count against the node's capacity too. */
  #deciding = 0;

  constructor(options: {
    store: Store;
    sessions: SessionRegistry;
    audit: AuditTrail;
    clock: Clock;
    log: Logger;
    node: string;
    run: () => string;
    leaseHeld: () => boolean;
    refusal: () => string | undefined;
    compacts: boolean;
    admission: Admission;
    limits: Limits;
    retention: Retention | undefined;
  }) {
    this.#store = options.store;
    this.#sessions = options.sessions;
    this.#audit = options.audit;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#node = options.node;
    this.#run = options.run;
    this.#leaseHeld = options.leaseHeld;
    this.#refusal = options.refusal;
    this.#compacts = options.compacts;
    this.#admission = options.admission;
    this.#limits = options.limits;
    this.#retention = options.retention;
  }

  /** Decisions under way: each may become a session. */
  get deciding(): number {
    return this.#deciding;
  }

  /** Targets that the person may open now, a reason aside; ordered by system and account. */
  async targets(person: AuthenticatedUser, protocol: Protocol): Promise<readonly TargetChoice[]> {
    const user = await this.#store.user(person.name);
    if (user === undefined || user.disabled) return [];
    const own = (await this.#store.policies()).filter(({ users }) =>
      users.some((pattern) => matchesGlob(pattern, user.name)),
    );
    if (own.length === 0) return [];
    const openSessions = await countSessions(this.#store, user.name, own);
    const systems = new Map((await this.#store.systems()).map((system) => [system.name, system]));
    const now = this.#clock.now();
    const choices: TargetChoice[] = [];
    for (const { name: account, system: systemName } of await this.#store.accounts()) {
      const system = systems.get(systemName);
      if (system === undefined || unfit(system, protocol) !== undefined) continue;
      const target = { user: user.name, account, system: systemName, protocol };
      if (person.only !== undefined && !sameTarget(person.only, target)) continue;
      const access = evaluate(own, { ...target, now, reason: undefined, openSessions });
      const policy = access.granted ? access.policy.name : access.policy;
      const reasonRequired = !access.granted;
      if (policy === undefined || (!access.granted && !access.reasonRequired)) continue;
      choices.push({ account, system: systemName, protocol, policy, reasonRequired });
    }
    return choices.sort((a, b) => order(a.system, b.system) || order(a.account, b.account));
  }

  async authorise(
    worker: number,
    person: AuthenticatedUser,
    request: AuthorisationRequest,
  ): Promise<AuthorisationOutcome> {
    if (!this.#leaseHeld()) {
      const message = 'this node is cut off from its peers and opens no sessions: try again later';
      return this.#deny(person, request, refusal('lease-lost', message));
    }
    const draining = this.#refusal();
    if (draining !== undefined) return this.#deny(person, request, refusal('node-draining', draining));
    const [shut] = this.#admission.standing();
    if (shut !== undefined)
      return this.#deny(person, request, noRoom({ ...shut, code: `node-${shut.code}` }));
    const { only } = person;
    if (only !== undefined && !sameTarget(only, request.target)) {
      const message = `this launch credential opens ${only.account}@${only.system} only`;
      return this.#deny(person, request, refusal('other-target', message));
    }
    this.#deciding++;
    try {
      const { account, system } = request.target;
      const policies = matchingPolicies(await this.#store.policies(), person.name, account, system);
      const maxOnSystem = (await this.#store.system(system))?.maxSessions ?? this.#limits.perSystem;
      const limits = { ...this.#limits, perSystem: maxOnSystem };
      const decide = (store: StoreTransaction) =>
        this.#decide(store, worker, person, request, policies, limits);
      // Two nodes that count at once must not both take the last place.
      const limited =
        Object.values(limits).some((limit) => limit !== undefined) ||
        policies.some(({ maxSessions }) => maxSessions !== undefined);
      const decision = await (limited ? this.#store.transaction(decide) : decide(this.#store));
      if (!decision.granted) return this.#deny(person, request, decision);
      this.#register(worker, person, request.protocol, decision);
      return decision;
    } finally {
      this.#deciding--;
    }
  }

  async #decide(
    store: StoreTransaction,
    worker: number,
    person: AuthenticatedUser,
    request: AuthorisationRequest,
    policies: readonly PolicyRow[],
    limits: Limits,
  ): Promise<Grant | Refusal> {
    const { protocol, target } = request;
    const neutral = (cause: string): Refusal => ({ ...notCovered(target.account, target.system), cause });
    const user = await store.user(person.name);
    if (user === undefined || user.disabled) return neutral('user-disabled');

    // What the person may know; the target's own limit is told only to who may open it.
    const full =
      (await reached(store, 'user', user.name, limits.perUser)) ??
      (await sourceReached(store, sourceKey(person.source), limits.perSource));
    if (full !== undefined) return noRoom(full);

    const reason = cleanReason(request.reason);
    const openSessions = await countSessions(store, user.name, policies);
    const now = this.#clock.now();
    const access: Access = evaluate(policies, {
      user: user.name,
      ...target,
      protocol,
      now,
      reason,
      openSessions,
    });
    if (!access.granted) return access;

    const system = await store.system(target.system);
    if (system === undefined) return neutral('no-system');
    if ((await store.account(target.account, target.system)) === undefined) return neutral('no-account');
    const reject = unfit(system, protocol);
    if (reject !== undefined) return { ...reject, policy: access.policy.name };
    // The rows of `policies` went in, so one of them comes out.
    const policy = policies.find(({ name }) => name === access.policy.name);
    if (policy === undefined) return neutral('no-policy');

    const crowded = await reached(store, 'system', system.name, limits.perSystem);
    if (crowded !== undefined) return { ...noRoom(crowded), policy: policy.name };

    const sessionId = newSessionId(now);
    const opened = sessionRow(sessionId, this.#node, this.#run(), person, request, policy, reason, now);
    const row = policy.record
      ? { ...opened, retention: policy.retention ?? this.#retention, compacted: !this.#compacts }
      : opened;
    const fact: Fact = {
      code: 'session.authorised',
      actor: user.name,
      source: person.source,
      sessionId,
      detail: {
        protocol,
        account: target.account,
        system: target.system,
        policy: policy.name,
        worker,
        ...(reason === undefined ? {} : { reason }),
      },
    };
    // Together, so that both are in one commit.
    await Promise.all([store.insertSession(row), this.#audit.write(fact, store)]);
    return {
      granted: true,
      authorization: {
        sessionId,
        user: user.name,
        account: target.account,
        system: {
          name: system.name,
          host: system.host,
          port: system.port,
          identity: identityOf(system),
          legacyAlgorithms: system.legacyAlgorithms,
        },
        policy: policy.name,
        allow: policy.allow,
        record: policy.record,
        keystrokes: policy.keystrokes,
        maskKeystrokes: policy.maskKeystrokes,
        execLimit: policy.execLimit,
        maxDuration: policy.maxDuration,
        idleTimeout: policy.idleTimeout,
        notAfter: access.notAfter,
      },
    };
  }

  #register(worker: number, person: AuthenticatedUser, protocol: Protocol, { authorization }: Grant): void {
    const { sessionId, user, account, system, policy } = authorization;
    this.#sessions.add({
      id: sessionId,
      worker,
      protocol,
      user,
      account,
      system: system.name,
      dialled: { system: system.name, host: system.host, port: system.port },
      policy,
      source: person.source,
      openedAt: this.#clock.now(),
      startedAt: undefined,
      locked: false,
      lease: 'none',
      writing: Promise.resolve(),
    });
  }

  #deny(person: AuthenticatedUser, request: AuthorisationRequest, denial: Refusal): AuthorisationOutcome {
    const { account, system } = request.target;
    const { code, message, reasonRequired, policy, cause, capacity } = denial;
    const detail = {
      protocol: request.protocol,
      account,
      system,
      code: cause ?? code,
      message,
      ...(policy === undefined ? {} : { policy }),
    };
    const { name: user, source } = person;
    const event = capacity === true ? 'session.refused' : 'session.denied';
    const key = `${event} ${user} ${account}@${system} ${code}`;
    const fact: Fact = { code: event, actor: user, source, detail };
    // Of many in a moment one line, as one row: the rest is counted there.
    if (this.#audit.bounded(key, DENIED_BOUND, fact))
      this.#log.info({ user, source, ...detail }, 'session refused');
    return { granted: false, code, message, reasonRequired };
  }
}

function sameTarget(a: TargetName, b: TargetName): boolean {
  return a.account === b.account && a.system === b.system;
}

function order(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

async function countSessions(
  store: StoreTransaction,
  user: string,
  policies: readonly PolicyRow[],
): Promise<(policy: string) => number> {
  const counts = new Map<string, number>();
  for (const { name, maxSessions } of policies) {
    if (maxSessions !== undefined) counts.set(name, await store.countOpenSessions({ user, policy: name }));
  }
  return (policy) => counts.get(policy) ?? 0;
}

function refusal(code: string, message: string): Refusal {
  return { granted: false, code, message, reasonRequired: false, policy: undefined };
}

/** As {@link reached}, of all addresses that are one source. */
async function sourceReached(
  store: StoreTransaction,
  key: string,
  limit: number | undefined,
): Promise<ReturnType<typeof limitReached>> {
  if (limit === undefined) return undefined;
  const sources = await store.openSessionSources();
  const open = sources.reduce((sum, { source, count }) => (sourceKey(source) === key ? sum + count : sum), 0);
  return limitReached('source', key, open, limit);
}

/** The refusal where this many sessions are open already; what has no limit is not counted. */
async function reached(
  store: StoreTransaction,
  counted: Exclude<Counted, 'source'>,
  name: string,
  limit: number | undefined,
): Promise<ReturnType<typeof limitReached>> {
  if (limit === undefined) return undefined;
  return limitReached(counted, name, await store.countOpenSessions({ [counted]: name }), limit);
}

function noRoom({ code, message }: { readonly code: string; readonly message: string }): Refusal {
  return { ...refusal(code, message), capacity: true };
}

/** Why this system cannot be opened by anyone over this protocol. */
export function unfit(system: SystemRow, protocol: Protocol): Refusal | undefined {
  if (system.protocol !== protocol) {
    return refusal('wrong-protocol', `${system.name} is reached over ${system.protocol}, not ${protocol}`);
  }
  if (protocol === 'ssh' && system.hostKey === undefined) {
    return refusal(
      'no-host-key',
      `${system.name} has no host key pinned: ask an administrator to set its hostKey`,
    );
  }
  if (protocol === 'rdp' && system.certificate === undefined) {
    return refusal(
      'no-certificate',
      `${system.name} has no certificate pinned: ask an administrator to set its certificate`,
    );
  }
  return undefined;
}

/** What the target must show; undefined: pin what it shows first. */
export function identityOf(system: SystemRow): string | undefined {
  const declared = system.protocol === 'ssh' ? system.hostKey : system.certificate;
  return declared === 'trust-on-first-use' ? system.pinned : declared;
}

/** The reason as it is kept: one line, without control characters, bounded. */
function cleanReason(reason: string | undefined): string | undefined {
  const clean = reason
    ?.slice(0, MAX_REASON_LENGTH)
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .trim();
  return clean === '' ? undefined : clean;
}
