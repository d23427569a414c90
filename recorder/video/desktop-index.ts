/** Key frames of desktops, made from recordings that are sealed. */
import { KEY_FRAMES_APART, type KeyFrame } from '../container/key-frames.ts';
import type { RecordingReader } from '../container/reader.ts';
import { DesktopPlayer } from './desktop-player.ts';

/**
 * Two key frames are {@link KEY_FRAMES_APART} apart at least, and so many times the last one's size: the
 * index takes no more than an eighth of what the recording does, and from a key frame on there is less to
 * replay than a person waits for. Hours in which nothing is drawn need none.
 */
const APART = 8;

/**
 * Makes the index of a desktop's recording ({@link RecordingReader.putIndex}), from which pictures of any
 * moment come quickly. Replays all of it: some seconds for an hour of work. Rejects with
 * {@link ContainerError} where the recording was altered or never sealed, with {@link ArchiveError}.
 */
export async function indexDesktop(reader: RecordingReader): Promise<void> {
  await reader.putIndex(keyFramesOf(reader));
}

async function* keyFramesOf(reader: RecordingReader): AsyncGenerator<KeyFrame, void, void> {
  const player = new DesktopPlayer();
  let behind = 0;
  let apart = KEY_FRAMES_APART;
  for await (const { events, lastAt, bytes, next } of reader.segments()) {
    for (const event of events) player.apply(event);
    behind += bytes;
    if (behind < apart) continue;
    const state = player.state();
    if (state === undefined) continue;
    yield { at: lastAt, place: next, state };
    behind = 0;
    apart = Math.max(KEY_FRAMES_APART, APART * state.length);
  }
}
