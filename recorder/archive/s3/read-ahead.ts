/** Reads more at once where somebody reads on: each request of an object store takes its time. */
import type { ArchiveReader } from '../port.ts';

/** The first time that somebody reads on, and from then on. */
const FIRST_BYTES = 1024 * 1024;
const NEXT_BYTES = 4 * 1024 * 1024;

export class ReadAhead implements ArchiveReader {
  readonly #inner: ArchiveReader;
  /** What was read last: seeking readers get no more than they ask for. */
  #start = 0;
  #end = 0;
  #block: { readonly start: number; readonly bytes: Uint8Array } | undefined;

  constructor(inner: ArchiveReader) {
    this.#inner = inner;
  }

  get size(): number {
    return this.#inner.size;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const end = Math.min(offset + length, this.size);
    if (end <= offset) return new Uint8Array(0);
    const block = this.#block;
    if (block !== undefined && offset >= block.start && end <= block.start + block.bytes.length) {
      this.#noteRead(offset, end);
      return block.bytes.subarray(offset - block.start, end - block.start);
    }
    const readsOn = offset > this.#start && offset <= this.#end;
    this.#noteRead(offset, end);
    if (!readsOn) {
      this.#block = undefined;
      return await this.#inner.read(offset, length);
    }
    const ahead = block === undefined ? FIRST_BYTES : NEXT_BYTES;
    const bytes = await this.#inner.read(offset, Math.max(length, ahead));
    this.#block = { start: offset, bytes };
    return bytes.subarray(0, end - offset);
  }

  async close(): Promise<void> {
    this.#block = undefined;
    await this.#inner.close();
  }

  #noteRead(start: number, end: number): void {
    this.#start = start;
    this.#end = end;
  }
}
