/**
 * An SSH client whose connection protocol (RFC 4254) a test writes itself, message by
 * message: ssh2 does transport and log-on, the rest goes over the wire as it is given.
 */
import { connect, type Socket } from 'node:net';
import ssh2 from 'ssh2';
import { Leg } from '../../gateway/ssh/leg.ts';
import {
  DisconnectReason,
  encodeMessage,
  Message,
  readChannelOpenConfirmation,
  readUint32,
  recipientOf,
} from '../../gateway/ssh/wire/connection.ts';
import type { Door } from './bed.ts';
import { until } from './process.ts';

export interface RawChannel {
  /** The number that the client gave it. */
  readonly own: number;
  /** The number by which the gateway is told of it. */
  readonly peer: number;
}

export class RawClient {
  /** Every message of the connection protocol so far, in order. */
  readonly messages: Uint8Array[] = [];
  /** Told of each as it comes. */
  onMessage: (message: Uint8Array) => void = () => {};
  readonly #client: ssh2.Client;
  readonly #leg: Leg;
  readonly #socket: Socket;
  #closed = false;
  #nextChannel = 0;

  private constructor(client: ssh2.Client, socket: Socket) {
    const leg = new Leg(client, socket);
    this.#client = client;
    this.#socket = socket;
    this.#leg = leg;
    leg.onMessage = (message) => {
      const copy = new Uint8Array(message);
      this.messages.push(copy);
      this.onMessage(copy);
    };
    leg.onClose = () => {
      this.#closed = true;
    };
  }

  /** Connects and logs on; with a private key (OpenSSH form) where one is given. */
  static connect(door: Door, privateKey?: string): Promise<RawClient> {
    const socket = connect(door.port, door.host);
    const client = new ssh2.Client();
    return new Promise((resolve, reject) => {
      client.on('error', reject);
      client.on('ready', () => resolve(new RawClient(client, socket)));
      const factor = privateKey === undefined ? { password: door.password } : { privateKey };
      client.connect({ sock: socket, username: door.login, ...factor, readyTimeout: 20_000 });
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(
    number: number,
    ...fields: Parameters<typeof encodeMessage> extends [number, ...infer F] ? F : never
  ): void {
    this.#leg.send(encodeMessage(number, ...fields));
  }

  /** Resolves in another turn, once most of what was sent is on its way: its own leg gives up a peer that is slow. */
  async taken(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    const out = (): boolean => this.#closed || this.#socket.writableLength < 1024 ** 2;
    if (!out()) await until('the gateway takes what is sent', () => (out() ? true : undefined));
  }

  /** Sends a message as it is. */
  sendBytes(message: Uint8Array): void {
    this.#leg.send(message);
  }

  /** Stops or goes on reading what the gateway sends. */
  pause(): void {
    this.#leg.pause(1);
  }
  resume(): void {
    this.#leg.resume(1);
  }

  /** Begins a key exchange (RFC 4253 §9) and says nothing more, though it listens; the result goes on with it. */
  leaveKeyExchange(): () => void {
    const { _protocol: protocol } = this.#client as unknown as {
      _protocol: { rekey(): void; _writer: (packet: Buffer) => void };
    };
    protocol.rekey();
    const [write, unsent] = [protocol._writer, [] as Buffer[]];
    protocol._writer = (packet) => unsent.push(Buffer.from(packet));
    return () => {
      protocol._writer = write;
      for (const packet of unsent) write(packet);
    };
  }

  /** Resolves with the first message that `fits`, searched from the start. */
  message(what: string, fits: (message: Uint8Array) => boolean): Promise<Uint8Array> {
    return until(what, () => this.messages.find(fits), 20_000);
  }

  count(number: number): number {
    return this.messages.filter((message) => message[0] === number).length;
  }

  /** Bytes that the client has been allowed to send on a channel so far. */
  granted(channel: RawChannel): number {
    return this.messages
      .filter((message) => recipientOf(message) === channel.own)
      .map((message) => {
        if (message[0] === Message.channelOpenConfirmation)
          return readChannelOpenConfirmation(message).window;
        return message[0] === Message.channelWindowAdjust ? readUint32(message, 5) : 0;
      })
      .reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Text of all data (stdout), and of extended data (stderr), that came for a channel. */
  text(channel: RawChannel): string {
    return this.messages
      .filter((message) => message[0] === Message.channelData || message[0] === Message.channelExtendedData)
      .filter((message) => recipientOf(message) === channel.own)
      .map((message) => Buffer.from(message.subarray(message[0] === Message.channelData ? 9 : 13)).toString())
      .join('');
  }

  /** Asks for a session channel; resolves once it is confirmed. */
  async openSession(window = 2 ** 21, maxPacket = 32_768): Promise<RawChannel> {
    const own = this.#nextChannel++;
    this.send(Message.channelOpen, 'session', own, window, maxPacket);
    const answer = await this.message(
      `an answer to the open of channel ${own}`,
      (message) =>
        (message[0] === Message.channelOpenConfirmation || message[0] === Message.channelOpenFailure) &&
        recipientOf(message) === own,
    );
    if (answer[0] !== Message.channelOpenConfirmation) throw new Error(`channel ${own} was refused`);
    return { own, peer: readChannelOpenConfirmation(answer).sender };
  }

  /** Runs a command on a new session; resolves once it is started. */
  async exec(command: string): Promise<RawChannel> {
    const channel = await this.openSession();
    this.send(Message.channelRequest, channel.peer, 'exec', true, command);
    await this.message(
      'the start of a command',
      (message) => message[0] === Message.channelSuccess && recipientOf(message) === channel.own,
    );
    return channel;
  }

  whenClosed(): Promise<true> {
    return until('the end of the connection', () => (this.#closed ? true : undefined), 20_000);
  }

  end(): void {
    this.#leg.disconnect(DisconnectReason.byApplication, 'done');
  }
}
