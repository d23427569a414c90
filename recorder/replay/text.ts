import type { RecordingReader } from '../container/reader.ts';
import { chooseChannel, followed, type ReplayOptions, shownBytes } from './channel.ts';

/** What one channel's screen was sent, byte for byte: standard output and error in their order. */
export async function* exportText(
  reader: RecordingReader,
  options: ReplayOptions = {},
): AsyncGenerator<Uint8Array, void, void> {
  const channel = await chooseChannel(reader, options);
  if (channel === undefined) return;
  for await (const event of followed(reader, options)) {
    const bytes = shownBytes(event, channel);
    if (bytes !== undefined) yield bytes;
  }
}
