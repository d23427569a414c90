/**
 * Share Control and Share Data headers, [MS-RDPBCGR] 2.2.8.1.1.1: what stands in front of every
 * slow-path PDU on the I/O channel. One MCS packet may hold several of them, one after the other.
 *
 * ```
 * control: totalLength (2)  pduType (2: type in 4 bits, version 1 above)  pduSource (2)
 * data:    shareId (4)  pad (1)  streamId (1)  uncompressedLength (2)
 *          pduType2 (1)  compressedType (1)  compressedLength (2)
 * ```
 */
import { PduError, type Writer } from './cursor.ts';

/** PDUTYPE_*: the low four bits of pduType; `flow` is T.128's, which has no type there. */
export const ShareType = {
  demandActive: 1,
  confirmActive: 3,
  deactivateAll: 6,
  data: 7,
  serverRedirection: 10,
  /** FlowTest, FlowResponse or FlowStop of T.128 8.5 (length field 0x8000): eight bytes to skip. */
  flow: 0x8000,
} as const;

/** PDUTYPE2_*: what a data PDU is. */
export const DataType = {
  update: 0x02,
  control: 0x14,
  pointer: 0x1b,
  input: 0x1c,
  synchronize: 0x1f,
  refreshRect: 0x21,
  playSound: 0x22,
  suppressOutput: 0x23,
  shutdownRequest: 0x24,
  shutdownDenied: 0x25,
  saveSessionInfo: 0x26,
  fontList: 0x27,
  fontMap: 0x28,
  setKeyboardIndicators: 0x29,
  bitmapCachePersistentList: 0x2b,
  bitmapCacheError: 0x2c,
  setKeyboardImeStatus: 0x2d,
  offscreenCacheError: 0x2e,
  setErrorInfo: 0x2f,
  drawNineGridError: 0x30,
  drawGdiPlusError: 0x31,
  autoReconnectStatus: 0x32,
  statusInfo: 0x36,
  monitorLayout: 0x37,
  frameAcknowledge: 0x38,
} as const;

/** compressedType, 2.2.8.1.1.1.2 and 3.1.8.2.1: the bulk compressor in four bits, flags above. */
export const CompressedFlag = { compressed: 0x20, atFront: 0x40, flushed: 0x80 } as const;

/** STREAM_*: the priority a data PDU was sent with. */
export const StreamId = { undefined: 0, low: 1, medium: 2, high: 4 } as const;

export const SHARE_CONTROL_BYTES = 6;
export const SHARE_DATA_BYTES = 12;

/** The user id servers use for themselves: pduSource of what they send, 2.2.1.13.1.1. */
export const SERVER_CHANNEL_ID = 0x03ea;

const FLOW_MARKER = 0x8000;
const FLOW_BYTES = 8;
/** PROTOCOL_VERSION in the type field, TS_PROTOCOL_VERSION 1. */
const VERSION = 0x0010;

export interface ShareControl {
  readonly type: number;
  /** The sender's MCS user id; 0 where an old server left it out of a Deactivate All. */
  readonly source: number;
  /** Of the first byte behind the header. */
  readonly dataOffset: number;
  /** Where the PDU ends and the next one may begin. */
  readonly end: number;
}

/**
 * The share control header at `offset` of bytes that end at `end`.
 *
 * @throws PduError when header or PDU are not all there
 */
export function readShareControl(
  bytes: Uint8Array,
  offset: number,
  end: number = bytes.length,
): ShareControl {
  const total = u16(bytes, offset, end, 'totalLength');
  if (total === FLOW_MARKER) {
    if (end - offset < FLOW_BYTES) throw short('flow PDU', offset, FLOW_BYTES, end);
    return {
      type: ShareType.flow,
      source: u16(bytes, offset + 6, end, 'pduSource'),
      dataOffset: offset + FLOW_BYTES,
      end: offset + FLOW_BYTES,
    };
  }
  if (total < 4) throw new PduError('totalLength', offset, `is ${total}, less than its header`);
  if (total > end - offset) throw short('totalLength', offset, total, end);
  const last = offset + total;
  const type = u16(bytes, offset + 2, last, 'pduType') & 0x0f;
  // Windows XP ends a Deactivate All here.
  if (total === 4 && type === ShareType.deactivateAll)
    return { type, source: 0, dataOffset: last, end: last };
  return {
    type,
    source: u16(bytes, offset + 4, last, 'pduSource'),
    dataOffset: offset + SHARE_CONTROL_BYTES,
    end: last,
  };
}

export interface ShareData {
  readonly shareId: number;
  readonly streamId: number;
  /**
   * Of the data before bulk compression, with the last four bytes of this header in the examples of
   * the specification; FreeRDP leaves those out, xrdp counts all headers: a hint, no more.
   */
  readonly uncompressedLength: number;
  /** One of {@link DataType}. */
  readonly type: number;
  /** Bulk compression, see {@link CompressedFlag}; 0 when there is none. */
  readonly compressedType: number;
  /** Of the data with this and the control header, when compressed. */
  readonly compressedLength: number;
  readonly dataOffset: number;
  readonly end: number;
}

/** The share data header behind a control header of type `data`. */
export function readShareData(bytes: Uint8Array, control: ShareControl): ShareData {
  const at = control.dataOffset;
  if (control.end - at < SHARE_DATA_BYTES)
    throw short('share data header', at, SHARE_DATA_BYTES, control.end);
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, SHARE_DATA_BYTES);
  return {
    shareId: view.getUint32(0, true),
    streamId: view.getUint8(5),
    uncompressedLength: view.getUint16(6, true),
    type: view.getUint8(8),
    compressedType: view.getUint8(9),
    compressedLength: view.getUint16(10, true),
    dataOffset: at + SHARE_DATA_BYTES,
    end: control.end,
  };
}

/** Writes a control header and, by `body`, what it heads; the length is patched in behind. */
export function encodeShareControl(
  writer: Writer,
  type: number,
  source: number,
  body: (writer: Writer) => void,
): void {
  const start = writer.length;
  writer
    .u16le(0)
    .u16le(VERSION | type)
    .u16le(source);
  body(writer);
  writer.patchU16le(start, boundedLength('totalLength', start, writer.length - start));
}

/** Writes control and data header and, by `body`, an uncompressed data PDU. */
export function encodeShareData(
  writer: Writer,
  header: {
    readonly type: number;
    readonly source: number;
    readonly shareId: number;
    readonly streamId?: number;
  },
  body: (writer: Writer) => void,
): void {
  encodeShareControl(writer, ShareType.data, header.source, () => {
    writer
      .u32le(header.shareId)
      .u8(0)
      .u8(header.streamId ?? StreamId.low);
    const length = writer.length;
    writer.u16le(0).u8(header.type).u8(0).u16le(0);
    body(writer);
    // Counted as in the examples of section 4.
    writer.patchU16le(length, boundedLength('uncompressedLength', length, writer.length - length - 2));
  });
}

/** Totals end before the flow marker; MCS does not carry more than that anyway. */
function boundedLength(field: string, offset: number, length: number): number {
  if (length >= FLOW_MARKER)
    throw new PduError(field, offset, `would be ${length}, a share PDU ends at 32767`);
  return length;
}

function u16(bytes: Uint8Array, offset: number, end: number, field: string): number {
  const low = bytes[offset];
  const high = bytes[offset + 1];
  if (end - offset < 2 || low === undefined || high === undefined) throw short(field, offset, 2, end);
  return low | (high << 8);
}

function short(field: string, offset: number, needed: number, end: number): PduError {
  return new PduError(field, offset, `needs ${needed} bytes, ${Math.max(0, end - offset)} are left`);
}
