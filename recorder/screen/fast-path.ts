/**
 * The updates of fast-path output PDUs ([MS-RDPBCGR] 2.2.9.1.2.1), put together again from their fragments.
 *
 *     updateHeader  bits 0-3 updateCode, bits 4-5 fragmentation, bits 6-7 compression
 *     compressionFlags u8, if compression is 2
 *     size u16, updateData
 */
import { Cursor, ScreenError } from './cursor.ts';

export const UpdateCode = {
  orders: 0x0,
  bitmap: 0x1,
  palette: 0x2,
  synchronize: 0x3,
  surfaceCommands: 0x4,
  pointerHidden: 0x5,
  pointerDefault: 0x6,
  pointerPosition: 0x8,
  pointerColour: 0x9,
  pointerCached: 0xa,
  pointerNew: 0xb,
  pointerLarge: 0xc,
} as const;

const Fragment = { single: 0, last: 1, first: 2, next: 3 } as const;
const COMPRESSION_USED = 2;
const PACKET_COMPRESSED = 0x20;
/** Largest update; clients offer to take between 64 KiB and 8 MiB ([MS-RDPBCGR] 2.2.7.2.6). */
export const MAX_UPDATE_BYTES = 16 * 1024 * 1024;

export interface UpdateSink {
  /** A whole update; `data` is valid only during the call. */
  update(code: number, data: Uint8Array): void;
  /** An update that cannot be followed, and why. */
  lost(kind: 'compressed' | 'fragment', error: ScreenError): void;
}

/** The beginning of an update whose end is yet to come. */
export interface Partial {
  readonly code: number;
  readonly bytes: Uint8Array;
}

export class UpdateAssembler {
  #code: number | undefined;
  #buffer = new Uint8Array(16 * 1024);
  #length = 0;

  /**
   * Takes the updates array of one PDU.
   *
   * @throws ScreenError: it is cut; what came before the cut was handed on
   */
  push(updates: Uint8Array, sink: UpdateSink): void {
    const cursor = new Cursor(updates);
    while (cursor.left > 0) {
      const at = cursor.offset;
      const header = cursor.u8('updateHeader');
      const compressed =
        header >> 6 === COMPRESSION_USED && (cursor.u8('compressionFlags') & PACKET_COMPRESSED) !== 0;
      const data = cursor.bytes('updateData', cursor.u16('size'));
      if (compressed) {
        this.#code = undefined;
        sink.lost(
          'compressed',
          new ScreenError('updateData', at, 'is compressed, which is never negotiated'),
        );
        continue;
      }
      const code = header & 0x0f;
      const fragment = (header >> 4) & 3;
      if (fragment === Fragment.single || fragment === Fragment.first) {
        if (this.#code !== undefined)
          sink.lost('fragment', new ScreenError('fragmentation', at, 'begins before the last update ended'));
        this.#code = undefined;
      } else if (this.#code !== code) {
        const lost = this.#code === undefined ? 'goes on where none began' : `changes the update's code`;
        this.#code = undefined;
        sink.lost('fragment', new ScreenError('fragmentation', at, lost));
        continue;
      }
      if (fragment === Fragment.single) {
        sink.update(code, data);
        continue;
      }
      if (fragment === Fragment.first) this.#length = 0;
      if (!this.#append(data)) {
        this.#code = undefined;
        sink.lost('fragment', new ScreenError('fragmentation', at, `exceeds ${MAX_UPDATE_BYTES} bytes`));
        continue;
      }
      this.#code = code;
      if (fragment !== Fragment.last) continue;
      this.#code = undefined;
      sink.update(code, this.#buffer.subarray(0, this.#length));
    }
  }

  /** What has come of an update that is not whole yet; a view of it. */
  get partial(): Partial | undefined {
    return this.#code === undefined
      ? undefined
      : { code: this.#code, bytes: this.#buffer.subarray(0, this.#length) };
  }

  /** Goes on behind `partial`. */
  resume(partial: Partial | undefined): void {
    this.#length = 0;
    this.#code = partial !== undefined && this.#append(partial.bytes) ? partial.code : undefined;
  }

  #append(data: Uint8Array): boolean {
    const length = this.#length + data.length;
    if (length > MAX_UPDATE_BYTES) return false;
    if (length > this.#buffer.length) {
      const bigger = new Uint8Array(Math.max(length, this.#buffer.length * 2));
      bigger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = bigger;
    }
    this.#buffer.set(data, this.#length);
    this.#length = length;
    return true;
  }
}
