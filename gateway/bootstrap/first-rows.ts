/** The rows of a first run: an administrator, and a demonstration that can be tried at once. */
import { randomInt, randomUUID } from 'node:crypto';
import { type MasterKey, sealAccountSecret } from '../../vault-client/index.ts';
import { hashPassword } from '../apply/password.ts';
import { auditRow } from '../audit/events.ts';
import type { Store, StoreTransaction, UserRow } from '../store/port.ts';

/** Name of the demonstration's user, account and system. */
export const DEMO = 'demo';
/** Setting that names the node on whose loopback the demonstration's system is. */
export const DEMO_NODE = 'demo.node';

export interface FirstPasswords {
  readonly adminPassword?: string;
  readonly demoPassword?: string;
}

/**
 * Creates an administrator in a store that has none, and the demonstration in a store
 * without any user.
 *
 * @param demo whether a demonstration is wanted
 * @returns the passwords of what was created, which are kept nowhere else
 */
export async function createFirstRows(
  store: Store,
  masterKey: MasterKey,
  node: string,
  demo: boolean,
): Promise<FirstPasswords> {
  if (!lacksAdministrator(await store.users())) return {};
  const adminPassword = newPassword();
  const demoPassword = newPassword();
  // Before the transaction: hashing must not keep other writers waiting.
  const [adminHash, demoHash] = await Promise.all([hashPassword(adminPassword), hashPassword(demoPassword)]);
  return store.transaction(async (tx) => {
    const users = await tx.users();
    const created = async (kind: string, name: string) => {
      const detail = { action: 'created', kind, name };
      await tx.insertAudit(auditRow({ code: 'admin.applied', node, detail }));
    };
    // Another process may have been faster.
    if (!lacksAdministrator(users) || users.some(({ name }) => name === 'admin')) return {};
    await tx.putUser(user('admin', 'administrator', adminHash));
    await created('user', 'admin');
    if (!demo || users.length > 0 || (await tx.systems()).length > 0) return { adminPassword };
    await tx.putUser(user(DEMO, 'requester', demoHash));
    await putDemo(tx, masterKey);
    await tx.putSetting(DEMO_NODE, node);
    for (const kind of ['user', 'system', 'account', 'policy']) await created(kind, DEMO);
    return { adminPassword, demoPassword };
  });
}

const lacksAdministrator = (users: readonly UserRow[]): boolean =>
  !users.some(({ role }) => role === 'administrator');

/** Port and host key of the system come from its target, when it starts. */
async function putDemo(tx: StoreTransaction, masterKey: MasterKey): Promise<void> {
  await tx.putSystem({
    id: randomUUID(),
    name: DEMO,
    protocol: 'ssh',
    host: '127.0.0.1',
    port: 0,
    hostKey: undefined,
    pinned: undefined,
    certificate: undefined,
    legacyAlgorithms: false,
    maxSessions: undefined,
  });
  const sealed = sealAccountSecret(masterKey, DEMO, DEMO, { password: newPassword() });
  await tx.putAccount({ id: randomUUID(), name: DEMO, system: DEMO, ...sealed });
  await tx.putPolicy({
    id: randomUUID(),
    name: DEMO,
    users: [DEMO],
    accounts: [`${DEMO}@${DEMO}`],
    allow: ['shell', 'exec', 'sftp', 'scp'],
    record: true,
    keystrokes: true,
    maskKeystrokes: false,
    reasonRequired: false,
    maxSessions: undefined,
    maxDuration: undefined,
    idleTimeout: undefined,
    schedule: [],
    notBefore: undefined,
    notAfter: undefined,
    execLimit: 16 * 1024 * 1024,
    retention: undefined,
  });
}

function user(name: string, role: UserRow['role'], passwordHash: string): UserRow {
  return {
    id: randomUUID(),
    name,
    role,
    passwordHash,
    sshKeys: [],
    totp: undefined,
    ntHash: undefined,
    disabled: false,
  };
}

// Without characters that look alike: people type these from a screen.
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789';

/** Twenty random characters in four groups, 99 bits. */
function newPassword(): string {
  const group = () => Array.from({ length: 5 }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
  return [group(), group(), group(), group()].join('-');
}
