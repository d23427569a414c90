/**
 * One authenticated SSH connection (front or back) seen from the connection protocol:
 * whole RFC 4254 messages in and out, reading that can be paused, and a count of what
 * waits to be sent. ssh2 keeps the transport (RFC 4253): key exchange, ciphers, rekeying.
 */
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type { Client, Connection } from 'ssh2';
import { hangUp } from '../listener/hang-up.ts';
import { RelayDelay } from '../metrics/read-clock.ts';
import type { Histogram } from '../metrics/sheet.ts';
import { inSlab, writerBegins, writerDone } from './packet-memory.ts';
import { DisconnectReason, encodeMessage, Message, writeUint32 } from './wire/connection.ts';

/** What ssh2 keeps to itself and this file needs; `_onConnectionMessage` and `_writer` come from patches/ssh2. */
interface Ssh2Protocol {
  _onConnectionMessage: ((payload: Uint8Array) => void) | undefined;
  _writer: ((packet: Buffer) => void) | undefined;
  _packetRW: {
    write: {
      allocStart: number;
      allocStartKEX: number;
      alloc(size: number, force?: boolean): Uint8Array;
      finalize(packet: Uint8Array, force?: boolean): Uint8Array;
    };
  };
  _kexinit: unknown;
  rekey(): void;
}

const require = createRequire(import.meta.url);
const { sendPacket } = require('ssh2/lib/protocol/utils.js') as {
  /** @returns false when the packet waits for the end of a key exchange */
  sendPacket(protocol: Ssh2Protocol, packet: Uint8Array, bypass?: boolean): boolean;
};

/** Reading stops while any of these holds; a bit each. */
export const Pause = { recorder: 1, congestion: 2, starting: 4 } as const;

/** RFC 4253 §9: rekey after each gigabyte of transmitted data or after each hour. */
const REKEY_BYTES = 1024 ** 3;
const REKEY_MS = 3_600_000;
/**
 * A key exchange in which the peer says nothing for so long is given up: all that is sent waits for its end. RFC 4253
 * §9 names no limit. It is silence that counts, because a slow line may take minutes for what was sent before.
 */
const SILENCE_MS = 60_000;

/** Unsent bytes at which the other leg is paused; above one OpenSSH window (2 MiB) little is gained. */
const CONGESTED_BYTES = 1024 ** 2;
/**
 * Unsent bytes at which the connection is ended: congestion has long paused what would be passed on, so this is a
 * peer that has the gateway answer it, and does not read the answers.
 */
const UNSENT_MAX_BYTES = 16 * 1024 ** 2;

/** The peer began or was asked for a key exchange, and left it there. */
export class KeyExchangeAbandoned extends Error {
  constructor() {
    super(`a key exchange was not finished: nothing came for ${SILENCE_MS / 1000} s`);
  }
}

export class Leg {
  readonly #connection: Client | Connection;
  readonly #protocol: Ssh2Protocol;
  readonly #socket: Socket;
  #pauses = 0;
  #delay: RelayDelay | undefined;
  /** Packets of this turn, in order. */
  #outgoing: Buffer[] = [];
  #bytesSinceRekey = 0;
  #rekeyTimer: NodeJS.Timeout;
  /** Bytes that wait for the end of a key exchange. */
  #withheld = 0;
  /** Runs while keys are exchanged; see {@link SILENCE_MS}. */
  #silence: NodeJS.Timeout | undefined;
  #closed = false;
  #error: Error | undefined;
  #onClose: (error: Error | undefined) => void = () => {};
  /** Called with every message of the connection protocol; valid only during the call. */
  onMessage: (message: Uint8Array) => void = () => {};
  /** What waits to be sent crossed the limit (true) or went out (false). */
  onCongestion: (congested: boolean) => void = () => {};

  /**
   * @param connection an ssh2 connection that has just become ready: call this inside
   *   its `ready` event, before ssh2 sees the first message of the connection protocol.
   */
  constructor(connection: Client | Connection, socket: Socket) {
    this.#connection = connection;
    this.#protocol = protocolOf(connection);
    this.#socket = socket;
    this.#protocol._onConnectionMessage = (message) => {
      this.#count(message.length);
      this.onMessage(message);
    };
    this.#protocol._writer = (packet) => this.#collect(packet);
    connection.on('error', (cause: Error) => {
      this.#error ??= cause;
    });
    const closed = (): void => {
      if (this.#closed) return;
      this.#closed = true;
      clearInterval(this.#rekeyTimer);
      clearInterval(this.#silence);
      this.#onClose(this.#error);
    };
    connection.on('end', closed);
    connection.on('close', closed);
    connection.on('handshake', () => this.#exchanged());
    socket.on('drain', () => this.#relieve());
    this.#rekeyTimer = setInterval(() => this.#rekey(), REKEY_MS);
    this.#rekeyTimer.unref();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Called once, when the connection is gone, or soon where it is gone already: whoever attends to it late
   * hears it too. `error` when it did not end by itself.
   */
  set onClose(told: (error: Error | undefined) => void) {
    this.#onClose = told;
    if (this.#closed)
      queueMicrotask(() => {
        if (this.#onClose === told) told(this.#error);
      });
  }

  /** From now on counts how long what the other leg reads takes to be written here, in seconds. */
  timeWrites(histogram: Histogram): void {
    this.#delay = new RelayDelay(this.#socket, histogram);
  }

  /**
   * Sends a connection message. `recipient`, when given, replaces the recipient
   * channel, the uint32 after the message number.
   */
  send(message: Uint8Array, recipient?: number): void {
    if (this.#closed) return;
    const { write } = this.#protocol._packetRW;
    // While keys are exchanged ssh2 queues bare payloads and allocStart is 0.
    const start = write.allocStart;
    const packet = inSlab(() => write.alloc(message.length));
    packet.set(message, start);
    if (recipient !== undefined) writeUint32(packet, start + 1, recipient);
    if (!sendPacket(this.#protocol, write.finalize(packet))) {
      this.#withheld += message.length;
      this.#weigh(this.#withheld);
    }
    this.#count(message.length);
  }

  /** Ends the connection; see {@link disconnect}. */
  disconnect(reason: DisconnectReason, description: string): void {
    if (this.#closed) return;
    this.#pauses = 0;
    disconnect(this.#connection, this.#socket, reason, description, () => this.#write());
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Stops reading for `why`; TCP's own flow control then holds the peer. */
  pause(why: number): void {
    if (this.#pauses === 0) this.#socket.pause();
    this.#pauses |= why;
  }

  resume(why: number): void {
    if (this.#pauses === 0) return;
    this.#pauses &= ~why;
    if (this.#pauses > 0 || this.#closed) return;
    this.#silence?.refresh();
    this.#socket.resume();
  }

  /**
   * Takes a packet that is ready to be written. All packets of a turn are written at its
   * end, those that follow each other in memory (the shared slab) as one.
   */
  #collect(packet: Buffer): void {
    if (this.#outgoing.length === 0) {
      writerBegins();
      this.#delay?.taken();
      process.nextTick(() => this.#write());
    }
    const last = this.#outgoing.at(-1);
    if (
      last !== undefined &&
      last.buffer === packet.buffer &&
      last.byteOffset + last.length === packet.byteOffset
    )
      this.#outgoing[this.#outgoing.length - 1] = Buffer.from(
        last.buffer,
        last.byteOffset,
        last.length + packet.length,
      );
    else this.#outgoing.push(packet);
  }

  #write(): void {
    if (this.#outgoing.length === 0) return;
    if (this.#protocol._kexinit !== undefined) this.#awaitExchange();
    const socket = this.#socket;
    if (socket.writable) {
      socket.cork();
      for (const bytes of this.#outgoing) socket.write(bytes);
      socket.uncork();
    }
    this.#delay?.written();
    this.#outgoing = [];
    const { writableLength } = socket;
    writerDone(writableLength === 0);
    this.#weigh(writableLength);
  }

  #weigh(unsent: number): void {
    if (unsent > UNSENT_MAX_BYTES)
      this.#socket.destroy(
        new Error(`more than ${UNSENT_MAX_BYTES} bytes wait for a peer that does not read`),
      );
    else if (unsent > CONGESTED_BYTES) this.onCongestion(true);
  }

  /** What waits to be sent is little again. */
  #relieve(): void {
    if (this.#withheld <= CONGESTED_BYTES && this.#socket.writableLength <= CONGESTED_BYTES)
      this.onCongestion(false);
  }

  /** Our part of a key exchange (RFC 4253 §7) is on its way, whoever began it. */
  #awaitExchange(): void {
    if (this.#silence !== undefined || this.#closed) return;
    let { bytesRead } = this.#socket;
    this.#silence = setInterval(() => {
      const silent = this.#socket.bytesRead === bytesRead;
      ({ bytesRead } = this.#socket);
      // What we do not read is not the peer's silence.
      if (!silent || this.#pauses > 0) return;
      this.#error ??= new KeyExchangeAbandoned();
      this.disconnect(DisconnectReason.keyExchangeFailed, this.#error.message);
    }, SILENCE_MS).unref();
  }

  /** Keys are exchanged: ssh2 has sent what waited for it. */
  #exchanged(): void {
    clearInterval(this.#silence);
    this.#silence = undefined;
    this.#withheld = 0;
    this.#write();
    this.#relieve();
  }

  #count(bytes: number): void {
    this.#bytesSinceRekey += bytes;
    if (this.#bytesSinceRekey >= REKEY_BYTES) this.#rekey();
  }

  #rekey(): void {
    this.#bytesSinceRekey = 0;
    if (!this.#closed && this.#protocol._kexinit === undefined) this.#protocol.rekey();
  }
}

/**
 * Ends a connection with SSH_MSG_DISCONNECT (RFC 4253 §11.1), also before it is
 * authenticated; clients print `description`.
 * @param flush writes what was sent before and waits to be written
 */
export function disconnect(
  connection: Client | Connection,
  socket: Socket,
  reason: DisconnectReason,
  description: string,
  flush: () => void = () => {},
): void {
  const protocol = protocolOf(connection);
  const message = encodeMessage(Message.disconnect, reason, description, '');
  const { write } = protocol._packetRW;
  // A whole packet even while keys are exchanged: this message may go at any time.
  const start = write.allocStartKEX;
  const packet = write.alloc(message.length, true);
  packet.set(message, start);
  sendPacket(protocol, write.finalize(packet, true), true);
  flush();
  hangUp(socket);
}

/**
 * Until a leg takes the connection over: collects what ssh2 writes in one turn (key
 * exchange and log-on are many small packets) into one write.
 */
export function writePerTurn(connection: Client | Connection, socket: Socket): void {
  let corked = false;
  protocolOf(connection)._writer = (packet) => {
    if (!socket.writable) return;
    if (!corked) {
      corked = true;
      socket.cork();
      process.nextTick(() => {
        corked = false;
        socket.uncork();
      });
    }
    socket.write(packet);
  };
}

function protocolOf(connection: Client | Connection): Ssh2Protocol {
  return (connection as unknown as { _protocol: Ssh2Protocol })._protocol;
}
