export type StoreErrorCode =
  /** The file cannot be opened, created or written. */
  | 'unavailable'
  /** The file is no database, another program's, damaged, or of a newer version. */
  | 'unusable'
  /** A unique name is taken, or a named row does not exist. */
  | 'conflict'
  /** Another process kept the write lock for too long, or too many writes wait. */
  | 'busy'
  /** A call after close() or after the end of its transaction. */
  | 'closed';

/** The store's refusal: says which file or column, and what to do. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
