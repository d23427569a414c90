/** A relayed channel: its numbers on both legs, its two flows, and who has closed it. */
import type { ChannelRecord } from './record.ts';
import {
  type ChannelOpenConfirmation,
  encodeMessage,
  Message,
  readChannelRequest,
  STDERR,
} from './wire/connection.ts';
import { Flow } from './wire/flow.ts';
import { ReplyQueue } from './wire/reply-queue.ts';

/** Exit status of a program that the gateway refused or ended. */
export const REFUSED_STATUS = 1;
/** Requests that tell how a program ended (RFC 4254 §6.10). */
const EXITS: readonly string[] = ['exit-status', 'exit-signal'];

/** How the channel's messages leave; the relay binds these to its legs. */
export interface ChannelLegs {
  toClient(message: Uint8Array, recipient: number): void;
  toTarget(message: Uint8Array, recipient: number): void;
  /** Both sides have closed: the numbers may be used again. */
  closed(channel: RelayChannel): void;
}

export interface Side {
  /** The number that this side gave the channel: what messages to it carry as recipient. */
  number: number;
  window: number;
  maxPacket: number;
}

export class RelayChannel {
  readonly type: string;
  readonly openedBy: 'client' | 'target';
  readonly record: ChannelRecord;
  readonly client: Side;
  readonly target: Side;
  /** The number by which the client addresses the channel: the target's, unless the gateway answered the open. */
  clientAddress: number;
  /** Client → target, there once the channel is confirmed. */
  up: Flow | undefined;
  /** Target → client, likewise. */
  down: Flow | undefined;
  /** Replies to the client's requests on this channel, and to the target's. */
  readonly clientReplies = new ReplyQueue();
  readonly targetReplies = new ReplyQueue();
  started = false;
  /** Refused after it was opened: whatever still comes is dropped until both sides have closed. */
  dead = false;
  readonly #legs: ChannelLegs;
  #terminal = false;
  #locked = false;
  /** The gateway's own text is passing: it is recorded as a notice, not as the target's output. */
  #showing = false;
  #eofFromClient = false;
  #closeFrom = { client: false, target: false };
  #closeSentTo = { client: false, target: false };
  /** The client has been told how the program ended, and that no data follows. */
  #exitSent = false;
  #eofSent = false;

  constructor(
    type: string,
    openedBy: 'client' | 'target',
    record: ChannelRecord,
    legs: ChannelLegs,
    client: Side,
    target: Side,
  ) {
    this.type = type;
    this.openedBy = openedBy;
    this.record = record;
    this.client = client;
    this.target = target;
    this.clientAddress = target.number;
    this.#legs = legs;
  }

  /** Answers a request of the client's (RFC 4254 §5.4), in its turn. */
  answerClient(succeeded: boolean): void {
    this.clientReplies.decided(() => {
      if (this.#closeSentTo.client) return;
      const to = this.client.number;
      const number = succeeded ? Message.channelSuccess : Message.channelFailure;
      this.#legs.toClient(encodeMessage(number, to), to);
    });
  }

  /** The side that was asked to open it has (RFC 4254 §5.1): both windows are known, data may flow. */
  confirm(from: 'client' | 'target', confirmation: ChannelOpenConfirmation): void {
    const side = this[from];
    side.number = confirmation.sender;
    side.window = confirmation.window;
    side.maxPacket = confirmation.maxPacket;
    this.up = new Flow(
      {
        deliver: (message) => this.#deliverUp(message),
        grantSender: (bytes) => this.#grant('client', bytes),
      },
      this.target.window,
      this.target.maxPacket,
      // Some versions of OpenSSH drop what overruns their window, others take some of it: what was sent there would
      // be on record, and not what the program got.
      'refused',
    );
    this.down = new Flow(
      {
        deliver: (message) => this.#deliverDown(message),
        grantSender: (bytes) => this.#grant('target', bytes),
      },
      this.client.window,
      this.client.maxPacket,
    );
    this.#hold();
  }

  /** A message of either side that keeps its place in the flow: data, EOF, close, a request. */
  receive(from: 'client' | 'target', message: Uint8Array): void {
    if (from === 'client') this.fromClient(message);
    else this.fromTarget(message);
  }

  /** The flow whose receiver is `side`: what it grants. */
  flowTo(side: 'client' | 'target'): Flow | undefined {
    return side === 'client' ? this.down : this.up;
  }

  fromClient(message: Uint8Array): void {
    if (message[0] === Message.channelClose) this.#closeFrom.client = true;
    if (this.dead) return this.#finishDead();
    if (this.#passesUp(message)) this.up?.push(message);
    else this.up?.swallow(message);
    if (message[0] === Message.channelEof) this.#eofFromClient = true;
    this.#settleClose();
  }

  /**
   * Only what a target takes for input may be on record as input: RFC 4254 §5.2 gives clients no use for extended
   * data, §5.3 no data behind EOF, and sshd drops both.
   */
  #passesUp(message: Uint8Array): boolean {
    if (message[0] === Message.channelExtendedData) return false;
    if (message[0] !== Message.channelData) return true;
    return !this.#eofFromClient && !(this.#locked && this.#terminal);
  }

  fromTarget(message: Uint8Array): void {
    if (message[0] === Message.channelClose) this.#closeFrom.target = true;
    if (this.dead) return this.#finishDead();
    this.down?.push(message);
    this.#settleClose();
  }

  /**
   * Shows text of the gateway's own: on the terminal, or as standard error.
   * @returns false when the channel shows no text, or its client has no room for it now
   */
  show(text: string): boolean {
    if (this.type !== 'session' || this.dead || this.#eofSent || this.#closeSentTo.client) return false;
    this.#showing = true;
    const shown = this.down?.inject(
      this.terminal
        ? encodeMessage(Message.channelData, this.client.number, text)
        : encodeMessage(Message.channelExtendedData, this.client.number, STDERR, text),
    );
    this.#showing = false;
    if (shown !== true) return false;
    this.record.notice(text);
    return true;
  }

  /**
   * Ends the program that the client asked for or runs: text on its standard error, exit
   * status, EOF and close (RFC 4254 §6.10, §5.3), what the client has not had of these. The
   * target sees a close.
   * @returns whether the text was shown, or the program was over without it
   */
  abort(text: string, exitStatus: number): boolean {
    if (this.dead || this.up === undefined) return this.dead;
    const told = this.over || this.show(text);
    this.dead = true;
    const to = this.client.number;
    if (!this.#closeSentTo.client) {
      if (this.type === 'session' && !this.#exitSent)
        this.#legs.toClient(encodeMessage(Message.channelRequest, to, 'exit-status', false, exitStatus), to);
      if (!this.#eofSent) this.#legs.toClient(encodeMessage(Message.channelEof, to), to);
    }
    this.#sendClose('client');
    this.#sendClose('target');
    this.#finishDead();
    return told;
  }

  /** Nothing is to come from the target: it has closed, or told how its program ended and that no data follows. */
  get over(): boolean {
    return this.dead || this.#closeFrom.target || (this.#exitSent && this.#eofSent);
  }

  /** The target's connection is gone: the client gets a close, in its turn, where it has not had one. */
  targetLeft(): void {
    if (!this.#closeFrom.target) this.fromTarget(encodeMessage(Message.channelClose, this.client.number));
  }

  get closedByClient(): boolean {
    return this.#closeFrom.client;
  }

  /** A pseudo-terminal was requested. */
  get terminal(): boolean {
    return this.#terminal;
  }
  set terminal(terminal: boolean) {
    this.#terminal = terminal;
    this.#hold();
  }

  set lock(locked: boolean) {
    this.#locked = locked;
    this.#hold();
  }

  /** What is typed at a locked terminal is dropped, other input waits. Where a person may press Ctrl-C nothing is lent. */
  #hold(): void {
    if (this.up !== undefined) this.up.held = this.#locked && !this.#terminal;
    for (const flow of [this.up, this.down]) if (flow !== undefined) flow.lends = !this.#terminal;
  }

  #deliverUp(message: Uint8Array): void {
    if (message[0] === Message.channelData) this.record.input(message.subarray(9));
    if (this.dead) return; // the record may have found the stream to be something else and aborted
    if (message[0] === Message.channelClose) this.#closeSentTo.target = true;
    this.#legs.toTarget(message, this.target.number);
  }

  #deliverDown(message: Uint8Array): void {
    if (!this.#showing) {
      if (message[0] === Message.channelData) this.record.output(message.subarray(9));
      else if (message[0] === Message.channelExtendedData) this.record.errorOutput(message.subarray(13));
      if (this.dead) return;
    }
    if (message[0] === Message.channelEof) this.#eofSent = true;
    else if (message[0] === Message.channelClose) this.#closeSentTo.client = true;
    else if (message[0] === Message.channelRequest)
      this.#exitSent ||= EXITS.includes(readChannelRequest(message).type);
    this.#legs.toClient(message, this.client.number);
  }

  #grant(side: 'client' | 'target', bytes: number): void {
    if (this.#closeSentTo[side]) return;
    const number = side === 'client' ? this.client.number : this.target.number;
    const message = encodeMessage(Message.channelWindowAdjust, number, bytes);
    if (side === 'client') this.#legs.toClient(message, number);
    else this.#legs.toTarget(message, number);
  }

  #sendClose(side: 'client' | 'target'): void {
    if (this.#closeSentTo[side]) return;
    this.#closeSentTo[side] = true;
    const number = this[side].number;
    const message = encodeMessage(Message.channelClose, number);
    if (side === 'client') this.#legs.toClient(message, number);
    else this.#legs.toTarget(message, number);
  }

  /**
   * A side that has sent and received CLOSE may reuse its number at once, so when both have
   * closed nothing may stay behind in a flow: data queued for a closed side is moot.
   */
  #settleClose(): void {
    if (!this.#closeFrom.client || !this.#closeFrom.target) return;
    this.#sendClose('client');
    this.#sendClose('target');
    this.#legs.closed(this);
  }

  #finishDead(): void {
    if (this.#closeFrom.client && this.#closeFrom.target) this.#legs.closed(this);
  }
}
