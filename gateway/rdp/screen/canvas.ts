/**
 * A framebuffer that knows what changed: everything is drawn anew after each change, and only
 * pixels that then differ from what was taken last are handed out.
 *
 * It holds one byte per pixel, an index into a palette: connections that nobody has logged on
 * to yet must not cost a 32-bit framebuffer each.
 */
import type { Font } from '../../../recorder/font/font.ts';

export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface DirtyRectangle extends Rectangle {
  /** `width` × `height` pixels, 0x00RRGGBB, row by row from the top; the caller's to keep, not to write to. */
  readonly pixels: Uint32Array;
}

/** Pixels that did not change but are sent all the same, where that makes one rectangle of two. */
const WASTE_MAX = 128;
/** Changes are found in cells of this size: about a character of the smallest font. */
const CELL = 16;

/** What a canvas of this size takes. */
export const canvasBytes = (width: number, height: number): number => 2 * width * height;

export class Canvas {
  readonly width: number;
  readonly height: number;
  readonly #palette: Uint32Array;
  /** What is drawn. */
  readonly #drawn: Uint8Array;
  /** What was taken. */
  readonly #taken: Uint8Array;
  /** INVARIANT: rows outside `#top`..`#bottom` (exclusive) are the same in both. */
  #top = 0;
  #bottom = 0;
  #all = true;

  /** `palette`: up to 256 colours, 0x00RRGGBB; the canvas begins in the first. */
  constructor(width: number, height: number, palette: readonly number[]) {
    this.width = width;
    this.height = height;
    this.#palette = Uint32Array.from(palette);
    this.#drawn = new Uint8Array(width * height);
    this.#taken = new Uint8Array(width * height);
  }

  /** Lets the next `takeDirty` give everything: the other side lost what it had. */
  invalidate(): void {
    this.#all = true;
  }

  /** What lies outside the canvas is cut off, here and in all that draws. */
  fill(box: Rectangle, colour: number): void {
    const left = Math.max(0, box.x);
    const right = Math.min(this.width, box.x + box.width);
    const top = Math.max(0, box.y);
    const bottom = Math.min(this.height, box.y + box.height);
    if (left >= right || top >= bottom) return;
    this.#touch(top, bottom);
    for (let y = top; y < bottom; y++)
      this.#drawn.fill(colour, y * this.width + left, y * this.width + right);
  }

  /** A border of `thickness` pixels inside `box`. */
  frame({ x, y, width, height }: Rectangle, colour: number, thickness = 1): void {
    if (width < thickness || height < thickness) return;
    this.fill({ x, y, width, height: thickness }, colour);
    this.fill({ x, y: y + height - thickness, width, height: thickness }, colour);
    this.fill({ x, y, width: thickness, height }, colour);
    this.fill({ x: x + width - thickness, y, width: thickness, height }, colour);
  }

  /** One line of text with its cells' top left corner at `x`, `y`; cut at the edges of `clip`. */
  text(
    x: number,
    y: number,
    text: string,
    font: Font,
    colour: number,
    clip: Rectangle = this.#bounds(),
  ): void {
    const left = Math.max(0, clip.x);
    const right = Math.min(this.width, clip.x + clip.width);
    const top = Math.max(0, clip.y, y);
    const bottom = Math.min(this.height, clip.y + clip.height, y + font.height);
    if (left >= right || top >= bottom) return;
    this.#touch(top, bottom);
    let at = x;
    for (const character of text) {
      if (at >= right) break;
      if (at + font.width > left) {
        const rows = font.glyph(character.codePointAt(0) ?? 0);
        const from = Math.max(at, left);
        const to = Math.min(at + font.width, right);
        for (let row = top; row < bottom; row++) {
          const bits = (row - y) * font.stride;
          for (let column = from; column < to; column++) {
            const bit = column - at;
            if (((rows[bits + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) !== 0)
              this.#drawn[row * this.width + column] = colour;
          }
        }
      }
      at += font.width;
    }
  }

  /** The rectangles that changed since the last call, disjoint and as small as their pixels. */
  takeDirty(): DirtyRectangle[] {
    if (this.#all) {
      this.#all = false;
      this.#top = this.#bottom = 0;
      this.#taken.set(this.#drawn);
      return this.width * this.height === 0 ? [] : [this.#read(this.#bounds())];
    }
    const found: Rectangle[] = [];
    for (let y = this.#top - (this.#top % CELL); y < this.#bottom; y += CELL) {
      const height = Math.min(CELL, this.height - y);
      for (const { x, width } of this.#changedIn(y, height))
        join(found, this.#tight({ x, y, width, height }));
    }
    this.#top = this.#bottom = 0;
    return found.map((box) => {
      this.#keep(box);
      return this.#read(box);
    });
  }

  #bounds(): Rectangle {
    return { x: 0, y: 0, width: this.width, height: this.height };
  }

  #touch(top: number, bottom: number): void {
    this.#top = this.#top === this.#bottom ? top : Math.min(this.#top, top);
    this.#bottom = Math.max(this.#bottom, bottom);
  }

  /** Runs of changed cells in the band of `height` rows at `y`. */
  #changedIn(y: number, height: number): { x: number; width: number }[] {
    const runs: { x: number; width: number }[] = [];
    for (let x = 0; x < this.width; x += CELL) {
      const width = Math.min(CELL, this.width - x);
      if (!this.#differs({ x, y, width, height })) continue;
      const last = runs.at(-1);
      if (last !== undefined && last.x + last.width === x) last.width += width;
      else runs.push({ x, width });
    }
    return runs;
  }

  #differs({ x, y, width, height }: Rectangle): boolean {
    for (let row = y; row < y + height; row++)
      for (let at = row * this.width + x; at < row * this.width + x + width; at++)
        if (this.#drawn[at] !== this.#taken[at]) return true;
    return false;
  }

  /** `box` without the rows and columns at its edges that did not change. */
  #tight(box: Rectangle): Rectangle {
    let { x, y, width, height } = box;
    while (height > 1 && !this.#differs({ x, y, width, height: 1 })) {
      y++;
      height--;
    }
    while (height > 1 && !this.#differs({ x, y: y + height - 1, width, height: 1 })) height--;
    while (width > 1 && !this.#differs({ x, y, width: 1, height })) {
      x++;
      width--;
    }
    while (width > 1 && !this.#differs({ x: x + width - 1, y, width: 1, height })) width--;
    return { x, y, width, height };
  }

  #read({ x, y, width, height }: Rectangle): DirtyRectangle {
    const pixels = new Uint32Array(width * height);
    for (let row = 0; row < height; row++) {
      const from = (y + row) * this.width + x;
      for (let column = 0; column < width; column++)
        pixels[row * width + column] = this.#palette[this.#drawn[from + column] ?? 0] ?? 0;
    }
    return { x, y, width, height, pixels };
  }

  #keep({ x, y, width, height }: Rectangle): void {
    for (let row = y; row < y + height; row++) {
      const from = row * this.width + x;
      this.#taken.set(this.#drawn.subarray(from, from + width), from);
    }
  }
}

/** Adds `box` to disjoint rectangles, as one with those that it touches or that are near. */
function join(found: Rectangle[], box: Rectangle): void {
  for (let at = found.length - 1; at >= 0; at--) {
    const other = found[at];
    if (other === undefined) continue;
    const x = Math.min(box.x, other.x);
    const y = Math.min(box.y, other.y);
    const width = Math.max(box.x + box.width, other.x + other.width) - x;
    const height = Math.max(box.y + box.height, other.y + other.height) - y;
    const both = box.width * box.height + other.width * other.height;
    const overlap = width < box.width + other.width && height < box.height + other.height;
    if (!overlap && width * height - both > WASTE_MAX) continue;
    found.splice(at, 1);
    return join(found, { x, y, width, height });
  }
  found.push(box);
}
