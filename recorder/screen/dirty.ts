/** Which parts of a picture were drawn on, in tiles. */

/** Half open: `right` and `bottom` lie outside. */
export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Side of a tile in pixels, as a power of two. A clock and a caret far apart are two small parts, not one large one. */
const TILE_SHIFT = 5;

export class DirtyTiles {
  readonly #width: number;
  readonly #height: number;
  readonly #columns: number;
  readonly #lines: number;
  /** One per tile, line after line; 1: drawn on. */
  readonly #tiles: Uint8Array;
  #any = true;

  /** All of it is dirty. */
  constructor(width: number, height: number) {
    this.#width = width;
    this.#height = height;
    this.#columns = ((width - 1) >> TILE_SHIFT) + 1;
    this.#lines = ((height - 1) >> TILE_SHIFT) + 1;
    this.#tiles = new Uint8Array(this.#columns * this.#lines).fill(1);
  }

  /** `right` and `bottom` lie outside; all four inside the picture, and the rectangle is not empty. */
  mark(left: number, top: number, right: number, bottom: number): void {
    const from = left >> TILE_SHIFT;
    const to = ((right - 1) >> TILE_SHIFT) + 1;
    const last = (bottom - 1) >> TILE_SHIFT;
    for (let line = top >> TILE_SHIFT; line <= last; line++)
      this.#tiles.fill(1, line * this.#columns + from, line * this.#columns + to);
    this.#any = true;
  }

  /** What was marked since the last call, as rectangles that do not overlap. */
  take(): Rectangle[] {
    const taken: Rectangle[] = [];
    if (!this.#any) return taken;
    for (let line = 0; line < this.#lines; line++) {
      const top = line << TILE_SHIFT;
      const bottom = Math.min(this.#height, top + (1 << TILE_SHIFT));
      const tiles = this.#tiles.subarray(line * this.#columns, (line + 1) * this.#columns);
      for (let from = tiles.indexOf(1); from >= 0; ) {
        const end = tiles.indexOf(0, from);
        const to = end < 0 ? tiles.length : end;
        const right = Math.min(this.#width, to << TILE_SHIFT);
        taken.push({ left: from << TILE_SHIFT, top, right, bottom });
        from = tiles.indexOf(1, to);
      }
    }
    this.#tiles.fill(0);
    this.#any = false;
    return taken;
  }
}
