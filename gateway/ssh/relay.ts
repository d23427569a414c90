/**
 * Relays the connection protocol (RFC 4254) between the client's leg and the target's.
 * Channel numbers, windows and payloads run end to end, unchanged; the relay reads what
 * policy and recording need, and answers itself only what policy refuses.
 */
import type { Capability } from '../policy/capability.ts';
import { Adoption } from './adoption.ts';
import { type ChannelLegs, REFUSED_STATUS, RelayChannel, type Side } from './channel.ts';
import { ChannelRequests } from './channel-requests.ts';
import type { HandOver } from './desk.ts';
import { type Leg, Pause } from './leg.ts';
import { Permits } from './permits.ts';
import type { SessionRecord } from './record.ts';
import { channelOf, otherSide, type Way, waysBetween } from './way.ts';
import {
  type ChannelOpenConfirmation,
  dataOffset,
  encodeMessage,
  Message,
  readChannelOpen,
  readChannelOpenConfirmation,
  readEndpoints,
  readGlobalRequest,
  readWindowAdjust,
  recipientOf,
  SshWireError,
} from './wire/connection.ts';

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

export class Relay {
  readonly #front: Leg;
  readonly #back: Leg;
  readonly #record: SessionRecord;
  readonly #options: RelayOptions;
  readonly #client: Way;
  readonly #target: Way;
  readonly #channels = new Set<RelayChannel>();
  readonly #legs: ChannelLegs;
  readonly #permits: Permits;
  readonly #requests: ChannelRequests;
  #over = false;
  /** The target has left, and the client still reads what it said. */
  #draining = false;
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
    ({ client: this.#client, target: this.#target } = waysBetween(options.front, options.back));
    this.#permits = new Permits(options.policy, options.allow, options.maxChannels);
    this.#requests = new ChannelRequests(this.#permits, (request, reason) =>
      options.onRefusal(request, reason),
    );
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
    this.#setLock(true, text);
  }

  unlock(text: string): void {
    this.#setLock(false, text);
  }

  #setLock(locked: boolean, text: string): void {
    this.#permits.locked = locked;
    for (const channel of this.#channels) {
      channel.lock = locked;
      if (channel.terminal) channel.show(text);
    }
  }

  /**
   * Ends every channel in the client's own terms: text, exit status, close. Whatever either
   * side says from then on is dropped.
   * @returns whether the client leaves by itself, every program's person being told; there may be
   *   none, or no room for the text
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

  /**
   * The target's connection is gone. Where it left nothing unfinished, what it said is passed on
   * to the end, and {@link dismissed} tells when the client has read all of it.
   * @returns false where a program was cut off, so that its channel is to be aborted, or all are aborted already
   */
  targetLeft(): boolean {
    if (this.#over) return false;
    for (const channel of this.#channels) if (!channel.over) return false;
    this.#draining = true;
    for (const channel of [...this.#channels]) channel.targetLeft();
    this.#front.resume(Pause.congestion);
    if (this.#channels.size === 0) this.#dismissed.resolve();
    return true;
  }

  /**
   * Resolves when the client has closed what {@link abort} ended or {@link targetLeft} left to it:
   * it has shown all it was sent.
   */
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
    else this.#adopt(new Adoption(desk.channel, desk, this.#record, this.#legs));
  }

  #takeFront(held: readonly Uint8Array[]): void {
    this.#front.onMessage = (message) => this.#guard(this.#client, message);
    for (const message of held) this.#guard(this.#client, message);
    this.#front.resume(Pause.starting);
  }

  #adopt(adoption: Adoption): void {
    this.#adopting = adoption;
    this.#channels.add(adoption.channel);
    this.#target.channels.set(adoption.served.clientNumber, adoption.channel);
    this.#back.send(adoption.openMessage());
  }

  #adopted(adoption: Adoption, confirmation: ChannelOpenConfirmation): void {
    this.#adopting = undefined;
    this.#client.channels.set(adoption.served.address, adoption.channel);
    adoption.confirmed(confirmation);
    for (const request of adoption.served.requests) this.#clientRequest(adoption.channel, request, true);
    this.#takeFront(adoption.desk.release());
  }

  #guard(way: Way, message: Uint8Array): void {
    if (this.#over) {
      if (way.from === 'client' && message[0] === Message.channelClose && --this.#unclosed === 0)
        this.#dismissed.resolve();
      return;
    }
    // Nobody is there to answer anything else.
    if (this.#draining && message[0] !== Message.channelClose && message[0] !== Message.channelWindowAdjust)
      return;
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
        channelOf(way, message).flowTo(way.from)?.grant(readWindowAdjust(message));
        return;
      case Message.channelEof:
      case Message.channelClose:
        channelOf(way, message).receive(way.from, message);
        return;
      case Message.channelRequest: {
        const channel = channelOf(way, message);
        if (way.from === 'client') this.#clientRequest(channel, message);
        else this.#requests.fromTarget(channel, message);
        return;
      }
      case Message.channelSuccess:
      case Message.channelFailure: {
        const channel = channelOf(way, message);
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
    const channel = channelOf(way, message);
    const size = message.length - dataOffset(message);
    if (way.from === 'client') this.bytesFromClient += size;
    else this.bytesFromTarget += size;
    // A terminal that only prints does not keep an absent person's session alive.
    if (way.from === 'client' || !channel.terminal) this.#active = true;
    channel.receive(way.from, message);
  }

  // --- opening -------------------------------------------------------------------------

  #open(way: Way, message: Uint8Array): void {
    const open = readChannelOpen(message);
    const refusal = this.#permits.refusalOfOpen(way.needOfOpen(open.type), open.type, this.#channels.size);
    if (refusal !== undefined) {
      this.#options.onRefusal(open.type, refusal.text);
      way.leg.send(encodeMessage(Message.channelOpenFailure, open.sender, refusal.code, refusal.text, ''));
      return;
    }
    if (way.from === 'client') this.#active = true;
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

  /** A channel that the other side has opened and that this sender has still to answer. */
  #pending(way: Way, message: Uint8Array): RelayChannel {
    const channel = channelOf(way, message);
    if (channel.openedBy === way.from || channel.up !== undefined)
      throw new SshWireError(`channel ${recipientOf(message)} is not waiting for a confirmation`);
    return channel;
  }

  #confirmed(way: Way, message: Uint8Array): void {
    const channel = this.#pending(way, message);
    const confirmation = readChannelOpenConfirmation(message);
    if (this.#adopting?.channel === channel) return this.#adopted(this.#adopting, confirmation);
    if (way.otherChannels.has(confirmation.sender))
      throw new SshWireError(`channel ${confirmation.sender} is opened twice`);
    if (way.from === 'target') channel.clientAddress = confirmation.sender;
    way.otherChannels.set(confirmation.sender, channel);
    channel.confirm(way.from, confirmation);
    channel.lock = this.#permits.locked;
    way.other.send(message, otherSide(channel, way).number);
  }

  #openFailed(way: Way, message: Uint8Array): void {
    const channel = this.#pending(way, message);
    if (this.#adopting?.channel === channel) {
      this.#adopting.failed(message);
      return;
    }
    this.#remove(channel);
    way.other.send(message, otherSide(channel, way).number);
  }

  // --- requests ------------------------------------------------------------------------

  /** @param answered the desk has already answered it: the target's reply is for us alone. */
  #clientRequest(channel: RelayChannel, message: Uint8Array, answered = false): void {
    if (this.#requests.fromClient(channel, message, answered)) this.#active = true;
  }

  #globalRequest(way: Way, message: Uint8Array): void {
    const request = readGlobalRequest(message);
    const need = way.needOfGlobal(request.type);
    const refusal = this.#permits.refusalOfRequest(need, request.type, need !== 'free');
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

  #remove(channel: RelayChannel): void {
    if (!this.#channels.delete(channel)) return;
    const numbers: readonly [Way, number][] = [
      [this.#client, channel.clientAddress],
      [this.#target, channel.client.number],
    ];
    for (const [{ channels }, number] of numbers)
      if (channels.get(number) === channel) channels.delete(number);
    channel.record.close();
    if (this.#draining && this.#channels.size === 0) this.#dismissed.resolve();
  }
}
