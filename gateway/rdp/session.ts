/**
 * The RDP side of a session: finds out who may open what, and gives the session its two
 * legs. The story itself is in gateway/session/session.ts.
 */
import type { Recording } from '../../recorder/index.ts';
import type {
  CheckedOutCredential,
  EndCode,
  KeystrokeLine,
  TargetAuthorization,
} from '../../workers/messages.ts';
import type { Capability } from '../policy/capability.ts';
import { TargetError } from '../session/dial.ts';
import {
  type End,
  runSession,
  type SessionLegs,
  type SessionServices,
  type SessionSignals,
} from '../session/session.ts';
import type { DialedTarget } from './back/dial.ts';
import { DesktopRoute } from './back/route.ts';
import { type RdpChannelPolicy, staticChannelAllowed } from './channels/police.ts';
import { type AcceptedClient, RefusedClientError } from './front/accept.ts';
import type { AuthenticatedClient } from './front/front.ts';
import { authorise, type Reception, sentence } from './front/reception.ts';
import { MESSAGE_MS } from './overlay/overlay.ts';
import { PduError } from './pdu/cursor.ts';
import type { ServerRedirectionWithPassword } from './pdu/redirection.ts';
import { DesktopRecord } from './relay/record.ts';
import { DesktopRelay } from './relay/relay.ts';
import { Pause, type PduStream, StreamClosedError } from './stream/stream.ts';

export interface RdpServices extends SessionServices {
  readonly connectTimeoutMs: number;
}

/** How long somebody may take to choose a target and give a reason. */
const CHOICE_MS = 300_000;

/** Runs a logged-on client to its end; never rejects. */
export async function runRdpSession(front: AuthenticatedClient, services: RdpServices): Promise<void> {
  const { reception, loggedOn, id, source, acceptedAt } = front;
  const setup = services.figures.setupSince(acceptedAt);
  setup.done('log-on');
  const patience = setTimeout(() => reception.stream.end(), CHOICE_MS);
  try {
    const authorization = await authorise(reception, loggedOn, id, services.control);
    clearTimeout(patience);
    if (authorization === undefined) {
      reception.stream.end();
      return;
    }
    const legs = new RdpLegs(reception, services);
    await runSession(legs, authorization, { connection: id, source, setup }, services);
  } catch (error) {
    const theirs =
      error instanceof PduError || error instanceof StreamClosedError || error instanceof RefusedClientError;
    if (!theirs) services.onFault(error);
    reception.stream.end();
  } finally {
    clearTimeout(patience);
  }
}

/** Codes of Set Error Info (2.2.5.1.1) that clients have fitting words for. */
const ErrorInfo = {
  endedByAdministrator: 0x0001,
  idleTimeout: 0x0003,
  logonTimeout: 0x0004,
  endedByUser: 0x000c,
} as const;

const ERROR_INFO: Partial<Record<EndCode, number>> = {
  'idle-timeout': ErrorInfo.idleTimeout,
  'max-duration': ErrorInfo.logonTimeout,
  'schedule-ended': ErrorInfo.logonTimeout,
  'target-closed': ErrorInfo.endedByUser,
};

class RdpLegs implements SessionLegs {
  readonly protocol = 'rdp';
  readonly #reception: Reception;
  readonly #front: PduStream;
  readonly #client: AcceptedClient;
  readonly #services: RdpServices;
  #signals: SessionSignals | undefined;
  #route: DesktopRoute | undefined;
  #target: DialedTarget | undefined;
  #relay: DesktopRelay | undefined;
  #record: DesktopRecord | undefined;
  /** Where the target was sent on to before there was a record. */
  readonly #detours: string[] = [];
  #lockedWith: string | undefined;
  #paused = false;
  /** A target sent the session on, and the next one is being dialled. */
  #following = false;
  #over = false;
  /** Until the desktop has to be there. */
  #activation: NodeJS.Timeout | undefined;
  /** Of targets that sent the session on. */
  readonly #earlier = { fromClient: 0, fromTarget: 0 };

  constructor(reception: Reception, services: RdpServices) {
    this.#reception = reception;
    this.#front = reception.stream;
    this.#client = reception.client;
    this.#services = services;
  }

  attend(signals: SessionSignals): void {
    this.#signals = signals;
    this.#front.onClose = (error) => {
      this.#reception.closed();
      signals.left(error);
    };
    if (this.#front.closed) signals.left();
  }

  async dial(
    authorization: TargetAuthorization,
    credential: CheckedOutCredential,
    signal: AbortSignal,
  ): Promise<void> {
    const signals = this.#signals;
    const desk = this.#reception.open;
    if (desk !== undefined) {
      desk.show({ kind: 'waiting', text: `Connecting to ${authorization.system.name} …` });
      // The one thing to do meanwhile is to give up.
      desk.next().then(
        () => this.#front.end(),
        () => {},
      );
    }
    if (signals === undefined) throw new TypeError('nobody attends to the client');
    this.#route = new DesktopRoute({
      authorization,
      credential,
      client: this.#client,
      channels: this.#allowed(authorization),
      timeoutMs: this.#services.connectTimeoutMs,
      signal,
      pin: signals.pin,
      redirect: signals.redirect,
      onRedirected: ({ name, host }) => {
        const text = `sent on to ${name} (${host})`;
        if (this.#record === undefined) this.#detours.push(text);
        else this.#record.notice(text);
      },
    });
    this.#target = await this.#route.open();
  }

  relay(
    authorization: TargetAuthorization,
    recording: Recording | undefined,
    lockedWith: string | undefined,
  ): void {
    const [target, signals] = [this.#target, this.#signals];
    if (target === undefined || signals === undefined) throw new TypeError('a leg is missing');
    const { sessionId, keystrokes, maskKeystrokes } = authorization;
    this.#record = new DesktopRecord({
      sessionId,
      recording,
      keystrokes,
      maskKeystrokes,
      keyboardLayout: this.#client.blocks.core.keyboardLayout,
    });
    for (const text of this.#detours.splice(0)) this.#record.notice(text);
    // Clients offer them as a matter of course: a fact for the recording, no attempt for the audit log.
    for (const { name } of this.#client.channels)
      if (!staticChannelAllowed(name, channelPolicy(authorization.allow)))
        this.#record.refusal(`channel ${name}`, `policy ${authorization.policy} does not allow it`);
    this.#lockedWith = lockedWith;
    this.#relayTo(target, this.#record, authorization, signals);
  }

  /** Relays between the client and the target, or the one that it sent the session on to. */
  #relayTo(
    target: DialedTarget,
    record: DesktopRecord,
    authorization: TargetAuthorization,
    signals: SessionSignals,
  ): void {
    this.#target = target;
    const { name } = this.#route?.system ?? authorization.system;
    const relay = new DesktopRelay({
      front: this.#front,
      client: this.#client,
      target,
      channels: this.#allowed(authorization),
      policy: channelPolicy(authorization.allow),
      record,
      onRefusal: (request, reason) => signals.refused(request, reason),
      onGoodbye: (side) =>
        side === 'client' ? signals.left() : signals.end('target-closed', `${name} ended the session`),
      onRedirection: (redirection) =>
        void this.#follow(redirection, signals, (next) =>
          this.#relayTo(next, record, authorization, signals),
        ),
      onProtocolError: (fault, error) => signals.broken(fault, error),
      onFault: (error) => signals.fault(error),
    });
    this.#relay = relay;
    if (this.#lockedWith !== undefined) relay.lock(this.#lockedWith);
    if (this.#paused) target.stream.pause(Pause.recorder);
    target.stream.onClose = () => signals.end('target-closed', `${name} closed the connection`);
    const { delays } = this.#services.figures;
    this.#front.timeWrites(delays.target);
    target.stream.timeWrites(delays.client);
    this.#reception.handOver();
    relay.start();
    this.#awaitDesktop(relay, name, signals);
  }

  /** Ends a session whose desktop does not come to be: it would only keep a place. */
  #awaitDesktop(relay: DesktopRelay, name: string, signals: SessionSignals): void {
    const { connectTimeoutMs } = this.#services;
    clearTimeout(this.#activation);
    this.#activation = setTimeout(() => {
      const side = relay.waitsFor;
      const within = `within ${connectTimeoutMs / 1000} s`;
      // While the archive is behind nobody is read.
      if (this.#paused) this.#awaitDesktop(relay, name, signals);
      else if (side === 'target') signals.end('target-unreachable', `${name} showed no desktop ${within}`);
      else if (side === 'client') signals.broken(side, new Error(`it did not take the desktop ${within}`));
    }, connectTimeoutMs);
  }

  /** Leaves the target for the one that it sends the session on to; the client's leg stays as it is. */
  async #follow(
    redirection: ServerRedirectionWithPassword,
    signals: SessionSignals,
    relayTo: (target: DialedTarget) => void,
  ): Promise<void> {
    this.#following = true;
    clearTimeout(this.#activation);
    this.#earlier.fromClient += this.#relay?.bytesFromClient ?? 0;
    this.#earlier.fromTarget += this.#relay?.bytesFromTarget ?? 0;
    if (this.#target !== undefined) this.#target.stream.onClose = () => {};
    this.#target?.stream.end();
    try {
      const target = await this.#route?.follow(redirection);
      if (target === undefined) throw new TypeError('no route to follow');
      if (this.#over) {
        target.stream.destroy();
        return;
      }
      this.#following = false;
      relayTo(target);
    } catch (error) {
      if (error instanceof TargetError) signals.end(error.code, error.message);
      else signals.fault(error);
    }
  }

  takeActive(): boolean {
    return this.#relay?.takeActive() ?? false;
  }

  takeKeystrokes(lines: KeystrokeLine[]): void {
    this.#record?.takeKeystrokes(lines);
  }

  pause(): void {
    this.#paused = true;
    this.#front.pause(Pause.recorder);
    this.#target?.stream.pause(Pause.recorder);
  }

  resume(): void {
    this.#paused = false;
    this.#front.resume(Pause.recorder);
    this.#target?.stream.resume(Pause.recorder);
  }

  lock(message: string): void {
    this.#lockedWith = message;
    this.#relay?.lock(message);
    this.#record?.notice(message);
  }

  unlock(message: string): void {
    this.#lockedWith = undefined;
    this.#relay?.unlock();
    this.notify(message);
  }

  notify(message: string): void {
    this.#relay?.notify(message);
    this.#record?.notice(message);
  }

  async finish({ code, reason }: End): Promise<void> {
    this.#over = true;
    clearTimeout(this.#activation);
    this.#record?.end();
    if (this.#following && !this.#front.closed) return this.refuse({ code, reason });
    const goodbye = (): void => {
      this.#relay?.abort(ERROR_INFO[code] ?? ErrorInfo.endedByAdministrator);
      this.#target?.stream.end();
      this.#front.end();
    };
    // The desktop stood still meanwhile, and no code of Set Error Info says why.
    if (code !== 'archive-failed' || this.#relay?.waitsFor !== undefined) return goodbye();
    this.#relay?.lastWords(sentence(reason));
    this.#target?.stream.end();
    this.#front.resume(Pause.recorder);
    setTimeout(goodbye, MESSAGE_MS);
  }

  refuse({ reason }: End): void {
    this.#target?.stream.destroy();
    if (this.#front.closed) return;
    this.#reception.lastWord('No connection', sentence(reason)).catch(() => {});
  }

  get traffic(): { fromClient: number; fromTarget: number } {
    const { fromClient, fromTarget } = this.#earlier;
    const relay = this.#following ? undefined : this.#relay;
    return {
      fromClient: fromClient + (relay?.bytesFromClient ?? 0),
      fromTarget: fromTarget + (relay?.bytesFromTarget ?? 0),
    };
  }

  #allowed({ allow }: TargetAuthorization): AcceptedClient['channels'] {
    const policy = channelPolicy(allow);
    return this.#client.channels.filter(({ name }) => staticChannelAllowed(name, policy));
  }
}

function channelPolicy(allow: readonly Capability[]): RdpChannelPolicy {
  const may = (capability: Capability): boolean => allow.includes(capability);
  const scope = (capability: Capability): 'none' | 'text' | 'all' =>
    !may(capability) ? 'none' : may('clipboard-files') ? 'all' : 'text';
  return {
    clipboard: { toTarget: scope('clipboard-to-target'), fromTarget: scope('clipboard-from-target') },
    drives: may('drives'),
    printers: may('printers'),
    smartCards: may('smart-cards'),
    ports: may('ports'),
    audioOutput: may('audio'),
    audioInput: may('microphone'),
    // A size is no secret and moves no data.
    displayControl: true,
    staticChannels: [],
    dynamicChannels: [],
  };
}
