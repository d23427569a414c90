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
}

/** Resolves at the end of the recording or when `signal` aborts. */
export async function play(reader: RecordingReader, options: PlayOptions): Promise<void> {
  const { speed, maxIdle = Number.POSITIVE_INFINITY, signal } = options;
  if (!(speed > 0)) throw new RangeError(`speed: ${speed} is not more than 0`);
  const channel = await chooseChannel(reader, options);
  if (channel === undefined) return;
  let last = 0;
  // Waits under a millisecond are added up: a burst of small writes keeps its length.
  let due = 0;
  for await (const event of reader.events()) {
    if (signal?.aborted) return;
    const bytes = shownBytes(event, channel);
    if (bytes === undefined) continue;
    due += Math.min((event.at - last) / 1000, maxIdle) / speed;
    last = event.at;
    if (due >= 1) {
      await options.sleep(due);
      due = 0;
      if (signal?.aborted) return;
    }
    await options.write(bytes);
  }
}
