/** A recording as a video. */
import type { RecordingReader } from '../container/reader.ts';
import { encodeMp4, type VideoOptions } from './mp4.ts';
import { filmOf } from './protocols.ts';
import type { TerminalOptions } from './terminal-player.ts';

/**
 * The bytes of an MP4 of the desktop of an RDP recording, or of one terminal of an SSH one: {@link encodeMp4}.
 * Rejects with {@link VideoError} also where there was no such screen.
 */
export async function* exportMp4(
  reader: RecordingReader,
  options: VideoOptions & TerminalOptions = {},
): AsyncGenerator<Uint8Array, void, void> {
  yield* encodeMp4(await filmOf(reader, options), options);
}
