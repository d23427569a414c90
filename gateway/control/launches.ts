/**
 * Launch credentials: single-use passwords that stand for one person on one target, for a
 * minute. Whoever makes them has proved who the person is; nothing but a log-on to that one
 * target comes of them.
 */
import { hash, randomBytes } from 'node:crypto';
import { launchBinding, type MasterKey } from '../../vault-client/index.ts';
import type { TargetName } from '../../workers/messages.ts';
import { addressIn } from '../config/address.ts';
import type { Protocol } from '../policy/capability.ts';
import { LAUNCH_PREFIX, LAUNCH_RANDOM_BYTES } from '../policy/launch-credential.ts';
import type { LoginName } from '../policy/target-name.ts';
import { ntlmHash } from '../rdp/credssp/ntlm.ts';
import type { LaunchRow, StoreTransaction } from '../store/port.ts';

/** How long one that expired is remembered, so that its holder hears why it is refused. */
const REMEMBERED_MS = 24 * 3600_000;

export interface Launch {
  readonly user: string;
  readonly account: string;
  readonly system: string;
  /** Address or range (CIDR) that it must come from; undefined: any. */
  readonly source: string | undefined;
  /** For a client that insists on NLA: while it is open, the person's own password does not fit there. */
  readonly nla: boolean;
}

/**
 * Makes and stores a credential, which is kept nowhere, and what the audit trail calls it.
 * @param now ms since the epoch
 */
export async function makeLaunch(
  store: StoreTransaction,
  key: MasterKey,
  launch: Launch,
  now: number,
  lifetimeMs: number,
): Promise<{ readonly credential: string; readonly name: string }> {
  const credential = `${LAUNCH_PREFIX}${randomBytes(LAUNCH_RANDOM_BYTES).toString('hex')}`;
  const id = idOf(credential);
  await store.deleteLaunches(now - REMEMBERED_MS);
  await store.insertLaunch({
    id,
    ...launch,
    ntHash: key.seal(ntlmHash(credential), launchBinding(id)),
    createdAt: now,
    expiresAt: now + lifetimeMs,
    usedAt: undefined,
  });
  return { credential, name: launchName(id) };
}

/** What a credential opens, or why it opens nothing: for its holder. */
export type Redeemed = { readonly target: TargetName; readonly id: string } | { readonly refused: string };

/** Redeems a credential that came as a password. */
export async function redeemLaunch(
  store: StoreTransaction,
  credential: string,
  {
    login,
    protocol,
    source,
  }: { readonly login: LoginName; readonly protocol: Protocol; readonly source: string },
  now: number,
): Promise<Redeemed> {
  if (protocol !== 'rdp') return refused('opens a desktop: use it with a client for RDP');
  const row = await store.launch(idOf(credential));
  if (row === undefined) return refused('does not exist: make a new one');
  const { user, account, system } = row;
  const target = login.target ?? row;
  if (login.requester !== user || target.account !== account || target.system !== system)
    return refused('is for another person or target');
  return useLaunch(store, row, source, now);
}

/** Likewise one that was proved to be known. */
export async function useLaunch(
  store: StoreTransaction,
  { id, account, system, source: range, expiresAt, usedAt }: LaunchRow,
  source: string,
  now: number,
): Promise<Redeemed> {
  if (range !== undefined && !addressIn(source, range)) return refused(`does not open from ${source}`);
  if (expiresAt <= now) return refused('has expired: make a new one');
  // Of two at once one wins.
  if (usedAt !== undefined || !(await store.useLaunch(id, now)))
    return refused('was used before: make a new one');
  return { target: { account, system }, id: launchName(id) };
}

const refused = (why: string): Redeemed => ({ refused: `this launch credential ${why}` });
/** What the audit trail calls it. */
export const launchName = (id: string): string => id.slice(0, 12);

const idOf = (credential: string): string => hash('sha256', credential);
