/** Stable codes of what can be wrong with a recording's bytes. */
export type ContainerErrorCode =
  /** The bytes end inside a frame: a torn tail. */
  | 'torn'
  /** Not a frame, or a frame of a version or type that this code does not know. */
  | 'not-a-frame'
  /** A length is over its bound. */
  | 'too-large'
  /** A frame is not the one that must come here. */
  | 'out-of-sequence'
  /** The previous frame is not the one that this frame was chained to. */
  | 'broken-chain'
  /** The header or manifest is no JSON document of the expected shape. */
  | 'bad-document'
  /** An event inside a segment cannot be read. */
  | 'bad-event'
  /** Decryption or decompression refused the body. */
  | 'bad-body'
  /** What stands beside a recording is no index of it. */
  | 'bad-index'
  /** What stands beside a recording is no text of it. */
  | 'bad-text'
  /** The bytes are those of another session's recording. */
  | 'wrong-recording'
  /** No identity was given, or none of those given opens the recording. */
  | 'no-identity';

/** A recording's bytes are not what they must be. `offset`: from the start of what is being read. */
export class ContainerError extends Error {
  override readonly name = 'ContainerError';
  readonly code: ContainerErrorCode;
  readonly offset: number | undefined;

  constructor(code: ContainerErrorCode, message: string, offset?: number, cause?: unknown) {
    super(
      offset === undefined ? message : `${message} (at byte ${offset})`,
      cause === undefined ? {} : { cause },
    );
    this.code = code;
    this.offset = offset;
  }
}
