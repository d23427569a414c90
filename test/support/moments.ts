/** Moments of a recorded desktop: what the client showed, and when that was by the recording's own time. */
import assert from 'node:assert/strict';
import { type Blind, percent, sameShare } from './picture.ts';
import { until } from './process.ts';
import { movePointer, type Picture, pointerAt, screenshot, type XServer } from './x11.ts';

export interface Moment {
  readonly name: string;
  /** What the client's window showed. */
  readonly shown: Picture;
  /** The pointer, which no screenshot shows, around the place at which it was. */
  readonly pointer: Blind;
}

export interface Watched {
  /** Where the client is, and its window. */
  readonly display: XServer;
  readonly window: string;
  /** The desktop that it shows. */
  readonly desktop: XServer;
}

/** The line on which the mouse is put, below all windows of the scene. */
const MARKS_Y = 460;
/** How far from its place a pointer's shape goes, pixels. */
const REACH = 32;
/** For what has to go through client, gateway, target and back, on a busy machine. */
const PATIENCE_MS = 30_000;
/** How far the colours of a client may be from those of the desktop: what 16 bits of 24 cost. */
const TOLERANCE = 8;
/** Shares of a desktop that stands still and of one that has changed: a terminal's few lines are 2 %. */
const STILL = 0.9995;
const CHANGED = 0.98;

/** Takes moments of a desktop, each marked in the recording by a place of the mouse that no other has. */
export class Moments {
  readonly #watched: Watched;
  readonly taken: Moment[] = [];

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  /**
   * Takes the picture of a desktop on which nothing moves any more: when the client shows what the desktop
   * has, the mouse goes to a mark of its own. Once it is seen on the desktop the recording has it, behind
   * all that the client shows and before all that comes.
   */
  async take(name: string): Promise<Moment> {
    const { display, window } = this.#watched;
    const mark = { x: 3 * (this.taken.length + 1), y: MARKS_Y };
    // Windows look different below the mouse: it leaves them first.
    await this.#moveTo(0, MARKS_Y);
    const still = await this.#still(name);
    await this.#moveTo(mark.x, mark.y);
    const shown = await screenshot(display, window);
    assert.ok(shown.rgb.equals(still.rgb), `${name}: something moved while the picture was taken`);
    const moment = { name, shown, pointer: { ...mark, reach: REACH } };
    this.taken.push(moment);
    return moment;
  }

  /** Resolves when the mouse has come to the desktop. */
  async #moveTo(x: number, y: number): Promise<void> {
    const { display, window, desktop } = this.#watched;
    await movePointer(display, window, x, y);
    const there = async (): Promise<true | undefined> => {
      const at = await pointerAt(desktop);
      return at.x === x && at.y === y ? true : undefined;
    };
    await until(`the mouse to come to ${x}, ${y} of the desktop`, there, PATIENCE_MS);
  }

  /** What the client shows once that is what the desktop has, and stays so. */
  async #still(name: string): Promise<Picture> {
    const { display, window, desktop } = this.#watched;
    let share = 0;
    let last: Picture | undefined;
    const look = async (): Promise<Picture | undefined> => {
      const seen = await screenshot(display, window);
      share = sameShare(seen, await screenshot(desktop), TOLERANCE);
      const before = last;
      last = seen;
      return share >= STILL && before?.rgb.equals(seen.rgb) ? seen : undefined;
    };
    return await until(`the client to show ${name}`, look, PATIENCE_MS).catch((error: unknown) =>
      assert.fail(`${String(error)}: ${percent(share)} is as on the desktop`),
    );
  }

  /** Waits until the client shows another picture than at the last moment. */
  async change(): Promise<void> {
    const { display, window } = this.#watched;
    const last = this.taken.at(-1)?.shown ?? assert.fail('no moment was taken');
    const look = async (): Promise<true | undefined> =>
      sameShare(await screenshot(display, window), last, 0) < CHANGED ? true : undefined;
    await until('the client to show something else', look, PATIENCE_MS);
  }
}

/**
 * Of each moment, µs from the recording's start: when the mouse came to its mark.
 *
 * @param lines the recording, exported as `jsonl`
 */
export function timesOf(lines: string, moments: readonly Moment[]): number[] {
  const mice = lines
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { at: number; kind: string; data?: { x?: number; y?: number } })
    .filter(({ kind }) => kind === 'mouse');
  return moments.map(({ name, pointer }) => {
    // A mouse that already stands there when the client begins is not the mark yet.
    const mark = mice.findLast(({ data }) => data?.x === pointer.x && data.y === pointer.y);
    return mark?.at ?? assert.fail(`the mouse at the mark of ${name} is not in the recording`);
  });
}
