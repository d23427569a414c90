/**
 * Relays the connection protocol (RFC 4254) between the client's leg and the target's.
 * Channel numbers, windows and payloads run end to end, unchanged; the relay reads what
 * policy and recording need, and answers itself only what policy refuses.
 */
import type { Capability } from '../policy/capability.ts';
import { type ChannelLegs, RelayChannel, type Side } from './channel.ts';
import type { HandOver, ServedChannel } from './desk.ts';
import { type Leg, Pause } from './leg.ts';
import type { SessionRecord } from './record.ts';
import {
  type ChannelOpenConfirmation,
  dataOffset,
  encodeMessage,
  Message,
  OpenFailure,
  readChannelOpen,
  readChannelOpenConfirmation,
  readChannelRequest,
  readEndpoints,
  readGlobalRequest,
  readTerminalRequest,
  readWindowAdjust,
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

type From = 'client' | 'target';

/** One direction of the relay: everything that depends on who sent a message. */
interface Way {
  readonly from: From;
  readonly leg: Leg;
  readonly other: Leg;
  /** Channels by the numbers that this sender addresses, and that the other side addresses. */
  readonly channels: Map<number, RelayChannel>;
  readonly otherChannels: Map<number, RelayChannel>;
  /** Replies to this sender's global requests, and to the other side's. */
  readonly replies: ReplyQueue;
  readonly otherReplies: ReplyQueue;
  readonly needOfOpen: (type: string) => Need;
  readonly needOfGlobal: (type: string) => Need;
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
  readonly #client: Way;
  readonly #target: Way;
  readonly #channels = new Set<RelayChannel>();
  readonly #legs: ChannelLegs;
  #locked = false;
  #over = false;
  /** Channels that were ended here and that the client has not closed yet. */
  #unclosed = 0;
  readonly #dismissed = Promise.withResolvers<void>();
  #adopting: Adoption | undefined;
  /** Something happened that counts against the idle limit. */
  #active = true;
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
    const channels = { client: new Map<number, RelayChannel>(), target: new Map<number, RelayChannel>() };
    const replies = { client: new ReplyQueue(), target: new ReplyQueue() };
    this.#client = {
      from: 'client',
      leg: this.#front,
      other: this.#back,
      channels: channels.client,
      otherChannels: channels.target,
      replies: replies.client,
      otherReplies: replies.target,
      needOfOpen: needOfClientOpen,
      needOfGlobal: needOfClientGlobal,
    };
    this.#target = {
      from: 'target',
      leg: this.#back,
      other: this.#front,
      channels: channels.target,
      otherChannels: channels.client,
      replies: replies.target,
      otherReplies: replies.client,
      needOfOpen: needOfTargetOpen,
      needOfGlobal: needOfTargetGlobal,
    };
    this.#front.onMessage = (message) => this.#guard(this.#client, message);
    this.#back.onMessage = (message) => this.#guard(this.#target, message);
    this.#front.onCongestion = (congested) =>
      congested ? this.#back.pause(Pause.congestion) : this.#back.resume(Pause.congestion);
    this.#back.onCongestion = (congested) =>
      congested ? this.#front.pause(Pause.congestion) : this.#front.resume(Pause.congestion);
  }

  /** Whether anything happened since the last call that counts against the idle limit. */
  takeActive(): boolean {
    const active = this.#active;
    this.#active = false;
    return active;
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
      if (channel.up !== undefined && !channel.closedByClient) this.#unclosed += 1;
    }
    if (this.#unclosed === 0) this.#dismissed.resolve();
    return told && !untold;
  }

  /** Resolves when the client has closed what {@link abort} ended: it has shown all it was sent. */
  get dismissed(): Promise<void> {
    return this.#dismissed.promise;
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
    this.#back.onMessage = (message) => this.#guard(this.#target, message);
    if (desk.channel === undefined) this.#takeFront(desk.release());
    else this.#adopt(desk.channel, desk);
  }

  #takeFront(held: readonly Uint8Array[]): void {
    this.#front.onMessage = (message) => this.#guard(this.#client, message);
    for (const message of held) this.#guard(this.#client, message);
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
    this.#target.channels.set(served.clientNumber, channel);
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
    this.#client.channels.set(served.address, channel);
    channel.confirm();
    channel.up?.adopt(confirmation.window, confirmation.maxPacket, served.believed);
    for (const request of served.requests) this.#clientRequest(channel, request, true);
    this.#takeFront(desk.release());
  }

  #guard(way: Way, message: Uint8Array): void {
    if (this.#over) {
      if (way.from === 'client' && message[0] === Message.channelClose && --this.#unclosed === 0)
        this.#dismissed.resolve();
      return;
    }
    try {
      this.#receive(way, message);
    } catch (error) {
      if (error instanceof SshWireError) this.#options.onProtocolError(way.from, error);
      else this.#options.onFault(error);
    }
  }

  #receive(way: Way, message: Uint8Array): void {
    switch (message[0]) {
      case Message.channelData:
      case Message.channelExtendedData:
        this.#data(way, message);
        return;
      case Message.channelWindowAdjust:
        this.#find(way, message).flowTo(way.from)?.grant(readWindowAdjust(message));
        return;
      case Message.channelEof:
      case Message.channelClose:
        this.#find(way, message).receive(way.from, message);
        return;
      case Message.channelRequest: {
        const channel = this.#find(way, message);
        if (way.from === 'client') this.#clientRequest(channel, message);
        else this.#targetRequest(channel, message);
        return;
      }
      case Message.channelSuccess:
      case Message.channelFailure: {
        const channel = this.#find(way, message);
        const replies = way.from === 'client' ? channel.targetReplies : channel.clientReplies;
        replies.replied(message[0] === Message.channelSuccess, () => {
          if (!channel.dead) way.other.send(message, otherSide(channel, way).number);
        });
        return;
      }
      case Message.channelOpen:
        this.#open(way, message);
        return;
      case Message.channelOpenConfirmation:
        this.#confirmed(way, message);
        return;
      case Message.channelOpenFailure:
        this.#openFailed(way, message);
        return;
      case Message.globalRequest:
        this.#globalRequest(way, message);
        return;
      case Message.requestSuccess:
      case Message.requestFailure:
        way.otherReplies.replied(message[0] === Message.requestSuccess, () => way.other.send(message));
        return;
      default:
        throw new SshWireError(`message ${message[0]} is not one of the connection protocol`);
    }
  }

  #data(way: Way, message: Uint8Array): void {
    const channel = this.#find(way, message);
    const size = message.length - dataOffset(message);
    if (way.from === 'client') this.bytesFromClient += size;
    else this.bytesFromTarget += size;
    // A terminal that only prints does not keep an absent person's session alive.
    if (way.from === 'client' || !channel.terminal) this.#active = true;
    channel.receive(way.from, message);
  }

  // --- opening -------------------------------------------------------------------------

  #open(way: Way, message: Uint8Array): void {
    if (way.from === 'client') this.#active = true;
    const open = readChannelOpen(message);
    const refusal = this.#refusalOfOpen(way.needOfOpen(open.type), open.type);
    if (refusal !== undefined) {
      this.#options.onRefusal(open.type, refusal.text);
      way.leg.send(encodeMessage(Message.channelOpenFailure, open.sender, refusal.code, refusal.text, ''));
      return;
    }
    // The other side will address it by the number that the opener gave it.
    if (way.otherChannels.has(open.sender)) throw new SshWireError(`channel ${open.sender} is opened twice`);
    const record = this.#record.openChannel({ type: open.type, openedBy: way.from, ...readEndpoints(open) });
    const opener: Side = { number: open.sender, window: open.window, maxPacket: open.maxPacket };
    const unknown: Side = { number: 0, window: 0, maxPacket: 0 };
    const sides = way.from === 'client' ? ([opener, unknown] as const) : ([unknown, opener] as const);
    const channel = new RelayChannel(open.type, way.from, record, this.#legs, ...sides);
    this.#channels.add(channel);
    way.otherChannels.set(open.sender, channel);
    way.other.send(message);
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

  /** A channel that the other side has opened and that this sender has still to answer. */
  #pending(way: Way, message: Uint8Array): RelayChannel {
    const channel = this.#find(way, message);
    if (channel.openedBy === way.from || channel.up !== undefined)
      throw new SshWireError(`channel ${recipientOf(message)} is not waiting for a confirmation`);
    return channel;
  }

  #confirmed(way: Way, message: Uint8Array): void {
    const channel = this.#pending(way, message);
    const confirmation = readChannelOpenConfirmation(message);
    if (this.#adopting?.channel === channel) return this.#adopted(confirmation, this.#adopting);
    if (way.otherChannels.has(confirmation.sender))
      throw new SshWireError(`channel ${confirmation.sender} is opened twice`);
    Object.assign(way.from === 'client' ? channel.client : channel.target, {
      number: confirmation.sender,
      window: confirmation.window,
      maxPacket: confirmation.maxPacket,
    });
    if (way.from === 'target') channel.clientAddress = confirmation.sender;
    way.otherChannels.set(confirmation.sender, channel);
    channel.confirm();
    channel.lock = this.#locked;
    way.other.send(message, otherSide(channel, way).number);
  }

  #openFailed(way: Way, message: Uint8Array): void {
    const channel = this.#pending(way, message);
    if (this.#adopting?.channel === channel) {
      const reader = new WireReader(message, 9);
      this.#adopting.desk.fail(`the target refused a session: ${reader.text('description')}`);
      return;
    }
    this.#remove(channel);
    way.other.send(message, otherSide(channel, way).number);
  }

  // --- requests ------------------------------------------------------------------------

  /** @param answered the desk has already answered it: the target's reply is for us alone. */
  #clientRequest(channel: RelayChannel, message: Uint8Array, answered = false): void {
    this.#active = true;
    if (channel.dead) return;
    const request = readChannelRequest(message);
    const need = channel.type === 'session' ? needOfSessionRequest(request.type, request.data) : 'never';
    const starts = request.type === 'shell' || request.type === 'exec' || request.type === 'subsystem';
    if (starts && channel.started) {
      // RFC 4254 §6.5: only one of these can succeed per channel.
      if (request.wantReply && !answered) channel.answerClient(false);
      return;
    }
    if (request.type === 'pty-req' && (channel.started || channel.terminal)) {
      // RFC 4254 §6.2: one terminal, before the program. Another one later would change how
      // the running program's streams are recorded, and not what they are.
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
    const refusedByTarget = (): void => {
      if (request.type === 'pty-req') {
        channel.terminal = false;
        channel.record.terminalRefused();
      } else if (starts && answered)
        channel.abort(`sallyport: the target refused the ${request.type} request\r\n`, REFUSED_STATUS);
      // Clients try another program then: some servers have sftp only as a command.
      else if (starts) channel.started = false;
    };
    const replied = (succeeded: boolean): void => {
      if (!succeeded) refusedByTarget();
    };
    if (request.wantReply && !answered) channel.clientReplies.forwarded(replied);
    else if (request.wantReply) channel.clientReplies.asked(replied);
    else if (request.type === 'pty-req') {
      // Whether there is a terminal decides how the channel is recorded: the target must say.
      channel.clientReplies.asked(replied);
      channel.fromClient(wantingReply(message, request.data.length));
      return;
    }
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

  #globalRequest(way: Way, message: Uint8Array): void {
    const request = readGlobalRequest(message);
    const need = way.needOfGlobal(request.type);
    const refusal =
      need === 'never' ? 'not supported' : this.#locked && need !== 'free' ? LOCKED : this.#refusal(need);
    if (refusal !== undefined) {
      if (need !== 'never') {
        this.#options.onRefusal(need, refusal);
        this.#record.refusal(request.type, refusal);
      }
      if (request.wantReply) way.replies.decided(() => way.leg.send(encodeMessage(Message.requestFailure)));
      return;
    }
    if (request.wantReply) way.replies.forwarded();
    way.other.send(message);
  }

  #refusal(need: Need): string | undefined {
    if (need === 'free') return undefined;
    if (need !== 'never' && this.#options.allow.includes(need)) return undefined;
    return `policy ${this.#options.policy} does not allow ${need}`;
  }

  #find(way: Way, message: Uint8Array): RelayChannel {
    const number = recipientOf(message);
    const channel = way.channels.get(number);
    if (channel === undefined)
      throw new SshWireError(`message ${message[0]} names channel ${number}, which is not open`);
    return channel;
  }

  #remove(channel: RelayChannel): void {
    if (!this.#channels.delete(channel)) return;
    const numbers: readonly [Way, number][] = [
      [this.#client, channel.clientAddress],
      [this.#target, channel.client.number],
    ];
    for (const [{ channels }, number] of numbers)
      if (channels.get(number) === channel) channels.delete(number);
    channel.record.close();
  }
}

/** A copy of a channel request with `want reply` set, the byte before its data (RFC 4254 §5.4). */
function wantingReply(message: Uint8Array, dataLength: number): Uint8Array {
  const asking = new Uint8Array(message);
  asking[asking.length - dataLength - 1] = 1;
  return asking;
}

/** The channel as the receiver of a message knows it. */
function otherSide(channel: RelayChannel, way: Way): Side {
  return way.from === 'client' ? channel.target : channel.client;
}
