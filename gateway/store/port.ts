/**
 * The store: everything a node shares with its peers, behind one port. The embedded
 * SQLite adapter is the first; SQL Server and PostgreSQL join it under the same
 * contract suite (test/unit/store/contract.ts). All calls are asynchronous, names are
 * unique and case-sensitive, times are ms since the epoch, lists come newest first.
 *
 * Secrets pass through as sealed bytes (vault-client): the store never sees one open.
 */
import type { Protocol } from '../policy/capability.ts';
import type { Policy } from '../policy/evaluate.ts';
import type { Retention } from '../policy/retention.ts';

export const ROLES = ['requester', 'reviewer', 'auditor', 'administrator'] as const;
export type Role = (typeof ROLES)[number];

export interface UserRow {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  /** PHC string (`$argon2id$…`), or undefined: no password log-on. */
  readonly passwordHash: string | undefined;
  /** OpenSSH public key lines. */
  readonly sshKeys: readonly string[];
  /** Sealed base32 TOTP secret. */
  readonly totp: Uint8Array | undefined;
  /** Sealed NT hash of the password, for NLA ([MS-NLMP] 3.3.1), where the user opted in. */
  readonly ntHash: Uint8Array | undefined;
  readonly disabled: boolean;
}

export interface SystemRow {
  readonly id: string;
  readonly name: string;
  readonly protocol: Protocol;
  readonly host: string;
  readonly port: number;
  /** OpenSSH key line, `trust-on-first-use`, or undefined (never connect: nothing is pinned). */
  readonly hostKey: string | undefined;
  /** What trust-on-first-use saw first, in the form of `hostKey` or `certificate`. Cleared when those, `host` or `port` change. */
  readonly pinned: string | undefined;
  /** RDP: `sha256:…`, `trust-on-first-use`, `ca` (a chain to a trusted authority), or undefined (never connect). */
  readonly certificate: string | undefined;
  readonly legacyAlgorithms: boolean;
  /** Open sessions that it bears, over all nodes; undefined: `capacity.perSystem`. */
  readonly maxSessions: number | undefined;
}

export interface AccountRow {
  readonly id: string;
  readonly name: string;
  /** Name of the system it belongs to. */
  readonly system: string;
  /** Sealed JSON `{password?, privateKey?, passphrase?}`. */
  readonly secret: Uint8Array;
  /** Keyed fingerprint of the plaintext, so that apply can tell change from no change. */
  readonly secretFingerprint: string;
}

/** A policy as decisions read it, with its id. */
export interface PolicyRow extends Policy {
  readonly id: string;
}

export const NODE_STATES = ['running', 'lost'] as const;
export type NodeState = (typeof NODE_STATES)[number];

/** One run of a node, from its start to its end: a lease that it renews as long as it lives. */
export interface NodeRow {
  /** Of this run; a restart has another. */
  readonly id: string;
  /** `node.name`. INVARIANT: one running row of a name at most. */
  readonly name: string;
  /** Names its data folder, which one process at a time can hold. */
  readonly home: string;
  readonly startedAt: number;
  /** Grows with each renewal. Peers judge by its changes over their own time, never by anyone's clock. */
  readonly renewals: number;
  readonly leaseMs: number;
  /** `lost`: it did not renew in time, or ended with work left: what it left is for others to finish. */
  readonly state: NodeState;
  /** The run that finishes what a lost one left; as long as that one is running, no other does. */
  readonly heir: string | undefined;
  /** What it said of itself last, and when by its own clock: for people, nothing is decided by it. */
  readonly standing: string;
  readonly standingAt: number;
}

export const SESSION_STATES = ['opening', 'active', 'locked', 'ended'] as const;
export type SessionState = (typeof SESSION_STATES)[number];

export interface SessionRow {
  readonly id: string;
  readonly node: string;
  /** Of the node ({@link NodeRow}) that holds the session. */
  readonly run: string;
  readonly protocol: Protocol;
  readonly user: string;
  readonly account: string;
  readonly system: string;
  readonly policy: string;
  readonly source: string;
  readonly reason: string | undefined;
  readonly state: SessionState;
  readonly openedAt: number;
  readonly startedAt: number | undefined;
  readonly endedAt: number | undefined;
  readonly endCode: string | undefined;
  readonly endReason: string | undefined;
  readonly bytesFromClient: number;
  readonly bytesFromTarget: number;
  /** Of the credential that is checked out for it, until it is checked in. */
  readonly credentialLease: string | undefined;
  /** Whether a recording exists (policy `record`); what the archive had last, in the end what its seal said. */
  readonly recorded: boolean;
  readonly segments: number | undefined;
  readonly recordedBytes: number | undefined;
  readonly headHash: string | undefined;
  readonly sealed: boolean;
  /** Node that sealed the recording when its own was gone, behind the last segment that the archive had. */
  readonly recoveredBy: string | undefined;
  /** Why it can never be sealed: it is not in the archive, or is damaged there. */
  readonly unsealable: string | undefined;
  /** Node whose spool holds the end of the recording: nobody else may seal it. */
  readonly spooledOn: string | undefined;
  /** Nothing is left to compact in the archive. */
  readonly compacted: boolean;
  /** How long its recording was to be kept when it began; undefined: nobody said. */
  readonly retention: Retention | undefined;
  /** A legal hold: as long as these are there, its recording may not be deleted. */
  readonly heldAt: number | undefined;
  readonly heldBy: string | undefined;
  readonly holdReason: string | undefined;
  /** Who deletes, or deleted, its recording and by which rule. INVARIANT: never beside a hold. */
  readonly prunedBy: string | undefined;
  readonly pruneRule: string | undefined;
  /** When that was done; undefined: not, or not to the end. */
  readonly prunedAt: number | undefined;
}

/** How far the archive has a running recording. */
export interface RecordedHead {
  readonly sessionId: string;
  readonly segments: number;
  readonly bytes: number;
  /** Lower-case hex hash of the last frame that the archive acknowledged. */
  readonly head: string;
}

export const SESSION_VERBS = ['lock', 'unlock', 'terminate'] as const;
export const NODE_VERBS = ['drain', 'resume', 'stop'] as const;

/** An order to a node, of a session that it holds or of itself; any node or CLI may write one. */
export interface CommandRow {
  readonly id: string;
  readonly node: string;
  /** Id of the session, or of the node's run: an order is never carried out by a later one. */
  readonly subject: string;
  readonly verb: (typeof SESSION_VERBS)[number] | (typeof NODE_VERBS)[number];
  /** With `drain` and `stop`: what running sessions still have, ms; undefined: as the node's configuration says. */
  readonly limitMs: number | undefined;
  readonly by: string;
  readonly reason: string | undefined;
  readonly createdAt: number;
  readonly doneAt: number | undefined;
  /** Undefined while open; `ok`, or what went wrong. */
  readonly result: string | undefined;
}

/** A single-use credential of one person for one target. */
export interface LaunchRow {
  /** SHA-256 of the credential, lower-case hex: the store cannot give it away. */
  readonly id: string;
  readonly user: string;
  readonly account: string;
  readonly system: string;
  /** Sealed NT hash of the credential. */
  readonly ntHash: Uint8Array;
  /** It may be proved with NLA. */
  readonly nla: boolean;
  /** Address or range that it must come from; undefined: any. */
  readonly source: string | undefined;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly usedAt: number | undefined;
}

export interface AuditRow {
  readonly id: string;
  readonly at: number;
  readonly node: string;
  /** Stable code of gateway/audit/events.ts, for example `session.started`. */
  readonly code: string;
  /** Who did it: a user name, or `system`. */
  readonly actor: string;
  readonly source: string | undefined;
  readonly sessionId: string | undefined;
  readonly detail: Readonly<Record<string, string | number | boolean>>;
}

export interface KeystrokeRow {
  readonly sessionId: string;
  readonly channel: number;
  readonly at: number;
  readonly kind: 'keys' | 'command';
  readonly text: string;
}

export interface Page {
  readonly limit: number;
  /** Rows older than this id (lists are newest first). */
  readonly before?: string;
}

/** What is read and written inside one transaction; a rejection rolls everything back. */
export interface StoreTransaction {
  users(): Promise<readonly UserRow[]>;
  user(name: string): Promise<UserRow | undefined>;
  putUser(user: UserRow): Promise<void>;
  systems(): Promise<readonly SystemRow[]>;
  system(name: string): Promise<SystemRow | undefined>;
  putSystem(system: SystemRow): Promise<void>;
  accounts(): Promise<readonly AccountRow[]>;
  account(name: string, system: string): Promise<AccountRow | undefined>;
  putAccount(account: AccountRow): Promise<void>;
  policies(): Promise<readonly PolicyRow[]>;
  putPolicy(policy: PolicyRow): Promise<void>;

  insertSession(session: SessionRow): Promise<void>;
  /** Changes the given columns; false when no such session exists. */
  updateSession(id: string, change: Partial<Omit<SessionRow, 'id'>>): Promise<boolean>;
  session(id: string): Promise<SessionRow | undefined>;
  sessions(
    filter: {
      /** The id begins or ends with it. */
      readonly idPart?: string;
      readonly state?: readonly SessionState[];
      readonly node?: string;
      readonly recorded?: boolean;
      readonly run?: string;
      /** Not ended, with a credential not checked in, or with a recording neither sealed nor unsealable. */
      readonly unfinished?: true;
      /** Sealed and not compacted. */
      readonly uncompacted?: true;
      /** Recorded, and not pruned to the end. */
      readonly kept?: true;
    },
    page: Page,
  ): Promise<readonly SessionRow[]>;
  /** Writes how far the recordings of this run's sessions are; those that have ended keep what their end said. */
  recordHeads(run: string, heads: readonly RecordedHead[]): Promise<void>;
  /** Sessions not ended, for limits: all that fit, over all nodes. */
  countOpenSessions(of: Partial<Pick<SessionRow, 'user' | 'policy' | 'system'>>): Promise<number>;
  /** The same by the address of their client, each of which is there once. */
  openSessionSources(): Promise<readonly { readonly source: string; readonly count: number }[]>;

  /** A second running row of the same name is a conflict. */
  insertNode(node: NodeRow): Promise<void>;
  node(id: string): Promise<NodeRow | undefined>;
  nodes(): Promise<readonly NodeRow[]>;
  /** Changes the row only where it still is as `expected` says; whether it was. */
  updateNode(
    id: string,
    expected: Partial<Omit<NodeRow, 'id'>>,
    change: Partial<Omit<NodeRow, 'id'>>,
  ): Promise<boolean>;
  deleteNode(id: string): Promise<void>;

  insertCommand(command: CommandRow): Promise<void>;
  command(id: string): Promise<CommandRow | undefined>;
  openCommands(node: string): Promise<readonly CommandRow[]>;
  finishCommand(id: string, doneAt: number, result: string): Promise<void>;

  insertLaunch(launch: LaunchRow): Promise<void>;
  launch(id: string): Promise<LaunchRow | undefined>;
  /** Unused ones of this person for this target that expire after `now`. */
  openLaunches(user: string, account: string, system: string, now: number): Promise<readonly LaunchRow[]>;
  /** Marks it as used; false when it was before, or does not exist. */
  useLaunch(id: string, usedAt: number): Promise<boolean>;
  /** Forgets those that expired before `time`. */
  deleteLaunches(time: number): Promise<void>;

  insertAudit(row: AuditRow): Promise<void>;
  audit(
    filter: {
      readonly code?: string;
      readonly actor?: string;
      readonly sessionId?: string;
      readonly since?: number;
    },
    page: Page,
  ): Promise<readonly AuditRow[]>;

  insertKeystrokes(rows: readonly KeystrokeRow[]): Promise<void>;
  /** Forgets at most `limit` of one session, and how they were found; how many it were. */
  deleteKeystrokes(sessionId: string, limit: number): Promise<number>;
  keystrokes(sessionId: string, kind?: 'keys' | 'command'): Promise<readonly KeystrokeRow[]>;
  /** Full-text search over commands, and keys that came more than three at a time: one by one they are no words. */
  searchKeystrokes(text: string, page: Page): Promise<readonly KeystrokeRow[]>;

  /** Small named values of the cluster (schema-wide settings, node public keys). */
  setting(name: string): Promise<string | undefined>;
  /** All whose names begin with `prefix`, by name. */
  settings(prefix: string): Promise<readonly { readonly name: string; readonly value: string }[]>;
  putSetting(name: string, value: string): Promise<void>;
}

export interface Store extends StoreTransaction {
  /** Runs `work` in one transaction, serialised against other writers. */
  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}
