/** What the overlay asks of a target's updates ([MS-RDPBCGR] 2.2.9.1.1.3, 2.2.9.1.2.1). */
import { UpdateCode } from '../pdu/fast-path.ts';
import type { Rectangle } from '../screen/canvas.ts';

/** TS_BITMAP_DATA up to its data, which bitmapLength, the last two bytes, is of. */
const RECTANGLE_BYTES = 18;
const PALETTE_HEADER_BYTES = 8;
const COLOURS_MAX = 256;

/**
 * Whether updates of this code paint. Orders do not: none that draw is negotiated (profile.ts), and
 * others change what later ones build on, as pointers and palettes do.
 */
export function isPicture(code: number): boolean {
  return code === UpdateCode.bitmap || code === UpdateCode.surfaceCommands;
}

/** Whether the bitmap update `data`, from its updateType on, draws on `box`; true also where it is cut. */
export function drawsOn(data: Uint8Array, box: Rectangle): boolean {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  if (data.length < 4) return true;
  let at = 4;
  for (let left = view.getUint16(2, true); left > 0; left -= 1) {
    if (at + RECTANGLE_BYTES > data.length) return true;
    const [x, y, right, bottom] = [0, 2, 4, 6].map((field) => view.getUint16(at + field, true));
    if (x === undefined || y === undefined || right === undefined || bottom === undefined) return true;
    if (x < box.x + box.width && right >= box.x && y < box.y + box.height && bottom >= box.y) return true;
    at += RECTANGLE_BYTES + view.getUint16(at + RECTANGLE_BYTES - 2, true);
  }
  return false;
}

/** The colours of a palette update, from its updateType on, as 0x00RRGGBB; undefined when it is cut. */
export function paletteOf(data: Uint8Array): Uint32Array | undefined {
  if (data.length < PALETTE_HEADER_BYTES) return undefined;
  const count = new DataView(data.buffer, data.byteOffset).getUint32(4, true);
  if (count > COLOURS_MAX || data.length < PALETTE_HEADER_BYTES + 3 * count) return undefined;
  return Uint32Array.from({ length: count }, (_, index) => {
    const at = PALETTE_HEADER_BYTES + 3 * index;
    return ((data[at] ?? 0) << 16) | ((data[at + 1] ?? 0) << 8) | (data[at + 2] ?? 0);
  });
}

/** Finds for a colour the index of the one in `palette` that is least far from it. */
export function nearestIn(palette: Uint32Array): (rgb: number) => number {
  const known = new Map<number, number>();
  return (rgb) => {
    let found = known.get(rgb);
    if (found === undefined) {
      let least = Number.POSITIVE_INFINITY;
      for (const [index, colour] of palette.entries()) {
        const distance = [16, 8, 0].reduce(
          (sum, shift) => sum + (((rgb >> shift) & 0xff) - ((colour >> shift) & 0xff)) ** 2,
          0,
        );
        if (distance < least) [least, found] = [distance, index];
      }
      found ??= 0;
      known.set(rgb, found);
    }
    return found;
  };
}
