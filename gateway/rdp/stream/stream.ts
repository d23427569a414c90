/**
 * One leg's connection as a stream of PDUs: plain at first, TLS after {@link PduStream.secure}.
 * The handshake asks for one PDU after the other; the relay then takes them as they come.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { hangUp } from '../../listener/hang-up.ts';
import { readShared } from '../../listener/shared-read.ts';
import { RelayDelay } from '../../metrics/read-clock.ts';
import type { Histogram } from '../../metrics/sheet.ts';
import { framePdu } from '../pdu/tpkt.ts';
import { giveChunk, LARGE_CHUNK_BYTES, SMALL_CHUNK_BYTES, takeChunk } from './stream-memory.ts';

/** Reading stops while any of these holds; a bit each. */
export const Pause = { recorder: 1, congestion: 2, starting: 4 } as const;

/** The pause that nobody ends: what follows a PDU that is none could be anything. */
const MALFORMED = 0x100;
/** Unsent bytes at which the other leg is paused. */
const CONGESTED_BYTES = 1024 ** 2;
/**
 * Unsent bytes at which the connection is ended: congestion has long paused what would be passed on,
 * so this is a peer that has the gateway answer it, and does not read the answers.
 */
const UNSENT_MAX_BYTES = 16 * 1024 ** 2;
/** RFC 1006 counts in 16 bits. */
const MAX_PDU_BYTES = 0xffff;
/** Read and not asked for yet; the longest PDU of a handshake is 64 KiB. */
const READ_AHEAD_BYTES = 128 * 1024;
/** A turn that begins with a PDU of up to this is taken for a small one. */
const SMALL_PDU_BYTES = 4096;

/** The connection ended while a PDU was waited for. */
export class StreamClosedError extends Error {
  override readonly name: string = 'StreamClosedError';
}

/** Length of the first item in `bytes` from `offset` to `end`; undefined: more bytes are needed to tell. */
export type Framing = (bytes: Uint8Array, offset: number, end: number) => number | undefined;

const pduLength: Framing = (bytes, offset, end) => framePdu(bytes, offset, end)?.length;

/** The first `length` bytes of memory that is lent. */
interface Outgoing {
  readonly chunk: Buffer;
  length: number;
}

interface Waiter {
  readonly framing: Framing;
  resolve(item: Uint8Array): void;
  reject(error: Error): void;
}

export class PduStream {
  #socket: Socket;
  #secured = false;
  /** Read and not asked for yet. */
  #pending: Buffer = Buffer.alloc(0);
  /** Of the PDU that is not whole yet, and how many bytes of it are there; lent. */
  #partial: Buffer | undefined;
  #partialLength = 0;
  /** What is to be sent. */
  readonly #queue: Outgoing[] = [];
  #queuedBytes = 0;
  /** Something will call {@link PduStream.#flush}: the end of the turn, or of the write before. */
  #flushes = false;
  #congested = false;
  #delay: RelayDelay | undefined;
  #waiter: Waiter | undefined;
  #onPdu: ((pdu: Uint8Array) => void) | undefined;
  #pauses = 0;
  #error: Error | undefined;
  #closed = false;
  #onClose: (error: Error | undefined) => void = () => {};
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

  /**
   * Called once, when the connection is gone, or soon where it is gone already: whoever attends to it late
   * hears it too, behind what it had still sent. `error` when it did not end by itself.
   */
  set onClose(told: (error: Error | undefined) => void) {
    this.#onClose = told;
    if (this.#closed)
      queueMicrotask(() => {
        if (this.#onClose === told) told(this.#error);
      });
  }

  /** More waits to be sent than the peer should be given before it has read; {@link onCongestion} tells when it went out. */
  get congested(): boolean {
    return this.#congested;
  }

  /** From now on counts how long what the other leg reads takes to be written here, in seconds. */
  timeWrites(histogram: Histogram): void {
    this.#delay = new RelayDelay(this.#socket, histogram);
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

  /** Sends a whole PDU, copied; all of one turn leave in one write. */
  send(pdu: Uint8Array): void {
    if (this.#closed || !this.#socket.writable) return;
    let last = this.#queue.at(-1);
    if (last === undefined || last.length + pdu.length > last.chunk.length) {
      // A turn that begins small is mostly small; one that goes on is a picture.
      const small = last === undefined && pdu.length <= SMALL_PDU_BYTES;
      const length = small ? SMALL_CHUNK_BYTES : Math.max(LARGE_CHUNK_BYTES, pdu.length);
      last = { chunk: takeChunk(length), length: 0 };
      this.#queue.push(last);
    }
    last.chunk.set(pdu, last.length);
    last.length += pdu.length;
    this.#queuedBytes += pdu.length;
    if (this.#queuedBytes > UNSENT_MAX_BYTES) {
      this.#socket.destroy(
        new Error(`more than ${UNSENT_MAX_BYTES} bytes wait for a peer that does not read`),
      );
      return;
    }
    if (!this.#congested && this.#queuedBytes > CONGESTED_BYTES) {
      this.#congested = true;
      this.onCongestion(true);
    }
    // Behind a write that is under way it waits for the peer, not for the gateway.
    if (this.#flushes) return;
    this.#flushes = true;
    this.#delay?.taken();
    setImmediate(() => this.#flush());
  }

  /**
   * Goes on over TLS. The peer's first byte of TLS must not have been read yet: both sides
   * of RDP wait for the X.224 confirm before they begin.
   * @param upgrade wraps the plain socket; resolves when the handshake is complete
   */
  async secure(upgrade: (plain: Socket) => Promise<TLSSocket>): Promise<void> {
    const plain = this.#socket;
    this.#flushAll();
    plain.removeAllListeners('data');
    plain.pause();
    if (this.#pending.length > 0) {
      plain.unshift(this.#pending);
      this.#pending = Buffer.alloc(0);
    }
    const socket = await upgrade(plain);
    this.#socket = socket;
    this.#secured = true;
    this.#listen(socket);
    readShared(socket);
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
    this.#flushAll();
    hangUp(this.#socket);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.on('end', () => this.#close());
    socket.on('close', () => this.#close());
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#dropAll();
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(
      new StreamClosedError(this.#error?.message ?? 'the connection was closed', { cause: this.#error }),
    );
    this.#onClose(this.#error);
  }

  /** Gives the socket the next chunk, at the end of the turn and of each write. */
  #flush(): void {
    this.#flushes = false;
    const next = this.#queue.shift();
    if (next === undefined) {
      if (!this.#congested) return;
      this.#congested = false;
      this.onCongestion(false);
      return;
    }
    this.#queuedBytes -= next.length;
    this.#flushes = true;
    const bytes = next.chunk.subarray(0, next.length);
    // A TLS socket that has nothing to do encrypts during the call; any other keeps what it is given.
    this.#socket.write(this.#secured ? bytes : Buffer.from(bytes), () => this.#flush());
    this.#delay?.written();
    giveChunk(next.chunk);
  }

  /** Gives the socket all that waits, before it does something else. */
  #flushAll(): void {
    for (const { chunk, length } of this.#queue.splice(0)) {
      this.#socket.write(Buffer.from(chunk.subarray(0, length)));
      giveChunk(chunk);
    }
    this.#queuedBytes = 0;
  }

  #dropAll(): void {
    for (const { chunk } of this.#queue.splice(0)) giveChunk(chunk);
    this.#queuedBytes = 0;
    if (this.#partial !== undefined) this.#dropPartial(this.#partial);
  }

  /** @param chunk valid only during the call */
  #read(chunk: Buffer): void {
    if ((this.#pauses & MALFORMED) !== 0) return;
    if (this.#onPdu === undefined) {
      this.#pending = Buffer.concat([this.#pending, chunk]);
      this.#serve();
      return;
    }
    try {
      let at = this.#partial === undefined ? 0 : this.#complete(this.#partial, chunk);
      while (at < chunk.length) {
        const length = framePdu(chunk, at, chunk.length)?.length;
        if (length === undefined || at + length > chunk.length) {
          this.#keep(chunk.subarray(at), length);
          break;
        }
        this.#onPdu(chunk.subarray(at, at + length));
        at += length;
      }
    } catch (error) {
      this.pause(MALFORMED);
      this.onMalformed(error);
    }
  }

  /** The beginning of a PDU waits for the rest of it. */
  #keep(beginning: Uint8Array, length = MAX_PDU_BYTES): void {
    this.#partial = takeChunk(length);
    this.#partial.set(beginning);
    this.#partialLength = beginning.length;
  }

  /** Completes the partial PDU with the beginning of `chunk`. @returns how many bytes of it that took */
  #complete(partial: Buffer, chunk: Buffer): number {
    let at = 0;
    let length = framePdu(partial, 0, this.#partialLength)?.length;
    // The header is not whole: it grows by bytes.
    while (length === undefined && at < chunk.length) {
      partial[this.#partialLength++] = chunk[at++] ?? 0;
      length = framePdu(partial, 0, this.#partialLength)?.length;
    }
    if (length === undefined) return at;
    const taken = Math.min(length - this.#partialLength, chunk.length - at);
    partial.set(chunk.subarray(at, at + taken), this.#partialLength);
    this.#partialLength += taken;
    if (this.#partialLength === length) {
      this.#onPdu?.(partial.subarray(0, length));
      this.#dropPartial(partial);
    }
    return at + taken;
  }

  #dropPartial(partial: Buffer): void {
    this.#partial = undefined;
    this.#partialLength = 0;
    giveChunk(partial);
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
