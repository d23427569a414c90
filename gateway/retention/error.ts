/** A hold or a deletion that cannot be. The message is for a person. */
export class RetentionError extends Error {
  override readonly name = 'RetentionError';
}
