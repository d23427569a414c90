/** Reading what an RDP server draws: little-endian fields, each checked before it is read. */

/** Bytes are not what the specification says; `offset` counts from the start of what was read. */
export class ScreenError extends Error {
  override readonly name = 'ScreenError';
  readonly field: string;
  readonly offset: number;

  constructor(field: string, offset: number, reason: string) {
    super(`${field} at offset ${offset} ${reason}`);
    this.field = field;
    this.offset = offset;
  }
}

/** Reads fields one after the other. */
export class Cursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Of the next field. */
  offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#bytes.length - this.offset;
  }

  u8(field: string): number {
    return this.#view.getUint8(this.#take(field, 1));
  }
  u16(field: string): number {
    return this.#view.getUint16(this.#take(field, 2), true);
  }
  u32(field: string): number {
    return this.#view.getUint32(this.#take(field, 4), true);
  }

  /** A view of the next `length` bytes, not a copy. */
  bytes(field: string, length: number): Uint8Array {
    const at = this.#take(field, length);
    return this.#bytes.subarray(at, at + length);
  }

  /** @throws ScreenError for the field that begins `back` bytes before here */
  fail(field: string, reason: string, back = 0): never {
    throw new ScreenError(field, this.offset - back, reason);
  }

  #take(field: string, length: number): number {
    const at = this.offset;
    if (length > this.#bytes.length - at)
      throw new ScreenError(field, at, `needs ${length} bytes, ${this.#bytes.length - at} are left`);
    this.offset = at + length;
    return at;
  }
}
