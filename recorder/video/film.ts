/** Pictures over time, of whatever kind: what a video is made of. */
import type { RecordingEvent } from '../format/event.ts';
import type { Rectangle } from '../screen/index.ts';

/** Frames stand at multiples of this, µs: what comes after a while is seen in time. */
export const FRAME_TIME = 40_000;
/** Least time between two frames, µs: what keeps moving is followed well enough 12 times a second, at half the work of 25. */
const FRAME_GAP = 80_000;

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** RGBA, opaque, red in the lowest byte, the top line first. */
  readonly pixels: Uint32Array;
  /** Where it differs from the picture before, at most; what lies elsewhere is the same. Inside the picture. */
  readonly changed: readonly Rectangle[];
}

export interface Frame extends Picture {
  /** µs since the recording's start, a multiple of {@link FRAME_TIME}. */
  readonly at: number;
}

/** What a film shows, known without painting it. */
export interface FilmSurvey {
  /** The sizes that its pictures have, in their order, pixels. */
  readonly sizes: readonly { readonly width: number; readonly height: number }[];
  /** µs from the recording's start to its last event. */
  readonly duration: number;
}

/** What a recording shows. Both reject with {@link ContainerError} at an altered segment. */
export interface Film {
  survey(): Promise<FilmSurvey>;
  /** A frame where the picture is another than before, in order; each is valid until the next is asked for. */
  frames(): AsyncIterable<Frame>;
}

/** Follows a recording's events on a screen of its kind. */
export interface Player {
  apply(event: RecordingEvent): void;
  /** The picture, valid until the next event; undefined: there is none, or it is the one of the last call. */
  takePicture(): Picture | undefined;
  /** Goes on from a key frame's state; false: it is none that is known, and the player is as it was. */
  restore?(state: Uint8Array): boolean;
}

/**
 * A frame at the first multiple of {@link FRAME_TIME} after each change of the picture, {@link FRAME_GAP}
 * after the frame before at the earliest; it shows all that came up to it.
 */
export async function* framesOf(
  events: AsyncIterable<RecordingEvent>,
  player: Player,
): AsyncGenerator<Frame, void, void> {
  let due: number | undefined;
  let last = Number.NEGATIVE_INFINITY;
  for await (const event of events) {
    if (due !== undefined && event.at > due) {
      const picture = player.takePicture();
      if (picture !== undefined) {
        last = due;
        yield { at: due, ...picture };
      }
      due = undefined;
    }
    player.apply(event);
    due ??= Math.max(Math.ceil(event.at / FRAME_TIME) * FRAME_TIME, last + FRAME_GAP);
  }
  const picture = due === undefined ? undefined : player.takePicture();
  if (due !== undefined && picture !== undefined) yield { at: due, ...picture };
}
