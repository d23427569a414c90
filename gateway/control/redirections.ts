/**
 * Decides whether a session may go on where its target sends it ([MS-RDPBCGR] 2.2.13): to the
 * system it is on, or to another one that the policy it was opened under allows for the same
 * account. A target is not asked where people may go.
 */
import ipaddr from 'ipaddr.js';
import type { RedirectionOutcome, RedirectionRequest } from '../../workers/messages.ts';
import { evaluate } from '../policy/evaluate.ts';
import type { Store, SystemRow } from '../store/port.ts';
import type { AuditTrail } from './audit-trail.ts';
import { identityOf, unfit } from './authorisation.ts';
import type { Clock } from './clock.ts';
import { fact, type LiveSession, type SessionRegistry } from './session-registry.ts';

/** `cause`: what the audit trail says where the person hears a neutral sentence. */
interface Refusal {
  readonly cause: string;
  readonly message: string;
}

export class Redirections {
  readonly #store: Store;
  readonly #sessions: SessionRegistry;
  readonly #audit: AuditTrail;
  readonly #clock: Clock;

  constructor(options: { store: Store; sessions: SessionRegistry; audit: AuditTrail; clock: Clock }) {
    this.#store = options.store;
    this.#sessions = options.sessions;
    this.#audit = options.audit;
    this.#clock = options.clock;
  }

  /** Decides, says so in the audit trail, and has the session's pins belong to the new system from then on. */
  async redirect(worker: number, request: RedirectionRequest): Promise<RedirectionOutcome> {
    const session = this.#sessions.own(worker, request.sessionId);
    const from = session.dialled.system;
    const hosts = request.hosts.join(' ');
    const decision = await this.#decide(session, request);
    if ('cause' in decision) {
      const { cause, message } = decision;
      const detail = { from, hosts, code: cause, message };
      await this.#audit.write(fact(session, 'session.redirect.refused', session.user, detail));
      return { granted: false, message };
    }
    const { name: system, host, port, legacyAlgorithms } = decision;
    const detail = { from, system, host, hosts, account: session.account, policy: session.policy };
    await this.#audit.write(fact(session, 'session.redirected', session.user, detail));
    session.dialled = { system, host, port };
    return {
      granted: true,
      system: { name: system, host, port, identity: identityOf(decision), legacyAlgorithms },
    };
  }

  async #decide(session: LiveSession, { hosts, userName }: RedirectionRequest): Promise<SystemRow | Refusal> {
    const { account, user, policy: policyName, dialled } = session;
    if (userName !== undefined && bareName(userName) !== bareName(account))
      return {
        cause: 'other-account',
        message: `${dialled.system} sends the session on as ${userName}, who is not ${account}`,
      };
    const systems = (await this.#store.systems()).filter(({ protocol }) => protocol === 'rdp');
    const current = systems.find(({ name }) => name === dialled.system);
    const system = hosts.length === 0 ? current : systemAt(hosts, systems, dialled);
    const neutral = (cause: string): Refusal => ({
      cause,
      message: `${dialled.system} sends the session on to ${hosts.join(', ')}, which is no system that policy ${policyName} allows for ${account}`,
    });
    if (system === undefined) return neutral('no-system');
    const reject = unfit(system, 'rdp');
    if (reject !== undefined) return { cause: reject.code, message: reject.message };
    if (system === current) return system;

    const person = await this.#store.user(user);
    if (person === undefined || person.disabled) return neutral('user-disabled');
    if ((await this.#store.account(account, system.name)) === undefined) return neutral('no-account');
    // What the session may do was decided by one policy: another one would allow other things.
    const policies = (await this.#store.policies()).filter(({ name }) => name === policyName);
    const row = await this.#store.session(session.id);
    const access = evaluate(policies, {
      user,
      account,
      system: system.name,
      protocol: 'rdp',
      now: this.#clock.now(),
      reason: row?.reason,
      // It counts this session itself, which is open already.
      openSessions: () => 0,
    });
    if (access.granted) return system;
    return access.policy === undefined
      ? neutral(access.code)
      : { cause: access.code, message: access.message };
  }
}

/** The system at the first of `hosts` that is known; of several there, the one at the port that was dialled. */
function systemAt(
  hosts: readonly string[],
  systems: readonly SystemRow[],
  { port }: LiveSession['dialled'],
): SystemRow | undefined {
  for (const host of hosts) {
    const there = systems.filter((system) => normalHost(system.host) === normalHost(host));
    const found = there.find((system) => system.port === port) ?? there[0];
    if (found !== undefined) return found;
  }
  return undefined;
}

function normalHost(host: string): string {
  return ipaddr.isValid(host)
    ? ipaddr.parse(host).toNormalizedString()
    : host.toLowerCase().replace(/\.$/, '');
}

/** `admin` of `CORP\admin` and `admin@corp.example`: brokers spell it in their own way. */
function bareName(name: string): string {
  return name
    .slice(name.indexOf('\\') + 1)
    .replace(/@.*$/s, '')
    .toLowerCase();
}
