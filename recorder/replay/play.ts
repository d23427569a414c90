/** Replays what a channel's screen was sent, at the pace at which it was. */
import type { RecordingReader } from '../container/reader.ts';
import { chooseChannel, type ReplayOptions, shownBytes } from './channel.ts';

export interface PlayOptions extends ReplayOptions {
  write(bytes: Uint8Array): void | Promise<void>;
  /** Resolves after so many milliseconds, or at once when `signal` aborts. */
  sleep(ms: number): Promise<void>;
  /** 2: twice as fast. More than 0. */
  readonly speed: number;
  /** Longest wait between two writes, ms of the recording before `speed`; undefined: as long as it was. */
  readonly maxIdle?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told where what is written begins (µs), when that is not the start: the screen lacks what came before. */
  readonly onLeftOut?: (until: number) => void;
}

/**
 * Bytes of the recording that are written at once before `from`, so that the screen looks as it did: some
 * 20,000 lines. What stands on a screen is seldom older, and all of a long recording would take minutes.
 */
const DRAWN_BYTES = 512 * 1024;

/**
 * Resolves at the end of the recording (or at `to`), or when `signal` aborts. With `from` it begins with
 * the screen of that moment: the terminal draws it from what it was sent before, without the pauses.
 */
export async function play(reader: RecordingReader, options: PlayOptions): Promise<void> {
  const { speed, maxIdle = Number.POSITIVE_INFINITY, signal } = options;
  const { from = 0, to = Number.POSITIVE_INFINITY } = options;
  if (!(speed > 0)) throw new RangeError(`speed: ${speed} is not more than 0`);
  const channel = await chooseChannel(reader, options);
  if (channel === undefined) return;
  const start = drawnFrom(reader, from);
  if (start > 0) options.onLeftOut?.(start);
  let last = from;
  // Waits under a millisecond are added up: a burst of small writes keeps its length.
  let due = 0;
  for await (const event of reader.events(start)) {
    if (signal?.aborted || event.at >= to) return;
    const bytes = shownBytes(event, channel);
    if (bytes === undefined) continue;
    due += Math.min(Math.max(0, event.at - last) / 1000, maxIdle) / speed;
    last = Math.max(last, event.at);
    if (due >= 1) {
      await options.sleep(due);
      due = 0;
      if (signal?.aborted) return;
    }
    await options.write(bytes);
  }
}

/** The time (µs) of a segment {@link DRAWN_BYTES} before `from`, as the index of the manifest knows it. */
function drawnFrom(reader: RecordingReader, from: number): number {
  const before = (reader.manifest()?.index ?? []).filter(([, , firstAt]) => firstAt < from);
  const [, end = 0] = before.at(-1) ?? [];
  const [, , start = 0] = before.findLast(([, offset]) => offset <= end - DRAWN_BYTES) ?? [];
  return start;
}
