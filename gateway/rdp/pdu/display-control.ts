/**
 * What the client asks of the server's output and end, [MS-RDPBCGR] 2.2.11.2 Refresh Rect, 2.2.11.3
 * Suppress Output; 2.2.2 Shutdown Request and Denied have no body. Each follows a share data header.
 */
import { PduError, type Reader, type Writer } from './cursor.ts';

/** TS_RECTANGLE16, 2.2.11.1: right and bottom belong to it. */
export interface InclusiveRectangle {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

function decodeRectangle(reader: Reader): InclusiveRectangle {
  return {
    left: reader.u16le('left'),
    top: reader.u16le('top'),
    right: reader.u16le('right'),
    bottom: reader.u16le('bottom'),
  };
}

function encodeRectangle(writer: Writer, area: InclusiveRectangle): void {
  writer.u16le(area.left).u16le(area.top).u16le(area.right).u16le(area.bottom);
}

/** 2.2.11.2.1: numberOfAreas (1), pad (3), areasToRefresh (8 each). */
export function decodeRefreshRect(reader: Reader): InclusiveRectangle[] {
  const count = reader.u8('numberOfAreas');
  reader.skip('pad3Octets', 3);
  return Array.from({ length: count }, () => decodeRectangle(reader));
}

export function encodeRefreshRect(writer: Writer, areas: readonly InclusiveRectangle[]): void {
  if (areas.length > 255)
    throw new PduError('numberOfAreas', writer.length, `would be ${areas.length}, at most 255`);
  writer.u8(areas.length).zeros(3);
  for (const area of areas) encodeRectangle(writer, area);
}

/** 2.2.11.3.1: allowDisplayUpdates (1), pad (3), desktopRect (8, only when updates are allowed). */
export interface SuppressOutput {
  readonly allowDisplayUpdates: number;
  readonly desktop?: InclusiveRectangle | undefined;
}

export function decodeSuppressOutput(reader: Reader): SuppressOutput {
  const allowDisplayUpdates = reader.u8('allowDisplayUpdates');
  reader.skip('pad3Octets', 3);
  return { allowDisplayUpdates, desktop: reader.left === 0 ? undefined : decodeRectangle(reader) };
}

export function encodeSuppressOutput(writer: Writer, suppress: SuppressOutput): void {
  writer.u8(suppress.allowDisplayUpdates).zeros(3);
  if (suppress.desktop !== undefined) encodeRectangle(writer, suppress.desktop);
}
