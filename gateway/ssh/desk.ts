/**
 * The front desk: everything a client says between its log-on and the relay. It holds
 * messages in order while the target is dialled, and where a person must be asked
 * (picker, reason) or told something (why there is no target) it answers the first
 * session channel itself. A channel it answered is handed to the relay as it stands.
 */
import { type Leg, Pause } from './leg.ts';
import {
  DisconnectReason,
  dataOffset,
  encodeMessage,
  Message,
  OpenFailure,
  readChannelOpen,
  readChannelRequest,
  readGlobalRequest,
  readTerminalRequest,
  readWindowChange,
  recipientOf,
  SshWireError,
  STDERR,
  WireReader,
} from './wire/connection.ts';
import { Flow } from './wire/flow.ts';
import { needOfClientGlobal, needOfSessionRequest } from './wire/permission.ts';

/** The number the desk gives the channel it answers: far above any that servers count up to. */
const DESK_CHANNEL = 0x5a11_0000;
/** Window the desk grants; every consumed byte is granted again, so it stays at this. */
const DESK_WINDOW = 32 * 1024;
const DESK_MAX_PACKET = 32 * 1024;
/** Held bytes at which reading pauses: a client sends little before it hears from its server. */
const HELD_LIMIT = 256 * 1024;
/** A client that was told why it fails gets this long to close by itself. */
export const FAREWELL_MS = 2_000;
/**
 * Clients open their channel at once after the log-on; who opens none (`ssh -N`) is told after this.
 * Long enough for lost packets and busy machines, short enough for someone who waits and sees nothing.
 */
const OPENING_MS = 10_000;
/** A global request that clients make only to hear an answer. */
const KEEPALIVE = 'keepalive@openssh.com';
/** Exit status for "the connection failed", as OpenSSH's client uses it. */
const FAILED_STATUS = 255;

/** What the client asked for on the channel that the desk answers. */
export interface Program {
  readonly request: 'shell' | 'exec' | 'subsystem';
  readonly terminal: { readonly term: string; columns: number; rows: number } | undefined;
  readonly env: ReadonlyMap<string, string>;
}

/** A channel that the desk answered, as the relay takes it over. */
export interface ServedChannel {
  readonly clientNumber: number;
  readonly clientWindow: number;
  readonly clientMaxPacket: number;
  /** The number by which the client addresses it. */
  readonly address: number;
  /** Bytes that the client believes it may send. */
  readonly believed: number;
  /** Its requests so far, all answered. */
  readonly requests: readonly Uint8Array[];
}

export interface HandOver {
  readonly channel: ServedChannel | undefined;
  /** Ends the desk's part: everything held, in order. The next message is the relay's. */
  release(): readonly Uint8Array[];
  fail(text: string): void;
}

interface DeskChannel {
  readonly number: number;
  readonly maxPacket: number;
  readonly output: Flow;
  readonly requests: Uint8Array[];
  /** The last `window-change` among them: sizes before it are moot. */
  resized: Uint8Array | undefined;
  terminal: { readonly term: string; columns: number; rows: number } | undefined;
  readonly env: Map<string, string>;
  request: Program['request'] | undefined;
}

type Mode = 'hold' | 'serve' | 'fail';

export class Desk implements HandOver {
  readonly #leg: Leg;
  #mode: Mode = 'hold';
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** A global request is among them that wants a reply: later ones may not be answered before it. */
  #owed = false;
  #channel: DeskChannel | undefined;
  #serving: ((program: Program | undefined) => void) | undefined;
  #failure: { readonly text: string; readonly status: number } | undefined;
  /** Resolves when the client leaves, up to the session's start. */
  readonly left: Promise<void>;
  /** What the person types while the desk serves, and the terminal's new size. */
  onInput: (bytes: Uint8Array) => void = () => {};
  onResize: (size: { columns: number; rows: number }) => void = () => {};
  /** The client broke the protocol. */
  onProtocolError: (error: Error) => void = () => {};

  constructor(leg: Leg) {
    this.#leg = leg;
    leg.onMessage = (message) => this.#guard(message);
    this.left = new Promise((resolve) => {
      leg.onClose = () => resolve();
    });
    // Everything that a client says may be answered here: who does not read the answers is not read.
    leg.onCongestion = (congested) =>
      congested ? leg.pause(Pause.congestion) : leg.resume(Pause.congestion);
  }

  /**
   * Answers the client's first session channel until it asks for a program.
   * @returns undefined when the client leaves, opens something else or nothing, so that nobody can be asked
   */
  serve(): Promise<Program | undefined> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#resolve(undefined), OPENING_MS);
      this.#serving = (program) => {
        clearTimeout(timer);
        resolve(program);
      };
      void this.left.then(() => this.#resolve(undefined));
      this.#replay('serve');
    });
  }

  /** Stops answering: what comes from now on is held for the relay. */
  hold(): void {
    this.#mode = 'hold';
    this.onInput = () => {};
    this.onResize = () => {};
  }

  /** Shows text on the served channel's terminal. */
  write(text: string): void {
    const channel = this.#channel;
    channel?.output.push(encodeMessage(Message.channelData, channel.number, text));
  }

  /** Tells the client why there will be no session, in the way its program shows, and ends. */
  fail(text: string, status = FAILED_STATUS): void {
    if (this.#failure !== undefined) return;
    this.#failure = { text, status };
    this.#leg.onMessage = (message) => this.#guard(message);
    setTimeout(() => this.#leg.disconnect(DisconnectReason.byApplication, text), FAREWELL_MS).unref();
    if (this.#channel?.request !== undefined) this.#dismiss(this.#channel);
    this.#replay('fail');
  }

  get channel(): ServedChannel | undefined {
    const channel = this.#channel;
    if (channel === undefined) return undefined;
    return {
      clientNumber: channel.number,
      clientWindow: channel.output.credit,
      clientMaxPacket: channel.maxPacket,
      address: DESK_CHANNEL,
      believed: DESK_WINDOW,
      requests: channel.requests,
    };
  }

  release(): readonly Uint8Array[] {
    this.#heldBytes = 0;
    this.#owed = false;
    this.#leg.resume(Pause.congestion);
    return this.#held.splice(0);
  }

  #replay(mode: Mode): void {
    this.#mode = mode;
    const held = this.release();
    for (const message of held) this.#guard(message);
    this.#leg.resume(Pause.starting);
  }

  #guard(message: Uint8Array): void {
    try {
      this.#receive(message);
    } catch (error) {
      if (!(error instanceof SshWireError)) throw error;
      this.onProtocolError(error);
    }
  }

  #receive(message: Uint8Array): void {
    if (message[0] === Message.globalRequest) return this.#global(message);
    if (this.#mode === 'hold') return this.#hold(message);
    switch (message[0]) {
      case Message.channelOpen:
        return this.#open(message);
      case Message.channelRequest:
        return this.#request(message);
      case Message.channelData:
        return this.#data(message);
      case Message.channelWindowAdjust:
        if (this.#servedHere(message))
          this.#channel?.output.grant(new WireReader(message, 5).uint32('bytes to add'));
        return;
      default:
        if (this.#mode === 'serve') this.#hold(message);
    }
  }

  #hold(message: Uint8Array): void {
    this.#held.push(new Uint8Array(message));
    this.#heldBytes += message.length;
    if (this.#heldBytes > HELD_LIMIT) this.#leg.pause(Pause.starting);
  }

  #servedHere(message: Uint8Array): boolean {
    return this.#channel !== undefined && recipientOf(message) === DESK_CHANNEL;
  }

  #open(message: Uint8Array): void {
    const open = readChannelOpen(message);
    if (this.#channel === undefined && open.type === 'session') {
      this.#channel = {
        number: open.sender,
        maxPacket: open.maxPacket,
        output: new Flow(
          { deliver: (data) => this.#leg.send(data), grantSender: () => {} },
          0,
          open.maxPacket,
        ),
        requests: [],
        resized: undefined,
        terminal: undefined,
        env: new Map(),
        request: undefined,
      };
      // The desk's own output waits for the client's window, however much it is.
      this.#channel.output.adopt(open.window, open.maxPacket, Number.POSITIVE_INFINITY);
      this.#leg.send(
        encodeMessage(
          Message.channelOpenConfirmation,
          open.sender,
          DESK_CHANNEL,
          DESK_WINDOW,
          DESK_MAX_PACKET,
        ),
      );
      return;
    }
    if (this.#mode === 'serve') {
      this.#hold(message);
      if (this.#channel === undefined) this.#resolve(undefined);
      return;
    }
    const text = this.#failure?.text ?? '';
    this.#leg.send(
      encodeMessage(Message.channelOpenFailure, open.sender, OpenFailure.connectFailed, text, ''),
    );
  }

  /**
   * What the target need not hear is answered here at once, with the failure that counts as an
   * answer (RFC 4254 §4): a client whose keepalives stay without one leaves while its person thinks.
   * Behind a request that is held replies must wait, so such a client is sent a sign of life instead.
   */
  #global(message: Uint8Array): void {
    const { type, wantReply } = readGlobalRequest(message);
    const ours = this.#mode === 'fail' || type === KEEPALIVE || needOfClientGlobal(type) === 'never';
    if (ours && !this.#owed) {
      if (wantReply) this.#leg.send(encodeMessage(Message.requestFailure));
    } else if (wantReply || !ours) {
      this.#hold(message);
      if (ours) this.#leg.send(encodeMessage(Message.ignore, ''));
      this.#owed ||= wantReply;
    }
  }

  #data(message: Uint8Array): void {
    if (!this.#servedHere(message)) return;
    const data = message.subarray(dataOffset(message));
    const number = this.#channel?.number ?? 0;
    this.#leg.send(encodeMessage(Message.channelWindowAdjust, number, data.length));
    if (this.#mode === 'serve') this.onInput(data);
  }

  #request(message: Uint8Array): void {
    const channel = this.#channel;
    if (channel === undefined || !this.#servedHere(message)) {
      if (this.#mode === 'serve') this.#hold(message);
      return;
    }
    const { type, wantReply, data } = readChannelRequest(message);
    if (needOfSessionRequest(type, data, channel.terminal !== undefined) === 'never') {
      if (wantReply) this.#leg.send(encodeMessage(Message.channelFailure, channel.number));
      return;
    }
    const copy = new Uint8Array(message);
    if (type === 'window-change') {
      const size = readWindowChange(data);
      if (channel.terminal !== undefined) Object.assign(channel.terminal, size);
      if (channel.resized !== undefined)
        channel.requests.splice(channel.requests.indexOf(channel.resized), 1);
      channel.resized = copy;
      this.onResize(size);
    } else if (type === 'pty-req') {
      channel.terminal = readTerminalRequest(data);
    } else if (type === 'env') {
      const reader = new WireReader(data, 0);
      // Enough for locale and reason; a client that sends more is not one we know.
      if (channel.env.size < 64) channel.env.set(reader.text('variable name'), reader.text('variable value'));
    }
    channel.requests.push(copy);
    if (channel.requests.length > 256)
      throw new SshWireError('too many requests before a program was started');
    if (wantReply) this.#leg.send(encodeMessage(Message.channelSuccess, channel.number));
    if (type === 'shell' || type === 'exec' || type === 'subsystem') {
      channel.request = type;
      if (this.#mode === 'fail') this.#dismiss(channel);
      else this.#resolve({ request: type, terminal: channel.terminal, env: channel.env });
    }
  }

  #resolve(program: Program | undefined): void {
    const resolve = this.#serving;
    this.#serving = undefined;
    resolve?.(program);
  }

  /** Says why, ends the program and closes the channel. */
  #dismiss(channel: DeskChannel): void {
    const { text, status } = this.#failure ?? { text: '', status: FAILED_STATUS };
    const to = channel.number;
    const line = text === '' ? '' : `sallyport: ${text}\r\n`;
    if (channel.terminal === undefined)
      channel.output.push(encodeMessage(Message.channelExtendedData, to, STDERR, line));
    else channel.output.push(encodeMessage(Message.channelData, to, line));
    channel.output.push(encodeMessage(Message.channelRequest, to, 'exit-status', false, status));
    channel.output.push(encodeMessage(Message.channelEof, to));
    channel.output.push(encodeMessage(Message.channelClose, to));
  }
}
