/** `sallyport recordings`: list, replay, export and prove what was recorded. */
import type { KeyObject } from 'node:crypto';
import { createWriteStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Command } from 'commander';
import {
  ArchiveError,
  ContainerError,
  exportCast,
  exportJsonLines,
  exportText,
  loadIdentities,
  openArchive,
  openRecording,
  play,
  type RecordingReader,
  verifyRecording,
} from '../../recorder/index.ts';
import { auditRow } from '../audit/events.ts';
import { signingKeysIn } from '../bootstrap/keys.ts';
import type { Config } from '../config/config.ts';
import type { SessionRow, Store } from '../store/port.ts';
import { configOf, openStore, operator, withCommon } from './common.ts';
import {
  bytesText,
  durationText,
  printable,
  printFields,
  printJson,
  printList,
  timeText,
  UsageError,
} from './output.ts';
import { findSession } from './sessions.ts';

interface CommonOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly identity?: string;
}

const FORMATS = { cast: exportCast, txt: exportText, jsonl: exportJsonLines } as const;
type Format = keyof typeof FORMATS;

export function addRecordings(program: Command): void {
  const recordings = program.command('recordings').description('list, replay, export and verify recordings');

  withCommon(recordings.command('ls').description('list recordings, newest first'))
    .option('--limit <count>', 'at most this many', '100')
    .action(async (options: CommonOptions & { limit: string }) => {
      await using store = await openStore(options.config);
      const rows = await store.sessions(
        { recorded: true },
        { limit: numberOption('--limit', options.limit) },
      );
      printList(
        rows,
        [
          { title: 'ID', value: (row) => row.id },
          { title: 'USER', value: (row) => row.user },
          { title: 'TARGET', value: (row) => `${row.account}@${row.system}` },
          { title: 'OPENED', value: (row) => timeText(row.openedAt) },
          { title: 'DURATION', value: (row) => durationText((row.endedAt ?? Date.now()) - row.openedAt) },
          { title: 'SIZE', value: (row) => bytesText(row.recordedBytes), align: 'right' },
          { title: 'STATE', value: stateOf },
        ],
        { json: options.json, empty: 'no recordings yet' },
      );
    });

  withCommon(
    recordings
      .command('search')
      .description('find what was typed, over all sessions, newest first')
      .argument('<text>', 'words to look for'),
  )
    .option('--limit <count>', 'at most this many', '100')
    .action(async (text: string, options: CommonOptions & { limit: string }) => {
      await using store = await openStore(options.config);
      const rows = await store.searchKeystrokes(text, { limit: numberOption('--limit', options.limit) });
      printList(
        rows.map((row) => ({ id: row.sessionId, ...row })),
        [
          { title: 'ID', value: (row) => row.id },
          { title: 'TIME', value: (row) => timeText(row.at) },
          { title: 'KIND', value: (row) => row.kind },
          { title: 'TEXT', value: (row) => row.text },
        ],
        { json: options.json, empty: `nobody typed ${text}` },
      );
    });

  withIdentity(recordings.command('show').description('show what a recording holds')).action(
    async (id: string, options: CommonOptions) => {
      await using opened = await openOne(id, options, false);
      const { reader, session } = opened;
      const manifest = reader.manifest();
      const fields = {
        id: session.id,
        state: manifest === undefined ? `truncated at segment ${reader.truncatedAt}` : 'sealed',
        user: session.user,
        account: session.account,
        system: session.system,
        policy: session.policy,
        node: reader.header().node,
        started: new Date(reader.header().startedAt).toISOString(),
        duration: manifest === undefined ? undefined : durationText(manifest.duration / 1000),
        segments: manifest?.segments,
        events: manifest?.events,
        bytes: session.recordedBytes,
        end: manifest?.reason,
        head: session.headHash,
      };
      const commands = await opened.commands();
      if (options.json === true) return printJson({ ...fields, commands });
      printFields(fields, false);
      for (const { at, text } of commands) process.stdout.write(`  ${timeText(at)}  ${printable(text)}\n`);
    },
  );

  withIdentity(recordings.command('play').description('replay a recording in this terminal'))
    .option('--speed <factor>', 'how fast, 2 is twice as fast', '1')
    .option('--max-idle <seconds>', 'shorten longer pauses to this', '2')
    .option('--channel <number>', 'which channel of the session')
    .action(
      async (id: string, options: CommonOptions & { speed: string; maxIdle: string; channel?: string }) => {
        const speed = numberOption('--speed', options.speed);
        await using opened = await openOne(id, options, true);
        await opened.audit('recording.played', {});
        const stop = new AbortController();
        process.once('SIGINT', () => stop.abort());
        await play(opened.reader, {
          ...channelOption(options.channel),
          write: (bytes) => writeAll(process.stdout, bytes),
          sleep: (ms) => pause(ms, stop.signal),
          speed,
          maxIdle: numberOption('--max-idle', options.maxIdle) * 1000,
          signal: stop.signal,
        });
      },
    );

  withIdentity(recordings.command('export').description('write a recording in a standard format'))
    .requiredOption(
      '--format <format>',
      'cast (asciicast v2), txt (what the screen was sent), jsonl (every event)',
    )
    .option('--output <file>', 'where to write (default: standard output)')
    .option('--channel <number>', 'which channel of the session')
    .action(
      async (id: string, options: CommonOptions & { format: string; output?: string; channel?: string }) => {
        if (!(options.format in FORMATS))
          throw new UsageError(`--format: ${options.format} is none of ${Object.keys(FORMATS).join(', ')}`);
        await using opened = await openOne(id, options, true);
        await opened.audit('recording.exported', { format: options.format });
        const chunks = FORMATS[options.format as Format](opened.reader, channelOption(options.channel));
        const bytes = await writeTo(options.output, chunks);
        if (options.json === true) printJson({ id: opened.session.id, format: options.format, bytes });
        else if (options.output !== undefined)
          process.stdout.write(`${options.output}: ${bytesText(bytes)} of session ${opened.session.id}\n`);
      },
    );

  withIdentity(
    recordings.command('verify').description('prove that a recording is whole and unaltered'),
  ).action(async (id: string, options: CommonOptions) => {
    const config = configOf(options.config);
    await using store = await openStore(options.config);
    const session = await findSession(store, id);
    const identities = await identitiesOf(config, options.identity, false);
    const report = await verifyRecording(openArchive(config.archive.url), session.id, {
      identities,
      publicKeys: await nodeKeys(store, session.node),
      ...(session.headHash === undefined ? {} : { expectedHead: session.headHash }),
    });
    await audit(store, config, session, 'recording.verified', { ok: report.ok });
    if (options.json === true) printJson({ id: session.id, ...report });
    else {
      process.stdout.write(report.ok ? `ok: ${report.segments} segments\n` : `NOT OK: ${report.problem}\n`);
      for (const line of report.proved) process.stdout.write(`  proved      ${line}\n`);
      for (const line of report.notProved) process.stdout.write(`  not proved  ${line}\n`);
    }
    if (!report.ok) process.exitCode = 1;
  });
}

function withIdentity(command: Command): Command {
  return withCommon(command.argument('<id>', 'session id, or a unique beginning or end of it')).option(
    '--identity <file>',
    'age identity that opens the archive (default: SALLYPORT_IDENTITY, then the one of the data folder)',
  );
}

interface Opened extends AsyncDisposable {
  readonly session: SessionRow;
  readonly reader: RecordingReader;
  /** The commands that were typed, oldest first; `at` is ms since the epoch. */
  commands(): Promise<readonly { readonly at: number; readonly text: string }[]>;
  audit(code: 'recording.played' | 'recording.exported', detail: Record<string, string>): Promise<void>;
}

async function openOne(id: string, options: CommonOptions, decrypt: boolean): Promise<Opened> {
  const config = configOf(options.config);
  const store = await openStore(options.config);
  try {
    const session = await findSession(store, id);
    if (!session.recorded) throw new UsageError(`session ${session.id} was not recorded: its policy says so`);
    const identities = await identitiesOf(config, options.identity, decrypt);
    const reader = await openRecording(openArchive(config.archive.url), session.id, identities);
    return {
      session,
      reader,
      async commands() {
        const rows = await store.keystrokes(session.id, 'command');
        return rows.map(({ at, text }) => ({ at, text })).sort((a, b) => a.at - b.at);
      },
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

async function audit(
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
async function identitiesOf(
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

/** Public halves of the keys that this node has signed with, by key id. */
async function nodeKeys(store: Store, node: string): Promise<ReadonlyMap<string, KeyObject>> {
  return signingKeysIn((await store.setting(`node.${node}.signingKey`)) ?? '');
}

function stateOf(row: SessionRow): string {
  if (row.state !== 'ended') return 'running';
  return row.sealed ? 'sealed' : 'unsealed';
}

function channelOption(channel: string | undefined): { channel?: number } {
  return channel === undefined ? {} : { channel: numberOption('--channel', channel) };
}

function numberOption(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new UsageError(`${name}: ${text} is not a number`);
  return value;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

async function writeTo(
  file: string | undefined,
  chunks: AsyncIterable<Uint8Array | string>,
): Promise<number> {
  const out = file === undefined ? process.stdout : createWriteStream(file, { mode: 0o600 });
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += Buffer.byteLength(chunk);
    await writeAll(out, chunk);
  }
  if (file !== undefined) {
    out.end();
    await finished(out);
  }
  return bytes;
}

function writeAll(out: Writable, chunk: Uint8Array | string): Promise<void> {
  return new Promise((resolve, reject) => {
    out.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}
