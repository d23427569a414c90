/**
 * The way to a target's desktop, which may lead over a connection broker: a target that sends its client
 * on ([MS-RDPBCGR] 2.2.13) is followed by the gateway, wherever the control plane lets the session
 * go. The client's leg and the recording stay open. A broker may vouch for the certificate of the
 * next server (LB_TARGET_CERTIFICATE); what counts is what the next system is known by.
 */
import { addAbortListener } from 'node:events';
import type {
  CheckedOutCredential,
  RedirectionOutcome,
  TargetAuthorization,
} from '../../../workers/messages.ts';
import { ABANDONED, describeTarget, TargetError } from '../../session/dial.ts';
import { PduError } from '../pdu/cursor.ts';
import { readSendData } from '../pdu/mcs-data.ts';
import {
  leadsNowhere,
  RedirectionFlag,
  readRedirection,
  type ServerRedirectionWithPassword,
} from '../pdu/redirection.ts';
import { StreamClosedError } from '../stream/stream.ts';
import { type DialedTarget, type DialOptions, dialDesktop, type RedirectedDial } from './dial.ts';
import { checkFarewell, explained } from './dial-failure.ts';
import { accountName } from './dial-identity.ts';

/** From a broker to the host of a session there is one; more are a mistake, or a loop. */
const MAX_REDIRECTIONS = 5;
/** A target writes what it likes there; names of hosts are no longer (RFC 1035 §2.3.4), and nobody has so many. */
const MAX_HOST_LENGTH = 255;
const MAX_HOSTS = 8;

export interface RouteOptions extends Omit<DialOptions, 'redirection'> {
  /** The session is over: nothing is dialled any more. */
  readonly signal: AbortSignal;
  /** Asks the control plane whether the session may go there. */
  redirect(hosts: readonly string[], userName: string | undefined): Promise<RedirectionOutcome>;
  /** The session goes on at this system. */
  onRedirected(system: TargetAuthorization['system']): void;
}

export class DesktopRoute {
  readonly #options: RouteOptions;
  #system: TargetAuthorization['system'];
  #redirections = 0;

  constructor(options: RouteOptions) {
    this.#options = options;
    this.#system = options.authorization.system;
  }

  /** Where the session is now. */
  get system(): TargetAuthorization['system'] {
    return this.#system;
  }

  /**
   * Dials the authorised system and goes on to where it sends the session, to the first PDU of a desktop.
   * @throws TargetError
   */
  async open(): Promise<DialedTarget> {
    return await this.#arrive(await this.#dial(this.#options.credential, undefined));
  }

  /** Goes on to where a target sends a session that runs. @throws TargetError */
  async follow(redirection: ServerRedirectionWithPassword): Promise<DialedTarget> {
    return await this.#arrive(await this.#goOn(redirection));
  }

  async #arrive(dialled: DialedTarget): Promise<DialedTarget> {
    let target = dialled;
    for (;;) {
      const first = target.first ?? (await this.#next(target));
      const redirection = this.#redirectionIn(first, target);
      if (redirection === undefined) return { ...target, first };
      if (leadsNowhere(redirection)) {
        this.#count();
        target = { ...target, first: undefined };
        continue;
      }
      target.stream.destroy();
      target = await this.#goOn(redirection);
    }
  }

  /** The PDU behind licensing: a target that has none is not there. */
  async #next({ stream }: DialedTarget): Promise<Uint8Array> {
    const { timeoutMs, signal } = this.#options;
    const where = describeTarget(this.#system);
    const timer = setTimeout(() => stream.destroy(), timeoutMs);
    const abandoned = addAbortListener(signal, () => stream.destroy());
    const started = performance.now();
    try {
      return await stream.next();
    } catch (error) {
      if (performance.now() - started >= timeoutMs)
        throw new TargetError(
          'target-unreachable',
          `${where} took the log-on but showed no desktop within ${timeoutMs / 1000} s`,
          error,
        );
      if (error instanceof StreamClosedError)
        throw new TargetError(
          'target-unreachable',
          `${where} closed the connection before it showed a desktop`,
          error,
        );
      throw explained(error, where, this.#options.credential.username);
    } finally {
      clearTimeout(timer);
      abandoned[Symbol.dispose]();
    }
  }

  #redirectionIn(
    pdu: Uint8Array,
    { stream, ioChannel }: DialedTarget,
  ): ServerRedirectionWithPassword | undefined {
    try {
      const data = readSendData(pdu);
      const redirection =
        data?.channelId === ioChannel
          ? readRedirection(pdu, data.dataOffset, data.dataOffset + data.dataLength)
          : undefined;
      if (redirection === undefined) checkFarewell(pdu, ioChannel, describeTarget(this.#system));
      return redirection;
    } catch (error) {
      stream.destroy();
      throw explained(error, describeTarget(this.#system), this.#options.credential.username);
    }
  }

  async #goOn(redirection: ServerRedirectionWithPassword): Promise<DialedTarget> {
    const { redirect, onRedirected, credential } = this.#options;
    this.#count();
    const outcome = await redirect(hostsOf(redirection), redirection.userName?.slice(0, MAX_HOST_LENGTH));
    if (!outcome.granted) throw new TargetError('target-unreachable', outcome.message);
    this.#check();
    const { dial, logOn } = this.#explainRedirection(redirection, credential);
    this.#system = outcome.system;
    onRedirected(outcome.system);
    return await this.#dial(logOn, dial);
  }

  #count(): void {
    this.#check();
    this.#redirections += 1;
    if (this.#redirections > MAX_REDIRECTIONS)
      throw new TargetError(
        'target-unreachable',
        `${describeTarget(this.#system)} sends the session on once more, after ${MAX_REDIRECTIONS} redirections: an administrator must check its broker`,
      );
  }

  #check(): void {
    if (this.#options.signal.aborted) throw new TargetError('target-unreachable', ABANDONED);
  }

  #explainRedirection(
    redirection: ServerRedirectionWithPassword,
    credential: CheckedOutCredential,
  ): { dial: RedirectedDial; logOn: CheckedOutCredential } {
    try {
      return { dial: dialOf(redirection, credential), logOn: logOnOf(redirection, credential) };
    } catch (error) {
      throw explained(error, describeTarget(this.#system), credential.username);
    }
  }

  #dial(credential: CheckedOutCredential, redirection: RedirectedDial | undefined): Promise<DialedTarget> {
    const { authorization } = this.#options;
    return dialDesktop({
      ...this.#options,
      authorization: { ...authorization, system: this.#system },
      credential,
      ...(redirection === undefined ? {} : { redirection }),
    });
  }
}

/** Where to look for the next server, best first; none with a routing token, which goes to the same address. */
function hostsOf(redirection: ServerRedirectionWithPassword): string[] {
  const { loadBalanceInfo, targetFqdn, targetNetAddress, targetNetAddresses, targetNetBiosName } =
    redirection;
  if (loadBalanceInfo !== undefined) return [];
  const named = [targetFqdn, targetNetAddress, ...(targetNetAddresses ?? []), targetNetBiosName];
  const hosts = named.flatMap((host) => host ?? []);
  return [...new Set(hosts)]
    .filter(({ length }) => length > 0 && length <= MAX_HOST_LENGTH)
    .slice(0, MAX_HOSTS);
}

/** @throws PduError when the routing token is more than one line */
function dialOf(
  redirection: ServerRedirectionWithPassword,
  credential: CheckedOutCredential,
): RedirectedDial {
  const { sessionId, flags, loadBalanceInfo, redirectionGuid, password } = redirection;
  const encrypted = (flags & RedirectionFlag.passwordIsEncrypted) !== 0;
  return {
    sessionId,
    routingToken: loadBalanceInfo === undefined ? undefined : routingLine(loadBalanceInfo),
    rdstls:
      encrypted && password !== undefined && redirectionGuid !== undefined
        ? { redirectionGuid, password, ...namesOf(redirection, credential) }
        : undefined,
  };
}

/** Its last CR LF aside, a line of the X.224 request: with another in it, it would be two. */
function routingLine(bytes: Uint8Array): string {
  const line = Buffer.from(bytes).toString('latin1').replace(/\r\n$/, '');
  if (/[\r\n]/.test(line)) throw new PduError('LoadBalanceInfo', 0, 'has more than one line');
  return line;
}

/** The log-on that the broker gives, if it gives one, or that of the session. */
function logOnOf(
  redirection: ServerRedirectionWithPassword,
  credential: CheckedOutCredential,
): CheckedOutCredential {
  const { userName, domain } = namesOf(redirection, credential);
  const { password } = redirection;
  return {
    ...credential,
    username: domain === '' ? userName : `${domain}\\${userName}`,
    password: password === undefined ? credential.password : textOf(password),
  };
}

/** A broker that names a domain spells both in its own way; a name alone is that of the session's account. */
function namesOf(
  { userName, domain }: ServerRedirectionWithPassword,
  credential: CheckedOutCredential,
): { userName: string; domain: string } {
  const leased = accountName(credential.username);
  return domain === undefined
    ? { userName: leased.username, domain: leased.domain }
    : { userName: userName ?? leased.username, domain };
}

/** A password, or what stands for one, as the UTF-16 units it will be written as again; its terminator falls. */
function textOf(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at + 1 < bytes.length; at += 2)
    text += String.fromCharCode((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8));
  return text.endsWith('\0') ? text.slice(0, -1) : text;
}
