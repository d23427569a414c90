/**
 * The SSH side of a session: finds out who may open what, and gives the session its two
 * legs. The story itself is in gateway/session/session.ts.
 */
import type { Recording } from '../../recorder/index.ts';
import type {
  CheckedOutCredential,
  KeystrokeLine,
  TargetAuthorization,
  TargetChoice,
  TargetName,
} from '../../workers/messages.ts';
import {
  type End,
  runSession,
  type SessionLegs,
  type SessionServices,
  type SessionSignals,
} from '../session/session.ts';
import { askLine, pickTarget } from './ask.ts';
import { dialTarget } from './back.ts';
import { Desk, FAREWELL_MS, type Program } from './desk.ts';
import type { AuthenticatedConnection } from './front.ts';
import { KeyExchangeAbandoned, type Leg, Pause } from './leg.ts';
import { SessionRecord } from './record.ts';
import { Relay } from './relay.ts';
import { DisconnectReason } from './wire/connection.ts';

export interface SshServices extends SessionServices {
  readonly connectTimeoutMs: number;
  readonly maxChannels: number;
}

/** Environment variable that carries the reason of a session without a terminal. */
const REASON_VARIABLE = 'SALLYPORT_REASON';
/** How to give a reason with a command, a file transfer, or a shell without a terminal. */
const SET_VARIABLE = `set ${REASON_VARIABLE} (ssh -o SetEnv=${REASON_VARIABLE}=...), or open a shell, which asks for it`;
/** `ssh -N`, `-W` and `-J` open no session channel: they can neither be asked nor send a variable. */
const ASK_ELSEWHERE =
  'what only forwards cannot give one: open a shell, which asks for it, and forward from there' +
  ' (leave out -N, or share its connection with ControlMaster and ControlPath)';
/** How long a client may take to show what it was sent before the session's end; terminals can be slow. */
const SHOWN_MS = 10_000;
/** The same where the target itself hung up behind its last word: some megabytes over a slow line. */
const READ_MS = 300_000;

/** Runs a connection to its end; never rejects. */
export async function runSshSession(front: AuthenticatedConnection, services: SshServices): Promise<void> {
  const desk = new Desk(front.leg);
  desk.onProtocolError = (error) => front.leg.disconnect(DisconnectReason.protocolError, error.message);
  try {
    const setup = services.figures.setupSince(front.acceptedAt);
    setup.done('log-on');
    const authorization = await authorise(front, desk, services);
    if (authorization === undefined) return;
    const origin = { connection: front.id, source: front.source, setup };
    await runSession(new SshLegs(front.leg, desk, services), authorization, origin, services);
  } catch (error) {
    services.onFault(error);
    desk.fail('the gateway had an internal error; the administrator finds it in the log');
  }
}

/** Asks what is missing (target, reason) until policy grants or denies. */
async function authorise(
  front: AuthenticatedConnection,
  desk: Desk,
  { control }: SshServices,
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
      desk.fail(`${outcome.message}: ${program === undefined ? ASK_ELSEWHERE : SET_VARIABLE}`);
      return undefined;
    }
    desk.fail(outcome.message);
    return undefined;
  }
}

class SshLegs implements SessionLegs {
  readonly protocol = 'ssh';
  readonly #front: Leg;
  readonly #desk: Desk;
  readonly #services: SshServices;
  #signals: SessionSignals | undefined;
  #back: Leg | undefined;
  #relay: Relay | undefined;
  #record: SessionRecord | undefined;

  constructor(front: Leg, desk: Desk, services: SshServices) {
    this.#front = front;
    this.#desk = desk;
    this.#services = services;
  }

  attend(signals: SessionSignals): void {
    this.#signals = signals;
    this.#desk.hold();
    this.#desk.onProtocolError = (error) => signals.broken('client', error);
    this.#front.onClose = (error) => signals.left(error);
  }

  async dial(
    authorization: TargetAuthorization,
    credential: CheckedOutCredential,
    signal: AbortSignal,
  ): Promise<void> {
    const signals = this.#signals;
    this.#back = await dialTarget({
      authorization,
      credential,
      timeoutMs: this.#services.connectTimeoutMs,
      signal,
      pin: async (shown) => signals?.pin(shown),
    });
  }

  relay(
    authorization: TargetAuthorization,
    recording: Recording | undefined,
    lockedWith: string | undefined,
  ): void {
    const [back, signals] = [this.#back, this.#signals];
    if (back === undefined || signals === undefined) throw new TypeError('a leg is missing');
    const { sessionId, policy, allow, keystrokes, execLimit, system } = authorization;
    this.#record = new SessionRecord({ sessionId, recording, keystrokes, execLimit });
    const relay = new Relay({
      front: this.#front,
      back,
      record: this.#record,
      policy,
      allow,
      maxChannels: this.#services.maxChannels,
      onRefusal: (request, reason) => signals.refused(request, reason),
      onProtocolError: (fault, error) => signals.broken(fault, error),
      onFault: (error) => signals.fault(error),
    });
    this.#relay = relay;
    back.onClose = (error) => {
      const how =
        error instanceof KeyExchangeAbandoned ? 'left a key exchange unfinished' : 'closed the connection';
      const left = (): void => signals.end('target-closed', `${system.name} ${how}`);
      if (relay.targetLeft()) void Promise.race([relay.dismissed, after(READ_MS)]).then(left);
      else left();
    };
    const { delays } = this.#services.figures;
    this.#front.timeWrites(delays.target);
    back.timeWrites(delays.client);
    if (lockedWith !== undefined) relay.lock(banner(lockedWith));
    relay.start(this.#desk);
    back.resume(Pause.starting);
  }

  takeActive(): boolean {
    return this.#relay?.takeActive() ?? false;
  }

  takeKeystrokes(lines: KeystrokeLine[]): void {
    this.#record?.takeKeystrokes(lines);
  }

  pause(): void {
    this.#front.pause(Pause.recorder);
    this.#back?.pause(Pause.recorder);
  }

  resume(): void {
    this.#front.resume(Pause.recorder);
    this.#back?.resume(Pause.recorder);
  }

  lock(message: string): void {
    this.#relay?.lock(banner(message));
  }

  unlock(message: string): void {
    this.#relay?.unlock(banner(message));
  }

  notify(message: string): void {
    this.#relay?.show(banner(message));
  }

  async finish({ code, reason }: End): Promise<void> {
    const [relay, front] = [this.#relay, this.#front];
    const told = code !== 'client-closed' && relay?.abort(`\r\nsallyport: ${reason}\r\n`) === true;
    relay?.finish();
    this.#back?.disconnect(DisconnectReason.byApplication, 'session ended');
    if (told && relay !== undefined) await farewell(front, relay.dismissed);
    front.disconnect(DisconnectReason.byApplication, `sallyport: ${reason}`);
  }

  refuse({ reason }: End): void {
    this.#back?.destroy();
    this.#desk.fail(reason);
  }

  get traffic(): { fromClient: number; fromTarget: number } {
    return { fromClient: this.#relay?.bytesFromClient ?? 0, fromTarget: this.#relay?.bytesFromTarget ?? 0 };
  }
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
