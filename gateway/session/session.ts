/**
 * One session from its authorisation to the sealed recording, as a story: record, check
 * out, dial, relay, seal, check in. Both protocols live through it; what they do
 * differently is in their {@link SessionLegs}.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ArchiveError, type Recorder, type Recording, type RecordingSummary } from '../../recorder/index.ts';
import type {
  CheckedOutCredential,
  ControlRequests,
  EndCode,
  KeystrokeLine,
  RedirectionOutcome,
  TargetAuthorization,
  WorkerAuditEvent,
} from '../../workers/messages.ts';
import type { SessionFigures } from '../metrics/session-figures.ts';
import type { SessionState } from '../metrics/worker-families.ts';
import type { Protocol } from '../policy/capability.ts';
import { TargetError } from './dial.ts';
import { SessionLimits } from './limits.ts';
import type { LiveSession } from './live.ts';
import type { SetupClock } from './setup-clock.ts';

/** What a worker gives every session. */
export interface SessionServices {
  readonly control: ControlRequests;
  readonly recorder: Recorder;
  /** Of all sessions of this protocol. */
  readonly figures: SessionFigures;
  audit(event: WorkerAuditEvent): void;
  keystrokes(lines: readonly KeystrokeLine[]): void;
  started(session: LiveSession): void;
  ended(session: LiveSession): void;
  onFault(error: unknown, sessionId?: string): void;
}

export interface End {
  readonly code: EndCode;
  /** For the person. */
  readonly reason: string;
}

/** Where a session came from. */
export interface SessionOrigin {
  /** Names the connection to the control plane. */
  readonly connection: string;
  /** Address of the client. */
  readonly source: string;
  /** Runs since the connection was accepted. */
  readonly setup: SetupClock;
}

/** What the legs may tell their session. */
export interface SessionSignals {
  end(code: EndCode, reason: string): void;
  /** The client's connection is gone; `error` when it did not end by itself. */
  left(error?: Error): void;
  /** A side broke its protocol: the session ends. */
  broken(fault: 'client' | 'target', error: Error): void;
  /** Policy refused something inside the session. */
  refused(request: string, reason: string): void;
  /** An error of ours: the session ends. */
  fault(error: unknown): void;
  /** Trust on first use: what the target showed is to be pinned. */
  pin(shown: string): Promise<void>;
  /** The target sends the session elsewhere; see {@link ControlRequests.redirect}. */
  redirect(hosts: readonly string[], userName: string | undefined): Promise<RedirectionOutcome>;
}

/** The two legs of a session. Methods are called in the order in which they stand here. */
export interface SessionLegs {
  readonly protocol: Protocol;
  /** From now on the client's leaving ends the session. */
  attend(signals: SessionSignals): void;
  /**
   * Makes the target's leg.
   * @param signal the session has ended: a dial is given up, now and whenever the target is left for another
   * @throws TargetError
   */
  dial(
    authorization: TargetAuthorization,
    credential: CheckedOutCredential,
    signal: AbortSignal,
  ): Promise<void>;
  /** Relays from now on; `lockedWith`: locked from the first, with this line. */
  relay(
    authorization: TargetAuthorization,
    recording: Recording | undefined,
    lockedWith: string | undefined,
  ): void;

  /** Whether anything happened since the last call that counts against the idle limit. */
  takeActive(): boolean;
  takeKeystrokes(lines: KeystrokeLine[]): void;
  /** Both ways, while the archive is behind. */
  pause(): void;
  resume(): void;
  /** Stops the person's input, with a line where one can be shown. */
  lock(message: string): void;
  unlock(message: string): void;
  notify(message: string): void;

  /** The session is over: tells both sides; resolves once the client has heard it or left. */
  finish(end: End): Promise<void>;
  /** The session did not come to be: tells the client why. */
  refuse(end: End): void;
  /** Relayed, in bytes. */
  readonly traffic: { readonly fromClient: number; readonly fromTarget: number };
}

const INTERNAL_ERROR = 'the gateway had an internal error; the administrator finds it in the log';

/** Runs an authorised session to its end; never rejects. */
export async function runSession(
  legs: SessionLegs,
  authorization: TargetAuthorization,
  origin: SessionOrigin,
  services: SessionServices,
): Promise<void> {
  await new Session(legs, authorization, origin, services).run();
}

class Session implements LiveSession {
  readonly id: string;
  readonly #legs: SessionLegs;
  readonly #authorization: TargetAuthorization;
  readonly #origin: SessionOrigin;
  readonly #services: SessionServices;
  readonly #ended = Promise.withResolvers<End>();
  /** Aborted at the end, whenever it comes: the set-up goes no further. */
  readonly #over = new AbortController();
  #limits: SessionLimits | undefined;
  #relaying = false;
  #closing = false;
  /** Locked, perhaps while the target was still being dialled. */
  #lockedWith: string | undefined;

  constructor(
    legs: SessionLegs,
    authorization: TargetAuthorization,
    origin: SessionOrigin,
    services: SessionServices,
  ) {
    this.id = authorization.sessionId;
    this.#legs = legs;
    this.#authorization = authorization;
    this.#origin = origin;
    this.#services = services;
  }

  async run(): Promise<void> {
    const { control, figures } = this.#services;
    const { setup } = this.#origin;
    const authorization = this.#authorization;
    const over = this.#over.signal;
    setup.done('authorise');
    this.#legs.attend({
      end: (code, reason) => this.end(code, reason),
      left: (error) =>
        this.end(
          'client-closed',
          error === undefined ? 'the client left' : `the client's connection failed: ${error.message}`,
        ),
      broken: (fault, error) =>
        this.end('protocol-error', `the ${fault} broke the protocol: ${error.message}`),
      refused: (request, reason) => this.#audit('session.request.refused', { request, reason }),
      fault: (error) => {
        this.#services.onFault(error, this.id);
        this.end('protocol-error', INTERNAL_ERROR);
      },
      pin: (shown) => control.pin({ sessionId: this.id, shown }),
      redirect: (hosts, userName) => control.redirect({ sessionId: this.id, hosts, userName }),
    });
    this.#services.started(this);
    let recording: Recording | undefined;
    let end: End;
    try {
      recording = await this.#openRecording();
      setup.done('recording');
      over.throwIfAborted();
      const credential = await this.#checkOut();
      setup.done('check-out');
      over.throwIfAborted();
      await this.#legs.dial(authorization, credential, over);
      setup.done('dial');
      over.throwIfAborted();
      await control.sessionStarted({ sessionId: this.id });
      over.throwIfAborted();
      this.#relay(recording);
      setup.done('start');
      figures.started(setup);
      end = await this.#ended.promise;
      await turnOfEnds();
      await this.#legs.finish(end);
    } catch (error) {
      // What fails once the set-up has been stopped fails because of that.
      const stopped = over.aborted && !this.#relaying;
      end = stopped ? await this.#ended.promise : endOf(error);
      if (!stopped && end.code === 'protocol-error') this.#services.onFault(error, this.id);
      this.#legs.refuse(end);
    }
    await this.#close(end, recording);
  }

  get protocol(): Protocol {
    return this.#legs.protocol;
  }

  get state(): SessionState {
    if (this.#closing) return 'closing';
    if (!this.#relaying) return 'opening';
    return this.#lockedWith === undefined ? 'active' : 'locked';
  }

  get traffic(): SessionLegs['traffic'] {
    return this.#legs.traffic;
  }

  lock(message: string): void {
    this.#lockedWith = message;
    if (this.#relaying) this.#legs.lock(message);
  }

  unlock(message: string): void {
    this.#lockedWith = undefined;
    if (this.#relaying) this.#legs.unlock(message);
  }

  notify(message: string): void {
    if (this.#relaying) this.#legs.notify(message);
  }

  end(code: EndCode, reason: string): void {
    this.#ended.resolve({ code, reason });
    // With a reason of its own: without one Node makes an error of it, with its stack, for each session.
    this.#over.abort(reason);
  }

  tick(now: number, keystrokes: KeystrokeLine[]): void {
    if (!this.#relaying) return;
    this.#legs.takeKeystrokes(keystrokes);
    const over = this.#limits?.check(performance.now(), now, this.#legs.takeActive());
    if (over !== undefined) this.end(over.code, over.reason);
  }

  async #openRecording(): Promise<Recording | undefined> {
    const { user, account, system, policy, record } = this.#authorization;
    if (!record) return undefined;
    return await this.#services.recorder.open(
      {
        sessionId: this.id,
        startedAt: Date.now(),
        protocol: this.#legs.protocol,
        user,
        account,
        system: system.name,
        policy,
      },
      {
        // Not once the session is over: the client's leg must then hear that it is being closed.
        pause: () => {
          if (!this.#over.signal.aborted) this.#legs.pause();
        },
        resume: () => {
          if (!this.#over.signal.aborted) this.#legs.resume();
        },
        failed: (error) => this.end('archive-failed', `the recording cannot be kept: ${error.message}`),
      },
    );
  }

  /** Why it failed is in the log and the audit log: the control plane knows it first. */
  async #checkOut(): Promise<CheckedOutCredential> {
    const { account, system } = this.#authorization;
    try {
      return await this.#services.control.checkOut({ sessionId: this.id });
    } catch (error) {
      throw new TargetError(
        'check-out-failed',
        `the credential of ${account} at ${system.name} could not be checked out; the administrator finds why in the log`,
        error,
      );
    }
  }

  #relay(recording: Recording | undefined): void {
    this.#limits = new SessionLimits(this.#authorization, performance.now());
    this.#relaying = true;
    if (recording?.paused === true) this.#legs.pause();
    this.#legs.relay(this.#authorization, recording, this.#lockedWith);
  }

  async #close(end: End, recording: Recording | undefined): Promise<void> {
    this.#closing = true;
    const keystrokes: KeystrokeLine[] = [];
    this.#legs.takeKeystrokes(keystrokes);
    if (keystrokes.length > 0) this.#services.keystrokes(keystrokes);
    let summary: RecordingSummary | undefined;
    try {
      summary = await recording?.seal(end.reason);
    } catch (error) {
      this.#services.onFault(error, this.id);
    }
    this.#auditEnd(end, summary);
    this.#services.ended(this);
    const { fromClient, fromTarget } = this.#legs.traffic;
    await this.#services.control.sessionEnded({
      sessionId: this.id,
      code: end.code,
      reason: end.reason,
      bytesFromClient: fromClient,
      bytesFromTarget: fromTarget,
      recording: summary,
    });
  }

  #auditEnd(end: End, recording: RecordingSummary | undefined): void {
    const code = AUDIT_CODES[end.code];
    if (code !== undefined) this.#audit(code, { reason: end.reason });
    if (recording?.sealed === false && recording.spooled !== true && end.code !== 'archive-failed')
      this.#audit('recording.failed', { reason: 'the archive did not take the end of the recording' });
  }

  #audit(code: string, detail: WorkerAuditEvent['detail']): void {
    const { connection, source } = this.#origin;
    this.#services.audit({ sessionId: this.id, connection, source, code, detail });
  }
}

/** Ends that are audit facts of their own, besides `session.ended`. */
const AUDIT_CODES: Partial<Record<EndCode, string>> = {
  'target-unreachable': 'target.unreachable',
  'target-auth-failed': 'target.auth_failed',
  'target-host-key': 'target.host_key.changed',
  'target-certificate': 'target.certificate.changed',
  'archive-failed': 'recording.failed',
};

let lastEnd: Promise<unknown> = Promise.resolve();

/** Sessions that end together, as those of a target do that goes down, end one in each turn of the event loop. */
async function turnOfEnds(): Promise<void> {
  lastEnd = lastEnd.then(() => nextTurn());
  await lastEnd;
}

function endOf(error: unknown): End {
  if (error instanceof TargetError) return { code: error.code, reason: error.message };
  if (error instanceof ArchiveError)
    return {
      code: 'archive-failed',
      reason: `the session cannot be recorded, so it is not opened: ${error.message}`,
    };
  return { code: 'protocol-error', reason: INTERNAL_ERROR };
}
