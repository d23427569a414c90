/** What the audit log tells. Codes are stable: SIEM rules are written against them. */
import { randomUUID } from 'node:crypto';
import type { AuditRow } from '../store/port.ts';

/** Every code with what it means. New ones may join; none ever changes its meaning. */
export const AUDIT_EVENTS = {
  'user.login.succeeded': 'a person proved who they are',
  'user.login.failed': 'a person did not prove who they are',
  'user.login.blocked': 'a name or source was blocked after too many failures',
  'launch.created': 'an operator made a single-use credential for a person and a target',
  'session.authorised': 'policy allowed a person a target',
  'session.denied': 'policy refused a person a target',
  'session.refused': 'a person, or a connection before its log-on, was turned away because of capacity',
  'session.started': 'both legs of a session are up and its recording runs',
  'session.ended': 'a session ended',
  'session.locked': 'an operator stopped the input of a session',
  'session.unlocked': 'an operator let the input of a session go on',
  'session.terminated': 'an operator ended a session',
  'session.request.refused': 'policy refused something inside a session',
  'session.redirected': 'a target sent a session on, to a system that policy allows',
  'session.redirect.refused': 'a target sent a session on to where it may not go',
  'credential.checked_out': 'a credential was taken from the vault for a session',
  'credential.checked_in': 'a credential was given back to the vault',
  'credential.check_out_failed': 'the vault did not give a credential',
  'target.host_key.pinned': 'the host key that a target showed first was pinned',
  'target.host_key.changed': 'a target showed another host key than the pinned one',
  'target.certificate.pinned': 'the certificate that a target showed first was pinned',
  'target.certificate.changed': 'a target showed another certificate than the pinned one',
  'target.auth_failed': 'a target refused the credential',
  'target.unreachable': 'a target could not be reached',
  'recording.failed': 'the archive did not take a recording',
  'recording.recovered':
    'a recording that its writer could not end was sealed, truncated where the archive had it',
  'recording.lost': 'a recording can never be sealed: it is not in the archive, or is damaged there',
  'archive.spooling':
    'the archive fails: recordings go to the encrypted spool of a node, which keeps them meanwhile',
  'archive.drained': 'the archive has what was in the spool of a node, where nothing of it is left',
  'archive.spool.refused': 'what is spooled of a recording cannot be joined to it, and stays on its node',
  'recording.exported': 'a recording was exported',
  'recording.played': 'a recording was replayed',
  'recording.verified': 'a recording was verified',
  'recording.searched': 'an operator looked for something in all recordings',
  'recording.held': 'an operator forbade the deletion of a recording',
  'recording.released': 'an operator allowed the deletion of a recording again',
  'recording.pruned': 'a recording was deleted from the archive, because its time was over',
  'recording.missing': 'a recording whose time was over is not in the archive: nothing was deleted',
  'recording.prune_failed':
    'the archive refused to delete a recording, of which a part may be gone: the next prune run comes to the end',
  'key.rotated': 'a key was replaced by a new one',
  'admin.applied': 'users, systems, accounts or policies were declared',
  'admin.command': 'an operator ordered something of a session or a node',
  'worker.died': 'a session worker died, or no longer answered and was ended: its sessions ended with it',
  'node.started': 'a node started',
  'node.stopped': 'a node stopped',
  'node.draining': 'a node takes no new sessions, and ends those that it has at a set time',
  'node.drained': 'a node that drained has no sessions and waits to be resumed or stopped',
  'node.resumed': 'a node that drained takes sessions again',
  'node.lost': 'a node did not renew its lease: its peers end its sessions and seal their recordings',
  'node.recovered': 'the sessions that a lost node left are finished',
} as const satisfies Readonly<Record<string, string>>;
export type AuditCode = keyof typeof AUDIT_EVENTS;

export type AuditDetail = Readonly<Record<string, string | number | boolean>>;

export interface AuditFact {
  readonly code: AuditCode;
  readonly node: string;
  /** A user name; undefined: the system itself. */
  readonly actor?: string | undefined;
  /** Client address. */
  readonly source?: string | undefined;
  readonly sessionId?: string | undefined;
  /** Never holds a secret. Texts from outside are cut. */
  readonly detail?: AuditDetail | undefined;
}

/** A client chooses names and commands: what one event keeps of each. */
const MAX_TEXT = 4096;

export function isAuditCode(code: string): code is AuditCode {
  return Object.hasOwn(AUDIT_EVENTS, code);
}

/** The row of a fact, with a new id. `at`: ms since the epoch. */
export function auditRow(fact: AuditFact, at: number = Date.now()): AuditRow {
  const detail = Object.entries(fact.detail ?? {}).map(([key, value]) => [key, cut(value)]);
  return {
    id: randomUUID(),
    at,
    node: fact.node,
    code: fact.code,
    actor: cut(fact.actor ?? 'system'),
    source: fact.source,
    sessionId: fact.sessionId,
    detail: Object.fromEntries(detail),
  };
}

function cut<T>(value: T): T | string {
  return typeof value === 'string' && value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}…` : value;
}
