/** Opening the recording that a command names, with the identity that reads it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import type { Command } from 'commander';
import {
  ArchiveError,
  ContainerError,
  EventKind,
  loadIdentities,
  openArchives,
  openRecording,
  type RecordingReader,
  type RecordingSource,
} from '../../recorder/index.ts';
import { auditRow } from '../audit/events.ts';
import { archiveSettings } from '../config/archive.ts';
import type { Config } from '../config/config.ts';
import { prunedText } from '../retention/hold.ts';
import { keptText, retentionToday } from '../retention/prune.ts';
import type { SessionRow, Store } from '../store/port.ts';
import { configOf, countOption, openStore, operator, SESSION_ID } from './common.ts';
import { UsageError } from './output.ts';
import { findSession } from './sessions.ts';

export interface CommonOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly identity?: string;
}

/** Adds what every command on one recording has beside the common options. */
export function withIdentity(command: Command): Command {
  return command
    .argument('<id>', SESSION_ID)
    .option(
      '--identity <file>',
      'age identity that opens the archive (default: SALLYPORT_IDENTITY, then the one of the data folder)',
    );
}

export interface Opened extends AsyncDisposable {
  readonly session: SessionRow;
  readonly reader: RecordingReader;
  /** For the background pool. */
  readonly source: RecordingSource;
  /** The commands that were typed, oldest first; `at` is ms since the epoch. */
  commands(): Promise<readonly { readonly at: number; readonly text: string }[]>;
  /** How long it is kept, in words. */
  retention(): Promise<string>;
  audit(code: 'recording.played' | 'recording.exported', detail: Record<string, string>): Promise<void>;
}

/** Rejects with {@link UsageError} where there is no such recording, or none that can be read. */
export async function openOne(id: string, options: CommonOptions, decrypt: boolean): Promise<Opened> {
  const config = configOf(options.config);
  const store = await openStore(options.config);
  try {
    const session = await findSession(store, id);
    requireKept(session);
    const identities = await identitiesOf(config, options.identity, decrypt);
    const archive = archiveSettings(config);
    const reader = await openRecording(openArchives(archive), session.id, identities);
    return {
      session,
      reader,
      source: { archive, sessionId: session.id, opener: identities },
      async commands() {
        const rows = await store.keystrokes(session.id, 'command');
        return rows.map(({ at, text }) => ({ at, text })).sort((a, b) => a.at - b.at);
      },
      retention: async () => keptText(session, await retentionToday(store, config.archive.retention)),
      audit: (code, detail) => audit(store, config, session, code, detail),
      async [Symbol.asyncDispose]() {
        await reader.close();
        await store.close();
      },
    };
  } catch (error) {
    await store.close();
    if (error instanceof ArchiveError || error instanceof ContainerError) throw new UsageError(error.message);
    throw error;
  }
}

/** @throws UsageError: the session has no recording, or it was deleted */
export function requireKept(session: SessionRow): void {
  if (!session.recorded) throw new UsageError(`session ${session.id} was not recorded: its policy says so`);
  const gone = prunedText(session);
  if (gone !== undefined) throw new UsageError(gone);
}

/** Notes who did this. */
export async function audit(
  store: Store,
  config: Config,
  session: SessionRow,
  code: 'recording.played' | 'recording.exported' | 'recording.verified',
  detail: Record<string, string | boolean>,
): Promise<void> {
  const { name } = config.node;
  await store.insertAudit(auditRow({ node: name, code, actor: operator(), sessionId: session.id, detail }));
}

/** The identity given, the environment's, or the one that the first run left on the node. */
export async function identitiesOf(
  config: Config,
  file: string | undefined,
  needed: boolean,
): Promise<readonly string[]> {
  if (file !== undefined) return await loadIdentities(`file:${file}`);
  if (process.env['SALLYPORT_IDENTITY'] !== undefined) return await loadIdentities('env:SALLYPORT_IDENTITY');
  const local = join(config.node.dataDir, 'keys', 'archive.identity');
  if (existsSync(local)) return await loadIdentities(`file:${local}`);
  if (!needed) return [];
  throw new UsageError(`no archive identity at ${local}: give --identity FILE or set SALLYPORT_IDENTITY`);
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
