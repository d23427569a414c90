/** An RDP recording as pictures over time. */
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { RecordingReader } from '../container/reader.ts';
import { EventKind, type RecordingEvent } from '../format/event.ts';
import { jsonPayload } from '../replay/channel.ts';
import { type Framebuffer, type PointerShape, type Rectangle, Screen, ScreenError } from '../screen/index.ts';
import { type Film, type FilmSurvey, framesOf, type Picture, type Player } from './film.ts';
import type { TerminalOptions } from './terminal-player.ts';

/** PTRFLAGS_HWHEEL and PTRFLAGS_WHEEL ([MS-RDPBCGR] 2.2.8.1.1.3.1.1.3): clients send no place with these. */
const WHEELS = 0x0400 | 0x0200;

/** Pixels of the largest desktop that is followed, 32 Mi, at three bytes each, and room for its pointers. */
const MAX_SNAPSHOT_BYTES = 128 * 1024 * 1024;

/** The picture that was taken last. */
interface Shown {
  readonly framebuffer: Framebuffer;
  /** Of the pointer that is drawn on it. */
  readonly shape: PointerShape;
  readonly area: Rectangle | undefined;
}

/** Follows a recording's events on a screen. */
export class DesktopPlayer implements Player {
  #screen: Screen | undefined;
  #shown: Shown | undefined;
  #pixels = new Uint32Array(0);
  readonly #onCut: TerminalOptions['onCut'];
  /** Kinds of problems that were told of. */
  #told = 0;

  constructor(onCut?: TerminalOptions['onCut']) {
    this.#onCut = onCut;
  }

  /** Undefined until the first desktop. Its problems say what could not be followed. */
  get screen(): Screen | undefined {
    return this.#screen;
  }

  apply(event: RecordingEvent): void {
    this.#follow(event);
    if (this.#screen !== undefined && this.#screen.problems.size !== this.#told) this.#tell(event.at);
  }

  #follow({ kind, payload }: RecordingEvent): void {
    switch (kind) {
      case EventKind.desktop:
        return this.#activate(payload);
      case EventKind.fastPathOutput:
        return this.#screen?.fastPath(payload);
      case EventKind.slowPathOutput:
        // pduType2, compressedType and compressedLength stand before the body.
        if (payload[0] !== undefined) this.#screen?.slowPath(payload[0], payload.subarray(4));
        return;
      case EventKind.mouse:
        return this.#moveMouse(payload);
    }
  }

  /** All that the next events build on, for {@link restore}; undefined: there is no desktop yet. */
  state(): Uint8Array | undefined {
    const snapshot = this.#screen?.snapshot();
    return snapshot === undefined ? undefined : zstdCompressSync(snapshot);
  }

  restore(state: Uint8Array): boolean {
    const screen = new Screen(1, 1);
    try {
      screen.restore(zstdDecompressSync(state, { maxOutputLength: MAX_SNAPSHOT_BYTES }));
    } catch {
      // Of another version, or none.
      return false;
    }
    this.#screen = screen;
    return true;
  }

  /** With the pointer. */
  takePicture(): Picture | undefined {
    const screen = this.#screen;
    if (screen === undefined) return undefined;
    const { framebuffer, pointerArea: area, pointer } = screen;
    const { width, height } = framebuffer;
    const last = this.#shown;
    const changed = screen.takeDirty();
    const pointed = area === undefined ? [] : [area];
    // Of another framebuffer all is dirty.
    if (last?.framebuffer === framebuffer && last.area !== undefined) pointed.push(last.area);
    const moved = last !== undefined && (last.shape !== pointer.shape || !isSame(last.area, area));
    if (changed.length === 0 && !(moved && pointed.length > 0)) return undefined;
    changed.push(...pointed);
    if (this.#pixels.length !== width * height) this.#pixels = new Uint32Array(width * height);
    screen.compose(this.#pixels, changed);
    this.#shown = { framebuffer, shape: pointer.shape, area };
    return { width, height, pixels: this.#pixels, changed };
  }

  /** A kind of problem came up that was none before; at `at`, µs. */
  #tell(at: number): void {
    const problems = [...(this.#screen?.problems ?? [])];
    for (const [kind, { first }] of problems.slice(this.#told))
      this.#onCut?.(
        `${(at / 1_000_000).toFixed(3)} s after the start the target sent what cannot be shown (${kind}): ` +
          `${first}; the picture may be wrong from there on`,
      );
    this.#told = problems.length;
  }

  #activate(payload: Uint8Array): void {
    const { width, height, bitsPerPixel } = jsonPayload(payload);
    if (typeof width !== 'number' || typeof height !== 'number' || typeof bitsPerPixel !== 'number') return;
    if (this.#screen !== undefined) return this.#screen.resize(width, height, bitsPerPixel);
    try {
      this.#screen = new Screen(width, height, bitsPerPixel);
    } catch (error) {
      // A size that no desktop has: nothing of it can be shown.
      if (!(error instanceof ScreenError)) throw error;
    }
  }

  /** pointerFlags, x, y: uint16, little-endian. */
  #moveMouse(payload: Uint8Array): void {
    if (payload.length < 6) return;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    if ((view.getUint16(0, true) & WHEELS) !== 0) return;
    this.#screen?.pointer.moveTo(view.getUint16(2, true), view.getUint16(4, true));
  }
}

function isSame(one: Rectangle | undefined, other: Rectangle | undefined): boolean {
  return (
    one?.left === other?.left &&
    one?.top === other?.top &&
    one?.right === other?.right &&
    one?.bottom === other?.bottom
  );
}

/** The film of a desktop's recording. */
export function desktopFilm(reader: RecordingReader, { onCut }: TerminalOptions = {}): Film {
  return {
    survey: () => surveyDesktop(reader),
    frames: () => framesOf(reader.events(), new DesktopPlayer(onCut)),
  };
}

/**
 * Reads through a recording. `onProgress` is told how far it is, of how much, in µs, where the recording is sealed.
 * Rejects with {@link ContainerError} at an altered segment.
 */
export async function surveyDesktop(
  reader: RecordingReader,
  onProgress?: (done: number, all: number) => void,
): Promise<FilmSurvey> {
  const all = reader.manifest()?.duration;
  const player = new DesktopPlayer();
  const sizes: { width: number; height: number }[] = [];
  let duration = 0;
  for await (const event of reader.events()) {
    duration = event.at;
    if (all !== undefined) onProgress?.(duration, all);
    if (event.kind !== EventKind.desktop) continue;
    player.apply(event);
    if (player.screen === undefined) continue;
    const { width, height } = player.screen.framebuffer;
    const last = sizes.at(-1);
    if (width !== last?.width || height !== last.height) sizes.push({ width, height });
  }
  return { sizes, duration };
}
