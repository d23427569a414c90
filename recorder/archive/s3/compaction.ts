/** Makes one object of a sealed recording's parts. */
import type { ArchiveReader } from '../port.ts';
import type { Found, FoundParts } from './find.ts';
import type { RecordingNames } from './names.ts';
import { ReadAhead } from './read-ahead.ts';
import { ExtentReader, ObjectReader } from './reader.ts';
import type { ObjectStore } from './store.ts';

/** Read at once; a few of the small parts. */
const STEP_BYTES = 4 * 1024 * 1024;

/**
 * `find`: the recording as it is. Others may do the same at the same time: each makes the same object, and
 * parts are deleted only when the object was read back and `check` found it good.
 */
export async function compact(
  store: ObjectStore,
  names: RecordingNames,
  find: () => Promise<Found>,
  check: (compacted: ArchiveReader) => Promise<void>,
): Promise<void> {
  const found = await find();
  if (found.kind === 'whole') {
    if (found.left.length > 0) {
      await check(new ReadAhead(new ObjectReader(store, names.whole, found.size)));
      await store.remove(found.left);
    }
    // Whoever made it may have got no further.
    await store.abandonUploads(names.whole);
    return;
  }
  try {
    await makeWhole(store, names, found, find, check);
  } catch (error) {
    // Whoever did the same was quicker, and took the parts away.
    if ((await find()).kind === 'whole') return;
    throw error;
  }
  await removeParts(store, found);
  // Those of others that did the same, and those that a crash left.
  await store.abandonUploads(names.whole);
}

async function makeWhole(
  store: ObjectStore,
  names: RecordingNames,
  found: FoundParts,
  find: () => Promise<Found>,
  check: (compacted: ArchiveReader) => Promise<void>,
): Promise<void> {
  // One that is there already was made by who died before the parts were deleted, or by another just now.
  if (await isGood(store, names, found, check)) return;
  const again = async () => {
    const now = await find();
    return now.kind === 'parts' ? now.extents : [];
  };
  await store.upload(names.whole, steps(new ExtentReader(store, found.extents, again)));
  const size = (await store.size(names.whole)) ?? 0;
  await check(new ReadAhead(new ObjectReader(store, names.whole, size)));
}

async function isGood(
  store: ObjectStore,
  names: RecordingNames,
  { extents }: FoundParts,
  check: (compacted: ArchiveReader) => Promise<void>,
): Promise<boolean> {
  const size = await store.size(names.whole);
  if (size === undefined || size < (extents.at(-1)?.end ?? 0)) return false;
  try {
    await check(new ReadAhead(new ObjectReader(store, names.whole, size)));
    return true;
  } catch {
    // Whatever is wrong with it, it is made anew of the parts.
    return false;
  }
}

async function* steps(reader: ArchiveReader): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < reader.size; at += STEP_BYTES) yield await reader.read(at, STEP_BYTES);
}

/** The first part before the others: from then on the whole object is the recording. */
async function removeParts(store: ObjectStore, { parts, keys }: FoundParts): Promise<void> {
  const first = parts.filter(({ start }) => start === 0).map(({ key }) => key);
  await store.remove(first);
  await store.remove(keys.filter((key) => !first.includes(key)));
}
