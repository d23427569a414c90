/** Which bytes of which objects make a recording that is not compacted. */
import type { Piece } from './group.ts';
import { type Part, parsePart } from './names.ts';
import type { StoredObject } from './store.ts';

/** A part as it is stored. */
export interface StoredPart extends Part {
  readonly key: string;
}

/** Bytes from `start` to `end` of a recording: in an object from `at`, or at hand. */
export type Extent = { readonly start: number; readonly end: number } & (
  | { readonly key: string; readonly at: number }
  | { readonly bytes: Uint8Array }
);

/** The parts among the objects of a recording's folder; what is not as long as its name says is left out. */
export function partsAmong(folder: string, objects: readonly StoredObject[]): readonly StoredPart[] {
  const parts: StoredPart[] = [];
  for (const { key, size } of objects) {
    const part = parsePart(key.slice(folder.length));
    if (part !== undefined && part.end - part.start === size) parts.push({ ...part, key });
  }
  return parts;
}

/** The part that the latest era begins with; undefined where there is none. */
export function latestEra(parts: readonly StoredPart[]): StoredPart | undefined {
  return parts.reduce<StoredPart | undefined>(
    (latest, part) =>
      latest === undefined || part.era > latest.era || (part.era === latest.era && part.start < latest.start)
        ? part
        : latest,
    undefined,
  );
}

/**
 * The recording from its start as far as it goes without a gap, at most to `limit`. `pieces`: of the
 * journal, from the latest era.
 */
export function arrange(
  parts: readonly StoredPart[],
  pieces: readonly Piece[],
  limit = Number.MAX_SAFE_INTEGER,
): readonly Extent[] {
  const bounds = eraBounds(parts);
  const candidates: Extent[] = parts.map(({ start, end, key, era }) => ({
    start,
    end: Math.min(end, bounds.get(era) ?? end),
    key,
    at: 0,
  }));
  for (const { offset, bytes } of pieces) {
    candidates.push({ start: offset, end: offset + bytes.length, bytes });
  }
  candidates.sort((a, b) => a.start - b.start || b.end - a.end);
  const extents: Extent[] = [];
  let covered = 0;
  let best: Extent | undefined;
  const take = (): void => {
    if (best === undefined || best.end <= covered || covered >= limit) return;
    const end = Math.min(best.end, limit);
    extents.push(cutOf(best, covered, end));
    covered = end;
  };
  for (const candidate of candidates) {
    if (candidate.start > covered) {
      take();
      best = undefined;
      if (candidate.start > covered) break;
    }
    if (best === undefined || candidate.end > best.end) best = candidate;
  }
  take();
  return extents;
}

/** Where each era but the latest is cut by those behind it. */
function eraBounds(parts: readonly StoredPart[]): ReadonlyMap<string, number> {
  const starts = new Map<string, number>();
  for (const { era, start } of parts) starts.set(era, Math.min(start, starts.get(era) ?? start));
  const bounds = new Map<string, number>();
  let bound = Number.MAX_SAFE_INTEGER;
  for (const [era, start] of [...starts].sort(([a], [b]) => (a < b ? 1 : -1))) {
    bounds.set(era, bound);
    bound = Math.min(bound, start);
  }
  return bounds;
}

function cutOf(extent: Extent, start: number, end: number): Extent {
  const from = start - extent.start;
  return 'key' in extent
    ? { start, end, key: extent.key, at: extent.at + from }
    : { start, end, bytes: extent.bytes.subarray(from, from + end - start) };
}

/** Where the last of them ends. */
export function lengthOf(extents: readonly Extent[]): number {
  return extents.at(-1)?.end ?? 0;
}
