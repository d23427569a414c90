/**
 * What the gateway itself says on a desktop that is running: a message for some seconds, or that the
 * session is locked, over everything. The target knows nothing of it: what it draws meanwhile is drawn
 * over (message) or held back (lock), and in the end it is asked to draw that part anew. The recording
 * shows the desktop all the time, with the words as notices.
 */

import { Writer } from '../pdu/cursor.ts';
import { encodeFastPath, Fragmentation, readFastPathUpdate, UpdateCode } from '../pdu/fast-path.ts';
import { bitmapUpdates, type Update } from '../pdu/output.ts';
import { banner } from '../screen/banner.ts';
import type { DirtyRectangle, Rectangle } from '../screen/canvas.ts';
import { LogonScreen } from '../screen/logon-screen.ts';
import type { OverlaidDesktop } from './overlay-desktop.ts';
import { drawsOn, isPicture, nearestIn, paletteOf } from './overlay-updates.ts';
import { Painter } from './painter.ts';

/** How long a message stands. */
export const MESSAGE_MS = 8_000;
/** How long the target draws over what is shown, or the client waits that lost it, before it is painted again. */
export const REPAINT_MS = 100;

export interface OverlayOptions {
  /** `keyboardLayout` of the client's core data. */
  readonly keyboardLayout: number;
  /** Sends an update to the client. */
  send(update: Update): void;
  /** Asks the target to draw a part of the desktop anew. */
  refresh(part: Rectangle): void;
  /** The client has not read what was sent. */
  congested(): boolean;
}

export class Overlay {
  readonly #options: OverlayOptions;
  readonly #painter: Painter;
  /** Nothing can be shown while there is none. */
  #desktop: OverlaidDesktop | undefined;
  /** Of the target's last palette, 0x00RRGGBB. */
  #palette: Uint32Array | undefined;
  #locked: string | undefined;
  #message: string | undefined;
  /** The message as it stands on the desktop. */
  #banner: DirtyRectangle | undefined;
  #messageTimer: NodeJS.Timeout | undefined;
  #repaintTimer: NodeJS.Timeout | undefined;
  /** To be painted. */
  #due = { lock: false, banner: false };
  /** The update whose fragments are coming goes on: what has begun to arrive must end. */
  #passing = true;

  constructor(options: OverlayOptions) {
    this.#options = options;
    this.#painter = new Painter({
      changes: () => this.#changes(),
      send: (update) => options.send(update),
      congested: () => options.congested(),
    });
  }

  /** The client is ready to show `desktop`. */
  activated(desktop: OverlaidDesktop): void {
    this.#desktop = desktop;
    this.#repaint();
    if (this.#message !== undefined) this.notify(this.#message);
  }

  /** The desktop is gone; another may come. Words that stood on it are kept for that. */
  deactivated(): void {
    this.#desktop = undefined;
    this.#banner = undefined;
    clearTimeout(this.#messageTimer);
    this.#painter.drop();
  }

  /** Covers the desktop until {@link unlock}. */
  lock(text: string): void {
    this.#locked = text;
    this.#repaint();
  }

  unlock(): void {
    this.#locked = undefined;
    this.#painter.drop();
    if (this.#desktop === undefined) return;
    this.#options.refresh({ x: 0, y: 0, width: this.#desktop.width, height: this.#desktop.height });
    this.#repaint();
  }

  /** Shows a message at the top for some seconds, in place of the one before. */
  notify(text: string): void {
    this.#clear();
    this.#message = text;
    if (this.#desktop === undefined) return;
    this.#banner = banner(this.#desktop, text);
    this.#messageTimer = setTimeout(() => this.#clear(), MESSAGE_MS);
    this.#repaint();
  }

  /** The client may have lost what was painted, or reads again. */
  repaintSoon(): void {
    if (this.#desktop === undefined || (this.#locked === undefined && this.#banner === undefined)) return;
    this.#repaintTimer ??= setTimeout(() => {
      this.#repaintTimer = undefined;
      this.#repaint();
    }, REPAINT_MS);
  }

  /** What was not sent because the client did not read goes on. */
  drained(): void {
    this.#painter.paint();
  }

  /** Shows nothing any more. */
  close(): void {
    this.deactivated();
    clearTimeout(this.#repaintTimer);
  }

  /**
   * Judges the fast-path PDU of a target whose updates begin at `offset`.
   * @returns what of it goes on: the PDU itself, a shorter one or nothing
   */
  fastPath(pdu: Uint8Array, offset: number): Uint8Array | undefined {
    /** Undefined as long as everything goes on. */
    let kept: Uint8Array[] | undefined;
    for (let at = offset; at < pdu.length; ) {
      const { code, fragmentation, dataOffset, end } = readFastPathUpdate(pdu, at, pdu.length);
      const whole = fragmentation === Fragmentation.single;
      if (whole || fragmentation === Fragmentation.first) this.#passing = !(this.#covers && isPicture(code));
      if (!this.#passing) kept ??= at === offset ? [] : [pdu.subarray(offset, at)];
      else {
        kept?.push(pdu.subarray(at, end));
        if (isPicture(code))
          this.#drawn(whole && code === UpdateCode.bitmap ? pdu.subarray(dataOffset, end) : undefined);
        if (whole && code === UpdateCode.palette) this.#colours(pdu.subarray(dataOffset, end));
      }
      at = end;
    }
    if (kept === undefined) return pdu;
    if (kept.length === 0) return undefined;
    const updates = kept;
    const writer = new Writer(pdu.length);
    encodeFastPath(writer, 0, () => {
      for (const update of updates) writer.bytes(update);
    });
    return writer.done();
  }

  /** Judges a slow-path update of a target, from its updateType on. @returns whether it goes on */
  slowPath(data: Uint8Array): boolean {
    // The types that both paths have, have the same numbers.
    const code = data[0] ?? 0;
    if (code === UpdateCode.palette) this.#colours(data);
    if (code !== UpdateCode.bitmap) return true;
    if (this.#covers) return false;
    this.#drawn(data);
    return true;
  }

  get #covers(): boolean {
    return this.#locked !== undefined && this.#desktop !== undefined;
  }

  /** The target has drawn, with what is undefined where that would be hard to say. */
  #drawn(data: Uint8Array | undefined): void {
    if (this.#covers) this.repaintSoon();
    else if (this.#banner !== undefined && (data === undefined || drawsOn(data, this.#banner)))
      this.repaintSoon();
  }

  #colours(data: Uint8Array): void {
    this.#palette = paletteOf(data) ?? this.#palette;
    if (this.#desktop?.bitsPerPixel === 8) this.repaintSoon();
  }

  /** The message goes, and the desktop comes back where it stood. */
  #clear(): void {
    clearTimeout(this.#messageTimer);
    const box = this.#banner;
    this.#banner = undefined;
    this.#message = undefined;
    if (box === undefined) return;
    if (this.#covers) this.#repaint();
    else this.#options.refresh({ x: box.x, y: box.y, width: box.width, height: box.height });
  }

  #repaint(): void {
    this.#due = { lock: this.#covers, banner: this.#banner !== undefined };
    this.#painter.paint();
  }

  *#changes(): Generator<Update, void, undefined> {
    const desktop = this.#desktop;
    const due = this.#due;
    this.#due = { lock: false, banner: false };
    if (desktop === undefined) return;
    const pictures: DirtyRectangle[] = [];
    if (due.lock && this.#locked !== undefined) {
      const { keyboardLayout } = this.#options;
      const screen = new LogonScreen({ ...desktop, keyboardLayout, banner: '' });
      screen.show({ kind: 'locked', text: this.#locked });
      pictures.push(...screen.takeDirty());
    }
    if (due.banner && this.#banner !== undefined) pictures.push(this.#banner);
    const { bitsPerPixel, skipAlpha } = desktop;
    const colour = bitsPerPixel === 8 && this.#palette !== undefined && { colour: nearestIn(this.#palette) };
    for (const picture of pictures)
      yield* bitmapUpdates(picture, bitsPerPixel, picture.x, picture.y, { skipAlpha, ...colour });
  }
}
