/**
 * Whether a target's screen updates ([MS-RDPBCGR] 2.2.9.1.1.3, 2.2.9.1.2) are such that the recorder can take them
 * apart later. Nothing is decoded while a session runs: only the structure is looked at, and that nothing comes that
 * was not negotiated. A client that draws what the recorder cannot follow would show what no recording has.
 */
import { PduError } from '../pdu/cursor.ts';
import { Fragmentation, readFastPathUpdate, UpdateCode } from '../pdu/fast-path.ts';
import { CompressedFlag } from '../pdu/share.ts';

/** Those that clients and recorder know, a bit each. */
const KNOWN = Object.values(UpdateCode).reduce<number>((bits, code) => bits | (1 << code), 0);
/** Longest update of fragments: more than any client offers to take (2.2.7.2.6). */
const MAX_UPDATE_BYTES = 16 * 1024 ** 2;
/** updateType in front of slow-path updates, and of fast-path ones of bitmaps and palettes. */
const SlowUpdate = { orders: 0, bitmap: 1, palette: 2, synchronize: 3 } as const;
/** TS_BITMAP_DATA up to its data, which bitmapLength, the last two bytes, is of. */
const RECTANGLE_BYTES = 18;

/** messageType of slow-path pointer PDUs (2.2.9.1.1.4), and the fast path's code for the same. */
const SYSTEM_POINTER = 1;
const POINTER_CODES: ReadonlyMap<number, number> = new Map([
  [3, UpdateCode.pointerPosition],
  [6, UpdateCode.pointerColor],
  [7, UpdateCode.pointerCached],
  [8, UpdateCode.pointerNew],
]);
const MAX_COLOURS = 256;

/** controlFlags of an order ([MS-RDPEGDI] 2.2.2.2.1). */
const Order = { standard: 0x01, secondary: 0x02 } as const;
/** orderType of alternate secondary orders that draw nothing: of windows, of composition, frame markers. */
const Alternate = { window: 0x0b, composition: 0x0c, frameMarker: 0x0d } as const;
/** orderLength of a secondary order counts 13 bytes too few. */
const SECONDARY_MORE = 13;

export class UpdateCheck {
  /** Of the update whose fragments are coming; undefined: none is. */
  #code: number | undefined;
  #bytes = 0;

  /** A new activation begins. */
  reset(): void {
    this.#code = undefined;
  }

  /**
   * The updates of a fast-path PDU, from `offset` on.
   * @throws PduError
   */
  fastPath(pdu: Uint8Array, offset: number): void {
    for (let at = offset; at < pdu.length; ) {
      const { code, fragmentation, compressionFlags, dataOffset, end } = readFastPathUpdate(
        pdu,
        at,
        pdu.length,
      );
      if ((compressionFlags & CompressedFlag.compressed) !== 0)
        throw new PduError('compressionFlags', at, 'say compressed, which was not negotiated');
      if ((KNOWN & (1 << code)) === 0) throw new PduError('updateCode', at, `is ${code}, which is none`);
      if (code === UpdateCode.surfaceCommands)
        throw new PduError('updateCode', at, 'is of surface commands, which were not negotiated');
      this.#fragment(code, fragmentation, at, end - dataOffset);
      // Of an update in fragments the rest is judged when it is shown: exports say what they could not follow.
      if (fragmentation === Fragmentation.single) {
        if (code === UpdateCode.bitmap) checkBitmaps(pdu, dataOffset, end);
        if (code === UpdateCode.palette) checkPalette(pdu, dataOffset, end);
        if (code >= UpdateCode.pointerPosition) checkPointer(pdu, code, dataOffset, end);
        if (code === UpdateCode.orders)
          checkOrders(pdu, dataOffset + 2, end, u16(pdu, dataOffset, end, 'numberOrders'));
      }
      at = end;
    }
  }

  /**
   * A slow-path update in `bytes` from its updateType at `offset` to `end`.
   * @throws PduError
   */
  slowPath(bytes: Uint8Array, offset: number, end: number): void {
    const type = u16(bytes, offset, end, 'updateType');
    switch (type) {
      case SlowUpdate.bitmap:
        return checkBitmaps(bytes, offset, end);
      case SlowUpdate.orders:
        // Behind the type two bytes of padding, behind the number two more.
        return checkOrders(bytes, offset + 8, end, u16(bytes, offset + 4, end, 'numberOrders'));
      case SlowUpdate.palette:
        return checkPalette(bytes, offset, end);
      case SlowUpdate.synchronize:
        return;
      default:
        throw new PduError('updateType', offset, `is ${type}, which is none`);
    }
  }

  /**
   * A slow-path pointer PDU in `bytes` from its messageType at `offset` to `end`.
   * @throws PduError
   */
  slowPointer(bytes: Uint8Array, offset: number, end: number): void {
    const type = u16(bytes, offset, end, 'messageType');
    // Behind the type two bytes of padding; then as on the fast path.
    if (type === SYSTEM_POINTER) return checkRoom(offset + 8, end, 'systemPointerType');
    const code = POINTER_CODES.get(type);
    if (code === undefined) throw new PduError('messageType', offset, `is ${type}, which is none`);
    checkPointer(bytes, code, offset + 4, end);
  }

  #fragment(code: number, fragmentation: number, at: number, bytes: number): void {
    const begins = fragmentation === Fragmentation.single || fragmentation === Fragmentation.first;
    if (begins !== (this.#code === undefined))
      throw new PduError(
        'fragmentation',
        at,
        begins ? 'begins an update before the last one ended' : 'goes on where no update began',
      );
    if (fragmentation === Fragmentation.single) return;
    if (begins) this.#bytes = 0;
    else if (code !== this.#code)
      throw new PduError(
        'updateCode',
        at,
        `changes from ${this.#code} to ${code} in the middle of an update`,
      );
    this.#bytes += bytes;
    if (this.#bytes > MAX_UPDATE_BYTES)
      throw new PduError('size', at, `makes an update of more than ${MAX_UPDATE_BYTES} bytes`);
    this.#code = fragmentation === Fragmentation.last ? undefined : code;
  }
}

/** TS_UPDATE_BITMAP_DATA (2.2.9.1.1.3.1.2): its rectangles are there. What is in them is not looked at. */
function checkBitmaps(bytes: Uint8Array, offset: number, end: number): void {
  let at = offset + 4;
  for (let left = u16(bytes, offset + 2, end, 'numberRectangles'); left > 0; left -= 1) {
    at += RECTANGLE_BYTES;
    at += u16(bytes, at - 2, end, 'bitmapLength');
    if (at > end) throw new PduError('bitmapDataStream', at, `ends ${at - end} bytes behind its update`);
  }
}

/** TS_UPDATE_PALETTE_DATA (2.2.9.1.1.3.1.1.1): type, padding, number of colours in four bytes, three for each. */
function checkPalette(bytes: Uint8Array, offset: number, end: number): void {
  const colours = u32(bytes, offset + 4, end, 'numberColors');
  if (colours > MAX_COLOURS)
    throw new PduError('numberColors', offset + 4, `is ${colours}, over ${MAX_COLOURS}`);
  checkRoom(offset + 8 + 3 * colours, end, 'paletteEntries');
}

/** Position, shape or number of a cached shape (2.2.9.1.1.4.2 to 2.2.9.1.1.4.6, 2.2.9.1.2.1.11). */
function checkPointer(bytes: Uint8Array, code: number, offset: number, end: number): void {
  switch (code) {
    case UpdateCode.pointerCached:
      return checkRoom(offset + 2, end, 'cacheIndex');
    case UpdateCode.pointerPosition:
      return checkRoom(offset + 4, end, 'position');
    case UpdateCode.pointerLarge: {
      // Behind xorBpp, cacheIndex, hot spot and size; here the lengths have four bytes.
      const masks =
        u32(bytes, offset + 12, end, 'lengthAndMask') + u32(bytes, offset + 16, end, 'lengthXorMask');
      return checkRoom(offset + 20 + masks, end, 'masks');
    }
    default: {
      const shape = offset + (code === UpdateCode.pointerNew ? 2 : 0);
      const masks =
        u16(bytes, shape + 10, end, 'lengthAndMask') + u16(bytes, shape + 12, end, 'lengthXorMask');
      return checkRoom(shape + 14 + masks, end, 'masks');
    }
  }
}

/** Orders that draw nothing: caches that only drawing orders use, windows, frame markers. */
function checkOrders(bytes: Uint8Array, offset: number, end: number, count: number): void {
  let at = offset;
  for (let left = count; left > 0; left -= 1) {
    const flags = bytes[at] ?? 0;
    if (at >= end) throw new PduError('controlFlags', at, 'needs 1 byte, 0 are left');
    if ((flags & Order.secondary) === 0)
      throw new PduError('controlFlags', at, 'are of a drawing order, which was not negotiated');
    at +=
      (flags & Order.standard) !== 0
        ? u16(bytes, at + 1, end, 'orderLength') + SECONDARY_MORE
        : alternate(bytes, at, end);
    if (at > end) throw new PduError('orderData', at, `ends ${at - end} bytes behind its update`);
  }
}

/** @returns the length of an alternate secondary order */
function alternate(bytes: Uint8Array, at: number, end: number): number {
  const type = (bytes[at] ?? 0) >> 2;
  switch (type) {
    case Alternate.frameMarker:
      return 5;
    case Alternate.window:
      return Math.max(3, u16(bytes, at + 1, end, 'orderSize'));
    case Alternate.composition:
      return 4 + u16(bytes, at + 2, end, 'size');
    default:
      throw new PduError('orderType', at, `is ${type}, which was not negotiated`);
  }
}

function checkRoom(needed: number, end: number, field: string): void {
  if (needed > end) throw new PduError(field, end, `ends ${needed - end} bytes behind its update`);
}

function u32(bytes: Uint8Array, offset: number, end: number, field: string): number {
  return u16(bytes, offset, end, field) + u16(bytes, offset + 2, end, field) * 0x1_0000;
}

function u16(bytes: Uint8Array, offset: number, end: number, field: string): number {
  const low = bytes[offset];
  const high = bytes[offset + 1];
  if (low === undefined || high === undefined || offset + 2 > end)
    throw new PduError(field, offset, `needs 2 bytes, ${Math.max(0, end - offset)} are left`);
  return low | (high << 8);
}
