/** The keys of a node, below `<dataDir>/keys`, made on the first run. */
import { execFile } from 'node:child_process';
import { createPrivateKey, createPublicKey, generateKeyPairSync, hash, X509Certificate } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ssh2 from 'ssh2';
import { type ArchiveIdentity, generateIdentity, keyIdOf } from '../../recorder/index.ts';
import { MasterKey } from '../../vault-client/index.ts';
import type { Config } from '../config/config.ts';
import { ConfigurationError } from '../config/problems.ts';
import type { Store } from '../store/port.ts';
import { createKeyFile, keyFile, readKeyFile, replaceKeyFile } from './key-file.ts';

export const keysFolder = (config: Config): string => join(config.node.dataDir, 'keys');

/** Holds a public value of the master key: what tells whether one is the right one. */
export const CHECK_SETTING = 'vault.masterKeyCheck';

/**
 * The master key, proved to be the one of this database. It is made only for a database
 * that has none yet: a lost key must not be replaced by one that opens nothing.
 *
 * @throws VaultError
 */
export async function openMasterKey(config: Config, store: Store): Promise<MasterKey> {
  const source = config.vault.masterKey;
  const check = await store.setting(CHECK_SETTING);
  if (check === undefined && source.from === 'file') createMissing(source.path);
  const key = MasterKey.load(source);
  const own = await store.transaction(async (tx) => {
    const first = await tx.setting(CHECK_SETTING);
    if (first === undefined) await tx.putSetting(CHECK_SETTING, key.checkValue());
    return first ?? key.checkValue();
  });
  key.verify(own);
  return key;
}

function createMissing(path: string): void {
  createKeyFile(path, `${MasterKey.generate()}\n`);
}

/** Clients take the first that they know: Ed25519 costs a third of RSA. */
const HOST_KEYS = ['ed25519', 'ecdsa', 'rsa'] as const;

/** SSH host keys in OpenSSH form; the public halves lie beside them for known_hosts files. */
export async function openHostKeys(folder: string): Promise<readonly string[]> {
  return Promise.all(
    HOST_KEYS.map(async (type) => {
      const path = join(folder, `ssh_host_${type}_key`);
      const text = await keyFile(path, () => newSshKey(type));
      createKeyFile(`${path}.pub`, `${publicLine(path, text)} ${hostname()}\n`, 0o644);
      return text;
    }),
  );
}

/** A new private key in OpenSSH form: Ed25519, ECDSA P-256 or RSA-3072. */
export function newSshKey(type: (typeof HOST_KEYS)[number]): Promise<string> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, pair: { private: string }) => {
      if (error === null) resolve(`${pair.private.trim()}\n`);
      else reject(error);
    };
    if (type === 'ed25519') ssh2.utils.generateKeyPair('ed25519', done);
    else if (type === 'ecdsa') ssh2.utils.generateKeyPair('ecdsa', { bits: 256 }, done);
    else ssh2.utils.generateKeyPair('rsa', { bits: 3072 }, done);
  });
}

/**
 * `type base64` of the public half of a private key.
 *
 * @param path named in the error
 */
export function publicLine(path: string, privateKey: string): string {
  const parsed = ssh2.utils.parseKey(privateKey);
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  if (key === undefined || key instanceof Error || !key.isPrivateKey()) {
    throw new ConfigurationError(path, ['is no private key in OpenSSH or PEM form without a passphrase']);
  }
  return `${key.type} ${key.getPublicSSH().toString('base64')}`;
}

/** Setting with the public halves of the signing keys that a node has had, PEM, newest first. */
export const signingKeySetting = (node: string): string => `node.${node}.signingKey`;

/** The signing keys that each node has had, newest first, by key id. */
export async function signingKeysByNode(
  store: Store,
): Promise<ReadonlyMap<string, ReturnType<typeof signingKeysIn>>> {
  const settings = await store.settings('node.');
  return new Map(
    settings.flatMap(({ name, value }) => {
      const node = /^node\.(.+)\.signingKey$/.exec(name)?.[1];
      return node === undefined ? [] : [[node, signingKeysIn(value)] as const];
    }),
  );
}

const signingKeyPath = (folder: string): string => join(folder, 'signing.key');

/**
 * The Ed25519 key that signs manifests, PKCS #8 PEM. Its public half goes to the store, in front of
 * those that this node had before: recordings signed by them can still be verified.
 */
export async function openSigningKey(folder: string, node: string, store: Store): Promise<string> {
  const path = signingKeyPath(folder);
  const pem = await keyFile(path, async () => newSigningKey());
  await publishSigningKey(store, node, signingPublicKey(path, pem));
  return pem;
}

/**
 * Replaces the signing key of a node. A node that runs goes on with the old one until its next start;
 * what either signs can be verified all the same.
 *
 * @returns the ids of the new key and of the one before
 * @throws ConfigurationError when there is no key to replace, or it cannot be written
 */
export async function rotateSigningKey(
  folder: string,
  node: string,
  store: Store,
): Promise<{ readonly keyId: string; readonly previous: string }> {
  const path = signingKeyPath(folder);
  const old = readKeyFile(path);
  if (old === undefined)
    throw new ConfigurationError(path, [`is not there yet: the first \`serve\` makes it`]);
  const pem = newSigningKey();
  const [before, now] = [signingPublicKey(path, old), signingPublicKey(path, pem)];
  // First to the store: nothing may ever be signed by a key that nobody can look up. The old one too,
  // in case that it was put there by hand since the last start.
  await publishSigningKey(store, node, before);
  await publishSigningKey(store, node, now);
  replaceKeyFile(path, pem);
  return { keyId: keyIdOf(createPublicKey(now)), previous: keyIdOf(createPublicKey(before)) };
}

function newSigningKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** Puts a public half in front of the others. */
async function publishSigningKey(store: Store, node: string, publicPem: string): Promise<void> {
  await store.transaction(async (tx) => {
    const name = signingKeySetting(node);
    const known = (await tx.setting(name)) ?? '';
    if (!known.startsWith(publicPem))
      await tx.putSetting(name, `${publicPem}${known.replace(publicPem, '')}`);
  });
}

function signingPublicKey(path: string, pem: string): string {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === 'ed25519') {
      return createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();
    }
  } catch (cause) {
    throw new ConfigurationError(path, ['is no private key in PEM form'], { cause });
  }
  throw new ConfigurationError(path, ['is no Ed25519 key']);
}

/**
 * The recipients that recordings are encrypted to: the configured ones, else the one of
 * the node's own identity. The recipient lies in a file of its own, so that recording goes
 * on after the identity was moved off the node.
 */
export async function openRecipients(
  folder: string,
  configured: readonly string[],
): Promise<readonly string[]> {
  if (configured.length > 0) return configured;
  const path = recipientPath(folder);
  const text = await keyFile(path, async () => {
    const identity = join(folder, 'archive.identity');
    const own = recipientIn(readKeyFile(identity) ?? '');
    if (own !== undefined) return `${own}\n`;
    const made = await generateIdentity();
    createKeyFile(identity, identityText(made));
    return `${recipientIn(readKeyFile(identity) ?? '') ?? made.recipient}\n`;
  });
  return [recipientOf(path, text)];
}

/** The same, as far as there are any: makes nothing. */
export function knownRecipients(folder: string, configured: readonly string[]): readonly string[] {
  if (configured.length > 0) return configured;
  const path = recipientPath(folder);
  const text = readKeyFile(path);
  return text === undefined ? [] : [recipientOf(path, text)];
}

const recipientPath = (folder: string): string => join(folder, 'archive.recipient');

function recipientOf(path: string, text: string): string {
  const recipient = text.trim();
  if (!/^age1[a-z0-9]+$/.test(recipient))
    throw new ConfigurationError(path, ['is no age recipient ("age1…")']);
  return recipient;
}

/** The text of an identity file in the form of age-keygen, which people's tools read. */
export function identityText({ identity, recipient }: ArchiveIdentity): string {
  return `# created: ${new Date().toISOString()}\n# public key: ${recipient}\n${identity}\n`;
}

const recipientIn = (identity: string): string | undefined =>
  /^# public key: (age1[a-z0-9]+)$/m.exec(identity)?.[1];

export interface TlsCertificate {
  readonly key: string;
  readonly certificate: string;
  /** `sha256:` and 64 hex digits: what clients show of it. */
  readonly fingerprint: string;
}

/**
 * The gateway's own TLS key and self-signed certificate (ECDSA P-256), PEM. Node makes no X.509
 * certificates, so the program `openssl` does.
 *
 * @returns undefined when there is no certificate and no openssl to make one
 * @throws ConfigurationError when the file holds no certificate
 */
export async function openCertificate(folder: string, node: string): Promise<TlsCertificate | undefined> {
  const keyPath = join(folder, 'tls.key');
  const key = await keyFile(keyPath, async () =>
    generateKeyPairSync('ec', { namedCurve: 'P-256' })
      .privateKey.export({ type: 'pkcs8', format: 'pem' })
      .toString(),
  );
  const path = join(folder, 'tls.crt');
  const found = readKeyFile(path, true);
  if (found !== undefined) return withFingerprint(path, key, found);
  const names = [...new Set([hostname(), node, 'localhost'])].map((name) => `DNS:${name}`);
  const args = ['req', '-x509', '-new', '-sha256', '-key', keyPath, '-days', '3650', '-subj', `/CN=${node}`];
  args.push('-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'extendedKeyUsage=serverAuth');
  args.push('-addext', `subjectAltName=${[...names, 'IP:127.0.0.1', 'IP:::1'].join(',')}`);
  try {
    const { stdout } = await promisify(execFile)('openssl', args);
    createKeyFile(path, stdout);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  return withFingerprint(path, key, readKeyFile(path, true) ?? '');
}

function withFingerprint(path: string, key: string, certificate: string): TlsCertificate {
  try {
    const { raw } = new X509Certificate(certificate);
    return { key, certificate, fingerprint: `sha256:${hash('sha256', raw)}` };
  } catch (cause) {
    throw new ConfigurationError(path, ['is no certificate in PEM form'], { cause });
  }
}

/** The ids of the keys in a `node.<name>.signingKey` setting, newest first, with the keys. */
export function signingKeysIn(setting: string): ReadonlyMap<string, ReturnType<typeof createPublicKey>> {
  const blocks = setting.match(/-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/g) ?? [];
  return new Map(
    blocks.map((pem) => {
      const key = createPublicKey(pem);
      return [keyIdOf(key), key] as const;
    }),
  );
}
