/**
 * Messages of the SSH connection protocol, RFC 4254. Readers check the length of
 * every field before they read it; writers are only here for messages that the
 * gateway itself originates, everything else is relayed as it came.
 */

/** Message numbers, RFC 4250 §4.1.2. */
export const Message = {
  disconnect: 1,
  ignore: 2,
  globalRequest: 80,
  requestSuccess: 81,
  requestFailure: 82,
  channelOpen: 90,
  channelOpenConfirmation: 91,
  channelOpenFailure: 92,
  channelWindowAdjust: 93,
  channelData: 94,
  channelExtendedData: 95,
  channelEof: 96,
  channelClose: 97,
  channelRequest: 98,
  channelSuccess: 99,
  channelFailure: 100,
} as const;

/** Reason codes of SSH_MSG_CHANNEL_OPEN_FAILURE, RFC 4254 §5.1. */
export const OpenFailure = {
  administrativelyProhibited: 1,
  connectFailed: 2,
  unknownChannelType: 3,
  resourceShortage: 4,
} as const;
export type OpenFailure = (typeof OpenFailure)[keyof typeof OpenFailure];

/** Reason codes of SSH_MSG_DISCONNECT, RFC 4253 §11.1. */
export const DisconnectReason = {
  protocolError: 2,
  keyExchangeFailed: 3,
  serviceNotAvailable: 7,
  connectionLost: 10,
  byApplication: 11,
  tooManyConnections: 12,
  noMoreAuthMethods: 14,
} as const;
export type DisconnectReason = (typeof DisconnectReason)[keyof typeof DisconnectReason];

/** SSH_EXTENDED_DATA_STDERR, RFC 4254 §5.2. */
export const STDERR = 1;

/** A peer sent something that RFC 4254 does not allow; says the field and where it stood. */
export class SshWireError extends Error {
  override readonly name = 'SshWireError';
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Reads the fields of one message from its start; every read is bounds-checked. */
export class WireReader {
  readonly #bytes: Uint8Array;
  #offset: number;

  /** @param offset where to begin; 1 skips the message number. */
  constructor(bytes: Uint8Array, offset = 1) {
    this.#bytes = bytes;
    this.#offset = offset;
  }

  uint32(field: string): number {
    const at = this.#take(4, field);
    return readUint32(this.#bytes, at);
  }

  boolean(field: string): boolean {
    return this.#bytes[this.#take(1, field)] !== 0;
  }

  /** A `string` of RFC 4251 §5 as a view, not a copy. */
  string(field: string): Uint8Array {
    const length = this.uint32(field);
    const at = this.#take(length, field);
    return this.#bytes.subarray(at, at + length);
  }

  text(field: string): string {
    return decoder.decode(this.string(field));
  }

  rest(): Uint8Array {
    return this.#bytes.subarray(this.#offset);
  }

  #take(length: number, field: string): number {
    const at = this.#offset;
    if (length > this.#bytes.length - at)
      throw new SshWireError(
        `${field} at offset ${at} needs ${length} bytes, the message has ${this.#bytes.length - at} left`,
      );
    this.#offset = at + length;
    return at;
  }
}

/** Big-endian; the caller has checked that four bytes are there. */
export function readUint32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** `recipient channel`, the first field of every message from 91 to 100. */
export function recipientOf(message: Uint8Array): number {
  if (message.length < 5) throw new SshWireError(`recipient channel is missing in message ${message[0]}`);
  return readUint32(message, 1);
}

/** Where the payload of CHANNEL_DATA (94) or CHANNEL_EXTENDED_DATA (95) begins; checks that it fills the message. */
export function dataOffset(message: Uint8Array): number {
  const offset = message[0] === Message.channelData ? 9 : 13;
  if (message.length < offset || readUint32(message, offset - 4) !== message.length - offset)
    throw new SshWireError(`data length does not match message ${message[0]} of ${message.length} bytes`);
  return offset;
}

/** SSH_MSG_CHANNEL_OPEN, RFC 4254 §5.1. */
export interface ChannelOpen {
  readonly type: string;
  readonly sender: number;
  readonly window: number;
  readonly maxPacket: number;
  /** Channel type specific data. */
  readonly data: Uint8Array;
}

export function readChannelOpen(message: Uint8Array): ChannelOpen {
  const reader = new WireReader(message);
  return {
    type: reader.text('channel type'),
    sender: reader.uint32('sender channel'),
    window: reader.uint32('initial window size'),
    maxPacket: reader.uint32('maximum packet size'),
    data: reader.rest(),
  };
}

/** RFC 4254 §5.2, `bytes to add`. */
export function readWindowAdjust(message: Uint8Array): number {
  if (message.length < 9) throw new SshWireError('bytes to add is missing in a window adjust');
  return readUint32(message, 5);
}

/** Where a forwarded connection goes and comes from (RFC 4254 §6.3.2, §7.2; PROTOCOL of OpenSSH §2.4). */
export function readEndpoints(open: ChannelOpen): { destination?: string; originator?: string } {
  const reader = new WireReader(open.data, 0);
  const address = (what: string): string => {
    const host = reader.text(`${what} address`);
    const port = reader.uint32(`${what} port`);
    return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  };
  switch (open.type) {
    case 'direct-tcpip':
    case 'forwarded-tcpip':
      return { destination: address('destination'), originator: address('originator') };
    case 'x11':
      return { originator: address('originator') };
    case 'direct-streamlocal@openssh.com':
    case 'forwarded-streamlocal@openssh.com':
      return { destination: reader.text('socket path') };
    default:
      return {};
  }
}

/** SSH_MSG_CHANNEL_OPEN_CONFIRMATION without its recipient, RFC 4254 §5.1. */
export interface ChannelOpenConfirmation {
  readonly sender: number;
  readonly window: number;
  readonly maxPacket: number;
}

export function readChannelOpenConfirmation(message: Uint8Array): ChannelOpenConfirmation {
  const reader = new WireReader(message, 5);
  return {
    sender: reader.uint32('sender channel'),
    window: reader.uint32('initial window size'),
    maxPacket: reader.uint32('maximum packet size'),
  };
}

/** SSH_MSG_CHANNEL_REQUEST, RFC 4254 §5.4. */
export interface ChannelRequest {
  readonly type: string;
  readonly wantReply: boolean;
  readonly data: Uint8Array;
}

export function readChannelRequest(message: Uint8Array): ChannelRequest {
  const reader = new WireReader(message, 5);
  return { type: reader.text('request type'), wantReply: reader.boolean('want reply'), data: reader.rest() };
}

/** SSH_MSG_GLOBAL_REQUEST, RFC 4254 §4. */
export function readGlobalRequest(message: Uint8Array): ChannelRequest {
  const reader = new WireReader(message);
  return { type: reader.text('request name'), wantReply: reader.boolean('want reply'), data: reader.rest() };
}

/** `pty-req`, RFC 4254 §6.2: columns and rows are characters. */
export function readTerminalRequest(data: Uint8Array): { term: string; columns: number; rows: number } {
  const reader = new WireReader(data, 0);
  return {
    term: reader.text('TERM'),
    columns: reader.uint32('terminal width'),
    rows: reader.uint32('terminal height'),
  };
}

/** `window-change`, RFC 4254 §6.7. */
export function readWindowChange(data: Uint8Array): { columns: number; rows: number } {
  const reader = new WireReader(data, 0);
  return { columns: reader.uint32('terminal width'), rows: reader.uint32('terminal height') };
}

/** Fields of a message to be written, in order: a number is a uint32, text and bytes are `string`s. */
type Field = number | boolean | string | Uint8Array;

/** Encodes a message: its number, then the fields as RFC 4251 §5 writes them. */
export function encodeMessage(number: number, ...fields: readonly Field[]): Uint8Array {
  const parts = fields.map((field) => (typeof field === 'string' ? encoder.encode(field) : field));
  let size = 1;
  for (const part of parts)
    size += typeof part === 'number' ? 4 : typeof part === 'boolean' ? 1 : 4 + part.length;
  const message = new Uint8Array(size);
  message[0] = number;
  let at = 1;
  for (const part of parts) {
    if (typeof part === 'boolean') {
      message[at] = part ? 1 : 0;
      at += 1;
    } else if (typeof part === 'number') {
      writeUint32(message, at, part);
      at += 4;
    } else {
      writeUint32(message, at, part.length);
      message.set(part, at + 4);
      at += 4 + part.length;
    }
  }
  return message;
}
