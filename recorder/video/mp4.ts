/** An RDP recording as a video: H.264 in fragmented MP4, which plays in every browser while it loads. */
import type { RecordingReader } from '../container/reader.ts';
import type { Screen } from '../screen/index.ts';
import { type DesktopSurvey, desktopFrames, FRAME_TIME, surveyDesktop } from './desktop-player.ts';
import { VideoError } from './error.ts';
import { Ffmpeg, findFfmpeg } from './ffmpeg.ts';
import { matroskaFrameHead, matroskaHeader } from './matroska.ts';

export interface VideoOptions {
  /** Told after each frame: µs of the recording that are encoded, of all. */
  readonly onProgress?: (at: number, duration: number) => void;
}

/** Most pixels of a frame: what level 6.2 of H.264 allows (139,264 macroblocks of 16 × 16). */
const MAX_PIXELS = 139_264 * 256;
/** A picture that stands longer than this, µs, is repeated: MP4 counts how long in 32 bits. */
const MAX_STILL = 600_000_000;
/** Opaque black, RGBA as the framebuffer has it. */
const BLACK = 0xff000000;

const ENCODING = [
  // No picture is repeated or moved to fill a rate.
  ...['-fps_mode', 'vfr'],
  // Pictures that look ahead (B) would shift all times: there is no edit list in a stream.
  ...['-c:v', 'libx264', '-preset', 'veryfast', '-bf', '0', '-pix_fmt', 'yuv420p'],
  // A fragment and a place to seek to at least every 10 seconds in which something moves.
  ...['-force_key_frames', 'expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+10))'],
  // Players assume these colours for large pictures: convert to them, and say so.
  ...['-vf', 'scale=out_color_matrix=bt709:out_range=tv'],
  ...['-colorspace', 'bt709', '-color_primaries', 'bt709', '-color_trc', 'bt709', '-color_range', 'tv'],
  ...['-movflags', 'frag_keyframe+empty_moov+default_base_moof', '-f', 'mp4'],
];

/**
 * The bytes of the video, as ffmpeg makes them. The frame rate varies: a picture is sent when it is
 * another, so that idle hours cost next to nothing. The video is as large as the largest desktop, others
 * stand in its middle. Before the first desktop it is black; it lasts as long as the recording.
 *
 * Rejects with {@link VideoError} where there is no ffmpeg, it fails or nothing was shown, with
 * {@link ContainerError} where the recording was altered.
 */
export async function* exportMp4(
  reader: RecordingReader,
  options: VideoOptions = {},
): AsyncGenerator<Uint8Array, void, void> {
  const program = findFfmpeg();
  const survey = await surveyDesktop(reader);
  const canvas = new Canvas(survey);
  using ffmpeg = new Ffmpeg(program, [
    ...['-hide_banner', '-loglevel', 'error', '-nostdin'],
    ...['-f', 'matroska', '-i', 'pipe:0', '-an', ...ENCODING, 'pipe:1'],
  ]);
  const fed = feed(reader, survey.duration, canvas, ffmpeg, options);
  // A recording that cannot be read on ends the encoder, and so its output.
  fed.catch(() => ffmpeg[Symbol.dispose]());
  yield* ffmpeg.output;
  await fed;
  await ffmpeg.finished();
}

/** Sends all frames, each when the one before was taken; ends early when the encoder does. */
async function feed(
  reader: RecordingReader,
  duration: number,
  canvas: Canvas,
  ffmpeg: Ffmpeg,
  options: VideoOptions,
): Promise<void> {
  const send = async (at: number): Promise<boolean> => {
    options.onProgress?.(Math.min(at, duration), duration);
    return (
      (await ffmpeg.write(matroskaFrameHead(at, canvas.bytes.length))) && (await ffmpeg.write(canvas.bytes))
    );
  };
  /** Repeats what stands until shortly before `at`. */
  let last = 0;
  const stand = async (at: number): Promise<boolean> => {
    while (at - last > MAX_STILL) {
      last += MAX_STILL;
      if (!(await send(last))) return false;
    }
    last = at;
    return true;
  };
  if (!(await ffmpeg.write(matroskaHeader(canvas.width, canvas.height, FRAME_TIME)))) return;
  let begun = false;
  for await (const { at, screen } of desktopFrames(reader)) {
    if (!begun && at > 0 && !(await send(0))) return;
    begun = true;
    if (!(await stand(at))) return;
    canvas.draw(screen);
    if (!(await send(at))) return;
  }
  // The last picture stands until the end, which only another one can say.
  const end = Math.floor(duration / FRAME_TIME) * FRAME_TIME;
  if (end > last && !((await stand(end)) && (await send(end)))) return;
  ffmpeg.end();
}

/** What is encoded: as large as the largest desktop, its sides even as 4:2:0 needs. */
class Canvas {
  readonly width: number;
  readonly height: number;
  readonly #pixels: Uint32Array;
  /** The same memory as {@link #pixels}. */
  readonly bytes: Uint8Array;
  /** A desktop that does not fill it; undefined: the one shown does. */
  #picture: { readonly width: number; readonly height: number; readonly pixels: Uint32Array } | undefined;

  /** @throws VideoError: there is no desktop, or none that a video can hold */
  constructor(survey: DesktopSurvey) {
    const even = (side: number): number => side + (side % 2);
    this.width = even(Math.max(0, ...survey.sizes.map((size) => size.width)));
    this.height = even(Math.max(0, ...survey.sizes.map((size) => size.height)));
    if (this.width === 0) throw new VideoError('the session never showed a desktop');
    if (this.width * this.height > MAX_PIXELS)
      throw new VideoError(
        `the desktops need ${this.width} × ${this.height} pixels, more than a video has: export pictures (png)`,
      );
    this.#pixels = new Uint32Array(this.width * this.height).fill(BLACK);
    this.bytes = new Uint8Array(this.#pixels.buffer);
  }

  draw(screen: Screen): void {
    const { width, height } = screen.framebuffer;
    if (width === this.width && height === this.height) {
      this.#picture = undefined;
      return screen.compose(this.#pixels);
    }
    if (this.#picture?.width !== width || this.#picture.height !== height) {
      this.#picture = { width, height, pixels: new Uint32Array(width * height) };
      this.#pixels.fill(BLACK);
    }
    const { pixels } = this.#picture;
    screen.compose(pixels);
    const left = (this.width - width) >> 1;
    const top = (this.height - height) >> 1;
    for (let y = 0; y < height; y++)
      this.#pixels.set(pixels.subarray(y * width, (y + 1) * width), (top + y) * this.width + left);
  }
}
