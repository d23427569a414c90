/**
 * The sessions of this node, from the decision to the last line of their row. A session is
 * here from the moment it is authorised until its end is written, and only here can a
 * worker turn its id into a credential.
 */
import type { Logger } from 'pino';
import { type VaultClient, VaultError } from '../../vault-client/index.ts';
import type { CheckedOutCredential, SessionEnd } from '../../workers/messages.ts';
import type { AuditCode, AuditDetail } from '../audit/events.ts';
import type { Protocol } from '../policy/capability.ts';
import type { Store, SystemRow } from '../store/port.ts';
import type { AuditTrail, Fact } from './audit-trail.ts';
import type { Clock } from './clock.ts';
import { normalKeyLine, sameKey } from './public-keys.ts';

/** How long a store or vault that failed at a session's end is left alone. */
const RETRY_MS = 5000;

export interface LiveSession {
  readonly id: string;
  readonly worker: number;
  readonly protocol: Protocol;
  readonly user: string;
  readonly account: string;
  readonly system: string;
  /** Where its target's leg goes: another system once it was redirected. */
  dialled: { readonly system: string; readonly host: string; readonly port: number };
  readonly policy: string;
  readonly source: string;
  readonly openedAt: number;
  startedAt: number | undefined;
  locked: boolean;
  /** `none`: not asked for yet; a credential is checked out once per session. */
  lease: 'none' | 'pending' | { readonly id: string } | 'returned';
  /** The last write to its row; never rejects. A store may overtake writes, a session must not. */
  writing: Promise<void>;
}

/** A session that is over, but not yet in store and vault. */
interface Ending {
  readonly session: LiveSession;
  readonly end: SessionEnd;
  readonly endedAt: number;
  rowClosed: boolean;
  /** A retry is not due before; ms since the epoch. */
  retryAt: number;
}

export class SessionRegistry {
  readonly #store: Store;
  readonly #vault: VaultClient;
  readonly #audit: AuditTrail;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #live = new Map<string, LiveSession>();
  readonly #endings = new Map<string, Ending>();

  constructor(options: { store: Store; vault: VaultClient; audit: AuditTrail; clock: Clock; log: Logger }) {
    this.#store = options.store;
    this.#vault = options.vault;
    this.#audit = options.audit;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  get size(): number {
    return this.#live.size;
  }

  /** Takes in a session whose row is in the store. */
  add(session: LiveSession): void {
    this.#live.set(session.id, session);
  }

  live(id: string): LiveSession | undefined {
    return this.#live.get(id);
  }

  all(): readonly LiveSession[] {
    return [...this.#live.values()];
  }

  sessionsOf(worker: number): readonly LiveSession[] {
    return this.all().filter((session) => session.worker === worker);
  }

  /** Checks the session's credential out of the vault; rejects with words for a log. */
  async checkOut(worker: number, sessionId: string): Promise<CheckedOutCredential> {
    const session = this.own(worker, sessionId);
    if (session.lease !== 'none')
      throw new Error(`session ${sessionId}: its credential was checked out before`);
    session.lease = 'pending';
    const { account, system, user } = session;
    try {
      const { id, credential } = await this.#vault.checkOut({ account, system, user, sessionId });
      session.lease = { id };
      if (this.#live.get(sessionId) !== session) {
        await this.#checkIn(session);
        throw new Error(`session ${sessionId}: ended before its credential came`);
      }
      // Kept, so that a peer can check it in when this node is gone.
      await Promise.all([
        this.#store.updateSession(sessionId, { credentialLease: id }),
        this.#audit.write(fact(session, 'credential.checked_out', user, { account, system })),
      ]);
      return {
        username: credential.username,
        password: credential.password?.expose(),
        privateKey: credential.privateKey?.expose(),
        passphrase: credential.passphrase?.expose(),
      };
    } catch (error) {
      if (session.lease === 'pending') session.lease = 'none';
      const why = error instanceof VaultError ? error.code : 'error';
      this.#log.error({ session: sessionId, worker, err: error }, 'credential not checked out');
      await this.#audit.write(fact(session, 'credential.check_out_failed', user, { account, system, why }));
      throw error;
    }
  }

  /** Keeps what a system that trusts on first use showed first; rejects when something else is known by now. */
  async pin(worker: number, sessionId: string, shown: string): Promise<void> {
    const session = this.own(worker, sessionId);
    const { dialled } = session;
    await this.#store.transaction(async (tx) => {
      const system = await tx.system(dialled.system);
      const kind = system?.protocol === 'rdp' ? RDP_IDENTITY : SSH_IDENTITY;
      const identity = kind.normal(shown);
      if (identity === undefined) throw new Error(`session ${sessionId}: the target showed no ${kind.name}`);
      if (system === undefined || kind.declared(system) !== 'trust-on-first-use') {
        throw new Error(`system ${dialled.system}: does not trust on first use`);
      }
      if (system.host !== dialled.host || system.port !== dialled.port) {
        throw new Error(`system ${dialled.system}: was moved to another address meanwhile: try again`);
      }
      if (system.pinned !== undefined) {
        if (kind.same(system.pinned, identity)) return;
        throw new Error(`system ${dialled.system}: another ${kind.name} was pinned meanwhile: try again`);
      }
      await tx.putSystem({ ...system, pinned: identity });
      const detail = { system: dialled.system, [kind.field]: identity };
      await this.#audit.write(fact(session, kind.pinnedCode, session.user, detail), tx);
    });
  }

  async started(worker: number, sessionId: string): Promise<void> {
    const session = this.own(worker, sessionId);
    if (session.startedAt !== undefined) return;
    session.startedAt = this.#clock.now();
    const { user, account, system, policy } = session;
    await Promise.all([
      this.#writeState(session),
      this.#audit.write(fact(session, 'session.started', user, { account, system, policy })),
    ]);
    const { protocol, source } = session;
    this.#log.info(
      { session: sessionId, worker, protocol, user, account, system, policy, source },
      'session started',
    );
  }

  async setLocked(session: LiveSession, locked: boolean): Promise<void> {
    session.locked = locked;
    await this.#writeState(session);
  }

  /** Closes the session's row and checks its credential in; what fails is tried again by {@link retry}. */
  async ended(worker: number, end: SessionEnd): Promise<void> {
    const session = this.#live.get(end.sessionId);
    // Whoever saw the end first has told it: a dead worker's sessions end without it.
    if (session === undefined || session.worker !== worker) return;
    this.#live.delete(session.id);
    const ending = { session, end, endedAt: this.#clock.now(), rowClosed: false, retryAt: 0 };
    this.#endings.set(session.id, ending);
    await this.#settle(ending);
    const { code, reason, bytesFromClient, bytesFromTarget } = end;
    const { id, protocol, user, account, system, policy, source } = session;
    const ms = ending.endedAt - session.openedAt;
    const sums = { ms, bytesFromClient, bytesFromTarget };
    this.#log.info(
      { session: id, worker, protocol, user, account, system, policy, source, code, reason, ...sums },
      'session ended',
    );
  }

  /** Tries again what failed at the end of sessions; called regularly. */
  async retry(): Promise<void> {
    const now = this.#clock.now();
    const due = [...this.#endings.values()].filter(({ retryAt }) => retryAt !== 0 && now >= retryAt);
    for (const ending of due) await this.#settle(ending);
  }

  /** The worker's own session; @throws Error for any other */
  own(worker: number, sessionId: string): LiveSession {
    const session = this.#live.get(sessionId);
    if (session?.worker !== worker) throw new Error(`session ${sessionId}: no such session is open here`);
    return session;
  }

  #writeState(session: LiveSession): Promise<void> {
    return this.#inOrder(session, async () => {
      if (this.#live.get(session.id) !== session) return;
      const open = session.startedAt === undefined ? 'opening' : 'active';
      const state = session.locked ? 'locked' : open;
      await this.#store.updateSession(session.id, { state, startedAt: session.startedAt });
    });
  }

  #inOrder(session: LiveSession, write: () => Promise<void>): Promise<void> {
    const written = session.writing.then(write);
    session.writing = written.catch(() => {});
    return written;
  }

  async #settle(ending: Ending): Promise<void> {
    ending.retryAt = 0;
    const { session } = ending;
    // At the same time: the row's count limits the next session and must not wait for a vault
    // that is far away, and what is written at once is in one commit.
    const results = await Promise.allSettled([this.#closeRow(ending), this.#checkIn(session)]);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined) {
      this.#endings.delete(session.id);
      return;
    }
    this.#log.error(
      { session: session.id, worker: session.worker, err: failed.reason },
      'session end not written, trying again',
    );
    ending.retryAt = this.#clock.now() + RETRY_MS;
  }

  async #closeRow(ending: Ending): Promise<void> {
    if (ending.rowClosed) return;
    await this.#inOrder(ending.session, () => this.#writeEnd(ending));
    ending.rowClosed = true;
  }

  async #writeEnd({ session, end, endedAt }: Ending): Promise<void> {
    const { code, reason, bytesFromClient, bytesFromTarget, recording } = end;
    const { account, system, user } = session;
    const sums = { bytesFromClient, bytesFromTarget };
    await this.#store.transaction(async (tx) => {
      // A peer that took this node for lost has said how it ended.
      if ((await tx.session(session.id))?.state === 'ended') return;
      await tx.updateSession(session.id, {
        state: 'ended',
        endedAt,
        endCode: code,
        endReason: reason,
        ...sums,
        // Without a summary, what is known of the recording is what its worker told last.
        ...(recording === undefined
          ? {}
          : {
              segments: recording.segments,
              recordedBytes: recording.bytes,
              headHash: recording.head,
              sealed: recording.sealed,
            }),
      });
      const detail = { code, reason, account, system, ms: endedAt - session.openedAt, ...sums };
      await this.#audit.write(fact(session, 'session.ended', user, detail), tx);
    });
  }

  async #checkIn(session: LiveSession): Promise<void> {
    if (typeof session.lease === 'string') return;
    await this.#vault.checkIn(session.lease.id);
    session.lease = 'returned';
    const { account, system, user } = session;
    await this.#store.transaction(async (tx) => {
      // A peer that took this node for lost may have checked it in.
      if ((await tx.session(session.id))?.credentialLease === undefined) return;
      await tx.updateSession(session.id, { credentialLease: undefined });
      await this.#audit.write(fact(session, 'credential.checked_in', user, { account, system }), tx);
    });
  }
}

/** How a target of each protocol proves that it is the right one. */
const SSH_IDENTITY = {
  name: 'host key',
  field: 'hostKey',
  pinnedCode: 'target.host_key.pinned',
  declared: (system: SystemRow) => system.hostKey,
  normal: normalKeyLine,
  same: sameKey,
} as const;
const RDP_IDENTITY = {
  name: 'certificate',
  field: 'certificate',
  pinnedCode: 'target.certificate.pinned',
  declared: (system: SystemRow) => system.certificate,
  normal: (shown: string) => (/^sha256:[0-9a-f]{64}$/.test(shown) ? shown : undefined),
  same: (a: string, b: string) => a === b,
} as const;

/** A fact about a session, done by `actor`. */
export function fact(session: LiveSession, code: AuditCode, actor: string, detail: AuditDetail): Fact {
  return { code, actor, source: session.source, sessionId: session.id, detail };
}
