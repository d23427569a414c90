/**
 * Surface commands ([MS-RDPBCGR] 2.2.9.2.1):
 *
 *     cmdType u16: 1 set and 6 stream surface bits, 4 frame marker (frameAction u16, frameId u32)
 *     destLeft, destTop, destRight, destBottom u16
 *     bpp u8, flags u8, reserved u8, codecID u8, width u16, height u16, bitmapDataLength u32
 *     exBitmapDataHeader, 24 bytes, if flag 1 is set
 *     bitmapData
 */
import type { Cursor } from './cursor.ts';

const SET_BITS = 1;
const FRAME_MARKER = 4;
const STREAM_BITS = 6;
const EX_HEADER_PRESENT = 0x01;
const EX_HEADER_BYTES = 24;

/** Pixels of a surface command. */
export interface SurfaceBits {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly bitsPerPixel: number;
  /** 0: uncompressed; else the number that the client gave a codec. */
  readonly codec: number;
  readonly data: Uint8Array;
}

/**
 * The next command with pixels; undefined: there is none left. Frame markers are passed over.
 *
 * @throws ScreenError: it is cut or of a type that is none; what follows it cannot be found
 */
export function nextSurfaceBits(cursor: Cursor): SurfaceBits | undefined {
  while (cursor.left > 0) {
    const type = cursor.u16('cmdType');
    if (type === FRAME_MARKER) {
      cursor.bytes('frameMarker', 6);
      continue;
    }
    if (type !== SET_BITS && type !== STREAM_BITS) cursor.fail('cmdType', `is ${type}, which is none`, 2);
    const left = cursor.u16('destLeft');
    const top = cursor.u16('destTop');
    // The size of the bitmap says the same.
    cursor.bytes('destRightBottom', 4);
    const bitsPerPixel = cursor.u8('bpp');
    const flags = cursor.u8('flags');
    cursor.u8('reserved');
    const codec = cursor.u8('codecID');
    const width = cursor.u16('width');
    const height = cursor.u16('height');
    const length = cursor.u32('bitmapDataLength');
    if ((flags & EX_HEADER_PRESENT) !== 0) cursor.bytes('exBitmapDataHeader', EX_HEADER_BYTES);
    return { left, top, width, height, bitsPerPixel, codec, data: cursor.bytes('bitmapData', length) };
  }
  return undefined;
}
