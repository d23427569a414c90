/** From what a document declares to what the store keeps: secrets fetched, keys checked, units read. */
import { Secret as TotpSecret } from 'otpauth';
import type { AccountSecret } from '../../vault-client/index.ts';
import { ConfigurationError } from '../config/problems.ts';
import { resolveSecret, type SecretSources } from '../config/secrets.ts';
import { parseDuration, parseRetention, parseSize } from '../config/units.ts';
import type { PolicyRow, SystemRow, UserRow } from '../store/port.ts';
import type {
  Declaration,
  DeclaredAccount,
  DeclaredPolicy,
  DeclaredSystem,
  DeclaredUser,
} from './document.ts';
import { type Checked, checkPersonKey, checkPrivateKey, checkPublicKey } from './keys.ts';
import { parseDate, parseDay, parseTimeOfDay } from './times.ts';

/** `undefined`: stays as it is. `false`: none. */
type Wanted = string | false | undefined;

export type PlannedUser = Omit<UserRow, 'id' | 'passwordHash' | 'totp' | 'ntHash'> & {
  readonly password: Wanted;
  /** Base32. */
  readonly totp: Wanted;
  /** Whether the NT hash of the password is kept. */
  readonly nla: boolean;
};
export type PlannedSystem = Omit<SystemRow, 'id' | 'pinned'>;
export interface PlannedAccount {
  readonly name: string;
  readonly system: string;
  /** Undefined: stays as it is. */
  readonly secret: AccountSecret | undefined;
}
export type PlannedPolicy = Omit<PolicyRow, 'id'>;

export interface Plan {
  readonly users: readonly PlannedUser[];
  readonly systems: readonly PlannedSystem[];
  readonly accounts: readonly PlannedAccount[];
  readonly policies: readonly PlannedPolicy[];
}

/** RFC 4226 §4, R6 wants 16 bytes; widespread authenticators make 10. */
const MIN_TOTP_BYTES = 10;
/** What the log-on accepts. */
const MAX_PASSWORD = 1024;

/** @throws ConfigurationError with every problem of the document, by path */
export function plan(declared: Declaration, source: string, sources: SecretSources): Plan {
  const problems: string[] = [];
  const context: Context = {
    sources,
    take: (path, checked) => {
      if ('value' in checked) return checked.value;
      problems.push(`${path}: ${checked.problem}`);
      return undefined;
    },
  };
  const unique = (list: string, names: readonly string[], key = 'name') => {
    for (const [index, name] of names.entries()) {
      const first = names.indexOf(name);
      if (first < index)
        problems.push(
          `${list}[${index}].${key}: ${JSON.stringify(name)} is declared in ${list}[${first}] already`,
        );
    }
  };
  unique(
    'users',
    declared.users.map(({ name }) => name),
  );
  unique(
    'systems',
    declared.systems.map(({ name }) => name),
  );
  unique(
    'accounts',
    declared.accounts.map(({ name, system }) => `${name}@${system}`),
  );
  unique(
    'policies',
    declared.policies.map(({ name }) => name),
  );
  const planned: Plan = {
    users: declared.users.map((user, i) => planUser(user, `users[${i}]`, context)),
    systems: declared.systems.map((system, i) => planSystem(system, `systems[${i}]`, context)),
    accounts: declared.accounts.map((account, i) => planAccount(account, `accounts[${i}]`, context)),
    policies: declared.policies.map((policy, i) => planPolicy(policy, `policies[${i}]`, context)),
  };
  if (problems.length > 0) throw new ConfigurationError(source, problems);
  return planned;
}

interface Context {
  readonly sources: SecretSources;
  /** The checked value; a problem is noted under its path. */
  readonly take: <T>(path: string, checked: Checked<T>) => T | undefined;
}

function planUser(user: DeclaredUser, at: string, context: Context): PlannedUser {
  const { name, role, disabled, nla } = user;
  if (nla && user.password === false)
    context.take(`${at}.nla`, { problem: 'wants a password, and there is none; add it or remove this' });
  const secret = (key: 'password' | 'totp', check: (value: string) => Checked<string>): Wanted => {
    const given = user[key];
    return typeof given === 'string' ? fetch(given, `${at}.${key}`, context, check) : given;
  };
  return {
    name,
    role,
    disabled,
    nla,
    password: secret('password', checkPassword),
    totp: secret('totp', checkTotp),
    sshKeys: user.sshKeys.flatMap(
      (line, i) => context.take(`${at}.sshKeys[${i}]`, checkPersonKey(line)) ?? [],
    ),
  };
}

function planSystem(system: DeclaredSystem, at: string, { take }: Context): PlannedSystem {
  const { name, protocol, host, hostKey, certificate, legacyAlgorithms, maxSessions } = system;
  const pinned = hostKey === undefined || hostKey === 'trust-on-first-use';
  // Without its comment: the target's key is compared with it.
  const line = pinned ? hostKey : take(`${at}.hostKey`, checkPublicKey(hostKey))?.split(' ', 2).join(' ');
  return {
    name,
    protocol,
    host,
    port: system.port ?? (protocol === 'ssh' ? 22 : 3389),
    hostKey: line,
    certificate: certificate?.toLowerCase(),
    legacyAlgorithms,
    maxSessions,
  };
}

function planAccount(account: DeclaredAccount, at: string, context: Context): PlannedAccount {
  const { name, system } = account;
  const secret = (
    key: 'password' | 'passphrase' | 'privateKey',
    check: (value: string) => Checked<string>,
  ) => {
    const given = account[key];
    return given === undefined ? undefined : fetch(given, `${at}.${key}`, context, check);
  };
  const password = secret('password', checkPassword);
  const passphrase = secret('passphrase', (value) => ({ value }));
  // A passphrase that could not be had is one problem, not two.
  const lacksPassphrase = account.passphrase !== undefined && passphrase === undefined;
  const privateKey = secret('privateKey', (value) =>
    lacksPassphrase ? { value } : checkPrivateKey(value, passphrase),
  );
  if (account.passphrase !== undefined && account.privateKey === undefined) {
    context.take(`${at}.passphrase`, {
      problem: 'opens a privateKey, and there is none; add it or remove this',
    });
  }
  const none = password === undefined && privateKey === undefined;
  return { name, system, secret: none ? undefined : { password, privateKey, passphrase: undefined } };
}

function planPolicy(policy: DeclaredPolicy, at: string, { take }: Context): PlannedPolicy {
  const {
    maxSessions,
    maxDuration,
    idleTimeout,
    notBefore,
    notAfter,
    execLimit,
    retention,
    schedule,
    ...plain
  } = policy;
  const from = notBefore === undefined ? undefined : parseDate(notBefore, 'start');
  const to = notAfter === undefined ? undefined : parseDate(notAfter, 'end');
  if (from !== undefined && to !== undefined && to <= from) {
    take(`${at}.notAfter`, { problem: 'is not after notBefore' });
  }
  return {
    ...plain,
    maxSessions,
    maxDuration: maxDuration === undefined ? undefined : parseDuration(maxDuration),
    idleTimeout: idleTimeout === undefined ? undefined : parseDuration(idleTimeout),
    notBefore: from,
    notAfter: to,
    // The schema has let only `full` and sizes through.
    execLimit: execLimit === 'full' ? 'full' : (parseSize(execLimit) ?? 0),
    retention: retention === undefined ? undefined : parseRetention(retention),
    schedule: schedule.map((window) => ({
      days: [...new Set(window.days.flatMap((day) => parseDay(day) ?? []))].sort(),
      from: parseTimeOfDay(window.from) ?? 0,
      to: parseTimeOfDay(window.to) ?? 0,
      timeZone: window.timeZone,
    })),
  };
}

/** The secret that `given` holds or points to, checked. */
function fetch(
  given: string,
  path: string,
  { sources, take }: Context,
  check: (value: string) => Checked<string>,
): string | undefined {
  const value = take(path, resolveSecret(given, sources));
  return value === undefined ? undefined : take(path, check(value));
}

function checkPassword(value: string): Checked<string> {
  if (value.length > MAX_PASSWORD) return { problem: `is longer than ${MAX_PASSWORD} characters` };
  return { value };
}

function checkTotp(value: string): Checked<string> {
  const text = value.replace(/[\s-]/g, '').toUpperCase();
  const problem = `wants base32 of at least ${MIN_TOTP_BYTES} bytes`;
  if (!/^[A-Z2-7]+=*$/.test(text)) return { problem };
  const bytes = TotpSecret.fromBase32(text).bytes.length;
  return bytes < MIN_TOTP_BYTES ? { problem } : { value: text };
}
