/** What an `s3:` URL says: `s3://bucket/prefix?endpoint=https://host:port&region=…&style=path|virtual`. */
import { ArchiveError } from '../port.ts';

export interface S3Location {
  readonly bucket: string;
  /** Before every key: empty, or ends with a slash. */
  readonly prefix: string;
  /** Undefined: AWS. */
  readonly endpoint: string | undefined;
  /** Undefined: what the environment says. */
  readonly region: string | undefined;
  /** Whether the bucket stands in the path, and not in the host name. */
  readonly pathStyle: boolean;
}

const EXAMPLE = 's3://bucket/prefix?endpoint=https://host:9000';
/** AWS: 3 to 63; what names an older bucket elsewhere is let through too. */
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/;
/** Characters that need no special handling in keys (AWS, "Naming Amazon S3 objects"). */
const PREFIX_PART = /^[A-Za-z0-9!_.*'()-]+$/;
/** Keys may be 1024 bytes long; ours need about 300 behind the prefix. */
const MAX_PREFIX = 512;
const REGION = /^[A-Za-z0-9-]{1,64}$/;
const PARAMETERS = new Set(['endpoint', 'region', 'style']);

/** Throws {@link ArchiveError} `archive-url`, which says what is wrong with the URL and shows none of it that may be secret. */
export function parseLocation(url: string): S3Location {
  const [, bucket = '', path = '', query = ''] = /^s3:\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?$/i.exec(url) ?? [];
  if (bucket.includes('@')) throw wrong('credentials do not belong into it, use archive.credentials');
  if (!BUCKET.test(bucket)) throw wrong('no bucket is named, or its name is none');
  const parameters = parse(query);
  const endpoint = parameters.get('endpoint');
  const style = parameters.get('style') ?? (endpoint === undefined ? 'virtual' : 'path');
  if (style !== 'path' && style !== 'virtual') throw wrong('style: only path and virtual are known');
  const region = parameters.get('region');
  if (region !== undefined && !REGION.test(region)) throw wrong('region: it is no name of a region');
  return {
    bucket,
    prefix: prefixOf(path),
    endpoint: endpoint === undefined ? undefined : checkedEndpoint(endpoint),
    region,
    pathStyle: style === 'path',
  };
}

function parse(query: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (!PARAMETERS.has(name)) throw wrong(`its parameters are ${[...PARAMETERS].join(', ')} and no other`);
    if (found.has(name)) throw wrong(`${name}: it is given twice`);
    found.set(name, value);
  }
  return found;
}

function prefixOf(path: string): string {
  const parts = path.split('/').slice(1);
  if (parts.at(-1) === '') parts.pop();
  if (path.length > MAX_PREFIX) throw wrong(`the prefix is longer than ${MAX_PREFIX} characters`);
  for (const part of parts) {
    if (!PREFIX_PART.test(part) || part === '.' || part === '..') {
      throw wrong("the prefix may hold letters, digits and !_.*'()- between single slashes");
    }
  }
  return parts.map((part) => `${part}/`).join('');
}

function checkedEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw wrong('endpoint: it must be https://host:port or http://host:port');
  }
  if (url.username !== '' || url.password !== '') {
    throw wrong('endpoint: credentials do not belong into it, use archive.credentials');
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw wrong('endpoint: nothing may stand behind its host and port');
  }
  return url.origin;
}

function wrong(words: string): ArchiveError {
  return new ArchiveError('archive-url', `archive.url: ${words} (such as ${EXAMPLE})`);
}
