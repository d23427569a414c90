/**
 * One SSH session from the authenticated connection to the sealed recording, as a story:
 * authorise, record, check out, dial, relay, seal, check in.
 */
import type { Recorder, Recording, RecordingSummary } from '../../recorder/index.ts';
import { ArchiveError } from '../../recorder/index.ts';
import type {
  ControlRequests,
  EndCode,
  KeystrokeLine,
  TargetAuthorization,
  TargetChoice,
  TargetName,
  WorkerAuditEvent,
} from '../../workers/messages.ts';
import { TargetError } from '../session/dial.ts';
import { SessionLimits } from '../session/limits.ts';
import type { LiveSession } from '../session/live.ts';
import { askLine, pickTarget } from './ask.ts';
import { dialTarget } from './back.ts';
import { Desk, FAREWELL_MS, type Program } from './desk.ts';
import type { AuthenticatedConnection } from './front.ts';
import { type Leg, Pause } from './leg.ts';
import { SessionRecord } from './record.ts';
import { Relay } from './relay.ts';
import { DisconnectReason } from './wire/connection.ts';

export interface SessionServices {
  readonly control: ControlRequests;
  readonly recorder: Recorder;
  readonly connectTimeoutMs: number;
  readonly maxChannels: number;
  audit(event: WorkerAuditEvent): void;
  keystrokes(lines: readonly KeystrokeLine[]): void;
  started(session: LiveSession): void;
  ended(session: LiveSession): void;
  onFault(error: unknown): void;
}

/** Environment variable that carries the reason of a session without a terminal. */
const REASON_VARIABLE = 'SALLYPORT_REASON';
/** How long a client may take to show what it was sent before the session's end; terminals can be slow. */
const SHOWN_MS = 10_000;
const INTERNAL_ERROR = 'the gateway had an internal error; the administrator finds it in the log';

interface End {
  readonly code: EndCode;
  readonly reason: string;
}

/** Runs a connection to its end; never rejects. */
export async function runSshSession(
  front: AuthenticatedConnection,
  services: SessionServices,
): Promise<void> {
  const desk = new Desk(front.leg);
  desk.onProtocolError = (error) => front.leg.disconnect(DisconnectReason.protocolError, error.message);
  try {
    const authorization = await authorise(front, desk, services);
    if (authorization === undefined) return;
    await new SshSession(front, desk, authorization, services).run();
  } catch (error) {
    services.onFault(error);
    desk.fail(INTERNAL_ERROR);
  }
}

/** Asks what is missing (target, reason) until policy grants or denies. */
async function authorise(
  front: AuthenticatedConnection,
  desk: Desk,
  { control }: SessionServices,
): Promise<TargetAuthorization | undefined> {
  let target: TargetName | undefined = front.target;
  let reason: string | undefined;
  let program: Program | undefined;
  for (;;) {
    if (target === undefined) {
      program ??= await desk.serve();
      const choices: readonly TargetChoice[] = await control.targets({
        connection: front.id,
        protocol: 'ssh',
      });
      if (program?.terminal === undefined || program.request !== 'shell') {
        desk.fail(`no target is named: log on as ${front.user}@ACCOUNT@SYSTEM`);
        return undefined;
      }
      if (choices.length === 0) {
        desk.fail('no policy opens a target to you now');
        return undefined;
      }
      const picked = await pickTarget(desk, program.terminal, choices);
      if (picked === undefined) {
        desk.fail('', 0);
        return undefined;
      }
      target = { account: picked.account, system: picked.system };
    }
    const outcome = await control.authorise({ connection: front.id, protocol: 'ssh', target, reason });
    if (outcome.granted) return outcome.authorization;
    if (outcome.reasonRequired && reason === undefined) {
      program ??= await desk.serve();
      reason = program?.env.get(REASON_VARIABLE);
      if (reason === undefined && program?.terminal !== undefined && program.request === 'shell')
        reason = await askLine(desk, `Reason for ${target.account}@${target.system}: `);
      if (reason !== undefined && reason.trim() !== '') continue;
      desk.fail(`${outcome.message}: set ${REASON_VARIABLE} (ssh -o SetEnv=${REASON_VARIABLE}=...)`);
      return undefined;
    }
    desk.fail(outcome.message);
    return undefined;
  }
}

class SshSession implements LiveSession {
  readonly id: string;
  readonly #front: AuthenticatedConnection;
  readonly #desk: Desk;
  readonly #authorization: TargetAuthorization;
  readonly #services: SessionServices;
  readonly #ended = Promise.withResolvers<End>();
  #back: Leg | undefined;
  #relay: Relay | undefined;
  #record: SessionRecord | undefined;
  #limits: SessionLimits | undefined;
  #over = false;
  /** Locked, perhaps while the target was still being dialled. */
  #lockedWith: string | undefined;

  constructor(
    front: AuthenticatedConnection,
    desk: Desk,
    authorization: TargetAuthorization,
    services: SessionServices,
  ) {
    this.id = authorization.sessionId;
    this.#front = front;
    this.#desk = desk;
    this.#authorization = authorization;
    this.#services = services;
  }

  async run(): Promise<void> {
    const { control } = this.#services;
    this.#desk.hold();
    this.#front.leg.onClose = (error) =>
      this.end(
        'client-closed',
        error === undefined ? 'the client left' : `the client's connection failed: ${error.message}`,
      );
    this.#services.started(this);
    let recording: Recording | undefined;
    let end: End;
    try {
      recording = await this.#openRecording();
      const credential = await control.checkOut({ sessionId: this.id });
      this.#back = await dialTarget({
        authorization: this.#authorization,
        credential,
        timeoutMs: this.#services.connectTimeoutMs,
        pin: (shown) => control.pin({ sessionId: this.id, shown }),
      });
      await control.sessionStarted({ sessionId: this.id });
      end = await this.#runRelay(this.#back, recording);
    } catch (error) {
      end = endOf(error);
      this.#back?.destroy();
      if (end.code === 'protocol-error') this.#services.onFault(error);
      this.#desk.fail(end.reason);
    }
    await this.#close(end, recording);
  }

  lock(message: string): void {
    this.#lockedWith = message;
    this.#relay?.lock(banner(message));
  }

  unlock(message: string): void {
    this.#lockedWith = undefined;
    this.#relay?.unlock(banner(message));
  }

  notify(message: string): void {
    this.#relay?.show(banner(message));
  }

  end(code: EndCode, reason: string): void {
    this.#over = true;
    this.#ended.resolve({ code, reason });
  }

  tick(now: number, keystrokes: KeystrokeLine[]): void {
    this.#record?.takeKeystrokes(keystrokes);
    const relay = this.#relay;
    if (relay === undefined) return;
    const over = this.#limits?.check(now, relay.active);
    relay.active = false;
    if (over !== undefined) this.end(over.code, over.reason);
  }

  async #openRecording(): Promise<Recording | undefined> {
    const { user, account, system, policy, record } = this.#authorization;
    if (!record) return undefined;
    return await this.#services.recorder.open(
      {
        sessionId: this.id,
        startedAt: Date.now(),
        protocol: 'ssh',
        user,
        account,
        system: system.name,
        policy,
      },
      {
        pause: () => this.#bothLegs((leg) => leg.pause(Pause.recorder)),
        resume: () => this.#bothLegs((leg) => leg.resume(Pause.recorder)),
        failed: (error) => this.end('archive-failed', `the recording cannot be kept: ${error.message}`),
      },
    );
  }

  /** Not once the session is over: the client's leg must then hear that it is being closed. */
  #bothLegs(act: (leg: Leg) => void): void {
    if (this.#over) return;
    act(this.#front.leg);
    if (this.#back !== undefined) act(this.#back);
  }

  /** Relays until something ends the session; both legs are told. */
  async #runRelay(back: Leg, recording: Recording | undefined): Promise<End> {
    const { policy, allow, keystrokes, execLimit, system } = this.#authorization;
    const front = this.#front.leg;
    this.#record = new SessionRecord({ sessionId: this.id, recording, keystrokes, execLimit });
    const relay = new Relay({
      front,
      back,
      record: this.#record,
      policy,
      allow,
      maxChannels: this.#services.maxChannels,
      onRefusal: (request, reason) =>
        this.#services.audit({
          ...this.#subject,
          code: 'session.request.refused',
          detail: { request, reason },
        }),
      onProtocolError: (fault, error) =>
        this.end('protocol-error', `the ${fault} broke the protocol: ${error.message}`),
      onFault: (error) => {
        this.#services.onFault(error);
        this.end('protocol-error', INTERNAL_ERROR);
      },
    });
    back.onClose = () => this.end('target-closed', `${system.name} closed the connection`);
    this.#limits = new SessionLimits(this.#authorization, Date.now());
    this.#relay = relay;
    if (recording?.paused === true) this.#bothLegs((leg) => leg.pause(Pause.recorder));
    if (this.#lockedWith !== undefined) relay.lock(banner(this.#lockedWith));
    relay.start(this.#desk);
    back.resume(Pause.starting);

    const end = await this.#ended.promise;
    const told = end.code !== 'client-closed' && relay.abort(`\r\nsallyport: ${end.reason}\r\n`);
    relay.finish();
    back.disconnect(DisconnectReason.byApplication, 'session ended');
    if (told) await farewell(front, relay.dismissed);
    front.disconnect(DisconnectReason.byApplication, `sallyport: ${end.reason}`);
    return end;
  }

  async #close(end: End, recording: Recording | undefined): Promise<void> {
    const keystrokes: KeystrokeLine[] = [];
    this.#record?.takeKeystrokes(keystrokes);
    if (keystrokes.length > 0) this.#services.keystrokes(keystrokes);
    let summary: RecordingSummary | undefined;
    try {
      summary = await recording?.seal(end.reason);
    } catch (error) {
      this.#services.onFault(error);
    }
    this.#audit(end, summary);
    this.#services.ended(this);
    await this.#services.control.sessionEnded({
      sessionId: this.id,
      code: end.code,
      reason: end.reason,
      bytesFromClient: this.#relay?.bytesFromClient ?? 0,
      bytesFromTarget: this.#relay?.bytesFromTarget ?? 0,
      recording: summary,
    });
  }

  get #subject(): Pick<WorkerAuditEvent, 'sessionId' | 'connection' | 'source'> {
    return { sessionId: this.id, connection: this.#front.id, source: this.#front.source };
  }

  #audit(end: End, recording: RecordingSummary | undefined): void {
    const code = AUDIT_CODES[end.code];
    if (code !== undefined) this.#services.audit({ ...this.#subject, code, detail: { reason: end.reason } });
    if (recording?.sealed === false && end.code !== 'archive-failed')
      this.#services.audit({
        ...this.#subject,
        code: 'recording.failed',
        detail: { reason: 'the archive did not take the end of the recording' },
      });
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

function endOf(error: unknown): End {
  if (error instanceof TargetError) return { code: error.code, reason: error.message };
  if (error instanceof ArchiveError)
    return {
      code: 'archive-failed',
      reason: `the session cannot be recorded, so it is not opened: ${error.message}`,
    };
  return {
    code: 'protocol-error',
    reason: INTERNAL_ERROR,
  };
}

/**
 * Lets a client that was told why it ends close by itself: OpenSSH's leaves at once when it
 * is disconnected, before it has shown what its channels received.
 */
async function farewell(front: Leg, dismissed: Promise<void>): Promise<void> {
  front.resume(Pause.recorder | Pause.congestion | Pause.starting);
  if (front.closed) return;
  const left = new Promise<void>((resolve) => {
    front.onClose = () => resolve();
  });
  await Promise.race([left, dismissed, after(SHOWN_MS)]);
  await Promise.race([left, after(FAREWELL_MS)]);
}

const after = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms).unref());

/** A line of the gateway's own, in reverse video so that it stands out from the program's. */
function banner(message: string): string {
  return `\r\n\x1b[7m ${message} \x1b[0m\r\n`;
}
