/** A recording cannot be turned into pictures; the message says why and what to do. */
export class VideoError extends Error {
  override readonly name = 'VideoError';
}
