import { resolve } from 'node:path';
import { FileArchive } from './file.ts';
import { MirrorArchive } from './mirror.ts';
import { type Archive, ArchiveError } from './port.ts';

/** Where a node's recordings go, as plain data that threads can hand on. */
export interface ArchiveSettings {
  /** As {@link openArchive} takes them; a recording goes to each, and is durable when all have it. */
  readonly urls: readonly string[];
  /** Of object stores; undefined: what the environment has (AWS_ACCESS_KEY_ID …). */
  readonly credentials?: ArchiveCredentials | undefined;
  /** Name of the node that writes; readers need none. */
  readonly writer?: string;
}

export interface ArchiveCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** The archive of a node. Throws {@link ArchiveError} as {@link openArchive} does, and where none is named. */
export function openArchives({ urls }: ArchiveSettings): Archive {
  const [first, ...more] = urls.map((url) => openArchive(url));
  if (first === undefined) throw new ArchiveError('archive-url', 'archive.url: no archive is given');
  return more.length === 0 ? first : new MirrorArchive(first, more);
}

/**
 * The archive that `archive.url` names: `file:/absolute/path` or `file:relative/path`
 * (to the working directory). Throws {@link ArchiveError} `archive-url` for anything
 * else. Touches nothing: a missing folder shows when it is used.
 */
export function openArchive(url: string): Archive {
  const [, scheme = '', rest = ''] = /^([A-Za-z][A-Za-z0-9+.-]*):(.*)$/.exec(url) ?? [];
  if (scheme.toLowerCase() !== 'file') {
    throw new ArchiveError(
      'archive-url',
      `archive.url: ${scheme === '' ? 'no scheme is given' : `scheme ${scheme}: is not supported`}, use file:/path/to/folder`,
    );
  }
  // file:///path is the long form of file:/path; a host between the slashes is none of ours.
  const path = rest.startsWith('//') ? rest.slice(2) : rest;
  if (path === '' || (rest.startsWith('//') && !path.startsWith('/'))) {
    throw new ArchiveError('archive-url', 'archive.url: no path is given, use file:/path/to/folder');
  }
  return new FileArchive(resolve(path));
}
