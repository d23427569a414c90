/** Deletes what journals of a writer hold and no recording needs any more. */

import type { Finder } from './find.ts';
import type { Piece } from './group.ts';
import type { JournalReader } from './journal-reader.ts';
import { type JournalName, RecordingNames, writerFolder } from './names.ts';
import type { ObjectStore } from './store.ts';

/**
 * Looks at each recording before a group of it is deleted: what only the journal holds stays, whether its
 * writer lives or not. `own`: this thread's journal, which it keeps in order itself.
 */
export async function tidy(
  store: ObjectStore,
  journals: JournalReader,
  finder: Finder,
  prefix: string,
  writer: string,
  own: JournalName,
): Promise<void> {
  const folder = writerFolder(prefix, writer);
  const needs = new Map<string, (piece: Piece) => boolean>();
  const isNeeded = async (piece: Piece): Promise<boolean> => {
    const names = new RecordingNames(prefix, piece.day, piece.sessionId);
    const need = needs.get(names.folder) ?? (await finder.needs(names));
    needs.set(names.folder, need);
    return need(piece);
  };
  const ownFolder = writer === own.writer ? `${folder}${own.instance}/` : undefined;
  const unneeded: string[] = [];
  // The journal is read before the recordings: what is written meanwhile is not in what is deleted.
  for await (const { key, size } of store.list(folder)) {
    if (ownFolder !== undefined && key.startsWith(ownFolder)) continue;
    const pieces = await journals.group(key, size);
    if (pieces === undefined) continue;
    let needed = false;
    for (const piece of pieces) needed ||= await isNeeded(piece);
    if (!needed) unneeded.push(key);
  }
  await store.remove(unneeded);
}
