/** Opening the recording that a command names, with the identity that reads it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import type { Command } from 'commander';
import {
  ArchiveError,
  type ArchiveSettings,
  ContainerError,
  EventKind,
  loadIdentities,
  openArchives,
  openRecording,
  type RecordingReader,
  type RecordingSource,
  verifyRecording,
} from '../../recorder/index.ts';
import { countOption, numberOption, SESSION_ID } from './common.ts';
import { UsageError } from './output.ts';
import { copiesIn, type FindOptions, type Found, findRecording } from './recordings-find.ts';

export interface CommonOptions extends FindOptions {
  readonly json?: boolean;
  readonly identity?: string;
}

/** What `--identity` is. */
export const IDENTITY =
  'age identity that opens the archive (default: the text in SALLYPORT_IDENTITY, then the one of the data folder)';

/** Adds what every command on one recording has beside the common options. */
export function withIdentity(command: Command): Command {
  return withArchive(command.argument('<id>', SESSION_ID)).option('--identity <file>', IDENTITY);
}

/** Adds `--archive`, for a machine that has nothing of the gateway. */
export function withArchive(command: Command): Command {
  return command.option(
    '--archive <url>',
    'read from this archive alone, without configuration and store: file:/folder or s3://bucket/prefix?endpoint=URL',
  );
}

export interface Opened extends Found {
  readonly reader: RecordingReader;
  /** For the background pool. */
  readonly source: RecordingSource;
}

/** Rejects with {@link UsageError} where there is no such recording, or none that can be read. */
export async function openOne(id: string, options: CommonOptions, decrypt: boolean): Promise<Opened> {
  const found = await findRecording(id, options);
  try {
    const opener = await identitiesOf(found.dataDir, options.identity, decrypt);
    const archive = await copyToRead(found, decrypt);
    const reader = await openRecording(openArchives(archive), found.id, opener);
    return {
      ...found,
      reader,
      source: { archive, sessionId: found.id, opener },
      async [Symbol.asyncDispose]() {
        await reader.close();
        await found[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await found[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Of several copies the first that is `whole`, or at least has its end; says what is wrong with those before it.
 * Where none is, what is wrong shows as it does with one.
 */
async function copyToRead(found: Found, whole: boolean): Promise<ArchiveSettings> {
  const copies = copiesIn(found.archive);
  if (copies.length === 1) return found.archive;
  const wrong: string[] = [];
  for (const { name, archive } of copies) {
    const problem = await problemOf(found, archive, whole);
    if (problem === undefined) {
      for (const each of wrong) process.stderr.write(`${each}: reading from ${name}\n`);
      return archive;
    }
    wrong.push(`${name}: ${problem}`);
  }
  return found.archive;
}

/** What is wrong with one copy of a recording, as far as nobody needs an identity to see it. */
async function problemOf(
  { id, row, checkEnd }: Found,
  copy: ArchiveSettings,
  whole: boolean,
): Promise<string | undefined> {
  const archive = openArchives(copy);
  try {
    if (whole) {
      const expected = row?.headHash === undefined ? {} : { expectedHead: row.headHash };
      return (await verifyRecording(archive, id, expected)).problem;
    }
    const reader = await openRecording(archive, id, []);
    await reader.close();
    checkEnd(reader);
    return undefined;
  } catch (error) {
    const isOfCopy = [ArchiveError, ContainerError, UsageError].some((kind) => error instanceof kind);
    if (isOfCopy && error instanceof Error) return error.message;
    throw error;
  }
}

/** The identity given, the environment's, or the one that the first run left in a node's data folder. */
export async function identitiesOf(
  dataDir: string | undefined,
  file: string | undefined,
  needed: boolean,
): Promise<readonly string[]> {
  if (file !== undefined) return await identitiesIn(file);
  if (process.env['SALLYPORT_IDENTITY'] !== undefined) return await loadIdentities('env:SALLYPORT_IDENTITY');
  const local = dataDir === undefined ? undefined : join(dataDir, 'keys', 'archive.identity');
  if (local !== undefined && existsSync(local)) return await identitiesIn(local);
  if (!needed) return [];
  const where = local === undefined ? '' : ` at ${local}`;
  throw new UsageError(`no archive identity${where}: give --identity FILE or set SALLYPORT_IDENTITY`);
}

async function identitiesIn(file: string): Promise<readonly string[]> {
  try {
    return await loadIdentities(`file:${file}`);
  } catch (error) {
    if (error instanceof Error && 'code' in error)
      throw new UsageError(`--identity: ${file} cannot be read (${error.code})`);
    throw error;
  }
}

/**
 * Microseconds of `83`, `83.5`, `1:23` or `00:01:23`; undefined: none is given.
 *
 * @throws UsageError: it is no such time
 */
export function momentOption(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^(?:\d+:){0,2}\d+(?:\.\d+)?$/.test(text))
    throw new UsageError(`${name}: ${text} is no time, give it as 83.5, 1:23 or 00:01:23`);
  const seconds = text.split(':').reduce((sum, part) => sum * 60 + numberOption(name, part), 0);
  return Math.round(seconds * 1_000_000);
}

/** @throws UsageError: `channel` is no whole number */
export function channelOption(channel: string | undefined): { channel?: number } {
  return channel === undefined ? {} : { channel: countOption('--channel', channel, 0) };
}

/** Rejects with {@link UsageError} where a channel is asked for that the session had not. */
export async function checkChannel(reader: RecordingReader, channel: number | undefined): Promise<void> {
  if (channel === undefined) return;
  if (reader.header().protocol === 'rdp') throw new UsageError('--channel: a desktop has none');
  for await (const event of reader.events())
    if (event.kind === EventKind.channelOpen && event.channel === channel) return;
  throw new UsageError(`--channel: the session had no channel ${channel}`);
}

/** Resolves when `out` has taken the chunk. */
export function writeAll(out: Writable, chunk: Uint8Array | string): Promise<void> {
  return new Promise((resolve, reject) => {
    out.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}
