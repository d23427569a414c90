/**
 * Everything that the control plane (main thread) and the session workers say to
 * each other, as one typed union. Values are structured-cloned: plain data only.
 */
import type { Standing } from '../gateway/control/admission.ts';
import type { Capability, Protocol } from '../gateway/policy/capability.ts';
import type { SpoolEvent } from '../recorder/index.ts';

/** One factor that a person presents. */
export type Factor =
  | { readonly kind: 'password'; readonly password: string }
  /** `blob`: the key in SSH wire form. `proven`: its signature was verified by the front. */
  | { readonly kind: 'publickey'; readonly blob: Uint8Array; readonly proven: boolean }
  | { readonly kind: 'otp'; readonly code: string }
  /**
   * NTLMv2 ([MS-NLMP] 3.3.2) over the front's challenge: 16 bytes of proof, and what they are
   * of. Login and domain as they were sent, since both are in the proof.
   */
  | {
      readonly kind: 'ntlm';
      readonly domain: string;
      readonly serverChallenge: Uint8Array;
      readonly response: Uint8Array;
    };

/** What a person may try next, in RFC 4252 method names. */
export type Method = 'password' | 'publickey' | 'keyboard-interactive';

/** `sessionBaseKey`: answers a right `ntlm` factor; of this log-on alone. */
export type AuthenticationOutcome =
  /** The person is who they say. `target`: the one they named, if any. */
  | {
      readonly outcome: 'accepted';
      readonly user: string;
      readonly target: TargetName | undefined;
      readonly sessionBaseKey?: Uint8Array;
    }
  /** The factor was right; a second one is needed (RFC 4252 §5.1, partial success). */
  | {
      readonly outcome: 'continue';
      readonly methods: readonly Method[];
      readonly sessionBaseKey?: Uint8Array;
    }
  /** `message`: for the person, where the cause may be told. */
  | { readonly outcome: 'rejected'; readonly methods: readonly Method[]; readonly message?: string }
  /** Too many failures from this source or for this name: the connection is ended. */
  | { readonly outcome: 'blocked'; readonly message: string };

export interface TargetName {
  readonly account: string;
  readonly system: string;
}

/** One line of the picker: a target that some policy lets this person open now. */
export interface TargetChoice extends TargetName {
  readonly protocol: Protocol;
  readonly policy: string;
  readonly reasonRequired: boolean;
}

/**
 * Proof that policy allows one person one target: only the control plane makes it,
 * and whatever dials a target takes it as a parameter.
 */
export interface TargetAuthorization {
  readonly sessionId: string;
  readonly user: string;
  readonly account: string;
  readonly system: {
    readonly name: string;
    readonly host: string;
    readonly port: number;
    /**
     * What the target must show: SSH an OpenSSH public key line (`ssh-ed25519 AAAA…`), RDP
     * `sha256:…` of its certificate or `ca` (a chain to a trusted authority, for its host name).
     * Undefined: pin what comes first.
     */
    readonly identity: string | undefined;
    /** Legacy algorithms may be offered to this target. */
    readonly legacyAlgorithms: boolean;
  };
  readonly policy: string;
  readonly allow: readonly Capability[];
  readonly record: boolean;
  readonly keystrokes: boolean;
  /** RDP: what is typed becomes `********`, names of keys stay. */
  readonly maskKeystrokes: boolean;
  /** Bytes of each stream of a command without a terminal that the recording keeps; `full`: all. */
  readonly execLimit: number | 'full';
  /** Milliseconds; undefined: no limit. */
  readonly maxDuration: number | undefined;
  readonly idleTimeout: number | undefined;
  /** End of the allowed schedule, ms since the epoch. */
  readonly notAfter: number | undefined;
}

export type AuthorisationOutcome =
  | { readonly granted: true; readonly authorization: TargetAuthorization }
  /** `code`: stable; `message`: for the person, says which rule. */
  | {
      readonly granted: false;
      readonly code: string;
      readonly message: string;
      readonly reasonRequired: boolean;
    };

/** A checked-out credential on its way to the worker that uses it. */
export interface CheckedOutCredential {
  readonly username: string;
  readonly password: string | undefined;
  readonly privateKey: string | undefined;
  readonly passphrase: string | undefined;
}

/** How far the archive has a running recording. */
export interface RecordingHead {
  readonly sessionId: string;
  readonly segments: number;
  readonly bytes: number;
  /** Lower-case hex hash of the last frame that the archive acknowledged. */
  readonly head: string;
}

export interface RecordingSummary {
  readonly segments: number;
  readonly bytes: number;
  /** Lower-case hex hash of the last frame. */
  readonly head: string;
  readonly sealed: boolean;
  /** Not in the archive yet, but in the spool of the node. */
  readonly spooled?: true;
}

/** A target sends the session elsewhere ([MS-RDPBCGR] 2.2.13.1). */
export interface RedirectionRequest {
  readonly sessionId: string;
  /** Names and addresses, in the order in which they are to be tried; none: the same address again. */
  readonly hosts: readonly string[];
  /** As whom to log on there, where the target says so. */
  readonly userName: string | undefined;
}

export type RedirectionOutcome =
  | { readonly granted: true; readonly system: TargetAuthorization['system'] }
  /** `message`: for the person, says why not. */
  | { readonly granted: false; readonly message: string };

/** Stable codes of why a session ended. */
export type EndCode =
  | 'client-closed'
  | 'check-out-failed'
  | 'target-closed'
  | 'target-unreachable'
  | 'target-auth-failed'
  | 'target-host-key'
  | 'target-certificate'
  | 'terminated'
  | 'idle-timeout'
  | 'max-duration'
  | 'schedule-ended'
  | 'archive-failed'
  | 'lease-lost'
  | 'protocol-error'
  | 'node-stopping'
  | 'worker-died';

export interface SessionEnd {
  readonly sessionId: string;
  readonly code: EndCode;
  readonly reason: string;
  readonly bytesFromClient: number;
  readonly bytesFromTarget: number;
  readonly recording: RecordingSummary | undefined;
}

/** Audit facts that only the worker can see. The control plane adds user, node and time. */
export interface WorkerAuditEvent {
  readonly sessionId: string | undefined;
  readonly connection: string | undefined;
  readonly code: string;
  readonly source: string | undefined;
  readonly detail: Readonly<Record<string, string | number | boolean>>;
}

export interface KeystrokeLine {
  readonly sessionId: string;
  readonly channel: number;
  /** ms since the epoch */
  readonly at: number;
  /** `keys`: what was typed, masked; `command`: the line that Enter sent. */
  readonly kind: 'keys' | 'command';
  readonly text: string;
}

/** Requests of a worker, each answered; `connection` names a front connection, unique in its node. */
export interface ControlRequests {
  authenticate(request: {
    readonly connection: string;
    readonly protocol: Protocol;
    readonly login: string;
    readonly source: string;
    readonly factor: Factor;
  }): Promise<AuthenticationOutcome>;
  /** Whether NLA can log on the person of this name, which may be cut at its end. */
  nlaKnows(request: { readonly name: string; readonly source: string }): Promise<boolean>;
  /** Targets that the authenticated person of this connection may open now. */
  targets(request: {
    readonly connection: string;
    readonly protocol: Protocol;
  }): Promise<readonly TargetChoice[]>;
  /** Decides, registers the session and its audit event. */
  authorise(request: {
    readonly connection: string;
    readonly protocol: Protocol;
    readonly target: TargetName;
    readonly reason: string | undefined;
  }): Promise<AuthorisationOutcome>;
  checkOut(request: { readonly sessionId: string }): Promise<CheckedOutCredential>;
  /** Trust on first use: what the target showed, an OpenSSH key line or `sha256:…` of its certificate. */
  pin(request: { readonly sessionId: string; readonly shown: string }): Promise<void>;
  /** Decides whether the session may go where its target sends it; from then on {@link pin} is the new system's. */
  redirect(request: RedirectionRequest): Promise<RedirectionOutcome>;
  /** Both legs are up and the recording runs. */
  sessionStarted(request: { readonly sessionId: string }): Promise<void>;
  /** The end of the recording is spooled, as was told before: resolves when no peer will seal it without. */
  spooled(request: { readonly sessionId: string }): Promise<void>;
  /** Checks the credential in and closes the session's row. */
  sessionEnded(end: SessionEnd): Promise<void>;
}

/** Where a worker takes connections. */
export interface Ports {
  readonly ssh: number;
  readonly rdp: number | undefined;
}

export interface TurnedAwayNotice {
  readonly protocol: Protocol;
  /** A stable word, such as `source-limit`, `full` or `overloaded`. */
  readonly reason: string;
  readonly count: number;
  readonly source: string;
}

/** Worker → main, unanswered. */
export type WorkerNotice =
  /** The ports; `rdp` undefined: not served. */
  | ({ readonly type: 'listening' } & Ports)
  | { readonly type: 'connection-closed'; readonly connection: string }
  | { readonly type: 'audit'; readonly event: WorkerAuditEvent }
  | { readonly type: 'keystrokes'; readonly lines: readonly KeystrokeLine[] }
  /** Of every recording of the worker of which the archive has more than was told last. */
  | { readonly type: 'heads'; readonly heads: readonly RecordingHead[] }
  /**
   * `lagMs`: longest stall of the event loop since the last beat. `metrics`: what the worker has counted
   * since it began and how it stands, as WORKER_PLAN says. `heapShare`: of what the worker may have.
   * `rssBytes`: of the whole process `pid` that it runs in.
   */
  | {
      readonly type: 'beat';
      readonly sessions: number;
      readonly connections: number;
      readonly lagMs: number;
      readonly metrics: Float64Array;
      readonly heapShare: number;
      readonly pid: number;
      readonly rssBytes: number;
    }
  /** A connection ended before its log-on was complete; `spoke`: it sent an SSH banner. */
  | { readonly type: 'dropped'; readonly spoke: boolean }
  /** Connections turned away at the door since this was told last; `source`: the last of them. */
  | ({ readonly type: 'turned-away' } & TurnedAwayNotice)
  /** A recording is sealed: what stands beside it can be made. `key`: of this recording alone. */
  | { readonly type: 'sealed'; readonly sessionId: string; readonly key: Uint8Array }
  /** The archive fails, and recordings go to the node's spool; or it is back. */
  | { readonly type: 'spool'; readonly event: SpoolEvent }
  /** An error of ours that cost at most one session, where there was one; with its stack, for the log. */
  | { readonly type: 'fault'; readonly text: string; readonly sessionId: string | undefined }
  | { readonly type: 'drained' };

/** Main → worker, unanswered. */
export type ControlNotice =
  | { readonly type: 'lock'; readonly sessionId: string; readonly message: string }
  | { readonly type: 'unlock'; readonly sessionId: string; readonly message: string }
  | { readonly type: 'terminate'; readonly sessionId: string; readonly reason: string }
  /** A line on the person's screen. */
  | { readonly type: 'notify'; readonly sessionId: string; readonly message: string }
  /** The node is being stopped. */
  | { readonly type: 'stop'; readonly sessionId: string; readonly reason: string }
  /** Why new connections are refused from now on; undefined: they are taken. */
  | { readonly type: 'door'; readonly closed: Standing | undefined }
  /** Take no new connections, and end every session. */
  | { readonly type: 'drain' };
