/** Connections of real RDP clients and servers, kept as fixtures in test/fixtures/rdp. */
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { Picture } from './x11.ts';

const FOLDER = join(import.meta.dirname, '../fixtures/rdp');

/**
 * One whole message, inside TLS: a TPKT, a fast-path PDU, with network level authentication
 * also a TSRequest (and the Early User Authorization Result), or a preconnection PDU.
 */
export interface TraceMessage {
  readonly from: 'client' | 'server';
  readonly bytes: Buffer;
}

/** What is known about a trace from outside: decoders must find the same in it. */
export interface TraceInfo {
  /** Program and arguments; of the server also what is special about it. */
  readonly client: string;
  readonly server: string;
  readonly user: string;
  /** Of a throw-away account that is gone. */
  readonly password: string;
  /** Of the desktop that the client asked for; it may be resized later. */
  readonly width: number;
  readonly height: number;
  /** Bits per pixel that the client asked for. */
  readonly bpp: number;
  /** SHA-256 of the server's certificate. */
  readonly fingerprint: string;
  /** Its subjectPublicKeyInfo (DER) in base64: what CredSSP is bound to. */
  readonly publicKey: string;
  /** The first so many messages paint what {@link loadScreen} holds; absent where no picture was taken. */
  readonly screenAfter?: number;
  /** Messages were left out at the end to keep the file small. */
  readonly cut?: boolean;
}

/** Cuts one direction of a connection into whole messages. */
export class MessageSplitter {
  readonly #from: TraceMessage['from'];
  #rest: Buffer = Buffer.alloc(0);
  /** X.224 negotiation is the first TPKT; what comes before the second is not fast-path. */
  #tpkts = 0;

  constructor(from: TraceMessage['from']) {
    this.#from = from;
  }

  /** Bytes of a message that is not whole yet. */
  get rest(): number {
    return this.#rest.length;
  }

  /** Takes the next bytes, however they are cut; returns the messages that are whole now. */
  push(chunk: Uint8Array): TraceMessage[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const messages: TraceMessage[] = [];
    for (;;) {
      const length = this.#length();
      if (length === undefined || this.#rest.length < length) return messages;
      if (this.#rest[0] === 3) this.#tpkts += 1;
      messages.push({ from: this.#from, bytes: Buffer.from(this.#rest.subarray(0, length)) });
      this.#rest = this.#rest.subarray(length);
    }
  }

  /** Length of the message that begins here; undefined while its header is not whole. */
  #length(): number | undefined {
    const bytes = this.#rest;
    if (bytes.length < 4) return undefined;
    const first = bytes.readUInt8(0);
    if (first === 3) return bytes.readUInt16BE(2);
    // A preconnection PDU begins with its size, an Early User Authorization Result is that long.
    if (this.#tpkts === 0) return Math.max(4, bytes.readUInt32LE(0));
    if (this.#tpkts === 1) return first === 0x30 ? derLength(bytes) : 4;
    const short = bytes.readUInt8(1);
    const length = short & 0x80 ? bytes.readUInt16BE(1) & 0x7fff : short;
    if (length < 2) throw new Error(`a fast-path PDU of ${length} bytes from the ${this.#from}`);
    return length;
  }
}

function derLength(bytes: Buffer): number | undefined {
  const first = bytes.readUInt8(1);
  if (first < 0x80) return 2 + first;
  const octets = first & 0x7f;
  return bytes.length < 2 + octets ? undefined : 2 + octets + bytes.readUIntBE(2, octets);
}

/**
 * A trace as it is stored: zstd of one line of JSON (the {@link TraceInfo}) and, for each
 * message, its direction (one byte, 0 from the client), its length (four, little-endian) and itself.
 */
export function encodeTrace(info: TraceInfo, messages: readonly TraceMessage[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`${JSON.stringify(info)}\n`)];
  for (const { from, bytes } of messages) {
    const head = Buffer.alloc(5);
    head.writeUInt8(from === 'client' ? 0 : 1);
    head.writeUInt32LE(bytes.length, 1);
    parts.push(head, bytes);
  }
  return zstdCompressSync(Buffer.concat(parts));
}

function readTrace(name: string): { info: TraceInfo; messages: TraceMessage[] } {
  const content = zstdDecompressSync(readFileSync(join(FOLDER, `${name}.trace.zst`)));
  const line = content.indexOf('\n');
  const messages: TraceMessage[] = [];
  for (let at = line + 1; at < content.length; ) {
    const length = content.readUInt32LE(at + 1);
    const from = content.readUInt8(at) === 0 ? 'client' : 'server';
    messages.push({ from, bytes: content.subarray(at + 5, at + 5 + length) });
    at += 5 + length;
  }
  return { info: JSON.parse(content.subarray(0, line).toString()) as TraceInfo, messages };
}

/** The names of all traces. */
export function traceNames(): string[] {
  return globSync('*.trace.zst', { cwd: FOLDER })
    .map((file) => basename(file, '.trace.zst'))
    .sort();
}

/** The messages of a trace, in the order in which they became whole. */
export function loadTrace(name: string): TraceMessage[] {
  return readTrace(name).messages;
}

export function traceInfo(name: string): TraceInfo {
  return readTrace(name).info;
}

/** A picture as it is stored: zstd of width and height (four bytes each, little-endian) and the pixels. */
export function encodeScreen({ width, height, rgb }: Picture): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(width);
  head.writeUInt32LE(height, 4);
  return zstdCompressSync(Buffer.concat([head, rgb]));
}

/** What the real client showed after {@link TraceInfo.screenAfter} messages: a decoder must paint the same. */
export function loadScreen(name: string): Picture {
  const content = zstdDecompressSync(readFileSync(join(FOLDER, `${name}.screen.zst`)));
  return { width: content.readUInt32LE(0), height: content.readUInt32LE(4), rgb: content.subarray(8) };
}
