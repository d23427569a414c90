/**
 * The control plane of one node, on the main thread: it answers what the session workers
 * ask, and no session byte ever passes through it. This file only joins its parts; each
 * question's answer is in the file that the part comes from.
 */
import type { Logger } from 'pino';
import type { MasterKey, VaultClient } from '../../vault-client/index.ts';
import type {
  AuthorisationOutcome,
  ControlNotice,
  ControlRequests,
  KeystrokeLine,
  TurnedAwayNotice,
  WorkerAuditEvent,
} from '../../workers/messages.ts';
import { isAuditCode } from '../audit/events.ts';
import type { Retention } from '../policy/retention.ts';
import type { CommandRow, RecordedHead, Store } from '../store/port.ts';
import { Admission, type Beat, type Limits, type Standing } from './admission.ts';
import { AuditTrail, type Fact } from './audit-trail.ts';
import { Authenticator } from './authenticator.ts';
import { Authorisation } from './authorisation.ts';
import type { Clock } from './clock.ts';
import { Commands } from './commands.ts';
import { HeadSink } from './head-sink.ts';
import { KeystrokeSink } from './keystroke-sink.ts';
import { Redirections } from './redirections.ts';
import { type LiveSession, SessionRegistry } from './session-registry.ts';

/** How often orders of operators are looked for: they are felt at once, and the query reads one index. */
const POLL_MS = 200;
/** A worker may tell of a refused request for each that a client makes: this many in detail, then counts. */
const WORKER_BOUND = { rows: 50, windowMs: 10_000 };

/** A turn takes milliseconds; a store that is busy with much else may need seconds. */
const STORE_PATIENCE_MS = 5_000;
/** Whoever comes while there is no room is counted; a row tells how many came since the one before. */
const REFUSED_BOUND = { rows: 1, windowMs: 60_000 };

const GONE = 'the client left before its session was decided';
const NOTHING_DONE = { bytesFromClient: 0, bytesFromTarget: 0, recording: undefined } as const;

export interface ControlPlaneOptions {
  readonly store: Store;
  readonly vault: VaultClient;
  /** Opens the sealed TOTP secrets of users. */
  readonly masterKey: MasterKey;
  /** `node.name` */
  readonly node: string;
  /** Id of the run ({@link NodeRow}) that new sessions belong to. */
  readonly run: () => string;
  /** Whether that run has its lease: without it no session is opened. */
  readonly leaseHeld: () => boolean;
  /** Why a node that drains opens no sessions, for who wants one; undefined: it does. */
  readonly refusal: () => string | undefined;
  /** Carries out an order of the node itself; returns `ok`, or why it has nothing to do. */
  readonly obey: (order: CommandRow) => string;
  /** Whether recordings are compacted once they are sealed. */
  readonly compacts: boolean;
  /** `capacity.maxSessions`, of this node */
  readonly maxSessions: number;
  /** `capacity.maxMemory`, resident bytes of this node */
  readonly maxMemory: number;
  /** `capacity.perUser`, `perSource` and `perSystem` */
  readonly limits: Limits;
  /** `archive.retention` */
  readonly retention: Retention | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of all that the audit trail hears. */
  readonly heard?: (fact: Fact, times: number) => void;
  /** Whether the password fits the PHC string. */
  readonly verifyPassword: (phc: string, password: string) => Promise<boolean>;
  /** PHC string of no password at all, under the same parameters as real ones. */
  readonly dummyHash: string;
  /** Brings a notice to a worker; must not throw when that worker is gone. */
  readonly send: (worker: number, notice: ControlNotice) => void;
}

/** What one worker may ask and tell; the spool is the node's. A worker reaches only its own connections and sessions. */
export interface WorkerDesk extends Omit<ControlRequests, 'spooled'> {
  connectionClosed(connection: string): void;
  audit(event: WorkerAuditEvent): void;
  keystrokes(lines: readonly KeystrokeLine[]): void;
  heads(heads: readonly RecordedHead[]): void;
  beat(beat: Beat): void;
  turnedAway(notice: TurnedAwayNotice): void;
}

export class ControlPlane {
  readonly #log: Logger;
  readonly #audit: AuditTrail;
  readonly #authenticator: Authenticator;
  readonly #sessions: SessionRegistry;
  readonly #send: ControlPlaneOptions['send'];
  readonly #refusal: ControlPlaneOptions['refusal'];
  /** What each worker was told last of why it takes no connections. */
  readonly #doors = new Map<number, Standing | undefined>();
  /** Whether there is room for more sessions, for who brings load here. */
  readonly admission: Admission;
  readonly #authorisation: Authorisation;
  readonly #redirections: Redirections;
  readonly #commands: Commands;
  readonly #keystrokes: KeystrokeSink;
  readonly #heads: HeadSink;
  #timer: NodeJS.Timeout | undefined;
  #ticking: Promise<void> | undefined;
  #failing = false;
  /** When the turn began that is under way; monotonic ms. */
  #tickingSince: number | undefined;

  constructor(options: ControlPlaneOptions) {
    this.#log = options.log;
    this.#audit = new AuditTrail(options);
    const audit = this.#audit;
    this.#authenticator = new Authenticator({ ...options, audit });
    this.#sessions = new SessionRegistry({ ...options, audit });
    const sessions = this.#sessions;
    this.#send = options.send;
    this.#refusal = options.refusal;
    const open = (): number => sessions.size + this.#authorisation.deciding;
    const self = () => ({ pid: process.pid, rssBytes: process.memoryUsage.rss() });
    this.admission = new Admission({ ...options, open, self });
    this.#authorisation = new Authorisation({ ...options, audit, sessions, admission: this.admission });
    this.#redirections = new Redirections({ ...options, audit, sessions });
    this.#commands = new Commands({ ...options, audit, sessions });
    this.#keystrokes = new KeystrokeSink(options);
    this.#heads = new HeadSink(options);
  }

  /** Obeys operators from now on. */
  start(): void {
    this.#timer = setInterval(() => void this.tick(), POLL_MS);
  }

  /** Stops the clockwork and writes what is still held; the workers must have ended before. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#ticking;
    await this.#keystrokes.flush();
    await this.#heads.flush();
    await this.#audit.flush();
  }

  /** One turn of the clockwork. Turns never overlap, and never reject. */
  tick(): Promise<void> {
    this.#tickingSince ??= performance.now();
    this.#ticking ??= this.#tick().finally(() => {
      this.#ticking = undefined;
      this.#tickingSince = undefined;
    });
    return this.#ticking;
  }

  /** The store failed in the last turn, or has not answered for long: each turn reads it. */
  get storeDown(): boolean {
    return this.#failing || performance.now() - (this.#tickingSince ?? Infinity) > STORE_PATIENCE_MS;
  }

  /**
   * Tells the workers whether people may come in: they turn them away themselves, before a key exchange is
   * spent on them. Each turn does; who knows of a change does it at once.
   */
  tellDoors(): void {
    const message = this.#refusal();
    for (const [worker, told] of this.#doors) {
      const closed =
        message === undefined ? this.admission.door(worker) : { code: 'draining' as const, message };
      if (closed?.code === told?.code && closed?.message === told?.message) continue;
      this.#doors.set(worker, closed);
      this.#send(worker, { type: 'door', closed });
    }
  }

  /** Sessions of this node, from their authorisation to the last line of their row. */
  get sessions(): readonly LiveSession[] {
    return this.#sessions.all();
  }

  /** The control plane as worker number `worker` sees it. */
  forWorker(worker: number): WorkerDesk {
    return {
      authenticate: (request) => this.#authenticator.authenticate(worker, request),
      nlaKnows: (request) => this.#authenticator.nlaKnows(request),
      targets: async ({ connection, protocol }) => {
        const person = this.#authenticator.personOf(worker, connection);
        return person === undefined ? [] : this.#authorisation.targets(person, protocol);
      },
      authorise: (request) => this.#authorise(worker, request),
      checkOut: ({ sessionId }) => this.#sessions.checkOut(worker, sessionId),
      pin: ({ sessionId, shown }) => this.#sessions.pin(worker, sessionId, shown),
      redirect: (request) => this.#redirections.redirect(worker, request),
      sessionStarted: ({ sessionId }) => this.#sessions.started(worker, sessionId),
      sessionEnded: (end) => this.#sessions.ended(worker, end),
      connectionClosed: (connection) => this.#authenticator.connectionClosed(worker, connection),
      audit: (event) => this.#workerAudit(worker, event),
      keystrokes: (lines) => this.#keystrokes.add(lines),
      beat: (beat) => {
        this.admission.beat(worker, beat);
        if (!this.#doors.has(worker)) this.#doors.set(worker, undefined);
      },
      turnedAway: (notice) => this.#turnedAway(notice),
      heads: (heads) => this.#heads.add(heads.filter(({ sessionId }) => this.#holds(worker, sessionId))),
    };
  }

  /** Sessions that this worker holds. */
  sessionsOf(worker: number): readonly LiveSession[] {
    return this.#sessions.sessionsOf(worker);
  }

  /** Ends the sessions of a worker that is gone, and forgets its connections. */
  async workerDied(worker: number): Promise<void> {
    this.#authenticator.workerDied(worker);
    this.#doors.delete(worker);
    this.admission.workerGone(worker);
    const reason = 'the session worker died';
    for (const { id } of this.#sessions.sessionsOf(worker)) {
      await this.#sessions.ended(worker, { sessionId: id, code: 'worker-died', reason, ...NOTHING_DONE });
    }
  }

  #holds(worker: number, sessionId: string): boolean {
    return this.#sessions.live(sessionId)?.worker === worker;
  }

  async #authorise(
    worker: number,
    { connection, ...request }: Parameters<ControlRequests['authorise']>[0],
  ): Promise<AuthorisationOutcome> {
    const person = this.#authenticator.personOf(worker, connection);
    if (person === undefined) return denied('not-authenticated', 'log on first');
    const outcome = await this.#authorisation.authorise(worker, person, request);
    if (outcome.granted && this.#authenticator.personOf(worker, connection) !== person) {
      // Client or worker left while this was decided: nobody is there to end the session.
      const { sessionId } = outcome.authorization;
      await this.#sessions.ended(worker, { sessionId, code: 'client-closed', reason: GONE, ...NOTHING_DONE });
      return denied('client-closed', GONE);
    }
    return outcome;
  }

  async #tick(): Promise<void> {
    this.#audit.sweep();
    this.#authenticator.sweep();
    this.tellDoors();
    try {
      await this.#keystrokes.flush();
      await this.#heads.flush();
      await this.#sessions.retry();
      await this.#commands.poll();
      this.#failing = false;
    } catch (error) {
      // Said once per outage, not five times a second.
      if (!this.#failing) this.#log.error({ err: error }, 'store out of reach, live control waits');
      this.#failing = true;
    }
  }

  #turnedAway({ protocol, reason, count, source }: TurnedAwayNotice): void {
    const key = `session.refused ${protocol} ${reason}`;
    const detail = { protocol, code: reason };
    this.#audit.bounded(key, REFUSED_BOUND, { code: 'session.refused', source, detail }, count);
  }

  #workerAudit(worker: number, { code, sessionId, connection, source, detail }: WorkerAuditEvent): void {
    if (!isAuditCode(code)) {
      this.#log.error({ code, worker }, 'audit event of an unknown code dropped');
      return;
    }
    const session = sessionId === undefined ? undefined : this.#sessions.live(sessionId);
    const person = connection === undefined ? undefined : this.#authenticator.personOf(worker, connection);
    const from = source ?? session?.source ?? person?.source;
    const actor = session?.user ?? person?.name;
    this.#audit.bounded(`${code} ${sessionId ?? from}`, WORKER_BOUND, {
      code,
      actor,
      source: from,
      sessionId,
      detail,
    });
  }
}

function denied(code: string, message: string): AuthorisationOutcome {
  return { granted: false, code, message, reasonRequired: false };
}
