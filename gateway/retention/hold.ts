/**
 * Legal holds: a recording that is held is not deleted, whatever its rule says. A hold and the claim of
 * a deletion exclude each other in the session's row, so that a hold that succeeded always holds.
 */
import { auditRow } from '../audit/events.ts';
import type { SessionRow, Store } from '../store/port.ts';
import { RetentionError } from './error.ts';

/** Who does it, where, and why. */
export interface Operator {
  readonly by: string;
  /** Name of the node, for the audit log. */
  readonly node: string;
  readonly reason: string;
}

/** Forbids the deletion of the recordings of sessions: of all or of none. @throws RetentionError saying why that cannot be */
export async function hold(store: Store, ids: readonly string[], operator: Operator): Promise<void> {
  const { by, node, reason } = operator;
  await store.transaction(async (tx) => {
    for (const sessionId of ids) {
      const row = await tx.session(sessionId);
      if (row === undefined || !row.recorded)
        throw new RetentionError(`session ${sessionId} was not recorded: there is nothing to hold`);
      const gone = prunedText(row);
      if (gone !== undefined) throw new RetentionError(gone);
      if (row.heldAt !== undefined) throw new RetentionError(`recording ${sessionId} is ${holdText(row)}`);
      await tx.updateSession(sessionId, { heldAt: Date.now(), heldBy: by, holdReason: reason });
      await tx.insertAudit(
        auditRow({ code: 'recording.held', node, actor: by, sessionId, detail: { reason } }),
      );
    }
  });
}

/** Allows it again, for all or for none. @throws RetentionError: one is not held */
export async function release(store: Store, ids: readonly string[], operator: Operator): Promise<void> {
  const { by, node, reason } = operator;
  await store.transaction(async (tx) => {
    for (const sessionId of ids) {
      const row = await tx.session(sessionId);
      if (row?.heldAt === undefined) throw new RetentionError(`recording ${sessionId} is not held`);
      await tx.updateSession(sessionId, { heldAt: undefined, heldBy: undefined, holdReason: undefined });
      const detail = { reason, heldBy: row.heldBy ?? '', heldFor: row.holdReason ?? '' };
      await tx.insertAudit(auditRow({ code: 'recording.released', node, actor: by, sessionId, detail }));
    }
  });
}

/** `held by carol since 2026-11-21 (case 12)`; undefined: it is not. */
export function holdText({ heldAt, heldBy, holdReason }: SessionRow): string | undefined {
  return heldAt === undefined ? undefined : `held by ${heldBy} since ${day(heldAt)} (${holdReason})`;
}

/** What there is to say of a recording that was deleted, or whose deletion began; undefined: neither. */
export function prunedText({ id, prunedAt, prunedBy, pruneRule }: SessionRow): string | undefined {
  if (prunedBy === undefined) return undefined;
  return prunedAt === undefined
    ? `${prunedBy} began to delete recording ${id}, whose time was over (kept for ${pruneRule}), and did not ` +
        "come to the end: 'sallyport recordings prune' does"
    : `recording ${id} was deleted on ${day(prunedAt)} by ${prunedBy}: it was kept for ${pruneRule}`;
}

/** In UTC, as archives name their days. */
function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
