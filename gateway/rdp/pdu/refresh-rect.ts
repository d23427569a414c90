/**
 * Refresh Rect, [MS-RDPBCGR] 2.2.11.2: the server is to draw parts of the desktop anew. It follows a
 * share data header.
 *
 * ```
 * numberOfAreas (1)  pad3Octets (3)  areas: left  top  right  bottom (2 each; right and bottom inside)
 * ```
 */
import type { Writer } from './cursor.ts';

/** A part of the desktop, in pixels. */
export interface Area {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Writes a PDU of one area, which is not empty. */
export function encodeRefreshRect(writer: Writer, { x, y, width, height }: Area): void {
  writer.u8(1).zeros(3);
  writer
    .u16le(x)
    .u16le(y)
    .u16le(x + width - 1)
    .u16le(y + height - 1);
}
