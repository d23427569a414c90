/** What the recorder is told of the archives that the configuration names. */
import { dirname } from 'node:path';
import type { ArchiveCredentials, ArchiveSettings } from '../../recorder/index.ts';
import { type Config, DEFAULT_FILE } from './config.ts';
import { ConfigurationError } from './problems.ts';
import { resolveSecret } from './secrets.ts';

/**
 * `writer`: the run of the node that writes, whose leavings go when it is lost.
 *
 * @throws ConfigurationError: credentials that cannot be had, by key
 */
export function archiveSettings(config: Config, writer = config.node.name): ArchiveSettings {
  const { urls, credentials, onFailure } = config.archive;
  return {
    urls,
    credentials: credentials === undefined ? undefined : resolved(credentials, config.file),
    writer,
    groupMs: groupMs(config),
    ...(onFailure === 'spool' ? { callsAtOnce: callsAtOnce(config) } : {}),
  };
}

/** Of a process's threads that write files, so many are left to the spool and to all else. */
const FREE_FILE_THREADS = 12;

/** A folder that hangs takes a thread with each call, for good: the spool is written by the rest of them. */
function callsAtOnce({ archive, workers }: Config): number {
  const threads = Number(process.env['UV_THREADPOOL_SIZE']) - FREE_FILE_THREADS;
  const share = threads / (workers.sessions / workers.processes) / archive.urls.length;
  return Math.max(1, Math.floor(Number.isNaN(share) ? 1 : share));
}

/**
 * All workers together send no more than 40 groups a second, and each waits for at most a third of the
 * window for its next; the rest of it is for the segment before and the way to the archive.
 */
function groupMs({ archive, workers }: Config): number {
  return Math.min(Math.max(150, workers.sessions * 25), Math.floor(archive.window.ms / 3));
}

function resolved(given: ArchiveCredentials, file: string | undefined): ArchiveCredentials {
  const source = file ?? DEFAULT_FILE;
  const secret = (key: keyof ArchiveCredentials): string => {
    const found = resolveSecret(given[key], { baseDir: dirname(source), env: process.env });
    if ('problem' in found)
      throw new ConfigurationError(source, [`archive.credentials.${key}: ${found.problem}`]);
    return found.value;
  };
  return { accessKeyId: secret('accessKeyId'), secretAccessKey: secret('secretAccessKey') };
}
