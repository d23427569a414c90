/** A picture of one moment of an RDP recording. */
import type { RecordingReader } from '../container/reader.ts';
import { DesktopPlayer } from './desktop-player.ts';
import { VideoError } from './error.ts';
import { encodePng } from './png.ts';

export interface PictureOptions {
  /** µs since the recording's start; by default its end. */
  readonly at?: number;
}

/**
 * The desktop with its pointer as it was after all that came up to a moment, as PNG, in one piece.
 * Rejects with {@link VideoError} where there is no picture, with {@link ContainerError} where the
 * recording was altered.
 */
export async function* exportPng(
  reader: RecordingReader,
  options: PictureOptions = {},
): AsyncGenerator<Uint8Array, void, void> {
  const { at = Number.POSITIVE_INFINITY } = options;
  const player = new DesktopPlayer();
  let last = 0;
  for await (const event of reader.events()) {
    last = event.at;
    if (event.at > at) break;
    player.apply(event);
  }
  if (at !== Number.POSITIVE_INFINITY && last < at)
    throw new VideoError(`the recording ends ${seconds(last)} after its start, before ${seconds(at)}`);
  const { screen } = player;
  if (screen === undefined)
    throw new VideoError(
      at === Number.POSITIVE_INFINITY
        ? 'the session never showed a desktop'
        : `there was no desktop yet ${seconds(at)} after the start`,
    );
  const { width, height } = screen.framebuffer;
  const pixels = new Uint32Array(width * height);
  screen.compose(pixels);
  yield encodePng(pixels, width, height);
}

function seconds(microseconds: number): string {
  return `${(microseconds / 1_000_000).toFixed(3)} s`;
}
