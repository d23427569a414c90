/** The room of a node's spool, which all its threads take from, and other processes too. */
import { ArchiveError } from './port.ts';

/** The spool of a node as plain data that threads can hand on. */
export interface SpoolSettings {
  /** Absolute; made when it is first needed. */
  readonly folder: string;
  /** Bytes that all files in it may take together. */
  readonly limit: number;
  /** 8 bytes: how many they take now. */
  readonly used: SharedArrayBuffer;
  /** 8 bytes, kept up to date by others: what files of other processes take; undefined: there are none. */
  readonly elsewhere?: SharedArrayBuffer;
}

export class SpoolRoom {
  readonly #limit: bigint;
  /** Of all threads. */
  readonly #used: BigInt64Array;
  readonly #elsewhere: BigInt64Array;

  constructor({ limit, used, elsewhere }: Pick<SpoolSettings, 'limit' | 'used' | 'elsewhere'>) {
    this.#limit = BigInt(limit);
    this.#used = new BigInt64Array(used);
    this.#elsewhere = new BigInt64Array(elsewhere ?? new ArrayBuffer(8));
  }

  /** Bytes. */
  get used(): number {
    return Number(Atomics.load(this.#used, 0));
  }

  /** @throws ArchiveError `archive-full`: so many bytes are not left */
  take(bytes: number): void {
    const room = this.#limit - Atomics.load(this.#elsewhere, 0);
    if (Atomics.add(this.#used, 0, BigInt(bytes)) + BigInt(bytes) <= room) return;
    this.give(bytes);
    throw new ArchiveError('archive-full', `the spool's ${this.#limit} bytes are used (archive.spool.bytes)`);
  }

  /** Counts what is there already, over the limit or not. */
  count(bytes: number): void {
    Atomics.add(this.#used, 0, BigInt(bytes));
  }

  give(bytes: number): void {
    Atomics.sub(this.#used, 0, BigInt(bytes));
  }
}
