/** One node's control plane on a real SQLite store and a real embedded vault, with a clock of its own. */
import { argon2Sync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { verifyPassword } from '../../../gateway/apply/password.ts';
import type { Limits } from '../../../gateway/control/admission.ts';
import { ControlPlane } from '../../../gateway/control/control-plane.ts';
import type { Protocol } from '../../../gateway/policy/capability.ts';
import type {
  AccountRow,
  CommandRow,
  PolicyRow,
  Store,
  SystemRow,
  UserRow,
} from '../../../gateway/store/port.ts';
import { openSqliteStore } from '../../../gateway/store/sqlite.ts';
import { EmbeddedVault, MasterKey, sealAccountSecret, totpBinding } from '../../../vault-client/index.ts';
import type { AuthenticationOutcome, ControlNotice, Factor } from '../../../workers/messages.ts';

export const HOST_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g';
export const OTHER_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP8CAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g';
/** A Friday, 12:00 UTC. */
export const NOON = Date.parse('2026-11-20T12:00:00Z');
export const SOURCE = '192.0.2.1';
export const TOTP_SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';

export type Node = Awaited<ReturnType<typeof openNode>>;

export async function openNode(
  t: TestContext,
  change: { maxSessions?: number; limits?: Partial<Limits>; vault?: EmbeddedVault } = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-control-'));
  const store = await openSqliteStore(join(folder, 'sallyport.db'));
  const masterKey = MasterKey.parse(MasterKey.generate(), 'test');
  const clock = { at: NOON, sleeps: [] as number[] };
  const sent: { worker: number; notice: ControlNotice }[] = [];
  const onSent = { run: () => {} };
  const verified: string[] = [];
  const lease = { held: true, refusal: undefined as string | undefined };
  const obeyed: CommandRow[] = [];
  const control = new ControlPlane({
    store,
    vault: change.vault ?? new EmbeddedVault(store, masterKey),
    masterKey,
    node: 'node1',
    run: () => 'run-of-node1',
    leaseHeld: () => lease.held,
    refusal: () => lease.refusal,
    obey: (order) => {
      obeyed.push(order);
      return 'ok';
    },
    compacts: false,
    maxSessions: change.maxSessions ?? 600,
    maxMemory: 2 ** 30,
    limits: { perUser: undefined, perSource: undefined, perSystem: undefined, ...change.limits },
    retention: 90 * 86_400_000,
    clock: {
      now: () => clock.at,
      sleep: async (ms) => {
        clock.sleeps.push(ms);
      },
    },
    log: pino({ level: 'silent' }),
    verifyPassword: (phc, password) => {
      verified.push(phc);
      return verifyPassword(phc, password);
    },
    dummyHash: cheapHash(randomBytes(16).toString('hex')),
    send: (worker, notice) => {
      sent.push({ worker, notice });
      onSent.run();
    },
  });
  t.after(async () => {
    await control.stop();
    await store.close();
    rmSync(folder, { recursive: true });
  });
  let connections = 0;
  const node = {
    control,
    store,
    masterKey,
    clock,
    lease,
    sent,
    /** Orders of the node itself. */
    obeyed,
    /** What the worker does at once when a notice comes. */
    onSent,
    verified,
    desk: control.forWorker(0),
    /** What its people come with. */
    protocol: 'ssh' as Protocol,
    /** One factor on one connection, a new one if none is named. */
    present(login: string, factor: Factor, connection = `c${connections++}`, source = SOURCE) {
      return node.desk.authenticate({ connection, protocol: node.protocol, login, source, factor });
    },
    password(login: string, password: string, source = SOURCE): Promise<AuthenticationOutcome> {
      return node.present(login, { kind: 'password', password }, undefined, source);
    },
    /** Codes of the audit trail, oldest first, once all that is counted is written. */
    async codes(): Promise<string[]> {
      return (await node.audit()).map(({ code }) => code);
    },
    async audit() {
      clock.at += 60_000;
      await control.tick();
      clock.at -= 60_000;
      await new Promise((resolve) => setImmediate(resolve));
      await store.transaction(async () => {});
      return [...(await store.audit({}, { limit: 1000 }))].reverse();
    },
  };
  return node;
}

/** An argon2id hash that costs a test nothing. */
export function cheapHash(password: string): string {
  const nonce = randomBytes(16);
  const cost = { memory: 8, passes: 1, parallelism: 1, tagLength: 32 };
  const hash = argon2Sync('argon2id', { message: Buffer.from(password), nonce, ...cost });
  const base64 = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');
  return `$argon2id$v=19$m=8,t=1,p=1$${base64(nonce)}$${base64(hash)}`;
}

export async function putUser(
  node: { store: Store },
  name: string,
  change: Partial<UserRow> = {},
): Promise<void> {
  await node.store.putUser({
    id: `user-${name}`,
    name,
    role: 'requester',
    passwordHash: cheapHash(`${name}'s password`),
    sshKeys: [],
    totp: undefined,
    ntHash: undefined,
    disabled: false,
    ...change,
  });
}

export function sealedTotp(node: { masterKey: MasterKey }, name: string): Uint8Array {
  return node.masterKey.seal(TOTP_SECRET, totpBinding(name));
}

export async function putSystem(
  node: { store: Store },
  name: string,
  change: Partial<SystemRow> = {},
): Promise<void> {
  await node.store.putSystem({
    id: `system-${name}`,
    name,
    protocol: 'ssh',
    host: '10.0.0.5',
    port: 22,
    hostKey: HOST_KEY,
    pinned: undefined,
    certificate: undefined,
    legacyAlgorithms: false,
    maxSessions: undefined,
    ...change,
  });
}

export async function putAccount(
  node: { store: Store; masterKey: MasterKey },
  name: string,
  system: string,
  change: Partial<AccountRow> = {},
): Promise<void> {
  const sealed = sealAccountSecret(node.masterKey, name, system, { password: `secret of ${name}` });
  await node.store.putAccount({ id: `account-${name}-${system}`, name, system, ...sealed, ...change });
}

export async function putPolicy(
  node: { store: Store },
  name: string,
  change: Partial<PolicyRow> = {},
): Promise<void> {
  await node.store.putPolicy({
    id: `policy-${name}`,
    name,
    users: ['*'],
    accounts: ['*@web01'],
    allow: ['shell', 'exec'],
    record: true,
    keystrokes: true,
    maskKeystrokes: false,
    reasonRequired: false,
    maxSessions: undefined,
    maxDuration: 8 * 3_600_000,
    idleTimeout: 900_000,
    schedule: [],
    notBefore: undefined,
    notAfter: undefined,
    execLimit: 'full',
    retention: undefined,
    ...change,
  });
}

/** Alice, who may open root@web01. */
export async function furnish(node: Node): Promise<void> {
  await putUser(node, 'alice');
  await putSystem(node, 'web01');
  await putAccount(node, 'root', 'web01');
  await putPolicy(node, 'ops');
}
