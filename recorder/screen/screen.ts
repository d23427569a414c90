/**
 * A session's screen, rebuilt from what the server sent. What cannot be followed is counted and skipped:
 * a recording that has lost a rectangle is still worth showing.
 */
import { BitmapDecoder } from './bitmap.ts';
import { Cursor, ScreenError } from './cursor.ts';
import type { Rectangle } from './dirty.ts';
import { UpdateAssembler, UpdateCode } from './fast-path.ts';
import { Framebuffer } from './framebuffer.ts';
import { skipOrders } from './orders.ts';
import { initialPalette, rgba } from './pixels.ts';
import { Pointer, readShape } from './pointer.ts';
import { decodeSnapshot, encodeSnapshot } from './snapshot.ts';
import { nextSurfaceBits } from './surface.ts';

/** What could not be followed. */
export type ScreenProblem =
  /** The update or PDU is bulk-compressed. */
  | 'compressed'
  /** Parts of an update are missing, or it is too long. */
  | 'fragment'
  | 'bitmap'
  | 'palette'
  | 'pointer'
  | 'surface'
  /** Pixels in a codec that is not negotiated: NSCodec, RemoteFX. */
  | 'codec'
  /** Drawing orders, which are not negotiated. */
  | 'orders'
  /** An update of a type that is none, or an updates array that is cut. */
  | 'update'
  /** The desktop has a size that none has. */
  | 'desktop';

/** pduType2 of the Share Data Header ([MS-RDPBCGR] 2.2.8.1.1.1.2) that draw. */
export const ShareData = { update: 0x02, pointer: 0x1b } as const;

/** updateType of slow-path updates (2.2.9.1.1.3). */
const SlowUpdate = { orders: 0, bitmap: 1, palette: 2, synchronize: 3 } as const;

/** messageType of slow-path pointer updates (2.2.9.1.1.4), and the system's pointers. */
const PointerMessage = { system: 1, position: 3, colour: 6, cached: 7, pointer: 8 } as const;
const SYSTEM_POINTER_HIDDEN = 0;

/** Depth of a Color Pointer Update, which does not say it. */
const COLOUR_POINTER_BITS = 24;

export class Screen {
  /** How often each kind of problem came up, and the first one's text. */
  readonly problems = new Map<ScreenProblem, { count: number; readonly first: string }>();
  readonly #assembler = new UpdateAssembler();
  readonly #bitmaps = new BitmapDecoder();
  #bitsPerPixel: number;
  #framebuffer: Framebuffer;
  #pointer = new Pointer();
  #palette = initialPalette();

  /** @throws ScreenError: a size that no desktop has */
  constructor(width: number, height: number, bitsPerPixel = 32) {
    this.#framebuffer = new Framebuffer(width, height);
    this.#bitsPerPixel = bitsPerPixel;
  }

  /** Another one after each resize. */
  get framebuffer(): Framebuffer {
    return this.#framebuffer;
  }

  /** Another one after a restore. */
  get pointer(): Pointer {
    return this.#pointer;
  }

  /** Colour depth of the session. */
  get bitsPerPixel(): number {
    return this.#bitsPerPixel;
  }

  /** What was drawn on since the last call, at most: whole tiles, which do not overlap. The pointer is not part of it. */
  takeDirty(): Rectangle[] {
    return this.#framebuffer.takeDirty();
  }

  /** The updates array of a fast-path output PDU ([MS-RDPBCGR] 2.2.9.1.2), as the server sent it. */
  fastPath(updates: Uint8Array): void {
    this.#try('update', () => {
      this.#assembler.push(updates, {
        update: (code, data) => this.#update(code, new Cursor(data)),
        lost: (kind, error) => this.#count(kind, error),
      });
    });
  }

  /**
   * The body of a slow-path Share Data PDU, behind its Share Data Header and not compressed. PDUs of other
   * types than {@link ShareData} do not draw and are passed over.
   */
  slowPath(pduType2: number, body: Uint8Array): void {
    const cursor = new Cursor(body);
    if (pduType2 === ShareData.pointer) this.#try('pointer', () => this.#slowPointer(cursor));
    if (pduType2 !== ShareData.update) return;
    this.#try('update', () => {
      const type = cursor.u16('updateType');
      if (type === SlowUpdate.orders) {
        cursor.bytes('pad2OctetsA', 2);
        const count = cursor.u16('numberOrders');
        cursor.bytes('pad2OctetsB', 2);
        this.#try('orders', () => skipOrders(cursor, count));
      } else if (type === SlowUpdate.bitmap) {
        this.#bitmap(cursor);
      } else if (type === SlowUpdate.palette) {
        this.#try('palette', () => this.#readPalette(cursor));
      } else if (type !== SlowUpdate.synchronize) {
        cursor.fail('updateType', `is ${type}, which is none`, 2);
      }
    });
  }

  /** The desktop has another size or depth: a reactivation. It is black until the server draws it. */
  resize(width: number, height: number, bitsPerPixel: number): void {
    this.#try('desktop', () => {
      this.#framebuffer = new Framebuffer(width, height);
      this.#bitsPerPixel = bitsPerPixel;
    });
  }

  /**
   * Copies the picture into `target` and draws the pointer over it.
   *
   * @param target as many pixels as the framebuffer has
   * @param parts what is copied, the {@link pointerArea} among it; all by default
   */
  compose(target: Uint32Array, parts?: readonly Rectangle[]): void {
    if (parts === undefined) target.set(this.#framebuffer.pixels);
    for (const part of parts ?? []) this.#framebuffer.copy(part, target);
    this.#pointer.drawOn(target, this.#framebuffer.width);
  }

  /** Where the pointer covers the desktop; undefined: nowhere. */
  get pointerArea(): Rectangle | undefined {
    return this.#pointer.area(this.#framebuffer.width, this.#framebuffer.height);
  }

  /** All that the next updates build on, as bytes: a key frame. */
  snapshot(): Uint8Array {
    return encodeSnapshot({
      bitsPerPixel: this.#bitsPerPixel,
      framebuffer: this.#framebuffer,
      palette: this.#palette,
      pointer: this.#pointer,
      partial: this.#assembler.partial,
    });
  }

  /**
   * Goes on from a {@link snapshot}; problems stay counted.
   *
   * @throws ScreenError: the bytes are no snapshot; the screen is as it was
   */
  restore(snapshot: Uint8Array): void {
    const state = decodeSnapshot(snapshot);
    this.#bitsPerPixel = state.bitsPerPixel;
    this.#framebuffer = state.framebuffer;
    this.#palette = state.palette;
    this.#pointer = state.pointer;
    this.#assembler.resume(state.partial);
  }

  #update(code: number, cursor: Cursor): void {
    switch (code) {
      case UpdateCode.orders:
        return this.#try('orders', () => skipOrders(cursor, cursor.u16('numberOrders')));
      case UpdateCode.bitmap:
        return this.#try('bitmap', () => {
          cursor.u16('updateType');
          this.#bitmap(cursor);
        });
      case UpdateCode.palette:
        return this.#try('palette', () => {
          cursor.u16('updateType');
          this.#readPalette(cursor);
        });
      case UpdateCode.synchronize:
        return;
      case UpdateCode.surfaceCommands:
        return this.#try('surface', () => this.#surface(cursor));
      case UpdateCode.pointerHidden:
        return this.#pointer.hide();
      case UpdateCode.pointerDefault:
        return this.#pointer.showDefault();
      case UpdateCode.pointerPosition:
        return this.#try('pointer', () => this.#movePointer(cursor));
      case UpdateCode.pointerColour:
        return this.#try('pointer', () => this.#showPointer(cursor, COLOUR_POINTER_BITS));
      case UpdateCode.pointerCached:
        return this.#try('pointer', () => this.#pointer.showCached(cursor.u16('cacheIndex')));
      case UpdateCode.pointerNew:
        return this.#try('pointer', () => this.#showPointer(cursor, cursor.u16('xorBpp')));
      case UpdateCode.pointerLarge:
        return this.#try('pointer', () => this.#showPointer(cursor, cursor.u16('xorBpp'), true));
      default:
        this.#count('update', new ScreenError('updateCode', 0, `is ${code}, which is none`));
    }
  }

  #slowPointer(cursor: Cursor): void {
    const type = cursor.u16('messageType');
    cursor.bytes('pad2Octets', 2);
    switch (type) {
      case PointerMessage.system:
        if (cursor.u32('systemPointerType') === SYSTEM_POINTER_HIDDEN) this.#pointer.hide();
        else this.#pointer.showDefault();
        break;
      case PointerMessage.position:
        this.#movePointer(cursor);
        break;
      case PointerMessage.colour:
        this.#showPointer(cursor, COLOUR_POINTER_BITS);
        break;
      case PointerMessage.cached:
        this.#pointer.showCached(cursor.u16('cacheIndex'));
        break;
      case PointerMessage.pointer:
        this.#showPointer(cursor, cursor.u16('xorBpp'));
        break;
      default:
        cursor.fail('messageType', `is ${type}, which is none`, 4);
    }
  }

  #movePointer(cursor: Cursor): void {
    this.#pointer.moveTo(cursor.u16('xPos'), cursor.u16('yPos'));
  }

  #showPointer(cursor: Cursor, bitsPerPixel: number, large = false): void {
    const index = cursor.u16('cacheIndex');
    this.#pointer.show(index, readShape(cursor, bitsPerPixel, large, this.#palette));
  }

  #bitmap(cursor: Cursor): void {
    this.#try('bitmap', () =>
      this.#bitmaps.update(cursor, this.#framebuffer, this.#palette, (error) => this.#count('bitmap', error)),
    );
  }

  /** TS_UPDATE_PALETTE_DATA (2.2.9.1.1.3.1.1.1) behind its updateType: pad u16, numberColors u32, RGB. */
  #readPalette(cursor: Cursor): void {
    cursor.bytes('pad2Octets', 2);
    const colours = cursor.u32('numberColors');
    if (colours > this.#palette.length) cursor.fail('numberColors', `is ${colours}, over 256`, 4);
    const entries = cursor.bytes('paletteEntries', colours * 3);
    for (let i = 0; i < colours; i++)
      this.#palette[i] = rgba(entries[3 * i] ?? 0, entries[3 * i + 1] ?? 0, entries[3 * i + 2] ?? 0);
  }

  #surface(cursor: Cursor): void {
    for (let bits = nextSurfaceBits(cursor); bits !== undefined; bits = nextSurfaceBits(cursor)) {
      const { codec, data, bitsPerPixel, width, height, left, top } = bits;
      if (codec !== 0) {
        this.#count(
          'codec',
          new ScreenError('codecID', cursor.offset, `is ${codec}, which is never negotiated`),
        );
        continue;
      }
      this.#try('surface', () =>
        this.#bitmaps.surface(data, bitsPerPixel, width, height, left, top, this.#framebuffer, this.#palette),
      );
    }
  }

  #try(kind: ScreenProblem, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof ScreenError)) throw error;
      this.#count(kind, error);
    }
  }

  #count(kind: ScreenProblem, error: ScreenError): void {
    const problem = this.problems.get(kind);
    if (problem === undefined) this.problems.set(kind, { count: 1, first: error.message });
    else problem.count += 1;
  }
}
