/** A film as a video: H.264 in fragmented MP4, which plays in every browser while it loads. */
import { VideoError } from './error.ts';
import { Ffmpeg, findFfmpeg } from './ffmpeg.ts';
import { type Film, type FilmSurvey, FRAME_TIME, type Picture } from './film.ts';
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
 * another, so that idle hours cost next to nothing. The video is as large as the largest picture, others
 * stand in its middle. Before the first picture it is black; it lasts as long as the recording.
 *
 * Rejects with {@link VideoError} where there is no ffmpeg, it fails or nothing was shown, with
 * {@link ContainerError} where the recording was altered.
 */
export async function* encodeMp4(
  film: Film,
  options: VideoOptions = {},
): AsyncGenerator<Uint8Array, void, void> {
  const program = findFfmpeg();
  const survey = await film.survey();
  const canvas = new Canvas(survey);
  using ffmpeg = new Ffmpeg(program, [
    ...['-hide_banner', '-loglevel', 'error', '-nostdin'],
    ...['-f', 'matroska', '-i', 'pipe:0', '-an', ...ENCODING, 'pipe:1'],
  ]);
  const fed = feed(film, survey.duration, canvas, ffmpeg, options);
  // A recording that cannot be read on ends the encoder, and so its output.
  fed.catch(() => ffmpeg[Symbol.dispose]());
  yield* ffmpeg.output;
  await fed;
  await ffmpeg.finished();
}

/** Sends all frames, each when the one before was taken; ends early when the encoder does. */
async function feed(
  film: Film,
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
  for await (const { at, ...picture } of film.frames()) {
    if (!begun && at > 0 && !(await send(0))) return;
    begun = true;
    if (!(await stand(at))) return;
    canvas.draw(picture);
    if (!(await send(at))) return;
  }
  // The last picture stands until the end, which only another one can say.
  const end = Math.floor(duration / FRAME_TIME) * FRAME_TIME;
  if (end > last && !((await stand(end)) && (await send(end)))) return;
  ffmpeg.end();
}

/** What is encoded: as large as the largest picture, its sides even as 4:2:0 needs. */
class Canvas {
  readonly width: number;
  readonly height: number;
  readonly #pixels: Uint32Array;
  /** The same memory as {@link #pixels}. */
  readonly bytes: Uint8Array;
  /** Of the picture that was drawn last. */
  #size = { width: 0, height: 0 };

  /** @throws VideoError: there is no picture, or one that no video can hold */
  constructor(survey: FilmSurvey) {
    const even = (side: number): number => side + (side % 2);
    this.width = even(Math.max(0, ...survey.sizes.map((size) => size.width)));
    this.height = even(Math.max(0, ...survey.sizes.map((size) => size.height)));
    if (this.width === 0) throw new VideoError('the session never showed a screen');
    if (this.width * this.height > MAX_PIXELS)
      throw new VideoError(
        `the screens need ${this.width} × ${this.height} pixels, more than a video has: export pictures (png)`,
      );
    this.#pixels = new Uint32Array(this.width * this.height).fill(BLACK);
    this.bytes = new Uint8Array(this.#pixels.buffer);
  }

  draw({ width, height, pixels }: Picture): void {
    if (width !== this.#size.width || height !== this.#size.height) this.#pixels.fill(BLACK);
    this.#size = { width, height };
    if (width === this.width && height === this.height) return this.#pixels.set(pixels);
    const left = (this.width - width) >> 1;
    const top = (this.height - height) >> 1;
    for (let y = 0; y < height; y++)
      this.#pixels.set(pixels.subarray(y * width, (y + 1) * width), (top + y) * this.width + left);
  }
}
