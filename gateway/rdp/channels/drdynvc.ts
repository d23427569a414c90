/**
 * Dynamic virtual channels inside the static channel `drdynvc` ([MS-RDPEDYC] 2.2).
 *
 * ```text
 * | cbId 2 bits (lowest) | Sp 2 | Cmd 4 | fields of the command |
 * ```
 *
 * A channel id takes 1, 2 or 4 bytes as cbId says; so does the length of DATA_FIRST, as Sp says.
 */
import type { Reader, Writer } from '../pdu/cursor.ts';

/** Cmd. */
export const DynamicCommand = {
  create: 1,
  dataFirst: 2,
  data: 3,
  close: 4,
  capabilities: 5,
  dataFirstCompressed: 6,
  dataCompressed: 7,
  softSyncRequest: 8,
  softSyncResponse: 9,
} as const;

/** Of the longest beginning that `decodeDynamicHeader` reads: header, channel id, length. */
export const DYNAMIC_HEADER_BYTES = 9;

/** What every PDU begins with. */
export interface DynamicHeader {
  /** DynamicCommand, or a number that the specification does not know. */
  readonly command: number;
  /** Width of the channel id: 0, 1 and 2 for 1, 2 and 4 bytes. */
  readonly cbId: number;
  /** Priority class of a create request, width of a length, unused elsewhere. */
  readonly sp: number;
}

export function decodeDynamicHeader(reader: Reader): DynamicHeader {
  const byte = reader.u8('drdynvc header');
  return { command: byte >> 4, cbId: byte & 3, sp: (byte >> 2) & 3 };
}

/** Versions 1 to 3 (2.2.1). */
export interface DynamicCapabilities {
  readonly version: number;
  /** PriorityCharge0 to 3: in a request of version 2 and 3, never in a response. */
  readonly priorityCharges?: readonly number[];
}

/** DYNVC_CAPS_VERSION1 to 3 and DYNVC_CAPS_RSP (2.2.1.1, 2.2.1.2), the header read. */
export function decodeDynamicCapabilities(reader: Reader): DynamicCapabilities {
  reader.skip('DYNVC_CAPS.Pad', 1);
  const version = reader.u16le('DYNVC_CAPS.Version');
  if (reader.left < 8) return { version };
  return { version, priorityCharges: [0, 1, 2, 3].map((n) => reader.u16le(`DYNVC_CAPS.PriorityCharge${n}`)) };
}

export function encodeDynamicCapabilities(writer: Writer, capabilities: DynamicCapabilities): void {
  writer
    .u8(DynamicCommand.capabilities << 4)
    .u8(0)
    .u16le(capabilities.version);
  for (const charge of capabilities.priorityCharges ?? []) writer.u16le(charge);
}

/** DYNVC_CREATE_REQ (2.2.2.1), by the target. */
export interface CreateRequest {
  readonly channel: number;
  /** Priority class, 0 to 3. */
  readonly priority: number;
  /** ANSI, one character for each byte. */
  readonly name: string;
}

export function decodeCreateRequest(reader: Reader, header: DynamicHeader): CreateRequest {
  const channel = decodeChannelId(reader, header.cbId);
  return { channel, priority: header.sp, name: reader.latin1('DYNVC_CREATE_REQ.ChannelName', reader.left) };
}

export function encodeCreateRequest(writer: Writer, request: CreateRequest): void {
  encodeHeader(writer, DynamicCommand.create, request.channel, request.priority);
  writer.latin1(request.name).u8(0);
}

/** DYNVC_CREATE_RSP (2.2.2.2), by the client. */
export interface CreateResponse {
  readonly channel: number;
  /** An HRESULT: negative is failure. */
  readonly status: number;
}

export function decodeCreateResponse(reader: Reader, header: DynamicHeader): CreateResponse {
  const channel = decodeChannelId(reader, header.cbId);
  return { channel, status: reader.i32le('DYNVC_CREATE_RSP.CreationStatus') };
}

export function encodeCreateResponse(writer: Writer, response: CreateResponse): void {
  encodeHeader(writer, DynamicCommand.create, response.channel, 0);
  writer.u32le(response.status >>> 0);
}

/** DYNVC_DATA_FIRST and DYNVC_DATA (2.2.3.1, 2.2.3.2). */
export interface DynamicData {
  readonly channel: number;
  /** Bytes of the whole message: in DATA_FIRST only. */
  readonly total?: number;
  /** A view of what was read. */
  readonly data: Uint8Array;
}

export function decodeDynamicData(reader: Reader, header: DynamicHeader): DynamicData {
  const channel = decodeChannelId(reader, header.cbId);
  if (header.command === DynamicCommand.data) return { channel, data: reader.rest() };
  const total = decodeSized(reader, 'DYNVC_DATA_FIRST.Length', header.sp);
  return { channel, total, data: reader.rest() };
}

export function encodeDynamicData(writer: Writer, { channel, total, data }: DynamicData): void {
  if (total === undefined) {
    encodeHeader(writer, DynamicCommand.data, channel, 0);
  } else {
    encodeHeader(writer, DynamicCommand.dataFirst, channel, widthOf(total));
    encodeSized(writer, total);
  }
  writer.bytes(data);
}

/** DYNVC_CLOSE (2.2.4), by either side; who gets one answers with one. */
export function decodeDynamicClose(reader: Reader, header: DynamicHeader): number {
  return decodeChannelId(reader, header.cbId);
}

export function encodeDynamicClose(writer: Writer, channel: number): void {
  encodeHeader(writer, DynamicCommand.close, channel, 0);
}

function decodeChannelId(reader: Reader, cbId: number): number {
  return decodeSized(reader, 'drdynvc ChannelId', cbId);
}

function encodeHeader(writer: Writer, command: number, channel: number, sp: number): void {
  writer.u8((command << 4) | (sp << 2) | widthOf(channel));
  encodeSized(writer, channel);
}

function decodeSized(reader: Reader, field: string, width: number): number {
  switch (width) {
    case 0:
      return reader.u8(field);
    case 1:
      return reader.u16le(field);
    case 2:
      return reader.u32le(field);
    default:
      return reader.fail(field, `has the invalid width ${width}`);
  }
}

function widthOf(value: number): 0 | 1 | 2 {
  if (value <= 0xff) return 0;
  return value <= 0xffff ? 1 : 2;
}

function encodeSized(writer: Writer, value: number): void {
  const width = widthOf(value);
  if (width === 0) writer.u8(value);
  else if (width === 1) writer.u16le(value);
  else writer.u32le(value);
}
