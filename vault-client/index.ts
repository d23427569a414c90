/** The door of the vault client: everything that the gateway may use of it. */
export type { CheckOut, Credential, Lease, VaultClient } from './client.ts';
export {
  type AccountSecret,
  accountBinding,
  EmbeddedVault,
  launchBinding,
  ntHashBinding,
  resealAccountSecret,
  type SealedAccounts,
  sealAccountSecret,
  totpBinding,
} from './embedded.ts';
export { VaultError, type VaultErrorCode } from './errors.ts';
export { MasterKey, type MasterKeySource } from './master-key.ts';
export { Secret } from './secret.ts';
