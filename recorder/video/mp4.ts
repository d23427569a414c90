/** A film as a video: H.264 in fragmented MP4, which plays in every browser while it loads. */
import { Canvas } from './canvas.ts';
import { Ffmpeg, findFfmpeg } from './ffmpeg.ts';
import { type Film, FRAME_TIME } from './film.ts';
import { matroskaFrameHead, matroskaHeader } from './matroska.ts';

export interface VideoOptions {
  /** Told after each frame: µs of the recording that are encoded, of all. */
  readonly onProgress?: (at: number, duration: number) => void;
}

/** A picture that stands longer than this, µs, is repeated: MP4 counts how long in 32 bits. */
const MAX_STILL = 600_000_000;

const ENCODING = [
  // No picture is repeated or moved to fill a rate.
  ...['-fps_mode', 'vfr'],
  // Screens are mostly still and their text is sharp: one quality for all that is new is worth more than
  // looking ahead for where to save, but text that scrolled is looked for far away (umh). Measured on desktops
  // at work: a third of the time of `veryfast`, a fifth larger.
  // Without pictures that look ahead (B) all times stay: there is no edit list in a stream.
  ...['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-qp', '20'],
  ...['-x264-params', 'partitions=i4x4:me=umh', '-pix_fmt', 'yuv420p'],
  // Several jobs side by side use more cores better than one job that is cut into slices.
  ...['-threads', '1'],
  // A fragment and a place to seek to at least every 10 seconds in which something moves.
  ...['-force_key_frames', 'expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+10))'],
  // Say which colours the canvas is in.
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
