/** Where a command finds its recording: by the store of the gateway, or in an archive alone. */
import type { KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import {
  ArchiveError,
  type ArchiveSettings,
  openArchives,
  type RecordingReader,
} from '../../recorder/index.ts';
import { auditRow } from '../audit/events.ts';
import { signingKeysByNode, signingKeysIn } from '../bootstrap/keys.ts';
import { archiveSettings } from '../config/archive.ts';
import { holdText, prunedText } from '../retention/hold.ts';
import { keptText, retentionToday } from '../retention/prune.ts';
import type { SessionRow } from '../store/port.ts';
import { configOf, openStore, operator } from './common.ts';
import { UsageError } from './output.ts';
import { findSession } from './sessions.ts';

export interface Found extends AsyncDisposable {
  readonly id: string;
  readonly archive: ArchiveSettings;
  /** What the store knows of its session. */
  readonly row: SessionRow | undefined;
  /** Of the recording. */
  readonly bytes: number | undefined;
  /** Where the node keeps its own archive identity. */
  readonly dataDir: string | undefined;
  /** Keys that nodes sign with, by key id; undefined: none is known. */
  publicKeys(): Promise<ReadonlyMap<string, KeyObject> | undefined>;
  /** The commands that were typed, oldest first; `at` is ms since the epoch. */
  commands(): Promise<readonly { readonly at: number; readonly text: string }[]>;
  /** How long it is kept and who holds it, in words, where the store says so. */
  retention(): Promise<{ readonly kept?: string; readonly hold?: string | undefined }>;
  /** Notes who did this, where there is an audit log. */
  audit(
    code: 'recording.played' | 'recording.exported' | 'recording.verified',
    detail: Record<string, string | boolean>,
  ): Promise<void>;
  /** @throws UsageError: it has another end than the one that is known of it */
  checkEnd(reader: RecordingReader): void;
}

export interface FindOptions {
  readonly config?: string;
  readonly archive?: string;
  readonly nodeKey?: string;
}

/** Each place that recordings go to by itself, with its name for people. */
export function copiesIn(
  settings: ArchiveSettings,
): readonly { readonly name: string; readonly archive: ArchiveSettings }[] {
  return settings.urls.map((url) => {
    const archive = { ...settings, urls: [url] };
    return { name: openArchives(archive).description, archive };
  });
}

/** Rejects with {@link UsageError} where there is no such recording. */
export async function findRecording(id: string, options: FindOptions): Promise<Found> {
  if (options.archive === undefined) return await findInStore(id, options);
  if (options.config !== undefined)
    throw new UsageError('--archive: reads an archive alone, without a configuration: leave --config out');
  return await findInArchive(id, options.archive, options.nodeKey);
}

async function findInStore(id: string, options: FindOptions): Promise<Found> {
  if (options.nodeKey !== undefined)
    throw new UsageError('--node-key: the store has the keys of all nodes, leave it out');
  const config = configOf(options.config);
  const store = await openStore(options.config);
  try {
    const row = await findSession(store, id);
    requireKept(row);
    return {
      id: row.id,
      archive: archiveSettings(config),
      row,
      bytes: row.recordedBytes,
      dataDir: config.node.dataDir,
      // Any node may have sealed it, when its own was gone.
      publicKeys: async () =>
        new Map([...(await signingKeysByNode(store)).values()].flatMap((keys) => [...keys])),
      async commands() {
        const rows = await store.keystrokes(row.id, 'command');
        return rows.map(({ at, text }) => ({ at, text })).sort((a, b) => a.at - b.at);
      },
      retention: async () => ({
        kept: keptText(row, await retentionToday(store, config.archive.retention)),
        hold: holdText(row),
      }),
      async audit(code, detail) {
        const node = config.node.name;
        await store.insertAudit(auditRow({ node, code, actor: operator(), sessionId: row.id, detail }));
      },
      checkEnd: (reader) => checkEnd(reader, row),
      [Symbol.asyncDispose]: () => store.close(),
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** @throws UsageError: the session has no recording, or it was deleted */
function requireKept(session: SessionRow): void {
  if (!session.recorded) throw new UsageError(`session ${session.id} was not recorded: its policy says so`);
  const gone = prunedText(session);
  if (gone !== undefined) throw new UsageError(gone);
}

/** What shows at once of an end that was cut or a recording that was put in the place of another. */
function checkEnd(reader: RecordingReader, { id, sealed, segments, headHash }: SessionRow): void {
  const { truncatedAt, head } = reader;
  if (head === undefined && (sealed || (segments ?? 0) > (truncatedAt ?? 0)))
    throw new UsageError(
      `recording ${id}: the end was cut after segment ${truncatedAt}: the store knows of more, see ` +
        `'sallyport recordings verify ${id}'`,
    );
  if (head !== undefined && sealed && head !== headHash)
    throw new UsageError(
      `recording ${id}: it is not the recording that the store knows: its head hash is another, see ` +
        `'sallyport recordings verify ${id}'`,
    );
}

/** Once is enough, however many recordings a command reads. */
let saidNotNoted = false;

async function findInArchive(given: string, url: string, nodeKey: string | undefined): Promise<Found> {
  const settings: ArchiveSettings = { urls: [url] };
  const { id, bytes } = await findInList(given, settings);
  const keys = nodeKey === undefined ? undefined : await publicKeysIn(nodeKey);
  return {
    id,
    archive: settings,
    row: undefined,
    bytes,
    dataDir: undefined,
    publicKeys: async () => keys,
    commands: async () => [],
    retention: async () => ({}),
    async audit() {
      if (!saidNotNoted) process.stderr.write('not noted in the audit log: an archive alone has none\n');
      saidNotNoted = true;
    },
    checkEnd(reader) {
      if (reader.head === undefined)
        process.stderr.write(
          `recording ${id} is not sealed: it ends after segment ${reader.truncatedAt}, and whether its end ` +
            'was cut only the store can tell\n',
        );
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** The recording of this id, or the only one whose id begins or ends so. */
async function findInList(
  given: string,
  settings: ArchiveSettings,
): Promise<{ readonly id: string; readonly bytes: number }> {
  const archive = openArchives(settings);
  try {
    const reader = await archive.open(given);
    await reader.close();
    return { id: given, bytes: reader.size };
  } catch (error) {
    const none = error instanceof ArchiveError && ['recording-missing', 'recording-id'].includes(error.code);
    if (!none) throw error;
  }
  const matches: { readonly id: string; readonly bytes: number }[] = [];
  if (given.length >= 4)
    for await (const { sessionId: id, bytes } of archive.list())
      if (id.startsWith(given) || id.endsWith(given)) matches.push({ id, bytes });
  const [only, ...more] = matches;
  if (only !== undefined && more.length === 0) return only;
  throw new UsageError(
    only === undefined
      ? `archive ${archive.description} holds no recording of session ${given}: see 'sallyport recordings ls --archive URL'`
      : `${matches.length} recordings have an id like ${given}: give more of it`,
  );
}

async function publicKeysIn(file: string): Promise<ReadonlyMap<string, KeyObject>> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`--node-key: ${file} cannot be read (${error.code})`);
  });
  const keys = signingKeysIn(text);
  if (keys.size === 0)
    throw new UsageError(
      `--node-key: ${file} holds no public key in PEM form (see 'sallyport keys ls --json')`,
    );
  return keys;
}
