/**
 * One file operation that an observer saw: the fields of a recording's `file` event
 * without its protocol.
 */
export interface ObservedOperation {
  readonly operation: string;
  readonly path: string;
  /** New name of a rename, target of a link, new attributes; see each observer. */
  readonly to?: string;
  readonly bytes?: number;
  /** Of a transfer: lower-case hex, of the file's first `bytes` bytes, where these are what passed. */
  readonly sha256?: string;
  /** Of a transfer without `sha256`: why there is none. */
  readonly unhashed?: string;
  /** What the target answered, when it was not success. */
  readonly error?: string;
}

export interface OperationSink {
  operation(operation: ObservedOperation): void;
}

/** An incremental SHA-256: injected, because this folder does no I/O and knows no Node. */
export interface Hash {
  update(bytes: Uint8Array): void;
  digestHex(): string;
}

/**
 * Bytes of one name that are kept: PATH_MAX of Linux. A longer one is recorded cut and
 * marked with `…`, so that hostile names cannot fill the memory.
 */
const NAME_BYTES_MAX = 4096;

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The text of a name as it goes into a record: UTF-8, at most {@link NAME_BYTES_MAX} bytes of it. */
export function recordedName(bytes: Uint8Array): string {
  if (bytes.length <= NAME_BYTES_MAX) return decoder.decode(bytes);
  return `${decoder.decode(bytes.subarray(0, NAME_BYTES_MAX))}…`;
}
