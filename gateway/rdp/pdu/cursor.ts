/**
 * Reading and writing PDUs. RDP mixes byte orders: its own structures are little-endian,
 * the ITU layers below (TPKT, X.224, MCS) big-endian, so the order is part of each name.
 */

/** A PDU is not what the specification says. Whose fault it is, the leg that read it knows. */
export class PduError extends Error {
  override readonly name = 'PduError';
  /** As the specification names it. */
  readonly field: string;
  /** Of the field, from the start of the bytes that were read. */
  readonly offset: number;

  constructor(field: string, offset: number, reason: string) {
    super(`${field} at offset ${offset} ${reason}`);
    this.field = field;
    this.offset = offset;
  }
}

/** Reads fields one after the other; checks the length first, always. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #end: number;
  /** Of the next field, in the bytes given. */
  offset: number;

  /** Reads `bytes` from `offset` to `end`; offsets in errors count from the start of `bytes`. */
  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.offset = offset;
    this.#end = end;
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#end - this.offset;
  }

  u8(field: string): number {
    return this.#view.getUint8(this.#take(field, 1));
  }
  u16le(field: string): number {
    return this.#view.getUint16(this.#take(field, 2), true);
  }
  u16be(field: string): number {
    return this.#view.getUint16(this.#take(field, 2));
  }
  i16le(field: string): number {
    return this.#view.getInt16(this.#take(field, 2), true);
  }
  u32le(field: string): number {
    return this.#view.getUint32(this.#take(field, 4), true);
  }
  u32be(field: string): number {
    return this.#view.getUint32(this.#take(field, 4));
  }
  i32le(field: string): number {
    return this.#view.getInt32(this.#take(field, 4), true);
  }
  u64le(field: string): bigint {
    return this.#view.getBigUint64(this.#take(field, 8), true);
  }

  /** A view of the next `length` bytes, not a copy. */
  bytes(field: string, length: number): Uint8Array {
    const at = this.#take(field, length);
    return this.#bytes.subarray(at, at + length);
  }

  /** A reader of the next `length` bytes, with the same offsets. */
  part(field: string, length: number): Reader {
    const at = this.#take(field, length);
    return new Reader(this.#bytes, at, at + length);
  }

  /** A view of all that is left. */
  rest(): Uint8Array {
    return this.bytes('rest', this.left);
  }

  skip(field: string, length: number): void {
    this.#take(field, length);
  }

  /** UTF-16LE of `length` bytes; cut at the first NUL, as the fixed fields and the terminated ones want. */
  utf16(field: string, length: number): string {
    const at = this.offset;
    if (length % 2 !== 0) throw new PduError(field, at, `has an odd length (${length}) for UTF-16`);
    const part = this.part(field, length);
    let text = '';
    while (part.left >= 2) {
      const unit = part.u16le(field);
      if (unit === 0) break;
      text += String.fromCharCode(unit);
    }
    return text;
  }

  /** Bytes of a code page below 128 and beyond alike, one character each; cut at the first NUL. */
  latin1(field: string, length: number): string {
    let text = '';
    for (const byte of this.bytes(field, length)) {
      if (byte === 0) break;
      text += String.fromCharCode(byte);
    }
    return text;
  }

  /** @throws PduError for the field that was read last and begins `back` bytes before here */
  fail(field: string, reason: string, back = 0): never {
    throw new PduError(field, this.offset - back, reason);
  }

  #take(field: string, length: number): number {
    const at = this.offset;
    if (length > this.#end - at)
      throw new PduError(field, at, `needs ${length} bytes, ${Math.max(0, this.#end - at)} are left`);
    this.offset = at + length;
    return at;
  }
}

/** Writes fields one after the other into memory that grows; lengths are patched in behind. */
export class Writer {
  #bytes: Uint8Array;
  #view: DataView;
  /** Bytes written. */
  length = 0;

  constructor(expected = 256) {
    this.#bytes = new Uint8Array(expected);
    this.#view = new DataView(this.#bytes.buffer);
  }

  u8(value: number): this {
    const at = this.#make(1);
    this.#view.setUint8(at, value);
    return this;
  }
  u16le(value: number): this {
    const at = this.#make(2);
    this.#view.setUint16(at, value, true);
    return this;
  }
  u16be(value: number): this {
    const at = this.#make(2);
    this.#view.setUint16(at, value);
    return this;
  }
  u32le(value: number): this {
    const at = this.#make(4);
    this.#view.setUint32(at, value, true);
    return this;
  }
  u32be(value: number): this {
    const at = this.#make(4);
    this.#view.setUint32(at, value);
    return this;
  }
  u64le(value: bigint): this {
    const at = this.#make(8);
    this.#view.setBigUint64(at, value, true);
    return this;
  }

  bytes(bytes: Uint8Array): this {
    const at = this.#make(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  zeros(length: number): this {
    const at = this.#make(length);
    this.#bytes.fill(0, at, at + length);
    return this;
  }

  /** UTF-16LE, without a terminator. */
  utf16(text: string): this {
    for (let i = 0; i < text.length; i++) this.u16le(text.charCodeAt(i));
    return this;
  }

  /** UTF-16LE in a field of `length` bytes: cut so that a NUL fits, filled with NULs. */
  utf16Field(text: string, length: number): this {
    const cut = text.slice(0, length / 2 - 1);
    return this.utf16(cut).zeros(length - cut.length * 2);
  }

  /** One byte per character, those beyond 255 as `?`. */
  latin1(text: string): this {
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      this.u8(code > 255 ? 0x3f : code);
    }
    return this;
  }

  patchU8(at: number, value: number): void {
    this.#view.setUint8(at, value);
  }
  patchU16le(at: number, value: number): void {
    this.#view.setUint16(at, value, true);
  }
  patchU16be(at: number, value: number): void {
    this.#view.setUint16(at, value);
  }
  patchU32le(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  /** What was written, in memory of the writer's: write no more after it. */
  done(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  #make(length: number): number {
    const at = this.length;
    const end = at + length;
    if (end > this.#bytes.length) {
      const bigger = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      bigger.set(this.#bytes.subarray(0, at));
      this.#bytes = bigger;
      this.#view = new DataView(bigger.buffer);
    }
    this.length = end;
    return at;
  }
}
