/**
 * One leg's connection as a stream of PDUs: plain at first, TLS after {@link PduStream.secure}.
 * The handshake asks for one PDU after the other; the relay then takes them as they come.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { framePdu } from './pdu/tpkt.ts';

/** Reading stops while any of these holds; a bit each. */
export const Pause = { recorder: 1, congestion: 2, starting: 4 } as const;

/** The pause that nobody ends: what follows a PDU that is none could be anything. */
const MALFORMED = 0x100;
/** Unsent bytes at which the other leg is paused. */
const CONGESTED_BYTES = 1024 ** 2;
/** Read and not asked for yet; the longest PDU of a handshake is 64 KiB. */
const READ_AHEAD_BYTES = 128 * 1024;
/** A peer that no longer reads must not keep the socket. */
const LINGER_MS = 2_000;

/** The connection ended while a PDU was waited for. */
export class StreamClosedError extends Error {
  override readonly name: string = 'StreamClosedError';
}

/** Length of the first item in `bytes` from `offset` to `end`; undefined: more bytes are needed to tell. */
export type Framing = (bytes: Uint8Array, offset: number, end: number) => number | undefined;

const pduLength: Framing = (bytes, offset, end) => framePdu(bytes, offset, end)?.length;

interface Waiter {
  readonly framing: Framing;
  resolve(item: Uint8Array): void;
  reject(error: Error): void;
}

export class PduStream {
  #socket: Socket;
  /** Read and not handed over. */
  #pending: Buffer = Buffer.alloc(0);
  #waiter: Waiter | undefined;
  #onPdu: ((pdu: Uint8Array) => void) | undefined;
  #pauses = 0;
  #error: Error | undefined;
  #closed = false;
  #corked = false;
  /** Called once, when the connection is gone; `error` when it did not end by itself. */
  onClose: (error: Error | undefined) => void = () => {};
  /** What waits to be sent crossed the limit (true) or went out (false). */
  onCongestion: (congested: boolean) => void = () => {};
  /** The peer sent what is no PDU; reading has stopped. */
  onMalformed: (error: unknown) => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen(socket);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** More waits to be sent than the peer should be given before it has read; {@link onCongestion} tells when it went out. */
  get congested(): boolean {
    return this.#socket.writableLength > CONGESTED_BYTES;
  }

  /**
   * The next PDU, or whatever `framing` tells apart, copied.
   * @throws StreamClosedError, and what `framing` throws
   */
  next(framing: Framing = pduLength): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.#waiter !== undefined) throw new Error('one PDU at a time');
      this.#waiter = { framing, resolve, reject };
      this.#serve();
    });
  }

  /** Whole PDUs from now on go to `onPdu`, each valid only during the call. */
  take(onPdu: (pdu: Uint8Array) => void): void {
    this.#onPdu = onPdu;
    const held = this.#pending;
    this.#pending = Buffer.alloc(0);
    if (held.length > 0) this.#read(held);
    this.#flow();
  }

  /** Sends a whole PDU; all of one turn leave in one write. */
  send(pdu: Uint8Array): void {
    const socket = this.#socket;
    if (this.#closed || !socket.writable) return;
    if (!this.#corked) {
      this.#corked = true;
      socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        socket.uncork();
        if (this.congested) this.onCongestion(true);
      });
    }
    socket.write(pdu);
  }

  /**
   * Goes on over TLS. The peer's first byte of TLS must not have been read yet: both sides
   * of RDP wait for the X.224 confirm before they begin.
   * @param upgrade wraps the plain socket; resolves when the handshake is complete
   */
  async secure(upgrade: (plain: Socket) => Promise<TLSSocket>): Promise<void> {
    const plain = this.#socket;
    plain.removeAllListeners('data');
    plain.removeAllListeners('drain');
    plain.pause();
    if (this.#pending.length > 0) {
      plain.unshift(this.#pending);
      this.#pending = Buffer.alloc(0);
    }
    const socket = await upgrade(plain);
    this.#socket = socket;
    this.#listen(socket);
  }

  /** Stops reading for `why`; TCP's own flow control then holds the peer. */
  pause(why: number): void {
    this.#pauses |= why;
    this.#flow();
  }

  resume(why: number): void {
    this.#pauses &= ~why;
    this.#flow();
  }

  /** Sends what is unsent, then closes. */
  end(): void {
    if (this.#closed) return;
    const socket = this.#socket;
    socket.resume();
    socket.end();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('drain', () => this.onCongestion(false));
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.on('end', () => this.#close());
    socket.on('close', () => this.#close());
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(
      new StreamClosedError(this.#error?.message ?? 'the connection was closed', { cause: this.#error }),
    );
    this.onClose(this.#error);
  }

  #read(chunk: Buffer): void {
    if ((this.#pauses & MALFORMED) !== 0) return;
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    if (this.#onPdu === undefined) {
      // Kept beyond the call.
      this.#pending = bytes === chunk ? Buffer.from(chunk) : bytes;
      this.#serve();
      this.#flow();
      return;
    }
    this.#pending = Buffer.alloc(0);
    let at = 0;
    try {
      while (at < bytes.length) {
        const length = framePdu(bytes, at, bytes.length)?.length;
        if (length === undefined || at + length > bytes.length) break;
        this.#onPdu(bytes.subarray(at, at + length));
        at += length;
      }
    } catch (error) {
      this.pause(MALFORMED);
      this.onMalformed(error);
      return;
    }
    if (at < bytes.length) this.#pending = Buffer.from(bytes.subarray(at));
  }

  #serve(): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    try {
      const length = waiter.framing(this.#pending, 0, this.#pending.length);
      if (length !== undefined && length <= this.#pending.length) {
        this.#waiter = undefined;
        const item = new Uint8Array(this.#pending.subarray(0, length));
        this.#pending = this.#pending.subarray(length);
        waiter.resolve(item);
      } else if (this.#closed) {
        this.#waiter = undefined;
        waiter.reject(new StreamClosedError('the connection was closed', { cause: this.#error }));
      }
    } catch (error) {
      this.#waiter = undefined;
      waiter.reject(error as Error);
    }
    this.#flow();
  }

  #flow(): void {
    const full = this.#onPdu === undefined && this.#pending.length >= READ_AHEAD_BYTES;
    if (this.#pauses !== 0 || full) this.#socket.pause();
    else this.#socket.resume();
  }
}
