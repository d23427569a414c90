/** Where the panel stands on the desktop, and what is painted around it. */
import type { DirtyRectangle, Rectangle } from './canvas.ts';
import { BACKGROUND } from './theme.ts';

export interface ScreenSize {
  /** Of the desktop, over all monitors, in pixels. */
  readonly width: number;
  readonly height: number;
  /** The primary monitor's place in it; all of it without. */
  readonly primary?: Rectangle;
}

/** Pixels of one rectangle: bounds the memory while a large screen is painted. */
const PIXELS_MAX = 65_536;

/** The monitor that the panel stands on: of what the client announced, the part that is on the desktop. */
export function monitorOf({ width, height, primary }: ScreenSize): Rectangle {
  const desktop = { x: 0, y: 0, width, height };
  if (primary === undefined) return desktop;
  const x = Math.max(0, primary.x);
  const y = Math.max(0, primary.y);
  const right = Math.min(width, primary.x + primary.width);
  const bottom = Math.min(height, primary.y + primary.height);
  return right > x && bottom > y ? { x, y, width: right - x, height: bottom - y } : desktop;
}

/** The desktop but for `panel`, in rectangles that share their pixels. */
export function backdrop({ width, height }: ScreenSize, panel: Rectangle): DirtyRectangle[] {
  const right = panel.x + panel.width;
  const bottom = panel.y + panel.height;
  const pixels = new Uint32Array(Math.max(width, Math.min(PIXELS_MAX, width * height))).fill(BACKGROUND);
  return [
    { x: 0, y: 0, width, height: panel.y },
    { x: 0, y: panel.y, width: panel.x, height: panel.height },
    { x: right, y: panel.y, width: width - right, height: panel.height },
    { x: 0, y: bottom, width, height: height - bottom },
  ].flatMap((box) => tiles(box, pixels));
}

/** `box` cut into bands of at most as many pixels as there are. */
function tiles(box: Rectangle, pixels: Uint32Array): DirtyRectangle[] {
  if (box.width <= 0 || box.height <= 0) return [];
  const rows = Math.floor(pixels.length / box.width);
  const found: DirtyRectangle[] = [];
  for (let y = 0; y < box.height; y += rows) {
    const height = Math.min(rows, box.height - y);
    const part = pixels.subarray(0, box.width * height);
    found.push({ x: box.x, y: box.y + y, width: box.width, height, pixels: part });
  }
  return found;
}
