/** A recording as a video. */
import type { RecordingReader } from '../container/reader.ts';
import { desktopFilm } from './desktop-player.ts';
import { encodeMp4, type VideoOptions } from './mp4.ts';

/** The bytes of an MP4 of what an RDP recording shows: {@link encodeMp4}. */
export function exportMp4(
  reader: RecordingReader,
  options: VideoOptions = {},
): AsyncGenerator<Uint8Array, void, void> {
  return encodeMp4(desktopFilm(reader), options);
}
