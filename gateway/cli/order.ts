/** Orders to nodes go through the store, so that any machine that has it reaches any node. */
import { setTimeout as sleep } from 'node:timers/promises';
import { auditRow } from '../audit/events.ts';
import { newSessionId } from '../control/session-id.ts';
import { type CommandRow, SESSION_VERBS, type Store } from '../store/port.ts';
import { operator } from './common.ts';

/** How long an order may take: nodes look for orders several times a second. */
const ORDER_TIMEOUT_MS = 5_000;

export interface Order extends Pick<CommandRow, 'node' | 'subject' | 'verb'> {
  readonly reason?: string | undefined;
  readonly limitMs?: number | undefined;
}

/** Gives an order and waits until its node has taken it; resolves to `ok`, or to why it came to nothing. */
export async function order(store: Store, given: Order): Promise<string> {
  const { node, subject, verb, reason, limitMs } = given;
  const id = newSessionId(Date.now());
  const by = operator();
  await store.insertAudit(
    auditRow({
      code: 'admin.command',
      node,
      actor: by,
      sessionId: SESSION_VERBS.some((each) => each === verb) ? subject : undefined,
      detail: {
        verb,
        ...(reason === undefined ? {} : { reason }),
        ...(limitMs === undefined ? {} : { limitMs }),
      },
    }),
  );
  await store.insertCommand({
    id,
    node,
    subject,
    verb,
    limitMs,
    by,
    reason,
    createdAt: Date.now(),
    doneAt: undefined,
    result: undefined,
  });
  const deadline = Date.now() + ORDER_TIMEOUT_MS;
  while (Date.now() < deadline) {
    const row = await store.command(id);
    if (row?.result !== undefined) return row.result;
    await sleep(50);
  }
  await store.finishCommand(id, Date.now(), 'given up: the node did not answer');
  return `node ${node} does not answer: is it running?`;
}
