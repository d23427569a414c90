/** What is made of a recording once it is sealed, to stand beside it. */
import { KEY_FRAMES_APART } from '../container/key-frames.ts';
import type { RecordingReader } from '../container/reader.ts';
import { SIDES_FROM_BYTES } from '../container/side-file.ts';
import { putText } from '../search/text.ts';
import { indexDesktop } from '../video/desktop-index.ts';

/** Makes what its size and kind are worth. Rejects as {@link indexDesktop} and {@link putText} do. */
export async function putSides(reader: RecordingReader): Promise<void> {
  const bytes = reader.manifest()?.bytes ?? 0;
  if (reader.header().protocol === 'rdp' && bytes >= KEY_FRAMES_APART) await indexDesktop(reader);
  if (bytes >= SIDES_FROM_BYTES) await putText(reader);
}
