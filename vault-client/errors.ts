export type VaultErrorCode =
  /** The master key is not where the configuration says, or is not 32 bytes. */
  | 'master-key'
  /** The master key is another one than sealed the database. */
  | 'master-key-wrong'
  /** A sealed value is damaged, or belongs to another record. */
  | 'sealed-value'
  /** The vault knows no such account. */
  | 'no-account'
  /** The account has a secret that is no credential. */
  | 'no-credential';

/** A vault's refusal. The message says what to do and never holds a secret. */
export class VaultError extends Error {
  override readonly name = 'VaultError';
  readonly code: VaultErrorCode;

  constructor(code: VaultErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
