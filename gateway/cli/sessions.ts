/** `sallyport sessions`: who is connected to what, and live control. */
import type { Command } from 'commander';
import { holdText, prunedText } from '../retention/hold.ts';
import type { SESSION_VERBS, SessionRow, Store } from '../store/port.ts';
import { countOption, openStore, SESSION_ID, withCommon } from './common.ts';
import { order } from './order.ts';
import {
  bytesText,
  durationText,
  printFields,
  printJson,
  printList,
  timeText,
  UsageError,
} from './output.ts';

interface ListOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly all?: boolean;
  readonly limit: string;
}

type SessionVerb = (typeof SESSION_VERBS)[number];

export function addSessions(program: Command): void {
  const sessions = program.command('sessions').description('list, show and control sessions');

  withCommon(sessions.command('ls').description('list open sessions, newest first'))
    .option('--all', 'ended sessions too')
    .option('--limit <count>', 'at most this many', '100')
    .action(async (options: ListOptions) => {
      const limit = countOption('--limit', options.limit);
      await using store = await openStore(options.config);
      const state = options.all === true ? {} : { state: ['opening', 'active', 'locked'] as const };
      const rows = await store.sessions(state, { limit });
      printList(
        rows,
        [
          { title: 'ID', value: (row) => row.id },
          { title: 'STATE', value: (row) => row.state },
          { title: 'USER', value: (row) => row.user },
          { title: 'TARGET', value: (row) => `${row.account}@${row.system}` },
          { title: 'FROM', value: (row) => row.source },
          { title: 'NODE', value: (row) => row.node },
          { title: 'OPENED', value: (row) => timeText(row.openedAt) },
          { title: 'DURATION', value: (row) => durationText((row.endedAt ?? Date.now()) - row.openedAt) },
        ],
        { json: options.json, empty: options.all === true ? 'no sessions yet' : 'no session is open' },
      );
    });

  withCommon(sessions.command('show').description('show one session').argument('<id>', SESSION_ID)).action(
    async (id: string, options: { config?: string; json?: boolean }) => {
      await using store = await openStore(options.config);
      const row = await findSession(store, id);
      if (options.json === true) return printJson(row);
      printFields(
        {
          id: row.id,
          state: row.state,
          user: row.user,
          account: row.account,
          system: row.system,
          protocol: row.protocol,
          policy: row.policy,
          reason: row.reason,
          source: row.source,
          node: row.node,
          opened: timeText(row.openedAt),
          started: timeText(row.startedAt),
          ended: timeText(row.endedAt),
          end: row.endReason === undefined ? undefined : `${row.endReason} (${row.endCode})`,
          // They are counted up when it ends: until then the store has none.
          'from client': row.state === 'ended' ? bytesText(row.bytesFromClient) : undefined,
          'from target': row.state === 'ended' ? bytesText(row.bytesFromTarget) : undefined,
          recording: recordingText(row),
          hold: holdText(row),
        },
        false,
      );
    },
  );

  const verbs: readonly [SessionVerb, string, string][] = [
    ['lock', "stop the person's input and tell them", 'kept in the audit log'],
    ['unlock', 'let a locked session go on', 'kept in the audit log'],
    ['terminate', 'end a session and tell the person why', 'shown to the person, kept in the audit log'],
  ];
  for (const [verb, description, use] of verbs)
    withCommon(sessions.command(verb).description(description).argument('<id>', SESSION_ID))
      .option('--reason <text>', use)
      .action(async (id: string, options: { config?: string; json?: boolean; reason?: string }) => {
        await using store = await openStore(options.config);
        const session = await findSession(store, id);
        if (session.state === 'ended') throw new UsageError(`session ${session.id} has ended`);
        const { node, id: subject } = session;
        const result = await order(store, { node, subject, verb, reason: options.reason });
        if (result !== 'ok') throw new UsageError(`cannot ${verb} session ${session.id}: ${result}`);
        if (options.json === true) printJson({ id: session.id, verb, result });
        else process.stdout.write(`${verb}: ${session.user} on ${session.account}@${session.system}\n`);
      });
}

function recordingText(row: SessionRow): string {
  if (!row.recorded) return 'none (policy does not record)';
  const gone = prunedText(row);
  if (gone !== undefined) return gone;
  const state = row.state === 'ended' ? sealText(row) : 'running';
  if (row.segments === undefined) return state;
  return `${row.segments} segments, ${bytesText(row.recordedBytes)}, ${state}`;
}

/** Whether the recording of a session that has ended was brought to its end. */
export function sealText({ sealed, recoveredBy, segments, unsealable, startedAt }: SessionRow): string {
  if (sealed) return recoveredBy === undefined ? 'sealed' : `truncated at segment ${segments}`;
  if (unsealable === undefined) return 'unsealed';
  return startedAt === undefined && segments === undefined ? 'never begun' : 'lost or damaged';
}

/** Finds a session by its id or a unique beginning or end of it (ids begin with the time). */
export async function findSession(store: Store, id: string): Promise<SessionRow> {
  const exact = await store.session(id);
  if (exact !== undefined) return exact;
  const [only, another] = id.length < 4 ? [] : await store.sessions({ idPart: id }, { limit: 2 });
  if (only !== undefined && another === undefined) return only;
  throw new UsageError(
    another !== undefined
      ? `several sessions have an id like ${id}: give more of it`
      : `no session has the id ${id}: see 'sallyport sessions ls --all'`,
  );
}
