/**
 * Declares users, systems, accounts and policies: brings the store to what a document says
 * and tells what changed. The same document twice changes nothing the second time.
 *
 * Keys that a document leaves out have their defaults, except secrets: they stay as they are.
 */
import { randomUUID } from 'node:crypto';
import { type MasterKey, ntHashBinding, sealAccountSecret, totpBinding } from '../../vault-client/index.ts';
import { auditRow } from '../audit/events.ts';
import { ConfigurationError } from '../config/problems.ts';
import type { SecretSources } from '../config/secrets.ts';
import { ntlmHash } from '../rdp/credssp/ntlm.ts';
import type { AccountRow, PolicyRow, Store, StoreTransaction, SystemRow, UserRow } from '../store/port.ts';
import { parseDocument } from './document.ts';
import { hashPassword, verifyPassword } from './password.ts';
import { type Plan, type PlannedAccount, type PlannedSystem, type PlannedUser, plan } from './plan.ts';

export interface Change {
  readonly action: 'created' | 'updated' | 'unchanged';
  readonly kind: 'user' | 'system' | 'account' | 'policy';
  /** `account@system` for accounts. */
  readonly name: string;
  /** What an update changed; empty otherwise. Names only, never values. */
  readonly fields: readonly string[];
}

export interface ApplyOptions extends SecretSources {
  /** Who applies, for the audit log. */
  readonly by: string;
  /** Name of this node, for the audit log. */
  readonly node: string;
  /** Name of the document for errors. */
  readonly source?: string;
}

/** Two argon2 at a time leave cores to the sessions of the node that runs beside. */
const HASHES_AT_ONCE = 2;

/**
 * Applies the document in one transaction: all of it or nothing.
 *
 * @returns one change per declared row, in the document's order
 * @throws ConfigurationError with one line per problem, by path
 */
export async function applyDocument(
  store: Store,
  masterKey: MasterKey,
  text: string,
  options: ApplyOptions,
): Promise<readonly Change[]> {
  const source = options.source ?? 'document';
  const planned = plan(parseDocument(text, source), source, options);
  // Before the transaction: hashing must not keep other writers waiting.
  const hashes = await passwordHashes(store, planned.users);
  return store.transaction(async (tx) => {
    await checkReferences(tx, planned, source);
    const changes: Change[] = [];
    for (const user of planned.users) changes.push(await applyUser(tx, masterKey, user, hashes));
    for (const system of planned.systems) changes.push(await applySystem(tx, system));
    for (const account of planned.accounts) changes.push(await applyAccount(tx, masterKey, account));
    const policies = await tx.policies();
    for (const policy of planned.policies) {
      const old = policies.find((row) => row.name === policy.name);
      changes.push(
        await put('policy', policy.name, old, { id: randomUUID(), ...policy }, (row) => tx.putPolicy(row)),
      );
    }
    for (const { action, kind, name, fields } of changes) {
      if (action === 'unchanged') continue;
      const detail = { action, kind, name, ...(fields.length === 0 ? {} : { fields: fields.join(', ') }) };
      await tx.insertAudit(
        auditRow({ code: 'admin.applied', node: options.node, actor: options.by, detail }),
      );
    }
    return changes;
  });
}

/** A hash for each declared password: the stored one where it fits, else a new one. */
async function passwordHashes(
  store: StoreTransaction,
  users: readonly PlannedUser[],
): Promise<ReadonlyMap<string, { readonly seen: string | undefined; readonly hash: string }>> {
  const hashes = new Map<string, { seen: string | undefined; hash: string }>();
  const waiting = [...users];
  const work = async (): Promise<void> => {
    for (let user = waiting.shift(); user !== undefined; user = waiting.shift()) {
      if (typeof user.password !== 'string') continue;
      const seen = (await store.user(user.name))?.passwordHash;
      const fits = seen !== undefined && (await verifyPassword(seen, user.password));
      hashes.set(user.name, { seen, hash: fits ? seen : await hashPassword(user.password) });
    }
  };
  await Promise.all(Array.from({ length: HASHES_AT_ONCE }, work));
  return hashes;
}

/** What only the store can tell: whether systems exist and what they speak. */
async function checkReferences(
  tx: StoreTransaction,
  { users, systems, accounts }: Plan,
  source: string,
): Promise<void> {
  const problems: string[] = [];
  for (const [index, { name, nla, password }] of users.entries()) {
    if (nla && password === undefined && (await tx.user(name))?.ntHash === undefined)
      problems.push(`users[${index}].nla: wants the password beside it, which is not stored`);
  }
  for (const [index, account] of accounts.entries()) {
    const at = `accounts[${index}]`;
    const system = systems.find(({ name }) => name === account.system) ?? (await tx.system(account.system));
    if (system === undefined) {
      problems.push(`${at}.system: no system named ${JSON.stringify(account.system)}`);
    } else if (system.protocol === 'rdp' && account.secret?.privateKey !== undefined) {
      problems.push(`${at}.privateKey: RDP takes passwords only; give a password`);
    }
    if (account.secret === undefined && (await tx.account(account.name, account.system)) === undefined) {
      problems.push(`${at}: a new account wants a password or a privateKey`);
    }
  }
  if (problems.length > 0) throw new ConfigurationError(source, problems);
}

async function applyUser(
  tx: StoreTransaction,
  key: MasterKey,
  user: PlannedUser,
  hashes: Awaited<ReturnType<typeof passwordHashes>>,
): Promise<Change> {
  const old = await tx.user(user.name);
  const { password, totp, nla, ...plain } = user;
  const row: UserRow = {
    id: randomUUID(),
    ...plain,
    passwordHash: password === undefined ? old?.passwordHash : await hashFor(user, old, hashes),
    totp:
      totp === undefined
        ? old?.totp
        : totp === false
          ? undefined
          : sealed(key, totp, totpBinding(user.name), old?.totp),
    ntHash: sealedNtHash(key, user, old),
  };
  return put('user', user.name, old, row, (changed) => tx.putUser(changed));
}

async function hashFor(
  { name, password }: PlannedUser,
  old: UserRow | undefined,
  hashes: Awaited<ReturnType<typeof passwordHashes>>,
): Promise<string | undefined> {
  if (typeof password !== 'string') return undefined;
  const made = hashes.get(name);
  if (made !== undefined && made.seen === old?.passwordHash) return made.hash;
  // Someone changed the password since it was compared: ours is the later word.
  return hashPassword(password);
}

/** The stored bytes when they hold this very secret, so that nothing seems changed. */
function sealed(
  key: MasterKey,
  secret: string | Uint8Array,
  binding: string,
  old: Uint8Array | undefined,
): Uint8Array {
  return old !== undefined && key.open(old, binding).equals(Buffer.from(secret))
    ? old
    : key.seal(secret, binding);
}

/** What NLA needs; composed, as the clients that speak it send what is typed. */
function sealedNtHash(
  key: MasterKey,
  { name, password, nla }: PlannedUser,
  old: UserRow | undefined,
): Uint8Array | undefined {
  if (!nla) return undefined;
  if (typeof password !== 'string') return old?.ntHash;
  return sealed(key, ntlmHash(password.normalize('NFC')), ntHashBinding(name), old?.ntHash);
}

async function applySystem(tx: StoreTransaction, system: PlannedSystem): Promise<Change> {
  const old = await tx.system(system.name);
  const same =
    old !== undefined &&
    old.hostKey === system.hostKey &&
    old.certificate === system.certificate &&
    old.host === system.host &&
    old.port === system.port;
  const row: SystemRow = {
    id: randomUUID(),
    ...system,
    // What was trusted on first use was trusted at that address, under that rule.
    pinned: same ? old.pinned : undefined,
  };
  return put('system', system.name, old, row, (changed) => tx.putSystem(changed));
}

async function applyAccount(tx: StoreTransaction, key: MasterKey, account: PlannedAccount): Promise<Change> {
  const { name, system, secret } = account;
  const old = await tx.account(name, system);
  const sealed = secret === undefined ? old : sealAccountSecret(key, name, system, secret);
  if (sealed === undefined)
    throw new TypeError('checkReferences lets no new account without a secret through');
  // A new seal of the same secret has other bytes: the fingerprint tells.
  const kept = old?.secretFingerprint === sealed.secretFingerprint ? old : sealed;
  const row: AccountRow = {
    id: randomUUID(),
    name,
    system,
    secret: kept.secret,
    secretFingerprint: sealed.secretFingerprint,
  };
  return put('account', `${name}@${system}`, old, row, (changed) => tx.putAccount(changed));
}

/** Columns that a person knows under another name, or not at all. */
const FIELD_NAMES: Readonly<Record<string, string | undefined>> = {
  passwordHash: 'password',
  ntHash: 'nla',
  secret: 'secret',
  secretFingerprint: undefined,
};

async function put<Row extends UserRow | SystemRow | AccountRow | PolicyRow>(
  kind: Change['kind'],
  name: string,
  old: Row | undefined,
  row: Row,
  write: (row: Row) => Promise<void>,
): Promise<Change> {
  if (old === undefined) {
    await write(row);
    return { action: 'created', kind, name, fields: [] };
  }
  const wanted: Row = { ...row, id: old.id };
  const columns = Object.keys(wanted).filter(
    (key) => !sameValue(Reflect.get(old, key), Reflect.get(wanted, key)),
  );
  if (columns.length === 0) return { action: 'unchanged', kind, name, fields: [] };
  await write(wanted);
  const fields = columns.flatMap((key) => (key in FIELD_NAMES ? (FIELD_NAMES[key] ?? []) : key));
  return { action: 'updated', kind, name, fields };
}

function sameValue(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  return a === b || (typeof a === 'object' && JSON.stringify(a) === JSON.stringify(b));
}
