/** A picture of one moment of a recording. */
import type { KeyFrame } from '../container/key-frames.ts';
import type { RecordingReader } from '../container/reader.ts';
import type { RecordingEvent } from '../format/event.ts';
import { VideoError } from './error.ts';
import type { Player } from './film.ts';
import { encodePng } from './png.ts';
import { playerOf } from './protocols.ts';
import type { TerminalOptions } from './terminal-player.ts';

export interface PictureOptions extends TerminalOptions {
  /** µs since the recording's start; by default its end. */
  readonly at?: number;
}

/**
 * The desktop with its pointer, or a terminal with its cursor, as it was after all that came up to a
 * moment, as PNG, in one piece.
 * Rejects with {@link VideoError} where there is no picture, with {@link ContainerError} where the
 * recording was altered.
 */
export async function* exportPng(
  reader: RecordingReader,
  options: PictureOptions = {},
): AsyncGenerator<Uint8Array, void, void> {
  const { at = Number.POSITIVE_INFINITY } = options;
  const player = await playerOf(reader, options);
  const from = await resume(reader, player, at);
  let last = from?.at ?? 0;
  for await (const event of eventsAfter(reader, from)) {
    last = event.at;
    if (event.at > at) break;
    player.apply(event);
  }
  if (at !== Number.POSITIVE_INFINITY && last < at)
    throw new VideoError(`the recording ends ${seconds(last)} after its start, before ${seconds(at)}`);
  const picture = player.takePicture();
  if (picture === undefined)
    throw new VideoError(
      at === Number.POSITIVE_INFINITY
        ? 'the session never showed a screen'
        : `there was no screen yet ${seconds(at)} after the start`,
    );
  yield encodePng(picture.pixels, picture.width, picture.height);
}

/** The key frame that `player` goes on from now; undefined: it begins at the start. */
async function resume(reader: RecordingReader, player: Player, at: number): Promise<KeyFrame | undefined> {
  if (player.restore === undefined) return undefined;
  const keyFrame = await reader.keyFrame(at);
  return keyFrame !== undefined && player.restore(keyFrame.state) ? keyFrame : undefined;
}

async function* eventsAfter(
  reader: RecordingReader,
  keyFrame: KeyFrame | undefined,
): AsyncGenerator<RecordingEvent, void, void> {
  for await (const { events } of reader.segments(keyFrame?.place)) yield* events;
}

function seconds(microseconds: number): string {
  return `${(microseconds / 1_000_000).toFixed(3)} s`;
}
