/**
 * Who is on the other end of a front connection. The state of every connection lives here
 * and only here: whatever a front believes, a connection opens sessions only after this
 * file accepted it.
 *
 * Unknown, disabled and known users get the same answers, the same methods and the same
 * work until they have proved a first factor. One thing others can find out: whom NLA can
 * log on ({@link Authenticator.nlaKnows}), where the configuration lets it be asked.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { launchBinding, type MasterKey, ntHashBinding } from '../../vault-client/index.ts';
import type {
  AuthenticationOutcome,
  ControlRequests,
  Factor,
  Method,
  TargetName,
} from '../../workers/messages.ts';
import { sourceKey } from '../listener/source.ts';
import type { Protocol } from '../policy/capability.ts';
import { isLaunchCredential, withoutLaunch } from '../policy/launch-credential.ts';
import { type LoginName, LoginNameError, parseLogin } from '../policy/target-name.ts';
import { type NtlmProof, sessionBaseKeyOf } from '../rdp/credssp/ntlm.ts';
import type { Store, UserRow } from '../store/port.ts';
import type { AuditTrail, Fact } from './audit-trail.ts';
import type { Clock } from './clock.ts';
import { Gate } from './gate.ts';
import { type Redeemed, redeemLaunch, useLaunch } from './launches.ts';
import { LoginLimiter } from './limiter.ts';
import { holdsKey } from './public-keys.ts';
import { acceptCode } from './totp.ts';

type Rejected = Extract<AuthenticationOutcome, { outcome: 'rejected' }>;
type AuthenticationRequest = Parameters<ControlRequests['authenticate']>[0];

/** A person who proved who they are on this connection. */
export interface AuthenticatedUser {
  readonly name: string;
  readonly source: string;
  readonly protocol: Protocol;
  /** The one target that they may open: they came with a launch credential. */
  readonly only: TargetName | undefined;
}

const FIRST_METHODS: readonly Method[] = ['publickey', 'password', 'keyboard-interactive'];
const SECOND_METHODS: readonly Method[] = ['keyboard-interactive'];

/** argon2 takes a core and tens of MiB each: two at once leave the machine to the sessions. */
const HASHES_AT_ONCE = 2;
/** What two at once finish within the usual log-on grace of 30 s, at 50 ms each. */
const GUESSES_WAITING = 1000;
/** A person who opens several at a time has a few of them at most. */
const MAX_LAUNCHES = 8;
/** Longer is no password; bounds what a hash has to read. */
const MAX_PASSWORD_LENGTH = 1024;
/** A front ends an idle log-on after its own, shorter grace; this clears up after lost notices. */
const PENDING_MS = 5 * 60_000;
/** Front connections known at once, some 300 bytes each: far more than a node has sessions. */
const MAX_CONNECTIONS = 20_000;

const FAILED_BOUND = { rows: 1, windowMs: 1000 };
const BLOCKED_BOUND = { rows: 1, windowMs: 60_000 };

interface Connection {
  readonly worker: number;
  readonly source: string;
  readonly protocol: Protocol;
  lastSeen: number;
  /** The first factor that a requester proved, while the second is missing; it counts for that one alone. */
  proved: { readonly requester: string; readonly factor: string } | undefined;
  user: AuthenticatedUser | undefined;
  /** Some key was refused and nothing else was tried: told when the connection closes. */
  refusedKeyOf: string | undefined;
}

export interface AuthenticatorOptions {
  readonly store: Store;
  readonly masterKey: MasterKey;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether the password fits the PHC string. */
  readonly verifyPassword: (phc: string, password: string) => Promise<boolean>;
  /** PHC string of no password at all, under the same parameters as real ones. */
  readonly dummyHash: string;
}

export class Authenticator {
  readonly #store: Store;
  readonly #masterKey: MasterKey;
  readonly #audit: AuditTrail;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #verifyPassword: AuthenticatorOptions['verifyPassword'];
  readonly #dummyHash: string;
  readonly #limiter: LoginLimiter;
  readonly #hashing = new Gate(HASHES_AT_ONCE, GUESSES_WAITING);
  readonly #judging = new Gate(1, GUESSES_WAITING);
  readonly #connections = new Map<string, Connection>();

  constructor(options: AuthenticatorOptions) {
    this.#store = options.store;
    this.#masterKey = options.masterKey;
    this.#audit = options.audit;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#verifyPassword = options.verifyPassword;
    this.#dummyHash = options.dummyHash;
    this.#limiter = new LoginLimiter(() => options.clock.now());
  }

  /** The person who authenticated on this connection of this worker. */
  personOf(worker: number, connection: string): AuthenticatedUser | undefined {
    const found = this.#connections.get(connection);
    return found?.worker === worker ? found.user : undefined;
  }

  /**
   * Judges one factor. A key that is not yet `proven` is `accepted` when it may be proved;
   * that answer authenticates nobody.
   */
  async authenticate(worker: number, request: AuthenticationRequest): Promise<AuthenticationOutcome> {
    const connection = this.#connectionOf(worker, request);
    if (connection === undefined) return busy();
    // One log-on per connection: an authenticated one has nothing more to prove.
    if (connection.worker !== worker || connection.user !== undefined) return rejected(FIRST_METHODS);
    let login: LoginName;
    try {
      login = parseLogin(request.login);
    } catch (error) {
      if (!(error instanceof LoginNameError)) throw error;
      return this.#failed(connection, '', `login name: ${error.message}`);
    }
    const { requester } = login;
    // RFC 4252 §5: another user name flushes what was proved for the first.
    if (connection.proved?.requester !== requester) connection.proved = undefined;
    const verdict = this.#limiter.verdict(connection.source, requester);
    if (verdict.blocked) return this.#blocked(connection, requester);

    const { factor } = request;
    if (factor.kind === 'publickey') return this.#publicKey(connection, login, factor);
    // Guesses wait for their answer; keys are no guesses.
    if (verdict.delayMs > 0) await this.#clock.sleep(verdict.delayMs);
    switch (factor.kind) {
      case 'password':
        return isLaunchCredential(factor.password)
          ? this.#launch(connection, login, factor.password)
          : this.#password(connection, login, factor.password);
      case 'ntlm':
        return this.#inTurn(this.#judging, connection, requester, () =>
          this.#ntlm(connection, login, { user: request.login, ...factor }),
        );
      case 'otp':
        return this.#inTurn(this.#judging, connection, requester, () =>
          this.#otp(connection, login, factor.code),
        );
    }
  }

  /**
   * Whether NLA can log this person on: they opted in, or have a launch credential open for it.
   * @param name what a client says in its first PDU; Windows' cuts it after nine characters
   */
  async nlaKnows({ name, source }: { readonly name: string; readonly source: string }): Promise<boolean> {
    if (this.#limiter.verdict(source, name).blocked) return false;
    let login: LoginName;
    try {
      login = parseLogin(name);
    } catch (error) {
      if (error instanceof LoginNameError) return false;
      throw error;
    }
    const { requester, target } = login;
    const beforeCut = requester.split('+', 1)[0] ?? '';
    for (const each of new Set([requester, beforeCut]))
      if (enabled(await this.#store.user(each))?.ntHash !== undefined) return true;
    if (target === undefined) return false;
    const { account, system } = target;
    const launches = await this.#store.openLaunches(requester, account, system, this.#clock.now());
    return launches.some(({ nla }) => nla);
  }

  connectionClosed(worker: number, connection: string): void {
    const found = this.#connections.get(connection);
    if (found?.worker !== worker) return;
    this.#connections.delete(connection);
    if (found.user === undefined && found.refusedKeyOf !== undefined) {
      this.#auditFailure(found, found.refusedKeyOf, 'no acceptable key');
    }
  }

  workerDied(worker: number): void {
    for (const [id, connection] of this.#connections) {
      if (connection.worker === worker) this.#connections.delete(id);
    }
  }

  /** Forgets log-ons that nobody finished; called regularly. */
  sweep(): void {
    const before = this.#clock.now() - PENDING_MS;
    for (const [id, connection] of this.#connections) {
      if (connection.user === undefined && connection.lastSeen < before) {
        this.connectionClosed(connection.worker, id);
      }
    }
  }

  #connectionOf(worker: number, request: AuthenticationRequest): Connection | undefined {
    const { source, protocol } = request;
    let connection = this.#connections.get(request.connection);
    if (connection === undefined) {
      if (this.#connections.size >= MAX_CONNECTIONS) return undefined;
      const fresh = { proved: undefined, user: undefined, refusedKeyOf: undefined };
      connection = { worker, source, protocol, lastSeen: 0, ...fresh };
      this.#connections.set(request.connection, connection);
    }
    connection.lastSeen = this.#clock.now();
    return connection;
  }

  async #publicKey(
    connection: Connection,
    login: LoginName,
    factor: Extract<Factor, { kind: 'publickey' }>,
  ): Promise<AuthenticationOutcome> {
    if (connection.proved !== undefined) return rejected(SECOND_METHODS);
    const user = enabled(await this.#store.user(login.requester));
    if (user === undefined || !holdsKey(user.sshKeys, factor.blob)) {
      // Agents offer every key they hold, and nobody guesses one: not counted as a failure.
      connection.refusedKeyOf = login.requester;
      return rejected(FIRST_METHODS);
    }
    if (!factor.proven) return { outcome: 'accepted', user: user.name, target: login.target };
    return this.#firstFactorProved(connection, login, user, 'publickey');
  }

  async #password(
    connection: Connection,
    login: LoginName,
    password: string,
  ): Promise<AuthenticationOutcome> {
    if (connection.proved !== undefined) return rejected(SECOND_METHODS);
    if (password.length > MAX_PASSWORD_LENGTH) return this.#failed(connection, login.requester, 'password');
    const checked = await this.#inTurn(this.#hashing, connection, login.requester, async () => {
      const user = enabled(await this.#store.user(login.requester));
      const fits = await this.#verifyPassword(user?.passwordHash ?? this.#dummyHash, password);
      if (fits && user?.passwordHash !== undefined) return user;
      return this.#failed(connection, login.requester, 'password');
    });
    return 'outcome' in checked ? checked : this.#firstFactorProved(connection, login, checked, 'password');
  }

  /**
   * Judges a guess in its turn. Others may have failed while it waited, and its own failure
   * counts before the next has one: guesses sent all at once do not outrun the block.
   */
  async #inTurn<T>(
    gate: Gate,
    connection: Connection,
    requester: string,
    judge: () => Promise<T>,
  ): Promise<T | AuthenticationOutcome> {
    const judged = await gate.run(async () =>
      this.#limiter.verdict(connection.source, requester).blocked
        ? this.#blocked(connection, requester)
        : judge(),
    );
    if (judged !== undefined) return judged.value;
    this.#log.warn({ source: connection.source }, 'log-on refused: too many wait to be judged');
    return busy();
  }

  async #launch(
    connection: Connection,
    login: LoginName,
    credential: string,
  ): Promise<AuthenticationOutcome> {
    const { protocol, source } = connection;
    const redeemed = await redeemLaunch(
      this.#store,
      credential,
      { login, protocol, source },
      this.#clock.now(),
    );
    return this.#launched(connection, login, redeemed);
  }

  /**
   * With the password of a user who opted in, or with a launch credential in its place. A name
   * that nobody has costs the same work.
   */
  async #ntlm(connection: Connection, login: LoginName, proof: NtlmProof): Promise<AuthenticationOutcome> {
    if (connection.proved !== undefined) return rejected(SECOND_METHODS);
    const prove = (ntHash: Uint8Array) => sessionBaseKeyOf(ntHash, proof);
    const now = this.#clock.now();
    const user = enabled(await this.#store.user(login.requester));
    const { account, system } = login.target ?? {};
    const launches =
      account === undefined || system === undefined
        ? []
        : await this.#store.openLaunches(login.requester, account, system, now);
    const own = prove(
      user?.ntHash === undefined
        ? randomBytes(16)
        : this.#masterKey.open(user.ntHash, ntHashBinding(user.name)),
    );
    if (user !== undefined && own !== undefined)
      return withKey(await this.#firstFactorProved(connection, login, user, 'nla'), own);
    for (const launch of launches.filter(({ nla }) => nla).slice(0, MAX_LAUNCHES)) {
      const sessionBaseKey = prove(this.#masterKey.open(launch.ntHash, launchBinding(launch.id)));
      if (sessionBaseKey === undefined) continue;
      const redeemed = await useLaunch(this.#store, launch, connection.source, now);
      return withKey(await this.#launched(connection, login, redeemed), sessionBaseKey);
    }
    return this.#failed(connection, login.requester, 'nla');
  }

  async #launched(
    connection: Connection,
    login: LoginName,
    redeemed: Redeemed,
  ): Promise<AuthenticationOutcome> {
    if ('refused' in redeemed) {
      const outcome = this.#failed(connection, login.requester, 'launch', redeemed.refused);
      return { ...outcome, message: redeemed.refused };
    }
    const user = enabled(await this.#store.user(login.requester));
    if (user === undefined) return this.#failed(connection, login.requester, 'launch');
    const { target, id } = redeemed;
    return this.#accept(connection, { ...login, target }, user, 'launch', { only: target, launch: id });
  }

  async #otp(connection: Connection, login: LoginName, code: string): Promise<AuthenticationOutcome> {
    const { proved } = connection;
    if (proved === undefined) return rejected(FIRST_METHODS);
    const user = enabled(await this.#store.user(login.requester));
    const accepted =
      user !== undefined && (await acceptCode(this.#store, this.#masterKey, user, code, this.#clock.now()));
    if (!accepted) return this.#failed(connection, login.requester, 'one-time code');
    return this.#accept(connection, login, user, `${proved.factor}, otp`);
  }

  #firstFactorProved(
    connection: Connection,
    login: LoginName,
    user: UserRow,
    factor: 'password' | 'publickey' | 'nla',
  ): AuthenticationOutcome | Promise<AuthenticationOutcome> {
    if (user.totp === undefined) return this.#accept(connection, login, user, factor);
    connection.proved = { requester: user.name, factor };
    return { outcome: 'continue', methods: SECOND_METHODS };
  }

  async #accept(
    connection: Connection,
    login: LoginName,
    user: UserRow,
    method: string,
    { only, launch }: { readonly only?: TargetName; readonly launch?: string } = {},
  ): Promise<Extract<AuthenticationOutcome, { outcome: 'accepted' }>> {
    const { source, protocol } = connection;
    this.#limiter.succeeded(source, user.name);
    await this.#audit.write({
      code: 'user.login.succeeded',
      actor: user.name,
      source,
      detail: { protocol, method, ...(launch === undefined ? {} : { launch }) },
    });
    connection.user = { name: user.name, source, protocol, only };
    return { outcome: 'accepted', user: user.name, target: login.target };
  }

  #failed(connection: Connection, name: string, factor: string, reason?: string): Rejected {
    connection.refusedKeyOf = undefined;
    this.#limiter.failed(connection.source, name);
    this.#auditFailure(connection, name, factor, reason);
    return rejected(connection.proved === undefined ? FIRST_METHODS : SECOND_METHODS);
  }

  #auditFailure({ source, protocol }: Connection, name: string, factor: string, reason?: string): void {
    const code = 'user.login.failed';
    const actor = name === '' ? undefined : withoutLaunch(name);
    this.#audit.bounded(`${code} ${sourceKey(source)} ${name}`, FAILED_BOUND, {
      code,
      actor,
      source,
      detail: { protocol, factor, ...(reason === undefined ? {} : { reason }) },
    });
  }

  #blocked({ source, protocol }: Connection, name: string): AuthenticationOutcome {
    const code = 'user.login.blocked';
    const fact: Fact = { code, actor: withoutLaunch(name), source, detail: { protocol } };
    // Without the name: it may be a password that was typed too early.
    if (this.#audit.bounded(`${code} ${sourceKey(source)}`, BLOCKED_BOUND, fact))
      this.#log.warn({ source, protocol }, 'log-on blocked: too many have failed');
    return { outcome: 'blocked', message: 'too many failed log-ons: wait 15 minutes and try again' };
  }
}

function enabled(user: UserRow | undefined): UserRow | undefined {
  return user?.disabled === true ? undefined : user;
}

/** The key with which a proved log-on goes on; a refused one has none. */
function withKey(outcome: AuthenticationOutcome, sessionBaseKey: Uint8Array): AuthenticationOutcome {
  const proved = outcome.outcome === 'accepted' || outcome.outcome === 'continue';
  return proved ? { ...outcome, sessionBaseKey } : outcome;
}

function rejected(methods: readonly Method[]): Rejected {
  return { outcome: 'rejected', methods };
}

function busy(): AuthenticationOutcome {
  return { outcome: 'blocked', message: 'the gateway is busy: try again in a moment' };
}
