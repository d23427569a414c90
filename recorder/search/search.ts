/** Searches the text of all recordings of an archive, one recording after the other. */
import { type Archive, type ArchiveEntry, ArchiveError } from '../archive/port.ts';
import { type Opener, openRecording, type RecordingReader } from '../container/reader.ts';
import type { RecordingHeader } from '../format/document.ts';
import { ContainerError } from '../format/error.ts';
import type { Hit, Matcher } from './matcher.ts';
import { textIn } from './text.ts';

export interface SearchOptions {
  /** Opens what is found. */
  readonly opener: Opener;
  /** Hits of one recording at most; those of its end are kept. */
  readonly limit: number;
  /** Recordings that are of interest; undefined: all. */
  readonly wanted?: (header: RecordingHeader) => boolean;
  /** Hits from here (ms since the epoch), and before there. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** Whether the texts of recordings that have none beside them are put there. */
  readonly keep: boolean;
  /** Told of how many recordings so many are searched. */
  readonly onProgress?: (searched: number, all: number) => void;
  /** Told of each recording that could not be searched, and why. */
  readonly onSkipped?: (sessionId: string, error: ContainerError | ArchiveError) => void;
}

/** What was found in one recording. */
export interface Found {
  readonly header: RecordingHeader;
  /** Newest first. */
  readonly hits: readonly Hit[];
}

/** Recordings that are opened ahead of the one that is searched: object stores answer late, but many at once. */
const AHEAD = 8;

/**
 * The recordings in which `text` is found as {@link Matcher} says, newest first. Rejects with RangeError where
 * `text` has no word, with {@link ArchiveError} where the archive cannot be listed.
 */
export async function* searchRecordings(
  archive: Archive,
  text: string,
  options: SearchOptions,
): AsyncGenerator<Found, void, void> {
  // Who only records carries no store for it.
  using matcher = new (await import('./matcher.ts')).Matcher(text);
  const entries: ArchiveEntry[] = [];
  for await (const entry of archive.list()) entries.push(entry);
  const opening: Promise<Opening>[] = [];
  const openNext = (): void => {
    const next = entries[searched + opening.length];
    if (next === undefined) return;
    const opened = open(archive, next.sessionId, options);
    // What it rejects with is met when its turn comes.
    opened.catch(() => {});
    opening.push(opened);
  };
  let searched = 0;
  try {
    for (let i = 0; i < AHEAD; i += 1) openNext();
    for (const { sessionId } of entries) {
      options.onProgress?.(searched, entries.length);
      const opened = await opening[0];
      const found = await inReader(opened, matcher, options).catch(skip(sessionId, options));
      opening.shift();
      searched += 1;
      openNext();
      if (found !== undefined) yield found;
    }
    options.onProgress?.(searched, entries.length);
  } finally {
    for (const settled of await Promise.allSettled(opening))
      if (settled.status === 'fulfilled') await settled.value.reader?.close();
  }
}

/** Undefined reader: it is of no interest, or cannot be opened, which was told. */
interface Opening {
  readonly reader?: RecordingReader | undefined;
}

async function open(archive: Archive, sessionId: string, options: SearchOptions): Promise<Opening> {
  try {
    const reader = await openRecording(archive, sessionId, options.opener);
    if (isWanted(reader, options)) return { reader };
    await reader.close();
  } catch (error) {
    skip(sessionId, options)(error);
  }
  return {};
}

function isWanted(reader: RecordingReader, { wanted, since, until }: SearchOptions): boolean {
  const header = reader.header();
  const { startedAt } = header;
  if (until !== undefined && startedAt >= until) return false;
  const duration = reader.manifest()?.duration;
  if (since !== undefined && duration !== undefined && startedAt + duration / 1000 < since) return false;
  return wanted?.(header) ?? true;
}

async function inReader(
  { reader }: Opening = {},
  matcher: Matcher,
  options: SearchOptions,
): Promise<Found | undefined> {
  if (reader === undefined) return undefined;
  try {
    const { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY, limit } = options;
    const header = reader.header();
    let hits: Hit[] = [];
    for await (const batch of textIn(reader, options.keep)) {
      if (batch === 'again') {
        hits = [];
        continue;
      }
      for (const hit of matcher.find(batch)) {
        const time = header.startedAt + hit.at / 1000;
        if (time >= since && time < until) hits.push(hit);
      }
      // Twice as many, so that they are seldom moved.
      if (hits.length > 2 * limit) hits = newest(hits, limit).reverse();
    }
    return hits.length === 0 ? undefined : { header, hits: newest(hits, limit) };
  } finally {
    await reader.close();
  }
}

function newest(hits: readonly Hit[], limit: number): Hit[] {
  return hits
    .toSorted((a, b) => a.at - b.at)
    .slice(-limit)
    .reverse();
}

/** One recording that is damaged, or of other recipients, does not end a search. */
function skip(sessionId: string, { onSkipped }: SearchOptions): (error: unknown) => undefined {
  return (error) => {
    if (!(error instanceof ContainerError || error instanceof ArchiveError)) throw error;
    onSkipped?.(sessionId, error);
    return undefined;
  };
}
