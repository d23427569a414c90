/** The vault that lies in the gateway's own database, sealed under the master key. */
import { randomUUID } from 'node:crypto';
import type { CheckOut, Lease, VaultClient } from './client.ts';
import { VaultError } from './errors.ts';
import type { MasterKey } from './master-key.ts';
import { Secret } from './secret.ts';

/** Where the embedded vault reads; the store's port fits. */
export interface SealedAccounts {
  account(name: string, system: string): Promise<{ readonly secret: Uint8Array } | undefined>;
}

/** A credential as its owner gives it. */
export interface AccountSecret {
  readonly password?: string | undefined;
  readonly privateKey?: string | undefined;
  readonly passphrase?: string | undefined;
}

/** The record that an account's sealed secret belongs to. */
export const accountBinding = (account: string, system: string): string =>
  JSON.stringify(['account', account, system]);

/** The record that a user's sealed TOTP secret belongs to. */
export const totpBinding = (user: string): string => JSON.stringify(['totp', user]);

/** The record that the sealed NT hash of a user's password belongs to. */
export const ntHashBinding = (user: string): string => JSON.stringify(['nt-hash', user]);

/** The record that the sealed NT hash of a launch credential belongs to; `id` as in the store. */
export const launchBinding = (id: string): string => JSON.stringify(['launch', id]);

/** Seals an account's secret, with the fingerprint that tells whether it changed. */
export function sealAccountSecret(
  key: MasterKey,
  account: string,
  system: string,
  { password, privateKey, passphrase }: AccountSecret,
): { readonly secret: Uint8Array; readonly secretFingerprint: string } {
  const binding = accountBinding(account, system);
  // One order of keys, so that the same secret has the same fingerprint.
  const text = JSON.stringify({ password, privateKey, passphrase });
  return { secret: key.seal(text, binding), secretFingerprint: key.fingerprint(text, binding) };
}

/** The same secret under another key. @throws VaultError `sealed-value`: it does not open with `from` */
export function resealAccountSecret(
  from: MasterKey,
  to: MasterKey,
  account: string,
  system: string,
  secret: Uint8Array,
): { readonly secret: Uint8Array; readonly secretFingerprint: string } {
  const binding = accountBinding(account, system);
  const text = from.open(secret, binding).toString('utf8');
  return { secret: to.seal(text, binding), secretFingerprint: to.fingerprint(text, binding) };
}

export class EmbeddedVault implements VaultClient {
  readonly #accounts: SealedAccounts;
  readonly #key: MasterKey;

  constructor(accounts: SealedAccounts, key: MasterKey) {
    this.#accounts = accounts;
    this.#key = key;
  }

  async checkOut({ account, system }: CheckOut): Promise<Lease> {
    const row = await this.#accounts.account(account, system);
    if (row === undefined)
      throw new VaultError('no-account', `the vault has no account ${account}@${system}`);
    const { password, privateKey, passphrase } = this.#read(row.secret, account, system);
    const secret = (text: string | undefined) => (text === undefined ? undefined : new Secret(text));
    return {
      id: randomUUID(),
      credential: {
        username: account,
        password: secret(password),
        privateKey: secret(privateKey),
        passphrase: secret(passphrase),
      },
      checkedOutAt: Date.now(),
      expiresAt: undefined,
    };
  }

  /** Nothing is lent: the database keeps the credential, so there is nothing to take back. */
  async checkIn(_leaseId: string): Promise<void> {}

  #read(sealed: Uint8Array, account: string, system: string): AccountSecret {
    const bad = (why: string) =>
      new VaultError('no-credential', `account ${account}@${system}: ${why}; apply it again`);
    const text = this.#key.open(sealed, accountBinding(account, system)).toString('utf8');
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      // Without the cause: the parser's message quotes the text.
      throw bad('its secret is not JSON');
    }
    if (typeof value !== 'object' || value === null) throw bad('its secret is no group of fields');
    const field = (name: keyof AccountSecret): string | undefined => {
      const found: unknown = Reflect.get(value, name);
      if (found === undefined || typeof found === 'string') return found;
      throw bad(`field ${name} of its secret is not text`);
    };
    const secret = {
      password: field('password'),
      privateKey: field('privateKey'),
      passphrase: field('passphrase'),
    };
    if (secret.password === undefined && secret.privateKey === undefined) {
      throw bad('its secret has neither a password nor a private key');
    }
    return secret;
  }
}
