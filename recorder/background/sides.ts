/** What is made of a recording once it is sealed, to stand beside it. */
import type { Side } from '../archive/port.ts';
import { KEY_FRAMES_APART } from '../container/key-frames.ts';
import type { RecordingReader } from '../container/reader.ts';
import { SIDES_FROM_BYTES } from '../container/side-file.ts';
import { putText } from '../search/text.ts';
import { indexDesktop } from '../video/desktop-index.ts';

/**
 * Makes what its size and kind are worth and is not there; resolves with what that was. Rejects as
 * {@link indexDesktop} and {@link putText} do.
 */
export async function putSides(reader: RecordingReader): Promise<readonly Side[]> {
  const bytes = reader.manifest()?.bytes ?? 0;
  const made: Side[] = [];
  const make = async (side: Side, put: (reader: RecordingReader) => Promise<void>): Promise<void> => {
    const there = await reader.openSide(side);
    if (there !== undefined) return await there.file.close();
    await put(reader);
    made.push(side);
  };
  if (reader.header().protocol === 'rdp' && bytes >= KEY_FRAMES_APART) await make('index', indexDesktop);
  if (bytes >= SIDES_FROM_BYTES) await make('text', putText);
  return made;
}
