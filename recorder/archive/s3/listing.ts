/** The recordings of a day. */
import type { ArchiveEntry } from '../port.ts';
import { type Finder, isComplete } from './find.ts';
import { arrange, latestEra, lengthOf, partsAmong } from './layout.ts';
import { RecordingNames, sessionOf } from './names.ts';
import type { ObjectStore, StoredObject } from './store.ts';

/** Recordings that are looked at: only those that are not compacted cost a request. */
const AT_ONCE = 16;

interface Seen {
  whole: number | undefined;
  /** Objects of its folder. */
  readonly objects: StoredObject[];
}

/** By session id, the last first: ids that tell their time are then newest first. */
export async function* listDay(
  store: ObjectStore,
  finder: Finder,
  prefix: string,
  day: string,
): AsyncGenerator<ArchiveEntry, void, void> {
  const folder = `${prefix}${day}/`;
  const sessions = new Map<string, Seen>();
  for await (const object of store.list(folder)) {
    const named = sessionOf(object.key.slice(folder.length));
    if (named === undefined) continue;
    const seen: Seen = sessions.get(named.sessionId) ?? { whole: undefined, objects: [] };
    sessions.set(named.sessionId, seen);
    if (named.inFolder) seen.objects.push(object);
    else seen.whole = object.size;
  }
  const newestFirst = [...sessions].sort(([a], [b]) => (a < b ? 1 : -1));
  for (let from = 0; from < newestFirst.length; from += AT_ONCE) {
    const some = newestFirst.slice(from, from + AT_ONCE).map(async ([sessionId, seen]) => ({
      sessionId,
      bytes: await lengthIn(finder, new RecordingNames(prefix, day, sessionId), sessionId, seen),
    }));
    for (const { sessionId, bytes } of await Promise.all(some)) {
      if (bytes !== undefined) yield { sessionId, bytes };
    }
  }
}

async function lengthIn(
  finder: Finder,
  names: RecordingNames,
  sessionId: string,
  { whole, objects }: Seen,
): Promise<number | undefined> {
  const parts = partsAmong(names.folder, objects);
  const latest = latestEra(parts);
  if (latest === undefined || !parts.some(({ start }) => start === 0)) return whole;
  const seal = objects.find(({ key }) => key === names.seal);
  if (seal === undefined && isComplete(parts, latest, undefined)) return lengthOf(arrange(parts, []));
  // What the journal holds, and where the seal stands, only these themselves tell.
  const found = await finder.find(names, sessionId);
  if (found === undefined) return undefined;
  return found.kind === 'whole' ? found.size : lengthOf(found.extents);
}
