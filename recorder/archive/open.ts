import { resolve } from 'node:path';
import { FileArchive } from './file.ts';
import { MirrorArchive } from './mirror.ts';
import { type Archive, ArchiveError } from './port.ts';
import { S3Archive } from './s3/archive.ts';
import { parseLocation } from './s3/location.ts';
import { SdkStore } from './s3/sdk-store.ts';

/** Where a node's recordings go, as plain data that threads can hand on. */
export interface ArchiveSettings {
  /** As {@link openArchive} takes them; a recording goes to each, and is durable when all have it. */
  readonly urls: readonly string[];
  /** Of object stores; undefined: what the environment has (AWS_ACCESS_KEY_ID …). */
  readonly credentials?: ArchiveCredentials | undefined;
  /** The run of a node that writes, or its name, where no run does; readers need none. */
  readonly writer?: string;
  /** Calls to an archive folder that a thread's recordings have under way at once; by default any number. */
  readonly callsAtOnce?: number | undefined;
  /** How far apart an object store is sent the small appends of a thread's recordings together. */
  readonly groupMs?: number;
}

export interface ArchiveCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Writer where none is named, as with readers. */
const NOBODY = 'nobody';

/** The archive of a node. Throws {@link ArchiveError} as {@link openArchive} does, and where none is named. */
export function openArchives({ urls, ...access }: ArchiveSettings): Archive {
  const [first, ...more] = urls.map((url) => openArchive(url, access));
  if (first === undefined) throw new ArchiveError('archive-url', 'archive.url: no archive is given');
  return more.length === 0 ? first : new MirrorArchive(first, more);
}

/**
 * The archive that `archive.url` names: `file:/absolute/path`, `file:relative/path` (to the working
 * directory), or `s3://bucket/prefix?endpoint=https://host:port&region=…&style=path|virtual`. Throws
 * {@link ArchiveError} `archive-url` for anything else. Touches nothing: a missing folder or bucket shows
 * when it is used.
 */
export function openArchive(url: string, access: Omit<ArchiveSettings, 'urls'> = {}): Archive {
  const [, scheme = '', rest = ''] = /^([A-Za-z][A-Za-z0-9+.-]*):(.*)$/.exec(url) ?? [];
  switch (scheme.toLowerCase()) {
    case 'file':
      return new FileArchive(folderOf(rest), access.writer ?? NOBODY, access.callsAtOnce);
    case 's3': {
      const location = parseLocation(url);
      return new S3Archive({
        store: new SdkStore(location, access.credentials),
        prefix: location.prefix,
        writer: access.writer ?? NOBODY,
        groupMs: access.groupMs,
      });
    }
    default:
      throw new ArchiveError(
        'archive-url',
        `archive.url: ${scheme === '' ? 'no scheme is given' : `scheme ${scheme}: is not supported`}, use file:/path/to/folder or s3://bucket/prefix`,
      );
  }
}

function folderOf(rest: string): string {
  // file:///path is the long form of file:/path; a host between the slashes is none of ours.
  const path = rest.startsWith('//') ? rest.slice(2) : rest;
  if (path === '' || (rest.startsWith('//') && !path.startsWith('/'))) {
    throw new ArchiveError('archive-url', 'archive.url: no path is given, use file:/path/to/folder');
  }
  return resolve(path);
}
