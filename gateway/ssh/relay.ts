/**
 * Relays the connection protocol (RFC 4254) between the client's leg and the target's.
 * Channel numbers, windows and payloads run end to end, unchanged; the relay reads what
 * policy and recording need, and answers itself only what policy refuses.
 */
import type { Capability } from '../policy/capability.ts';
import { type ChannelLegs, RelayChannel } from './channel.ts';
import type { HandOver, ServedChannel } from './desk.ts';
import { type Leg, Pause } from './leg.ts';
import type { SessionRecord } from './record.ts';
import {
  type ChannelOpenConfirmation,
  encodeMessage,
  Message,
  OpenFailure,
  readChannelOpen,
  readChannelOpenConfirmation,
  readChannelRequest,
  readGlobalRequest,
  readTerminalRequest,
  readUint32,
  readWindowChange,
  recipientOf,
  SshWireError,
  WireReader,
} from './wire/connection.ts';
import {
  type Need,
  needOfClientGlobal,
  needOfClientOpen,
  needOfSessionRequest,
  needOfTargetGlobal,
  needOfTargetOpen,
} from './wire/permission.ts';
import { ReplyQueue } from './wire/reply-queue.ts';

export interface RelayOptions {
  readonly front: Leg;
  readonly back: Leg;
  readonly record: SessionRecord;
  readonly policy: string;
  readonly allow: readonly Capability[];
  /** Open channels a client may hold at once (`ssh.maxChannels`). */
  readonly maxChannels: number;
  /** For the audit log. */
  onRefusal(request: string, reason: string): void;
  /** A leg broke the protocol; the owner ends the session. */
  onProtocolError(fault: 'client' | 'target', error: Error): void;
  /** An error of ours, likewise. */
  onFault(error: unknown): void;
}

interface Adoption {
  readonly channel: RelayChannel;
  readonly served: ServedChannel;
  readonly desk: HandOver;
}

const LOCKED = 'the session is locked';
/** Exit status of a program that the gateway refused or ended. */
const REFUSED_STATUS = 1;

export class Relay {
  readonly #front: Leg;
  readonly #back: Leg;
  readonly #record: SessionRecord;
  readonly #options: RelayOptions;
  /** By the number that the client addresses, and by the one that the target addresses. */
  readonly #byClient = new Map<number, RelayChannel>();
  readonly #byTarget = new Map<number, RelayChannel>();
  readonly #channels = new Set<RelayChannel>();
  readonly #clientGlobals = new ReplyQueue();
  readonly #targetGlobals = new ReplyQueue();
  readonly #legs: ChannelLegs;
  #locked = false;
  #over = false;
  #adopting: Adoption | undefined;
  /** Something happened that counts against the idle limit; the owner clears it. */
  active = true;
  bytesFromClient = 0;
  bytesFromTarget = 0;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#front = options.front;
    this.#back = options.back;
    this.#record = options.record;
    this.#legs = {
      toClient: (message, recipient) => this.#front.send(message, recipient),
      toTarget: (message, recipient) => this.#back.send(message, recipient),
      closed: (channel) => this.#remove(channel),
    };
    this.#front.onMessage = (message) => this.#guard('client', message);
    this.#back.onMessage = (message) => this.#guard('target', message);
    this.#front.onCongestion = (congested) =>
      congested ? this.#back.pause(Pause.congestion) : this.#back.resume(Pause.congestion);
    this.#back.onCongestion = (congested) =>
      congested ? this.#front.pause(Pause.congestion) : this.#front.resume(Pause.congestion);
  }

  /** Text on every terminal and every program's standard error. */
  show(text: string): void {
    for (const channel of this.#channels) if (channel.started) channel.show(text);
  }

  /** Input of terminals is dropped, of other channels held; nothing may be opened, started or signalled. */
  lock(text: string): void {
    this.#locked = true;
    for (const channel of this.#channels) {
      channel.lock = true;
      if (channel.terminal) channel.show(text);
    }
  }

  unlock(text: string): void {
    this.#locked = false;
    for (const channel of this.#channels) {
      channel.lock = false;
      if (channel.terminal) channel.show(text);
    }
  }

  /**
   * Ends every channel in the client's own terms: text, exit status, close. Whatever either
   * side says from then on is dropped.
   * @returns whether every program's person was told; there may be none, or no room for the text
   */
  abort(text: string): boolean {
    this.#over = true;
    let told = false;
    let untold = false;
    for (const channel of [...this.#channels]) {
      const shown = channel.abort(text, REFUSED_STATUS);
      told ||= shown;
      untold ||= channel.started && !shown;
    }
    return told && !untold;
  }

  /** Writes out what the recording still has to say about open channels; nothing is relayed any more. */
  finish(): void {
    this.#over = true;
    for (const channel of this.#channels) channel.record.close();
    this.#channels.clear();
  }

  /**
   * Takes over from the desk: what the client said so far is said to the target. A channel
   * that the desk answered itself is opened at the target first.
   */
  start(desk: HandOver): void {
    this.#back.onMessage = (message) => this.#guard('target', message);
    if (desk.channel === undefined) this.#takeFront(desk.release());
    else this.#adopt(desk.channel, desk);
  }

  #takeFront(held: readonly Uint8Array[]): void {
    this.#front.onMessage = (message) => this.#guard('client', message);
    for (const message of held) this.#guard('client', message);
    this.#front.resume(Pause.starting);
  }

  #adopt(served: ServedChannel, desk: HandOver): void {
    const channel = new RelayChannel(
      'session',
      'client',
      this.#record.openChannel({ type: 'session', openedBy: 'client' }),
      this.#legs,
      { number: served.clientNumber, window: served.clientWindow, maxPacket: served.clientMaxPacket },
      { number: 0, window: 0, maxPacket: 0 },
    );
    channel.clientAddress = served.address;
    this.#channels.add(channel);
    this.#byTarget.set(served.clientNumber, channel);
    this.#adopting = { channel, served, desk };
    const { clientNumber, clientWindow, clientMaxPacket } = served;
    this.#back.send(
      encodeMessage(Message.channelOpen, 'session', clientNumber, clientWindow, clientMaxPacket),
    );
  }

  #adopted(confirmation: ChannelOpenConfirmation, { channel, served, desk }: Adoption): void {
    this.#adopting = undefined;
    channel.target.number = confirmation.sender;
    channel.target.window = confirmation.window;
    channel.target.maxPacket = confirmation.maxPacket;
    this.#byClient.set(served.address, channel);
    channel.confirm();
    channel.up?.adopt(confirmation.window, confirmation.maxPacket, served.believed);
    for (const request of served.requests) this.#clientRequest(channel, request, true);
    this.#takeFront(desk.release());
  }

  #guard(from: 'client' | 'target', message: Uint8Array): void {
    if (this.#over) return;
    try {
      if (from === 'client') this.#fromClient(message);
      else this.#fromTarget(message);
    } catch (error) {
      if (error instanceof SshWireError) this.#options.onProtocolError(from, error);
      else this.#options.onFault(error);
    }
  }

  #fromClient(message: Uint8Array): void {
    switch (message[0]) {
      case Message.channelData:
      case Message.channelExtendedData: {
        this.active = true;
        this.bytesFromClient += message.length;
        this.#find(this.#byClient, message).fromClient(message);
        return;
      }
      case Message.channelWindowAdjust:
        this.#find(this.#byClient, message).down?.grant(adjustment(message));
        return;
      case Message.channelEof:
      case Message.channelClose:
        this.#find(this.#byClient, message).fromClient(message);
        return;
      case Message.channelRequest:
        this.active = true;
        this.#clientRequest(this.#find(this.#byClient, message), message);
        return;
      case Message.channelSuccess:
      case Message.channelFailure: {
        const channel = this.#find(this.#byClient, message);
        channel.targetReplies.replied(message[0] === Message.channelSuccess, () =>
          this.#back.send(message, channel.target.number),
        );
        return;
      }
      case Message.channelOpen:
        this.active = true;
        this.#clientOpen(message);
        return;
      case Message.channelOpenConfirmation:
        this.#confirmed(this.#byClient, this.#byTarget, message, 'client');
        return;
      case Message.channelOpenFailure:
        this.#openFailed(this.#byClient, message, 'client');
        return;
      case Message.globalRequest:
        this.#globalRequest(message, 'client');
        return;
      case Message.requestSuccess:
      case Message.requestFailure:
        this.#targetGlobals.replied(message[0] === Message.requestSuccess, () => this.#back.send(message));
        return;
      default:
        throw new SshWireError(`message ${message[0]} is not one of the connection protocol`);
    }
  }

  #fromTarget(message: Uint8Array): void {
    switch (message[0]) {
      case Message.channelData:
      case Message.channelExtendedData: {
        this.bytesFromTarget += message.length;
        const channel = this.#find(this.#byTarget, message);
        // A terminal that only prints does not keep an absent person's session alive.
        if (!channel.terminal) this.active = true;
        channel.fromTarget(message);
        return;
      }
      case Message.channelWindowAdjust:
        this.#find(this.#byTarget, message).up?.grant(adjustment(message));
        return;
      case Message.channelEof:
      case Message.channelClose:
        this.#find(this.#byTarget, message).fromTarget(message);
        return;
      case Message.channelRequest:
        this.#targetRequest(this.#find(this.#byTarget, message), message);
        return;
      case Message.channelSuccess:
      case Message.channelFailure: {
        const channel = this.#find(this.#byTarget, message);
        channel.clientReplies.replied(message[0] === Message.channelSuccess, () => {
          if (!channel.dead) this.#front.send(message, channel.client.number);
        });
        return;
      }
      case Message.channelOpen:
        this.#targetOpen(message);
        return;
      case Message.channelOpenConfirmation:
        this.#confirmed(this.#byTarget, this.#byClient, message, 'target');
        return;
      case Message.channelOpenFailure:
        this.#openFailed(this.#byTarget, message, 'target');
        return;
      case Message.globalRequest:
        this.#globalRequest(message, 'target');
        return;
      case Message.requestSuccess:
      case Message.requestFailure:
        this.#clientGlobals.replied(message[0] === Message.requestSuccess, () => this.#front.send(message));
        return;
      default:
        throw new SshWireError(`message ${message[0]} is not one of the connection protocol`);
    }
  }

  // --- opening -------------------------------------------------------------------------

  #clientOpen(message: Uint8Array): void {
    const open = readChannelOpen(message);
    const refusal = this.#refusalOfOpen(needOfClientOpen(open.type), open.type);
    if (refusal !== undefined) {
      this.#options.onRefusal(open.type, refusal.text);
      this.#front.send(
        encodeMessage(Message.channelOpenFailure, open.sender, refusal.code, refusal.text, ''),
      );
      return;
    }
    if (this.#byTarget.has(open.sender)) throw new SshWireError(`channel ${open.sender} is opened twice`);
    const record = this.#record.openChannel({ type: open.type, openedBy: 'client', ...endpoints(open) });
    const channel = new RelayChannel(
      open.type,
      'client',
      record,
      this.#legs,
      { number: open.sender, window: open.window, maxPacket: open.maxPacket },
      { number: 0, window: 0, maxPacket: 0 },
    );
    this.#channels.add(channel);
    this.#byTarget.set(open.sender, channel);
    this.#back.send(message);
  }

  #targetOpen(message: Uint8Array): void {
    const open = readChannelOpen(message);
    const refusal = this.#refusalOfOpen(needOfTargetOpen(open.type), open.type);
    if (refusal !== undefined) {
      this.#options.onRefusal(open.type, refusal.text);
      this.#back.send(encodeMessage(Message.channelOpenFailure, open.sender, refusal.code, refusal.text, ''));
      return;
    }
    if (this.#byClient.has(open.sender)) throw new SshWireError(`channel ${open.sender} is opened twice`);
    const record = this.#record.openChannel({ type: open.type, openedBy: 'target', ...endpoints(open) });
    const channel = new RelayChannel(
      open.type,
      'target',
      record,
      this.#legs,
      { number: 0, window: 0, maxPacket: 0 },
      { number: open.sender, window: open.window, maxPacket: open.maxPacket },
    );
    this.#channels.add(channel);
    this.#byClient.set(open.sender, channel);
    this.#front.send(message);
  }

  #refusalOfOpen(need: Need, type: string): { code: OpenFailure; text: string } | undefined {
    if (this.#locked) return { code: OpenFailure.administrativelyProhibited, text: LOCKED };
    if (this.#channels.size >= this.#options.maxChannels)
      return {
        code: OpenFailure.resourceShortage,
        text: `more than ${this.#options.maxChannels} channels are open on this connection`,
      };
    if (need === 'never') return { code: OpenFailure.unknownChannelType, text: `${type} is not supported` };
    const text = this.#refusal(need);
    return text === undefined ? undefined : { code: OpenFailure.administrativelyProhibited, text };
  }

  /** A confirmation from `by`, found under the number that it addresses. */
  #confirmed(
    pending: Map<number, RelayChannel>,
    other: Map<number, RelayChannel>,
    message: Uint8Array,
    by: 'client' | 'target',
  ): void {
    const channel = this.#find(pending, message);
    const confirmation = readChannelOpenConfirmation(message);
    if (by === 'target' && this.#adopting?.channel === channel)
      return this.#adopted(confirmation, this.#adopting);
    if (channel.openedBy === by || channel.up !== undefined)
      throw new SshWireError(`channel ${recipientOf(message)} is not waiting for a confirmation`);
    if (other.has(confirmation.sender))
      throw new SshWireError(`channel ${confirmation.sender} is opened twice`);
    const side = by === 'client' ? channel.client : channel.target;
    side.number = confirmation.sender;
    side.window = confirmation.window;
    side.maxPacket = confirmation.maxPacket;
    if (by === 'target') channel.clientAddress = confirmation.sender;
    other.set(confirmation.sender, channel);
    channel.confirm();
    channel.lock = this.#locked;
    const opener = by === 'client' ? channel.target.number : channel.client.number;
    (by === 'client' ? this.#back : this.#front).send(message, opener);
  }

  #openFailed(pending: Map<number, RelayChannel>, message: Uint8Array, by: 'client' | 'target'): void {
    const channel = this.#find(pending, message);
    if (channel.openedBy === by || channel.up !== undefined)
      throw new SshWireError(`channel ${recipientOf(message)} is not waiting for a confirmation`);
    if (this.#adopting?.channel === channel) {
      const reader = new WireReader(message, 9);
      this.#adopting.desk.fail(`the target refused a session: ${reader.text('description')}`);
      return;
    }
    const opener = by === 'client' ? channel.target.number : channel.client.number;
    this.#remove(channel);
    (by === 'client' ? this.#back : this.#front).send(message, opener);
  }

  // --- requests ------------------------------------------------------------------------

  /** @param answered the desk has already answered it: the target's reply is for us alone. */
  #clientRequest(channel: RelayChannel, message: Uint8Array, answered = false): void {
    if (channel.dead) return;
    const request = readChannelRequest(message);
    const need = channel.type === 'session' ? needOfSessionRequest(request.type, request.data) : 'never';
    const starts = request.type === 'shell' || request.type === 'exec' || request.type === 'subsystem';
    if (starts && channel.started) {
      // RFC 4254 §6.5: only one of these can succeed per channel.
      if (request.wantReply && !answered) channel.answerClient(false);
      return;
    }
    const refusal =
      need === 'never'
        ? `${request.type} is not supported`
        : this.#locked && (starts || (channel.terminal && request.type !== 'window-change'))
          ? LOCKED
          : this.#refusal(need);
    if (refusal !== undefined) {
      // Requests that no policy knows (PuTTY's window probes are such) are refused as a matter of course.
      if (need !== 'never') {
        const what = need === 'free' ? request.type : need;
        this.#options.onRefusal(what, refusal);
        channel.record.refusal(what, refusal);
      }
      // A client shows what a program writes, not why a request failed: a program that is
      // refused "starts", says why on standard error and exits.
      if (request.wantReply && !answered) channel.answerClient(starts);
      if (starts)
        channel.clientReplies.decided(() => channel.abort(`sallyport: ${refusal}\r\n`, REFUSED_STATUS));
      return;
    }
    this.#observeRequest(channel, request.type, request.data, need);
    if (request.wantReply && answered)
      channel.clientReplies.asked((succeeded) => {
        if (!succeeded && starts)
          channel.abort(`sallyport: the target refused the ${request.type} request\r\n`, REFUSED_STATUS);
      });
    else if (request.wantReply)
      channel.clientReplies.forwarded((succeeded) => {
        // Clients try another program then: some servers have sftp only as a command.
        if (starts && !succeeded) channel.started = false;
      });
    channel.fromClient(message);
  }

  #observeRequest(channel: RelayChannel, type: string, data: Uint8Array, need: Need): void {
    if (type === 'pty-req') {
      channel.terminal = true;
      channel.record.terminal(readTerminalRequest(data));
    } else if (type === 'window-change') {
      channel.record.resize(readWindowChange(data));
    } else if (type === 'shell' || type === 'exec' || type === 'subsystem') {
      channel.started = true;
      const command = type === 'shell' ? undefined : new WireReader(data, 0).text('command');
      channel.record.start(type, command, need === 'scp' || need === 'sftp' ? need : 'stream', (error) =>
        channel.abort(`sallyport: ${error.message}\r\n`, REFUSED_STATUS),
      );
    }
  }

  #targetRequest(channel: RelayChannel, message: Uint8Array): void {
    if (channel.dead) return;
    const request = readChannelRequest(message);
    if (request.type === 'exit-status')
      channel.record.exit({ status: new WireReader(request.data, 0).uint32('exit status') });
    else if (request.type === 'exit-signal') {
      const reader = new WireReader(request.data, 0);
      channel.record.exit({
        signal: reader.text('signal name'),
        coreDumped: reader.boolean('core dumped'),
        message: reader.text('error message'),
      });
    }
    if (request.wantReply) channel.targetReplies.forwarded();
    channel.fromTarget(message);
  }

  #globalRequest(message: Uint8Array, from: 'client' | 'target'): void {
    const request = readGlobalRequest(message);
    const need = from === 'client' ? needOfClientGlobal(request.type) : needOfTargetGlobal(request.type);
    const refusal =
      need === 'never' ? 'not supported' : this.#locked && need !== 'free' ? LOCKED : this.#refusal(need);
    const replies = from === 'client' ? this.#clientGlobals : this.#targetGlobals;
    if (refusal !== undefined) {
      if (need !== 'never') {
        this.#options.onRefusal(need, refusal);
        this.#record.refusal(request.type, refusal);
      }
      if (request.wantReply)
        replies.decided(() =>
          (from === 'client' ? this.#front : this.#back).send(encodeMessage(Message.requestFailure)),
        );
      return;
    }
    if (request.wantReply) replies.forwarded();
    (from === 'client' ? this.#back : this.#front).send(message);
  }

  #refusal(need: Need): string | undefined {
    if (need === 'free') return undefined;
    if (need !== 'never' && this.#options.allow.includes(need)) return undefined;
    return `policy ${this.#options.policy} does not allow ${need}`;
  }

  #find(channels: Map<number, RelayChannel>, message: Uint8Array): RelayChannel {
    const channel = channels.get(recipientOf(message));
    if (channel === undefined)
      throw new SshWireError(
        `message ${message[0]} names channel ${recipientOf(message)}, which is not open`,
      );
    return channel;
  }

  #remove(channel: RelayChannel): void {
    if (!this.#channels.delete(channel)) return;
    if (this.#byClient.get(channel.clientAddress) === channel) this.#byClient.delete(channel.clientAddress);
    if (this.#byTarget.get(channel.client.number) === channel) this.#byTarget.delete(channel.client.number);
    channel.record.close();
  }
}

/** RFC 4254 §5.2, `bytes to add`. */
function adjustment(message: Uint8Array): number {
  if (message.length < 9) throw new SshWireError('bytes to add is missing in a window adjust');
  return readUint32(message, 5);
}

/** Where a forwarded connection goes and comes from (RFC 4254 §6.3.2, §7.2; PROTOCOL of OpenSSH §2.4). */
function endpoints(open: { type: string; data: Uint8Array }): { destination?: string; originator?: string } {
  const reader = new WireReader(open.data, 0);
  const address = (what: string): string => {
    const host = reader.text(`${what} address`);
    const port = reader.uint32(`${what} port`);
    return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  };
  switch (open.type) {
    case 'direct-tcpip':
    case 'forwarded-tcpip':
      return { destination: address('destination'), originator: address('originator') };
    case 'x11':
      return { originator: address('originator') };
    case 'direct-streamlocal@openssh.com':
    case 'forwarded-streamlocal@openssh.com':
      return { destination: reader.text('socket path') };
    default:
      return {};
  }
}
