/**
 * Who is there and what they may open: with the credentials that the client sent, or asked
 * for on a desk of the gateway's own. The control plane decides; nothing is kept here.
 */
import type { ControlRequests, TargetAuthorization, TargetName } from '../../../workers/messages.ts';
import { isLaunchCredential } from '../../policy/launch-credential.ts';
import type { PduStream } from '../stream/stream.ts';
import type { AcceptedClient } from './accept.ts';
import { Desk } from './desk.ts';
import type { Present } from './nla.ts';

/** Refused tries before the connection is ended; guessing is bounded by the control plane's limiter. */
const MAX_REFUSALS = 16;
const WRONG_CODE = 'the code is wrong: wait for the next one';
const WRONG = 'the user name, the password or the code is wrong';
/** How long a last word stays on the screen of someone who does not close it. */
const LAST_WORD_MS = 60_000;

export interface LoggedOn {
  readonly user: string;
  readonly target: TargetName | undefined;
}

export class Reception {
  readonly stream: PduStream;
  readonly client: AcceptedClient;
  readonly #banner: string;
  readonly #inTurn: (work: () => void) => void;
  #desk: Desk | undefined;
  /** A desk is to be opened: a person is asked, which takes time and a picture. May throw where there is no room. */
  onOpening: () => void = () => {};
  /** The desk, and its picture, are gone. */
  onHandedOver: () => void = () => {};

  /** @param inTurn when a bit of the desk's picture is sent */
  constructor(
    stream: PduStream,
    client: AcceptedClient,
    banner: string,
    inTurn: (work: () => void) => void = (work) => work(),
  ) {
    this.stream = stream;
    this.client = client;
    this.#banner = banner;
    this.#inTurn = inTurn;
    stream.onClose = () => this.closed();
  }

  /** The desk, where one is open. */
  get open(): Desk | undefined {
    return this.#desk;
  }

  get desk(): Desk {
    if (this.#desk === undefined) {
      this.onOpening();
      this.#desk = new Desk(this.stream, this.client, this.#banner, this.#inTurn);
    }
    return this.#desk;
  }

  closed(): void {
    this.#desk?.closed();
  }

  /** Gives the client to the target; a desk that is asked for later is a new one. */
  handOver(): void {
    if (this.#desk === undefined) return;
    this.#desk.handOver();
    this.#desk = undefined;
    this.onHandedOver();
  }

  /** Shows why nothing more comes; ends the connection when the person has read it. */
  async lastWord(title: string, text: string, ms = LAST_WORD_MS): Promise<void> {
    const timer = setTimeout(() => this.stream.end(), ms);
    try {
      await this.desk.ask({ kind: 'message', title, text, retry: false });
    } finally {
      clearTimeout(timer);
      this.stream.end();
    }
  }
}

/**
 * Finds out who is there.
 * @returns undefined when they gave up or were turned away
 * @throws StreamClosedError when they leave
 */
export async function logOn(reception: Reception, present: Present): Promise<LoggedOn | undefined> {
  const { client } = reception;
  const sent = sentBy(client);
  let { login } = sent;
  let outcome = client.nla?.outcome;
  // A client that sent only a name, or nothing, has not tried yet.
  if (outcome === undefined && login !== '' && sent.password !== '')
    outcome = await present(login, { kind: 'password', password: sent.password });
  for (let refusals = 0; refusals < MAX_REFUSALS; ) {
    switch (outcome?.outcome) {
      case 'accepted':
        return { user: outcome.user, target: outcome.target };
      case 'blocked':
        await reception.lastWord('Too many attempts', sentence(outcome.message));
        return undefined;
      case 'continue': {
        const action = await reception.desk.ask({ kind: 'code' });
        if (action.kind !== 'code') return undefined;
        outcome = await present(login, { kind: 'otp', code: action.code.trim() });
        break;
      }
      default: {
        if (outcome !== undefined) refusals += 1;
        if (outcome !== undefined && !outcome.methods.includes('password')) {
          // The first factor stands: it was the code that was wrong.
          const action = await reception.desk.ask({ kind: 'code', error: sentence(WRONG_CODE) });
          if (action.kind !== 'code') return undefined;
          outcome = await present(login, { kind: 'otp', code: action.code.trim() });
          break;
        }
        const error = outcome && sentence(outcome.message ?? WRONG);
        const action = await reception.desk.ask({
          kind: 'log-on',
          user: login,
          ...(error === undefined ? {} : { error }),
        });
        if (action.kind !== 'log-on') return undefined;
        login = action.user.trim();
        outcome = await present(login, { kind: 'password', password: action.password });
      }
    }
  }
  return undefined;
}

/**
 * What the client sent to log on with. A launch credential in a file stands in its domain, which is sent
 * on without asking, and not in plain text before; some clients take it for a part of the user name.
 */
function sentBy({ nla, info, password }: AcceptedClient): { login: string; password: string } {
  if (nla !== undefined) return { login: nla.login, password: '' };
  const [domain, name] = info.userName.includes('\\')
    ? [info.userName.replace(/\\.*$/s, ''), info.userName.replace(/^[^\\]*\\/, '')]
    : [info.domain, info.userName];
  if (isLaunchCredential(domain)) return { login: name, password: domain };
  return { login: info.userName, password: password.expose() };
}

/**
 * Asks what is missing (target, reason) until policy grants, or the person gives up.
 * @throws StreamClosedError when they leave
 */
export async function authorise(
  reception: Reception,
  { target: named }: LoggedOn,
  connection: string,
  control: ControlRequests,
): Promise<TargetAuthorization | undefined> {
  let target = named;
  let reason: string | undefined;
  for (;;) {
    if (target === undefined) {
      target = await pickTarget(reception, connection, control);
      if (target === undefined) return undefined;
    }
    const outcome = await control.authorise({ connection, protocol: 'rdp', target, reason });
    if (outcome.granted) return outcome.authorization;
    if (outcome.reasonRequired) {
      const prompt = `Reason for ${target.account}@${target.system}`;
      const action = await reception.desk.ask({ kind: 'reason', prompt });
      if (action.kind !== 'reason') return undefined;
      reason = action.text;
      continue;
    }
    const text = sentence(outcome.message);
    const action = await reception.desk.ask({ kind: 'message', title: 'Not allowed', text, retry: true });
    if (action.kind !== 'retry') return undefined;
    target = undefined;
    reason = undefined;
  }
}

async function pickTarget(
  reception: Reception,
  connection: string,
  control: ControlRequests,
): Promise<TargetName | undefined> {
  const targets = await control.targets({ connection, protocol: 'rdp' });
  if (targets.length === 0) {
    await reception.lastWord('Nothing to open', 'No policy opens a desktop to you now.');
    return undefined;
  }
  const action = await reception.desk.ask({ kind: 'targets', targets });
  return action.kind === 'target' ? { account: action.account, system: action.system } : undefined;
}

/** Messages of the gateway are lower case without a period; on a screen they are sentences. */
export function sentence(message: string): string {
  const text = `${message.slice(0, 1).toUpperCase()}${message.slice(1)}`;
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}
