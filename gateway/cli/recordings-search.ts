/** `sallyport recordings search`: where in all recordings something was typed or shown. */
import type { Command } from 'commander';
import {
  type ArchiveSettings,
  type Found,
  openArchives,
  type RecordingHeader,
  searchRecordings,
} from '../../recorder/index.ts';
import { auditRow } from '../audit/events.ts';
import { archiveSettings } from '../config/archive.ts';
import type { KeystrokeRow, SessionRow, Store } from '../store/port.ts';
import { configOf, countOption, openStore, operator, withCommon } from './common.ts';
import { durationText, printList, timeText, UsageError } from './output.ts';
import { Progress } from './progress.ts';
import { type CommonOptions, IDENTITY, identitiesOf, withArchive } from './recordings-open.ts';

interface SearchOptions extends CommonOptions {
  readonly limit: string;
  readonly user?: string;
  readonly system?: string;
  readonly since?: string;
  readonly until?: string;
}

/** What hits must be like. */
interface Filter {
  readonly limit: number;
  readonly wanted: (of: Pick<RecordingHeader, 'user' | 'system'>) => boolean;
  /** ms since the epoch. */
  readonly since: number | undefined;
  readonly until: number | undefined;
}

interface Line {
  /** Of the session. */
  readonly id: string;
  /** ms since the epoch. */
  readonly at: number;
  /** Seconds since the recording's start, as `play --from` and `export --at` take them; undefined: there is none. */
  readonly offset: number | undefined;
  readonly kind: string;
  readonly channel: number;
  readonly user: string;
  readonly account: string;
  readonly system: string;
  readonly text: string;
  /** What stands around the words. */
  readonly snippet: string;
}

/** The lines of one session, newest first. */
interface Group {
  /** ms since the epoch. */
  readonly startedAt: number;
  readonly lines: readonly Line[];
}

export function addSearch(recordings: Command): void {
  withArchive(
    withCommon(
      recordings
        .command('search')
        .description(
          'find what was typed and shown, over all recordings, newest first: terminals and output, commands, ' +
            'names of files, the clipboard; of desktops not what their screens showed',
        )
        .argument('<text>', 'words that stand in one line, each may be cut short: "syst restart"'),
    ),
  )
    .option('--identity <file>', IDENTITY)
    .option('--limit <count>', 'at most this many', '100')
    .option('--user <name>', 'only in what this person did')
    .option('--system <name>', 'only in sessions with this system')
    .option('--since <time>', 'only from this time on, ISO 8601')
    .option('--until <time>', 'only before this time, ISO 8601')
    .action(async (text: string, options: SearchOptions) => {
      if (!/[\p{L}\p{N}]/u.test(text))
        throw new UsageError(`TEXT: there is no word in ${JSON.stringify(text)}`);
      const filter = filterOf(options);
      const groups =
        options.archive === undefined
          ? await searchAll(text, options, filter)
          : await searchArchive(text, { urls: [options.archive] }, options, filter, {
              identities: await identitiesOf(undefined, options.identity, true),
            });
      print(groups, filter.limit, text, options);
    });
}

/** @throws UsageError */
function filterOf({ user, system, ...options }: SearchOptions): Filter {
  return {
    limit: countOption('--limit', options.limit),
    wanted: (of) =>
      (user === undefined || of.user === user) && (system === undefined || of.system === system),
    since: timeOption('--since', options.since),
    until: timeOption('--until', options.until),
  };
}

/** @throws UsageError: `text` is no time */
function timeOption(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = Date.parse(text);
  if (Number.isNaN(time))
    throw new UsageError(`${name}: ${text} is not a time, write it like 2026-11-21T10:00:00`);
  return time;
}

/** What the store knows of typed text, and what the archive holds. */
async function searchAll(text: string, options: SearchOptions, filter: Filter): Promise<readonly Group[]> {
  const config = configOf(options.config);
  await using store = await openStore(options.config);
  // Not for what: who looks whether a secret leaked must not leak it there.
  const { name: node } = config.node;
  await store.insertAudit(auditRow({ node, code: 'recording.searched', actor: operator() }));
  const typed = await typedIn(store, text, filter);
  const identities = await identitiesOf(config.node.dataDir, options.identity, false);
  if (identities.length === 0) {
    process.stderr.write(
      'only what was typed is searched, not what was shown: give --identity FILE or set SALLYPORT_IDENTITY\n',
    );
    return [...typed.values()];
  }
  const shown = await searchArchive(text, archiveSettings(config), options, filter, { identities, typed });
  return [...shown, ...typed.values()];
}

/** By session. */
type Typed = Map<string, Group>;

async function typedIn(store: Store, text: string, filter: Filter): Promise<Typed> {
  const { limit, since, until } = filter;
  const typed = new Map<string, { readonly startedAt: number; readonly lines: Line[] }>();
  let before = until;
  for (let found = 0; ; ) {
    const rows = await store.searchKeystrokes(text, {
      limit,
      ...(before === undefined ? {} : { before: String(before) }),
    });
    for (const row of rows) {
      if (found === limit || (since !== undefined && row.at < since)) return typed;
      const session = await store.session(row.sessionId);
      if (session === undefined || !filter.wanted(session)) continue;
      const group = typed.get(session.id) ?? { startedAt: session.openedAt, lines: [] };
      group.lines.push(typedLine(row, session));
      typed.set(session.id, group);
      found += 1;
    }
    before = rows.at(-1)?.at;
    if (rows.length < limit) return typed;
  }
}

function typedLine({ sessionId: id, at, kind, channel, text }: KeystrokeRow, session: SessionRow): Line {
  const { user, account, system } = session;
  return { id, at, offset: undefined, kind, channel, user, account, system, text, snippet: text };
}

/**
 * Takes out of `typed` the groups that it joins with what it finds. Rejects with {@link ArchiveError}; a
 * recording that cannot be searched is told on standard error, and makes the command fail in the end.
 */
async function searchArchive(
  text: string,
  settings: ArchiveSettings,
  options: SearchOptions,
  { limit, wanted, since, until }: Filter,
  {
    identities: opener,
    typed = new Map(),
  }: { readonly identities: readonly string[]; readonly typed?: Typed },
): Promise<readonly Group[]> {
  const archive = openArchives(settings);
  const keep = await archive.check().then(
    () => true,
    () => false,
  );
  using progress = new Progress(options, (searched, all) => `searched ${searched} of ${all} recordings`);
  const groups: Group[] = [];
  let lines = 0;
  const found = searchRecordings(archive, text, {
    opener,
    limit,
    wanted,
    since,
    until,
    keep,
    onProgress: progress.show,
    onSkipped: (sessionId, error) => {
      progress.say(`session ${sessionId} was not searched: ${error.message}`);
      process.exitCode = 1;
    },
  });
  for await (const each of found) {
    const { sessionId, startedAt } = each.header;
    const group = joined(each, typed.get(sessionId)?.lines ?? []);
    typed.delete(sessionId);
    groups.push({ startedAt, lines: group });
    lines += group.length;
    // Those that follow began earlier.
    if (lines >= limit) break;
  }
  return groups;
}

/** What a recording holds, and what the store knows was typed: that stands for what the recording has of it. */
function joined({ header, hits }: Found, typed: readonly Line[]): readonly Line[] {
  const { sessionId: id, startedAt, user, account, system } = header;
  const lines = hits
    .filter(({ kind }) => kind !== 'typed' || typed.length === 0)
    .map(
      ({ at, kind, channel, text, snippet }): Line => ({
        id,
        at: Math.floor(startedAt + at / 1000),
        offset: at / 1_000_000,
        kind,
        channel,
        user,
        account,
        system,
        text,
        snippet,
      }),
    );
  const placed = typed.map((line) => ({ ...line, offset: Math.max(0, line.at - startedAt) / 1000 }));
  return [...lines, ...placed].sort((a, b) => b.at - a.at);
}

function print(groups: readonly Group[], limit: number, text: string, { json }: SearchOptions): void {
  const lines = groups
    .toSorted((a, b) => b.startedAt - a.startedAt)
    .flatMap((group) => group.lines)
    .slice(0, limit);
  if (json === true)
    return printList(
      lines.map(({ snippet: _, ...line }) => line),
      [],
      { json, empty: '' },
    );
  printList(
    lines,
    [
      { title: 'ID', value: ({ id }) => id },
      { title: 'USER', value: ({ user }) => user },
      { title: 'TARGET', value: ({ account, system }) => `${account}@${system}` },
      { title: 'TIME', value: ({ at }) => timeText(at) },
      { title: 'AT', value: ({ offset }) => offsetText(offset), align: 'right' },
      { title: 'KIND', value: ({ kind }) => kind },
      { title: 'TEXT', value: ({ snippet }) => snippet },
    ],
    { empty: `nobody typed or saw ${text}` },
  );
}

/** `1:23.5`, a moment at which it stood there already. */
function offsetText(seconds: number | undefined): string | undefined {
  if (seconds === undefined) return undefined;
  const tenths = Math.ceil(seconds * 10);
  return `${durationText(tenths * 100)}.${tenths % 10}`;
}
