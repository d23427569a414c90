/**
 * Cuts one direction of an SFTP stream (draft-ietf-secsh-filexfer-02 §3) into packets
 * without holding file content: the head of a packet is collected, the data of WRITE
 * and DATA passes through as it comes.
 *
 *   packet  length u32 BE | type u8 | body[length - 1]
 */

/** Packet types, §3. */
export const SftpType = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  rmdir: 15,
  realpath: 16,
  stat: 17,
  rename: 18,
  readlink: 19,
  symlink: 20,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attrs: 105,
  extended: 200,
  extendedReply: 201,
} as const;

/** The stream is not what this observer can follow: the relay ends the channel. */
export class SftpProtocolError extends Error {
  override readonly name = 'SftpProtocolError';
}

/** Longest packet accepted; OpenSSH refuses above 256 KiB, some servers allow a few MiB of data. */
const PACKET_MAX = 16 * 1024 * 1024;
/** Longest packet that is held in full: two paths and attributes. */
const BODY_MAX = 64 * 1024;
/** §4: a handle has 256 bytes at most. */
export const HANDLE_MAX = 256;

export interface PacketReader {
  /** A packet of a kind that is read, its body complete; the bytes are valid only during the call. */
  packet(type: number, body: SftpBody): void;
  /** The head of WRITE or DATA: what stands before its data of `size` bytes. */
  dataStart(type: number, head: SftpBody, size: number): void;
  /** Some of that data, in order; valid only during the call. */
  data(bytes: Uint8Array): void;
  dataEnd(): void;
}

/** Types whose body says nothing that is recorded: only the id is read, the rest skipped. */
const ID_ONLY: ReadonlySet<number> = new Set([SftpType.name, SftpType.attrs, SftpType.extendedReply]);
const EMPTY = new Uint8Array(0);

export class SftpPackets {
  readonly #reader: PacketReader;
  readonly #side: string;
  /** Bytes of the packet's start collected so far, length and type included. */
  #head = new Uint8Array(512);
  #filled = 0;
  #need = 5;
  #type = -1;
  /** Bytes of the packet still to come behind the head. */
  #rest = 0;
  /** What the rest is: data for the reader, or to be skipped. */
  #streaming = false;
  /** Stream offset, for errors. */
  #offset = 0;

  constructor(side: 'client' | 'target', reader: PacketReader) {
    this.#side = side;
    this.#reader = reader;
  }

  /** Whether the stream stands between two packets. */
  get atBoundary(): boolean {
    return this.#filled === 0;
  }

  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#filled < this.#need) {
        const take = Math.min(this.#need - this.#filled, chunk.length - at);
        this.#head.set(chunk.subarray(at, at + take), this.#filled);
        this.#filled += take;
        at += take;
        this.#offset += take;
        if (this.#filled === this.#need) this.#headGrown();
      } else {
        const take = Math.min(this.#rest, chunk.length - at);
        if (this.#streaming) this.#reader.data(chunk.subarray(at, at + take));
        this.#rest -= take;
        at += take;
        this.#offset += take;
        if (this.#rest === 0) this.#packetDone();
      }
    }
  }

  /** All that was needed is there: decides whether more of the head is, or the rest begins. */
  #headGrown(): void {
    if (this.#type < 0) {
      this.#begin();
      return;
    }
    if (this.#type === SftpType.write) {
      // id u32 | handle string | offset u64 | data string
      if (this.#filled === 13) {
        const handle = this.#uint32(9);
        if (handle > HANDLE_MAX) throw this.#error('handle', `${handle} bytes, the limit is ${HANDLE_MAX}`);
        this.#grow(13 + handle + 12);
        return;
      }
      this.#startData();
      return;
    }
    if (this.#type === SftpType.data) {
      // id u32 | data string
      this.#startData();
      return;
    }
    this.#reader.packet(this.#type, this.#body(this.#filled));
    if (this.#rest === 0) this.#packetDone();
  }

  #begin(): void {
    const length = this.#uint32(0);
    this.#type = this.#head[4] ?? 0;
    if (length < 1 || length > PACKET_MAX) {
      throw this.#error('packet length', `${length} bytes; this is no sftp packet`);
    }
    this.#rest = length - 1;
    if (this.#rest < 4)
      throw this.#error('packet length', `${length} bytes, too short for type ${this.#type}`);
    if (this.#type === SftpType.write || this.#type === SftpType.data) {
      this.#grow(13);
    } else if (ID_ONLY.has(this.#type)) {
      this.#grow(9);
    } else {
      if (length > BODY_MAX)
        throw this.#error(
          'packet length',
          `${length} bytes for type ${this.#type}, the limit is ${BODY_MAX}`,
        );
      this.#grow(5 + this.#rest);
    }
  }

  /** Asks for the head up to `need` bytes, and takes them off the rest. */
  #grow(need: number): void {
    const more = need - this.#filled;
    if (more > this.#rest) throw this.#error('packet length', `too short for type ${this.#type}`);
    this.#rest -= more;
    this.#need = need;
    if (need > this.#head.length) {
      const bigger = new Uint8Array(need);
      bigger.set(this.#head);
      this.#head = bigger;
    }
  }

  #startData(): void {
    const size = this.#uint32(this.#filled - 4);
    if (size !== this.#rest)
      throw this.#error('data length', `${size} bytes in a packet that holds ${this.#rest}`);
    this.#streaming = true;
    this.#reader.dataStart(this.#type, this.#body(this.#filled - 4), size);
    if (this.#rest === 0) this.#packetDone();
  }

  #packetDone(): void {
    if (this.#streaming) this.#reader.dataEnd();
    this.#streaming = false;
    this.#filled = 0;
    this.#need = 5;
    this.#type = -1;
    // One long name must not hold 64 KiB for the life of the channel.
    if (this.#head.length > 8192) this.#head = new Uint8Array(512);
  }

  #body(end: number): SftpBody {
    return new SftpBody(this.#head.subarray(5, end), this.#side, this.#type, this.#offset - (end - 5));
  }

  #uint32(at: number): number {
    const head = this.#head;
    return (
      (((head[at] ?? 0) << 24) |
        ((head[at + 1] ?? 0) << 16) |
        ((head[at + 2] ?? 0) << 8) |
        (head[at + 3] ?? 0)) >>>
      0
    );
  }

  #error(field: string, reason: string): SftpProtocolError {
    return new SftpProtocolError(`sftp ${field} from the ${this.#side} at offset ${this.#offset}: ${reason}`);
  }
}

/** Reads the fields of one packet in order; every read checks the length first. */
export class SftpBody {
  readonly #bytes: Uint8Array;
  readonly #side: string;
  readonly #type: number;
  readonly #offset: number;
  #at = 0;

  constructor(bytes: Uint8Array, side: string, type: number, offset: number) {
    this.#bytes = bytes;
    this.#side = side;
    this.#type = type;
    this.#offset = offset;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  uint32(field: string): number {
    const [a = 0, b = 0, c = 0, d = 0] = this.#take(4, field);
    return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  }

  /** Exact up to 2^53, which no file reaches. */
  uint64(field: string): number {
    return this.uint32(field) * 0x1_0000_0000 + this.uint32(field);
  }

  /** A counted string (§3); the bytes are a view of the packet. */
  bytes(field: string, limit = BODY_MAX): Uint8Array {
    const size = this.uint32(field);
    if (size > limit) throw this.error(field, `${size} bytes, the limit is ${limit}`);
    return this.#take(size, field);
  }

  /** A handle as a map key. */
  handle(field = 'handle'): string {
    let key = '';
    for (const byte of this.bytes(field, HANDLE_MAX)) key += String.fromCharCode(byte);
    return key;
  }

  error(field: string, reason: string): SftpProtocolError {
    return new SftpProtocolError(
      `sftp ${field} of type ${this.#type} from the ${this.#side} at offset ${this.#offset + this.#at}: ${reason}`,
    );
  }

  #take(size: number, field: string): Uint8Array {
    if (this.left < size) throw this.error(field, `${size} bytes where ${this.left} are left`);
    if (size === 0) return EMPTY;
    this.#at += size;
    return this.#bytes.subarray(this.#at - size, this.#at);
  }
}
