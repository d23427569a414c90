/**
 * Everything that a node needs before it serves: opened when it is there, made on the first
 * run. A second run finds it all and changes nothing.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join, sep } from 'node:path';
import type { MasterKey } from '../../vault-client/index.ts';
import type { Config } from '../config/config.ts';
import { ConfigurationError } from '../config/problems.ts';
import { requireFree } from '../listener/free-port.ts';
import { openStoreAt } from '../store/open.ts';
import type { Store } from '../store/port.ts';
import { startDemo } from './demo.ts';
import { createFirstRows, DEMO, type FirstPasswords } from './first-rows.ts';
import { codeOf, keyFile } from './key-file.ts';
import {
  keysFolder,
  newSshKey,
  openCertificate,
  openHostKeys,
  openMasterKey,
  openRecipients,
  openSigningKey,
  type TlsCertificate,
} from './keys.ts';

export interface OpenNode {
  readonly store: Store;
  readonly masterKey: MasterKey;
}

export interface Bootstrapped extends OpenNode {
  readonly config: Config;
  /** SSH host keys in OpenSSH form: Ed25519, ECDSA, RSA. */
  readonly hostKeys: readonly string[];
  /** Ed25519, PKCS #8 PEM: signs manifests. */
  readonly signingKey: string;
  /** age recipients of recordings, at least one. */
  readonly recipients: readonly string[];
  /** Without it RDP is off; undefined: none could be made, `warnings` says why. */
  readonly tls: TlsCertificate | undefined;
  /** Passwords of what this very run created; shown once, kept nowhere. */
  readonly created: FirstPasswords;
  /** The demonstration's user and the login that opens its target. */
  readonly demo: { readonly user: string; readonly login: string } | undefined;
  readonly stopDemo: () => Promise<void>;
  /** What does not keep the node from serving, for the log. */
  readonly warnings: readonly string[];
}

/**
 * Opens the store and proves the master key; makes both on the first run. What a CLI
 * command needs that writes.
 *
 * @throws ConfigurationError, StoreError or VaultError saying what to do
 */
export async function openNode(config: Config): Promise<OpenNode> {
  makeFolder(config.node.dataDir, 'node.dataDir');
  makeFolder(keysFolder(config), 'node.dataDir');
  const store = await openStoreAt(config.store.url);
  try {
    return { store, masterKey: await openMasterKey(config, store) };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/**
 * Opens or makes everything, and starts the demonstration's target. The caller ends it with
 * `stopDemo`, and closes the store.
 *
 * @throws ConfigurationError, ListenError, StoreError or VaultError saying what to do
 */
export async function bootstrap(config: Config): Promise<Bootstrapped> {
  const { store, masterKey } = await openNode(config);
  try {
    return { config, store, masterKey, ...(await prepare(config, store, masterKey)) };
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function prepare(
  config: Config,
  store: Store,
  masterKey: MasterKey,
): Promise<Omit<Bootstrapped, 'config' | keyof OpenNode>> {
  const folder = keysFolder(config);
  const { name, demo: wanted } = config.node;
  const warnings: string[] = [];
  for (const archive of archiveFolders(config)) {
    // An archive elsewhere may be a mount that is not there yet: a folder made in its place
    // would keep recordings on this node. Sessions are refused until it is there.
    if (isOwn(archive, config)) makeFolder(archive, 'archive.url');
    else if (!existsSync(archive))
      warnings.push(`the archive folder ${archive} is missing: no session can be recorded until it is there`);
  }
  const [hostKeys, signingKey, recipients, tls, demoHostKey] = await Promise.all([
    openHostKeys(folder),
    openSigningKey(folder, name, store),
    openRecipients(folder, config.archive.recipients),
    openCertificate(folder, name),
    wanted ? keyFile(join(folder, 'demo_host_key'), () => newSshKey('ed25519')) : undefined,
  ]);
  if (tls === undefined) {
    warnings.push(
      'no certificate: RDP is off until openssl is installed, or tls.key and tls.crt are in the keys folder',
    );
  }

  // A node that runs already must not have its demonstration moved, nor its sessions taken for leftovers.
  await requireFree('listen.ssh', config.listen.ssh);
  if (tls !== undefined) await requireFree('listen.rdp', config.listen.rdp);
  const { health, agentCheck } = config.listen;
  if (health !== undefined) await requireFree('listen.health', health);
  if (agentCheck !== undefined) await requireFree('listen.agentCheck', agentCheck);
  // Last of what can fail, so that no password is created that is never shown.
  const created = await createFirstRows(store, masterKey, name, wanted);
  const target =
    demoHostKey === undefined
      ? undefined
      : await startDemo(store, masterKey, name, demoHostKey).catch((error: Error) => {
          warnings.push(error.message);
          return undefined;
        });
  return {
    hostKeys,
    signingKey,
    recipients,
    tls,
    created,
    demo: target === undefined ? undefined : { user: DEMO, login: `${DEMO}@${DEMO}@${DEMO}` },
    stopDemo: async () => target?.stop(),
    warnings,
  };
}

/** The folders of the archives that are in files. */
function archiveFolders({ archive }: Config): readonly string[] {
  return archive.urls.filter((url) => url.startsWith('file:')).map((url) => url.slice('file:'.length));
}

const isOwn = (path: string, { node }: Config): boolean => path.startsWith(node.dataDir + sep);

/** What only the first `serve` makes, as far as it is not there yet: it is no fault that it is missing. */
export function notMadeYet(config: Config): {
  readonly store: boolean;
  readonly archive: boolean;
  readonly identity: boolean;
} {
  const { store, archive } = config;
  const keys = keysFolder(config);
  const served = existsSync(join(keys, 'signing.key'));
  return {
    store: store.url.startsWith('sqlite:') && !existsSync(store.url.slice('sqlite:'.length)),
    archive: !served && archiveFolders(config).some((folder) => isOwn(folder, config) && !existsSync(folder)),
    identity: !served && archive.recipients.length === 0 && !existsSync(join(keys, 'archive.identity')),
  };
}

/** @param key of the configuration that names the folder */
function makeFolder(path: string, key: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    const why = `cannot be created (${codeOf(error)}); point ${key} to a folder that this user may write`;
    throw new ConfigurationError(path, [why], { cause: error });
  }
}
