/** The text of a recording, from beside it or from itself. */
import { ArchiveError } from '../archive/port.ts';
import type { RecordingReader } from '../container/reader.ts';
import { SIDES_FROM_BYTES } from '../container/side-file.ts';
import { ContainerError } from '../format/error.ts';
import type { TextEntry } from './entry.ts';
import { decodeText, encodeText } from './text-file.ts';
import { textOf } from './text-of.ts';

/**
 * Puts the text of a recording beside it. Rejects with {@link ContainerError}
 * where the recording was altered, or never sealed; with {@link ArchiveError}.
 */
export async function putText(reader: RecordingReader): Promise<void> {
  await reader.putSide('text', (key, manifest) => encodeText(key, manifest, textOf(reader)));
}

/**
 * The text of a recording in batches, from the file beside it where there is one. With `keep` one is made
 * where it is worth it and the archive takes it. An empty batch may come; `again`: those before are void,
 * for the file turned out to be damaged and the recording itself is read. Rejects as {@link putText} does.
 */
export async function* textIn(
  reader: RecordingReader,
  keep: boolean,
): AsyncGenerator<readonly TextEntry[] | 'again', void, void> {
  let side = await reader.openSide('text');
  if (side === undefined && keep && (reader.manifest()?.bytes ?? 0) >= SIDES_FROM_BYTES) {
    await putText(reader).catch(unlessRefused);
    side = await reader.openSide('text');
  }
  if (side !== undefined) {
    try {
      yield* decodeText(side);
      return;
    } catch (error) {
      if (!(error instanceof ContainerError) || error.code !== 'bad-text') throw error;
      yield 'again';
    }
  }
  yield* textOf(reader);
}

/** An archive that may only be read is searched all the same. */
function unlessRefused(error: unknown): void {
  if (!(error instanceof ArchiveError)) throw error;
}
