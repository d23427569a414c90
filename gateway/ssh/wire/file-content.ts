/**
 * The SHA-256 of a file whose content passes in pieces, each with its offset. In order, which is the rule,
 * nothing is copied. A piece ahead of its turn waits: clients ask for many at once and again for what a short
 * answer left out, and some send in parallel.
 */
import type { Hash } from './file-operation.ts';

/** Why there is no digest of a transfer. */
export type Unhashed =
  /** What passed does not begin at the file's first byte. */
  | 'resumed'
  /** The target puts it behind what the file holds, wherever that ends. */
  | 'appended'
  /** Bytes were left out, passed twice, or passed too far from their turn. */
  | 'random access'
  | 'copied on the target'
  /** The target did not take a piece. */
  | 'write failed'
  /** The channel ended within a piece. */
  | 'cut off';

/**
 * Bytes that wait in all files of a session. Clients have up to 2 MiB on the way (64 requests of 32 KiB),
 * and only a part of that is out of order.
 */
const WAITING_MAX = 4 * 1024 * 1024;

/** What a waiting piece takes beside its bytes, so that many small ones are bounded, too. */
const PIECE_BYTES = 256;

/** Room for what waits, shared by all files of a session. */
export class WaitingRoom {
  /** SFTP requests of all channels of the session whose answers are awaited. */
  requests = 0;
  #left = WAITING_MAX;

  /** Whether there is room for a piece of `size` bytes; it is taken then. */
  take(size: number): boolean {
    if (size + PIECE_BYTES > this.#left) return false;
    this.#left -= size + PIECE_BYTES;
    return true;
  }

  give(size: number): void {
    this.#left += size + PIECE_BYTES;
  }
}

export class FileContent {
  /** That passed, in whatever order. */
  bytes = 0;
  readonly #room: WaitingRoom;
  /** Undefined: there will be no digest, or it was told. */
  #newHash: (() => Hash) | undefined;
  #hash: Hash | undefined;
  #unhashed: Unhashed = 'random access';
  /** INVARIANT: `#hash` has exactly the bytes from 0 to here, once the piece that is passing has passed. */
  #next = 0;
  /** By offset, all beyond `#next`. */
  readonly #waiting = new Map<number, Uint8Array>();
  /** The piece that is passing, where it has to wait, and how much of it has passed. */
  #piece: Uint8Array | undefined;
  #filled = 0;
  #passing = false;

  constructor(room: WaitingRoom, newHash: () => Hash) {
    this.#room = room;
    this.#newHash = newHash;
  }

  /** A piece begins to pass: `size` bytes of the file from `offset` on. */
  begin(offset: number, size: number): void {
    this.#passing = true;
    if (this.#newHash === undefined || size === 0) return;
    if (offset === this.#next) {
      this.#hash ??= this.#newHash();
      this.#next += size;
    } else if (offset < this.#next || this.#waiting.has(offset)) {
      this.lose('random access');
    } else if (this.#room.take(size)) {
      this.#piece = new Uint8Array(size);
      this.#filled = 0;
      this.#waiting.set(offset, this.#piece);
    } else {
      this.lose(this.#missing());
    }
  }

  /** More of the piece. */
  push(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    if (this.#piece !== undefined) {
      this.#piece.set(bytes, this.#filled);
      this.#filled += bytes.length;
    } else {
      this.#hash?.update(bytes);
    }
  }

  /** The piece has passed. */
  end(): void {
    this.#passing = false;
    this.#piece = undefined;
    for (
      let piece = this.#waiting.get(this.#next);
      piece !== undefined;
      piece = this.#waiting.get(this.#next)
    ) {
      this.#waiting.delete(this.#next);
      this.#room.give(piece.length);
      this.#next += piece.length;
      this.#hash?.update(piece);
    }
  }

  /** There will be no digest. */
  lose(why: Unhashed): void {
    if (this.#newHash === undefined) return;
    this.#newHash = undefined;
    this.#hash = undefined;
    this.#unhashed = why;
    for (const piece of this.#waiting.values()) this.#room.give(piece.length);
    this.#waiting.clear();
    this.#piece = undefined;
  }

  /** Nothing more passes: the digest of the file's first `bytes` bytes in lower-case hex, or why there is none. */
  finish(): { readonly sha256: string } | { readonly unhashed: Unhashed } {
    if (this.#passing) this.lose('cut off');
    else if (this.#waiting.size > 0) this.lose(this.#missing());
    if (this.#newHash === undefined) return { unhashed: this.#unhashed };
    const hash = this.#hash ?? this.#newHash();
    this.#newHash = undefined;
    this.#hash = undefined;
    return { sha256: hash.digestHex() };
  }

  #missing(): Unhashed {
    return this.#next === 0 ? 'resumed' : 'random access';
  }
}
