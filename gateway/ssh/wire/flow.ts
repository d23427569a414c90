/**
 * One direction of one relayed channel.
 *
 * Windows (RFC 4254 §5.2) run end to end: the receiver's own grants reach the sender, so
 * the gateway buffers little and adds no limit of its own to a long, fat path. The two ends see
 * different windows only when the gateway injects text, swallows input or takes over a channel, and
 * by what it lends the sender of a long stream; this class keeps the difference.
 */
import { dataOffset, encodeMessage, Message, readUint32, SshWireError } from './connection.ts';

export interface FlowEnds {
  /** Hands a message to the receiver; the recipient channel is replaced there. */
  deliver(message: Uint8Array): void;
  /** Grants the sender `bytes` more (SSH_MSG_CHANNEL_WINDOW_ADJUST). */
  grantSender(bytes: number): void;
}

/**
 * What a sender may send beyond the receiver's window once its stream has proved to be long: on a path whose window
 * is its limit, the gateway has that much at hand when the receiver grants more, and the way to the sender and back
 * does not count. 16 ms at what OpenSSH's window of 2 MiB lets through in 50 ms.
 */
const LOAN_BYTES = 256 * 1024;
/** A stream is long from so many bytes on: twice OpenSSH's window. */
const LONG_BYTES = 4 * 1024 ** 2;
/** No window is raised above this one: RFC 4254 §5.2 allows twice that, which not every sender can count. */
const MAX_WINDOW = 2 ** 31 - 1;

/** Messages that wait in one flow: some 600 bytes of each is bookkeeping, the rest its window bounds. */
const MAX_WAITING = 16_384;
/** Bytes of waiting messages that no window bounds: requests, EOF, close. */
const MAX_WAITING_BYTES = 1024 ** 2;

export class Flow {
  readonly #ends: FlowEnds;
  /** What the receiver has granted and nobody has used. */
  #credit: number;
  /** How much more than {@link #credit} the sender believes it may send. INVARIANT: ≥ 0. */
  #surplus = 0;
  /** How much of the surplus no grant takes back. */
  #loan = 0;
  /** Bytes of data that passed, counted until it is lent to. */
  #passed = 0;
  /** Whether a long stream is lent to: not what a person waits for to stop. */
  lends = true;
  #maxPacket: number;
  /** INVARIANT: holds no more data than the sender believed it may send, and few other messages. */
  #queue: Uint8Array[] = [];
  /** Bytes of data in the queue, and bytes of its other messages. */
  #waitingData = 0;
  #waitingOther = 0;
  /** Bytes of the first message's data that are delivered already. */
  #delivered = 0;
  #held = false;
  readonly #overruns: 'passed' | 'refused';

  /**
   * @param credit the receiver's initial window
   * @param maxPacket its maximum packet size
   * @param overruns of the window by the sender: the receiver's business, as without us, or an error
   */
  constructor(ends: FlowEnds, credit: number, maxPacket: number, overruns: 'passed' | 'refused' = 'passed') {
    this.#ends = ends;
    this.#credit = credit;
    this.#maxPacket = Math.max(1, maxPacket);
    this.#overruns = overruns;
  }

  /**
   * A message of the sender: data, extended data, or anything that must keep its place
   * among them (EOF, close, channel requests).
   * @throws SshWireError when the sender overruns its window, where that is refused or its messages wait here
   */
  push(message: Uint8Array): void {
    const size = dataSize(message);
    if (this.#queue.length === 0 && !this.#held) {
      const blocked = size > this.#credit && (this.#surplus > 0 || this.#overruns === 'refused');
      if (!blocked && size <= this.#maxPacket) {
        this.#credit = Math.max(0, this.#credit - size);
        this.#ends.deliver(message);
        if (this.#loan === 0) this.#lend(size);
        return;
      }
    }
    this.#wait(message, size);
    this.#drain();
  }

  /** The receiver granted `bytes` more. */
  grant(bytes: number): void {
    this.#credit += bytes;
    const cut = Math.min(this.#surplus - this.#loan, bytes);
    this.#surplus -= cut;
    this.#drain();
    if (bytes > cut) this.#ends.grantSender(bytes - cut);
  }

  /** The gateway sends `message` of its own to the receiver; false when the receiver has no room. */
  inject(message: Uint8Array): boolean {
    const size = dataSize(message);
    if (size > this.#credit) return false;
    this.#credit -= size;
    this.#surplus += size;
    this.#ends.deliver(message);
    return true;
  }

  /** The sender's data is swallowed: what it spent on it comes back to it. */
  swallow(message: Uint8Array): void {
    const size = dataSize(message);
    if (size > 0) this.#ends.grantSender(size);
  }

  /** While held, everything of the sender waits (its window bounds how much). */
  set held(held: boolean) {
    this.#held = held;
    if (!held) this.#drain();
  }

  /** What the receiver has granted and nobody has used. */
  get credit(): number {
    return this.#credit;
  }

  /**
   * The receiver changes (a channel that the gateway answered goes to the target):
   * `granted` is its window, `believed` what the sender still thinks it may send.
   */
  adopt(granted: number, maxPacket: number, believed: number): void {
    this.#credit = granted;
    this.#maxPacket = Math.max(1, maxPacket);
    this.#surplus = Math.max(0, believed - granted);
    if (granted > believed) this.#ends.grantSender(granted - believed);
  }

  #lend(passed: number): void {
    this.#passed += passed;
    if (this.#passed < LONG_BYTES || !this.lends) return;
    if (this.#credit + this.#surplus + LOAN_BYTES > MAX_WINDOW) return;
    this.#loan = LOAN_BYTES;
    this.#surplus += LOAN_BYTES;
    this.#ends.grantSender(LOAN_BYTES);
  }

  #wait(message: Uint8Array, size: number): void {
    if (size > this.#credit + this.#surplus - this.#waitingData)
      throw new SshWireError(`${size} bytes of data overrun the window of the channel`);
    const other = size === 0 ? message.length : 0;
    if (this.#queue.length >= MAX_WAITING || this.#waitingOther + other > MAX_WAITING_BYTES)
      throw new SshWireError(`more than ${MAX_WAITING} messages or too large ones wait on the channel`);
    this.#waitingData += size;
    this.#waitingOther += other;
    // A copy: the message is valid only during the call (and slice() of a Buffer is a view).
    this.#queue.push(new Uint8Array(message));
  }

  #drain(): void {
    while (!this.#held) {
      const message = this.#queue[0];
      if (message === undefined) return;
      const size = dataSize(message);
      const left = size - this.#delivered;
      const part = Math.min(left, this.#maxPacket, this.#credit);
      if (part === 0 && left > 0) return;
      const from = message.length - left;
      const whole = part === size;
      this.#credit -= part;
      this.#waitingData -= part;
      this.#delivered += part;
      if (this.#delivered === size) {
        this.#queue.shift();
        this.#delivered = 0;
        if (size === 0) this.#waitingOther -= message.length;
      }
      this.#ends.deliver(whole ? message : withData(message, message.subarray(from, from + part)));
    }
  }
}

/** Bytes of a message that count against the window; 0 for other messages. */
function dataSize(message: Uint8Array): number {
  if (message[0] !== Message.channelData && message[0] !== Message.channelExtendedData) return 0;
  return message.length - dataOffset(message);
}

function withData(message: Uint8Array, data: Uint8Array): Uint8Array {
  return message[0] === Message.channelData
    ? encodeMessage(Message.channelData, readUint32(message, 1), data)
    : encodeMessage(Message.channelExtendedData, readUint32(message, 1), readUint32(message, 5), data);
}
