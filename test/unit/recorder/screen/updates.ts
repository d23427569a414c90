/** Updates as a server would send them. */
import { u16, u32 } from './encoders.ts';

/** One fast-path update; `fragment`: 0 single, 1 last, 2 first, 3 next. */
export function fastPathUpdate(code: number, data: readonly number[], fragment = 0): number[] {
  return [code | (fragment << 4), ...u16(data.length), ...data];
}

export interface Tile {
  readonly left: number;
  readonly top: number;
  /** Of the destination; the bitmap's size if there is none. */
  readonly right?: number;
  readonly bottom?: number;
  readonly width: number;
  readonly height: number;
  readonly bits: number;
  readonly flags?: number;
  readonly data: readonly number[];
}

/** TS_UPDATE_BITMAP_DATA ([MS-RDPBCGR] 2.2.9.1.1.3.1.2). */
export function bitmapUpdate(...tiles: readonly Tile[]): number[] {
  return [
    ...u16(1),
    ...u16(tiles.length),
    ...tiles.flatMap((tile) => [
      ...u16(tile.left),
      ...u16(tile.top),
      ...u16(tile.right ?? tile.left + tile.width - 1),
      ...u16(tile.bottom ?? tile.top + tile.height - 1),
      ...u16(tile.width),
      ...u16(tile.height),
      ...u16(tile.bits),
      ...u16(tile.flags ?? 0),
      ...u16(tile.data.length),
      ...tile.data,
    ]),
  ];
}

/** TS_SURFCMD_SET_SURF_BITS (2.2.9.2.1.1). */
export function surfaceBits(
  left: number,
  top: number,
  width: number,
  height: number,
  bits: number,
  codec: number,
  data: readonly number[],
): number[] {
  const place = [left, top, left + width, top + height].flatMap(u16);
  return [
    ...u16(1),
    ...place,
    bits,
    0,
    0,
    codec,
    ...u16(width),
    ...u16(height),
    ...u32(data.length),
    ...data,
  ];
}

/** TS_UPDATE_PALETTE_DATA (2.2.9.1.1.3.1.1.1). */
export function paletteUpdate(...colours: readonly (readonly [number, number, number])[]): number[] {
  return [...u16(2), 0, 0, ...u32(colours.length), ...colours.flat()];
}

/** TS_COLORPOINTERATTRIBUTE (2.2.9.1.1.4.4), or with `large` the same with long lengths. */
export function pointerShape(
  index: number,
  hotSpot: readonly [number, number],
  size: readonly [number, number],
  xor: readonly number[],
  and: readonly number[],
  large = false,
): number[] {
  const length = large ? u32 : u16;
  const head = [index, ...hotSpot, ...size].flatMap(u16);
  return [...head, ...length(and.length), ...length(xor.length), ...xor, ...and];
}
