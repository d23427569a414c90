/** The list of targets: which pass the filter, which one is chosen, which rows show. */
import type { Target } from './event.ts';

export class TargetList {
  readonly #targets: readonly Target[];
  /** Lower-case text of each target, for the filter. */
  readonly #texts: readonly string[];
  #filter = '';
  #shown: readonly Target[];
  #rows = 1;
  /** INVARIANT: `#top` ≤ `#cursor` < `#top` + `#rows`: what Enter takes is always in sight. */
  #cursor = 0;
  #top = 0;

  constructor(targets: readonly Target[]) {
    this.#targets = targets;
    this.#texts = targets.map(targetName).map((text) => text.toLowerCase());
    this.#shown = targets;
  }

  /** Targets that pass the filter. */
  get count(): number {
    return this.#shown.length;
  }
  get total(): number {
    return this.#targets.length;
  }
  get top(): number {
    return this.#top;
  }
  get cursor(): number {
    return this.#cursor;
  }
  get rows(): number {
    return this.#rows;
  }
  /** There is more than is in sight. */
  get scrolls(): boolean {
    return this.#shown.length > this.#rows;
  }
  get chosen(): Target | undefined {
    return this.#shown[this.#cursor];
  }

  /** The targets in sight, at most `rows`. */
  visible(): readonly Target[] {
    return this.#shown.slice(this.#top, this.#top + this.#rows);
  }

  setRows(rows: number): void {
    this.#rows = Math.max(1, rows);
    this.moveTo(this.#cursor);
  }

  /** Every word of `filter` must be in a target's name, in any case. */
  setFilter(filter: string): void {
    if (filter === this.#filter) return;
    this.#filter = filter;
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    this.#shown = this.#targets.filter((_, at) => words.every((word) => this.#texts[at]?.includes(word)));
    this.#top = 0;
    this.moveTo(0);
  }

  moveTo(at: number): void {
    this.#cursor = Math.max(0, Math.min(at, this.#shown.length - 1));
    this.#top = Math.max(0, Math.min(this.#top, this.#cursor, this.#shown.length - this.#rows));
    if (this.#cursor >= this.#top + this.#rows) this.#top = this.#cursor - this.#rows + 1;
  }

  moveBy(rows: number): void {
    this.moveTo(this.#cursor + rows);
  }

  /** Shows the rows from `top` on; the choice comes along to stay in sight. */
  scrollTo(top: number): void {
    this.#top = Math.max(0, Math.min(top, this.#shown.length - this.#rows));
    this.#cursor = Math.max(
      0,
      Math.min(Math.max(this.#cursor, this.#top), this.#top + this.#rows - 1, this.#shown.length - 1),
    );
  }
}

export function targetName({ account, system }: Target): string {
  return `${account}@${system}`;
}
