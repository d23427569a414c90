/** The row of a session as it begins. */
import type { PolicyRow, SessionRow } from '../store/port.ts';
import type { AuthenticatedUser } from './authenticator.ts';
import type { AuthorisationRequest } from './authorisation.ts';

/** @param now ms since the epoch */
export function sessionRow(
  id: string,
  node: string,
  run: string,
  person: AuthenticatedUser,
  { protocol, target }: AuthorisationRequest,
  policy: PolicyRow,
  reason: string | undefined,
  now: number,
): SessionRow {
  return {
    id,
    node,
    run,
    protocol,
    user: person.name,
    account: target.account,
    system: target.system,
    policy: policy.name,
    source: person.source,
    reason,
    state: 'opening',
    openedAt: now,
    startedAt: undefined,
    endedAt: undefined,
    endCode: undefined,
    endReason: undefined,
    bytesFromClient: 0,
    bytesFromTarget: 0,
    credentialLease: undefined,
    recorded: policy.record,
    segments: undefined,
    recordedBytes: undefined,
    headHash: undefined,
    sealed: false,
    recoveredBy: undefined,
    unsealable: undefined,
    spooledOn: undefined,
    compacted: true,
    retention: undefined,
    heldAt: undefined,
    heldBy: undefined,
    holdReason: undefined,
    prunedBy: undefined,
    pruneRule: undefined,
    prunedAt: undefined,
  };
}
