/**
 * Deletes recordings whose time is over, and what was typed in their sessions with them. Sessions and
 * audit stay, and tell what was there.
 *
 * A recording is looked for first; then its deletion is claimed in the session's row, so that no hold comes
 * between; then the archive deletes; then the row says that it is done. Whatever dies or fails behind the claim
 * may have deleted something, so the claim stays: the next run comes to the end.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Archive,
  type ArchiveEntry,
  ArchiveError,
  ContainerError,
  openRecording,
} from '../../recorder/index.ts';
import { auditRow } from '../audit/events.ts';
import { dueAt, type Retention, type RetentionToday, retentionText, ruleOf } from '../policy/retention.ts';
import type { SessionRow, Store } from '../store/port.ts';
import { holdText, prunedText } from './hold.ts';

/** A recording whose time is over. */
export interface Due {
  readonly session: SessionRow;
  /** For people: how long it was to be kept, and who said so. */
  readonly rule: string;
  /** Why it stays all the same; undefined: it may go. */
  readonly kept: string | undefined;
}

export interface Pruner {
  readonly store: Store;
  readonly archive: Archive;
  /** Name of the node, and who deletes, for the audit log. */
  readonly node: string;
  readonly by: string;
  /** Whether what the archive does not hold is taken for deleted. */
  readonly settleMissing?: boolean | undefined;
}

/**
 * `kept`: it was held meanwhile, or another has deleted it. `missing`: the archive does not hold it, and nothing
 * was deleted, what was typed neither.
 */
export type Pruned = 'pruned' | 'kept' | 'missing';

const PAGE = 500;
/** Rows of keystrokes that are deleted in one go: some tens of ms, because they are overwritten. */
const KEYSTROKES = 100;
/** Others that wait for the store look for their turn every few milliseconds. */
const BREATH_MS = 20;
const DAY_MS = 86_400_000;

/** What configuration and policies say now. `standard`: `archive.retention`. */
export async function retentionToday(store: Store, standard: Retention | undefined): Promise<RetentionToday> {
  const policies = await store.policies();
  return { standard, policies: new Map(policies.map(({ name, retention }) => [name, retention])) };
}

/** How long a recording is kept, in words. */
export function keptText(session: SessionRow, today: RetentionToday): string {
  return ruleOf(session, today)?.text ?? retentionText('forever');
}

/** The recordings whose time is over at `now`, newest first. */
export async function* dueRecordings(
  store: Store,
  today: RetentionToday,
  now: number,
): AsyncGenerator<Due, void, void> {
  let before: string | undefined;
  for (;;) {
    const page = { limit: PAGE, ...(before === undefined ? {} : { before }) };
    const sessions = await store.sessions({ kept: true, state: ['ended'] }, page);
    for (const session of sessions) {
      const due = dueOf(session, today, now);
      if (due !== undefined) yield due;
    }
    before = sessions.at(-1)?.id;
    if (before === undefined) return;
  }
}

function dueOf(session: SessionRow, today: RetentionToday, now: number): Due | undefined {
  // What was begun is ended, whatever the rules say by now: parts of it may be gone.
  if (session.pruneRule !== undefined) return { session, rule: session.pruneRule, kept: undefined };
  const rule = ruleOf(session, today);
  if (rule === undefined || dueAt(session, rule) > now) return undefined;
  return { session, rule: rule.text, kept: keptBecause(session) };
}

function keptBecause(session: SessionRow): string | undefined {
  if (session.heldAt !== undefined) return holdText(session);
  if (session.unsealable !== undefined) return undefined;
  if (!session.sealed) return 'not sealed yet: a running node does that';
  return session.compacted ? undefined : 'not compacted yet: a running node does that';
}

/**
 * Deletes the recording for good.
 *
 * @throws ArchiveError when the archive refuses: it may be tried again, and is to be where something may be deleted
 */
export async function prune(pruner: Pruner, { session, rule }: Due): Promise<Pruned> {
  const { store, archive, by, node } = pruner;
  const { id, openedAt, user, account, system } = session;
  const places = await placesOf(archive, session);
  const gone = places === undefined;
  const outcome = await store.transaction(async (tx): Promise<Pruned> => {
    const row = await tx.session(id);
    if (row === undefined || row.heldAt !== undefined || row.prunedAt !== undefined) return 'kept';
    if (gone && pruner.settleMissing !== true && row.pruneRule === undefined && wasBegun(row)) {
      const detail = { rule, user, account, system };
      await tx.insertAudit(auditRow({ code: 'recording.missing', node, actor: by, sessionId: id, detail }));
      return 'missing';
    }
    await tx.updateSession(id, { prunedBy: by, pruneRule: rule });
    return 'pruned';
  });
  if (outcome !== 'pruned') return outcome;
  try {
    for (const at of places ?? [openedAt, openedAt + DAY_MS]) await archive.remove(id, at);
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    const detail = { rule, reason: error.message };
    await store.insertAudit(
      auditRow({ code: 'recording.prune_failed', node, actor: by, sessionId: id, detail }),
    );
    throw error;
  }
  await forget(store, id);
  return await store.transaction(async (tx) => {
    if ((await tx.session(id))?.prunedAt !== undefined) return 'kept';
    // There is nothing left to compact.
    await tx.updateSession(id, { prunedAt: Date.now(), compacted: true });
    const bytes = session.recordedBytes ?? 0;
    const detail = { rule, user, account, system, bytes, ...(gone ? { missing: true } : {}) };
    await tx.insertAudit(auditRow({ code: 'recording.pruned', node, actor: by, sessionId: id, detail }));
    return 'pruned';
  });
}

/** Whether the archive holds any of these; also when it does not say, and where none of them was ever begun. */
export async function holdsAny(archive: Archive, due: readonly Due[]): Promise<boolean> {
  const begun = due.filter(({ session }) => wasBegun(session));
  for (const { session } of begun) {
    try {
      if ((await placesOf(archive, session)) !== undefined) return true;
    } catch (error) {
      if (error instanceof ArchiveError) return true;
      throw error;
    }
  }
  return begun.length === 0;
}

/** Of a session that never started, the archive may never have had a recording. */
function wasBegun({ unsealable, startedAt, headHash }: SessionRow): boolean {
  return unsealable === undefined || (startedAt ?? headHash) !== undefined;
}

/** Deletes what was typed, a little at a time: nodes write to the same store. */
async function forget(store: Store, sessionId: string): Promise<void> {
  while ((await store.deleteKeystrokes(sessionId, KEYSTROKES)) === KEYSTROKES) await sleep(BREATH_MS);
}

/**
 * When the archive may have a recording begun, ms since the epoch; undefined: it holds none. Archives find it by
 * the time in its header, which is a little later than the session's.
 */
async function placesOf(
  archive: Archive,
  { id, openedAt }: SessionRow,
): Promise<readonly number[] | undefined> {
  try {
    const reader = await openRecording(archive, id, []);
    const { startedAt } = reader.header();
    await reader.close();
    return [startedAt];
  } catch (error) {
    if (error instanceof ArchiveError && error.code === 'recording-missing') return undefined;
    if (!(error instanceof ContainerError)) throw error;
    // Its header is damaged: midnight may lie between the two.
    return [openedAt, openedAt + DAY_MS];
  }
}

/** What the archive holds and no session accounts for: another store's, or left behind by a deletion elsewhere. */
export async function* unknownRecordings(
  store: Store,
  archive: Archive,
): AsyncGenerator<ArchiveEntry & { readonly why: string }, void, void> {
  for await (const entry of archive.list()) {
    const session = await store.session(entry.sessionId);
    if (session === undefined) yield { ...entry, why: 'no session of this id is in the store' };
    else if (session.prunedAt !== undefined)
      yield { ...entry, why: `it is there again: ${prunedText(session)}` };
  }
}
