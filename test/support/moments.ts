/** Moments of a recorded desktop: what the client showed, and when that was by the recording's own time. */
import assert from 'node:assert/strict';
import { EventKind, type RecordingEvent, type RecordingReader } from '../../recorder/index.ts';
import type { Framebuffer } from '../../recorder/screen/index.ts';
import { DesktopPlayer } from '../../recorder/video/desktop-player.ts';
import { type Blind, mixedShare, percent, sameShare } from './picture.ts';
import { until } from './process.ts';
import { movePointer, type Picture, pointerAt, screenshot, type XServer } from './x11.ts';

export interface Moment {
  readonly name: string;
  /** What the client's window showed. */
  readonly shown: Picture;
  /** The pointer, which no screenshot shows, around the place at which it was. */
  readonly pointer: Blind;
}

/** What the client showed at some time between two marks while things moved. */
export interface Glimpse {
  readonly shown: Picture;
  readonly from: Mark;
  readonly to: Mark;
}

/** A place at which the mouse is only once: it tells the time of the recording. */
export interface Mark {
  readonly x: number;
  readonly y: number;
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
/** Pixels that a client has in common with a desktop: freerdp-shadow sends some of text wrong at 16 bits. */
const STILL = 0.998;
/** Pixels that two moments have in common at most: a terminal's few lines are 2 %. */
const CHANGED = 0.98;

/** Takes moments of a desktop, each marked in the recording by a place of the mouse that no other has. */
export class Moments {
  readonly #watched: Watched;
  readonly taken: Moment[] = [];
  #marks = 0;

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
    // Windows look different below the mouse: it leaves them first.
    await this.#moveTo({ x: 0, y: MARKS_Y });
    const still = await this.#still(name);
    const mark = await this.#mark();
    const shown = await screenshot(display, window);
    assert.ok(shown.rgb.equals(still.rgb), `${name}: something moved while the picture was taken`);
    const moment = { name, shown, pointer: { ...mark, reach: REACH } };
    this.taken.push(moment);
    return moment;
  }

  /** Takes a picture while things move. */
  async glimpse(): Promise<Glimpse> {
    const { display, window } = this.#watched;
    const from = await this.#mark();
    const shown = await screenshot(display, window);
    return { shown, from, to: await this.#mark() };
  }

  async #mark(): Promise<Mark> {
    this.#marks += 1;
    const mark = { x: 3 * this.#marks, y: MARKS_Y };
    await this.#moveTo(mark);
    return mark;
  }

  /** Resolves when the mouse has come to the desktop: then the recording has it. */
  async #moveTo({ x, y }: Mark): Promise<void> {
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

/** Of each moment, µs from the recording's start: when the mouse came to its mark. */
export async function timesOf(reader: RecordingReader, moments: readonly Moment[]): Promise<number[]> {
  const times: number[] = [];
  for await (const event of reader.events()) {
    // A mouse that already stands there when the client begins is not the mark yet: the last one is.
    for (const [index, { pointer }] of moments.entries()) if (isAt(event, pointer)) times[index] = event.at;
  }
  return moments.map(
    ({ name }, index) =>
      times[index] ?? assert.fail(`the mouse at the mark of ${name} is not in the recording`),
  );
}

/**
 * Of each glimpse, the share of pixels that the recording has in common with it where that is largest: behind
 * the glimpse before, as a client may lag, and before the mouse came to its last mark. What comes later in the
 * recording, the client cannot have had. As a client paints one rectangle after the other, a pixel may be
 * that of the state before.
 *
 * @param since the mark of a moment before the first glimpse
 * @param colours a picture of the recording as the client colours it
 */
export async function sharesOf(
  reader: RecordingReader,
  since: Mark,
  glimpses: readonly Glimpse[],
  colours: (picture: Picture) => Picture,
): Promise<number[]> {
  const player = new DesktopPlayer();
  const shares: number[] = [];
  let before: Picture | undefined;
  let best = 0;
  for await (const event of reader.events()) {
    const glimpse = glimpses[shares.length];
    if (glimpse === undefined) break;
    player.apply(event);
    if (player.screen === undefined || (before === undefined && !isAt(event, since))) continue;
    const state = colours(pictureOf(player.screen.framebuffer));
    best = Math.max(best, mixedShare(glimpse.shown, before ?? state, state));
    before = state;
    if (!isAt(event, glimpse.to)) continue;
    shares.push(best);
    best = 0;
  }
  return shares;
}

/** Whether an event puts the mouse at a mark: flags, x, y (uint16, little-endian). */
function isAt({ kind, payload }: RecordingEvent, { x, y }: Mark): boolean {
  if (kind !== EventKind.mouse) return false;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  return view.getUint16(2, true) === x && view.getUint16(4, true) === y;
}

/** Without the pointer, as screenshots are. */
function pictureOf({ width, height, pixels }: Framebuffer): Picture {
  const rgb = Buffer.alloc(3 * pixels.length);
  for (let i = 0, to = 0; i < pixels.length; i++, to += 3) {
    const pixel = pixels[i] as number;
    rgb[to] = pixel;
    rgb[to + 1] = pixel >> 8;
    rgb[to + 2] = pixel >> 16;
  }
  return { width, height, rgb };
}
