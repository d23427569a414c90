/**
 * Who may open what, when and how. Policies are tried in the order of their names and the
 * first that grants wins, whole: limits of several policies are never mixed. When none
 * grants, the person hears the first denial that giving a reason would cure, otherwise the
 * denial of the first policy that covers them and the target, and where no policy covers
 * them one neutral sentence that does not tell whether account or system exist.
 */
import { type Capability, type Protocol, SSH_CAPABILITIES } from './capability.ts';
import { matchesGlob, matchesTarget } from './glob.ts';
import type { Retention } from './retention.ts';
import { describeSchedule, type Schedule, scheduleState } from './schedule.ts';

/** What a decision needs of a policy; names are unique. */
export interface Policy {
  readonly name: string;
  /** Globs over user names. */
  readonly users: readonly string[];
  /** Globs over `account@system`. */
  readonly accounts: readonly string[];
  readonly allow: readonly Capability[];
  readonly record: boolean;
  readonly keystrokes: boolean;
  /** On desktops: names of keys only, typed text as `********`. */
  readonly maskKeystrokes: boolean;
  readonly reasonRequired: boolean;
  /** Sessions that one user may have open under this policy at the same time. */
  readonly maxSessions: number | undefined;
  /** Milliseconds. */
  readonly maxDuration: number | undefined;
  readonly idleTimeout: number | undefined;
  readonly schedule: readonly Schedule[];
  /** ms since the epoch; the policy holds from `notBefore` until just before `notAfter`. */
  readonly notBefore: number | undefined;
  readonly notAfter: number | undefined;
  readonly execLimit: number | 'full';
  /** How long recordings made under it are kept; undefined: as `archive.retention` says. */
  readonly retention: Retention | undefined;
}

export interface AccessQuestion {
  readonly user: string;
  readonly account: string;
  readonly system: string;
  readonly protocol: Protocol;
  /** ms since the epoch */
  readonly now: number;
  /** Why the person wants in; blank counts as none. */
  readonly reason: string | undefined;
  /** How many sessions the user has open under the policy of this name, over all nodes. */
  readonly openSessions: (policy: string) => number;
}

export type DenialCode =
  | 'no-policy'
  | 'not-yet-valid'
  | 'expired'
  | 'outside-schedule'
  | 'nothing-allowed'
  | 'too-many-sessions'
  | 'reason-required';

export type Access =
  | {
      readonly granted: true;
      readonly policy: Policy;
      /** When the schedule or the policy ends, whichever is first; ms since the epoch. */
      readonly notAfter: number | undefined;
    }
  | {
      readonly granted: false;
      readonly code: DenialCode;
      /** For the person: says which rule. */
      readonly message: string;
      /** Giving a reason would open the target. */
      readonly reasonRequired: boolean;
      /** Undefined: no policy covers this person and this target. */
      readonly policy: string | undefined;
    };

export type Denial = Extract<Access, { granted: false }>;

/** The policies that cover this person and this target, in the order in which they are tried. */
export function matchingPolicies<P extends Policy>(
  policies: readonly P[],
  user: string,
  account: string,
  system: string,
): P[] {
  return policies
    .filter((policy) => policy.users.some((pattern) => matchesGlob(pattern, user)))
    .filter((policy) => policy.accounts.some((pattern) => matchesTarget(pattern, account, system)))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Decides; `policies` may hold any, those that do not match are passed over. */
export function evaluate(policies: readonly Policy[], question: AccessQuestion): Access {
  const { user, account, system } = question;
  const denials: Denial[] = [];
  for (const policy of matchingPolicies(policies, user, account, system)) {
    const access = decide(policy, question);
    if (access.granted) return access;
    denials.push(access);
  }
  return denials.find((denial) => denial.reasonRequired) ?? denials[0] ?? notCovered(account, system);
}

/** The denial of whatever does not exist or is covered by no policy: the person cannot tell which. */
export function notCovered(account: string, system: string): Denial {
  const message = `no policy allows you ${account}@${system}`;
  return { granted: false, code: 'no-policy', message, reasonRequired: false, policy: undefined };
}

function decide(policy: Policy, question: AccessQuestion): Access {
  const { now } = question;
  const target = `${question.account}@${question.system}`;
  const deny = (code: DenialCode, message: string): Denial => ({
    granted: false,
    code,
    message,
    reasonRequired: code === 'reason-required',
    policy: policy.name,
  });

  if (policy.notBefore !== undefined && now < policy.notBefore) {
    return deny('not-yet-valid', `policy ${policy.name} allows ${target} only from ${utc(policy.notBefore)}`);
  }
  if (policy.notAfter !== undefined && now >= policy.notAfter) {
    return deny('expired', `policy ${policy.name} allowed ${target} only until ${utc(policy.notAfter)}`);
  }
  const schedule = scheduleState(policy.schedule, now);
  if (!schedule.open) {
    const hours = describeSchedule(policy.schedule);
    return deny('outside-schedule', `policy ${policy.name} allows ${target} only ${hours}`);
  }
  const { protocol } = question;
  const needed: readonly Capability[] = protocol === 'ssh' ? SSH_CAPABILITIES : ['desktop'];
  if (!needed.some((capability) => policy.allow.includes(capability))) {
    return deny('nothing-allowed', `policy ${policy.name} allows nothing on ${target} over ${protocol}`);
  }
  if (policy.maxSessions !== undefined) {
    const open = question.openSessions(policy.name);
    if (open >= policy.maxSessions) {
      const count = `${open} of ${policy.maxSessions} sessions under policy ${policy.name} are open`;
      return deny('too-many-sessions', `${count}: end one of them first`);
    }
  }
  // Last, so that nobody is asked for a reason that could not help.
  if (policy.reasonRequired && (question.reason === undefined || question.reason.trim() === '')) {
    return deny('reason-required', `a reason is required: policy ${policy.name} asks why you open ${target}`);
  }
  return { granted: true, policy, notAfter: earlier(schedule.until, policy.notAfter) };
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b;
  return b === undefined ? a : Math.min(a, b);
}

function utc(instant: number): string {
  return `${new Date(instant).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
