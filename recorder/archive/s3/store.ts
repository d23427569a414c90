/** What the `s3:` sink needs of an object store; keys are whole, the sink's prefix included. */

export interface StoredObject {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
}

/** Everything rejects with {@link ArchiveError}. What is written is durable when it resolves. */
export interface ObjectStore {
  /** For people: where it is, without secrets. */
  readonly description: string;
  put(key: string, body: Uint8Array): Promise<void>;
  /** The same where there is no such object yet; false: there is. A store may not know how and write all the same. */
  putNew(key: string, body: Uint8Array): Promise<boolean>;
  /** An object of any size, seen when it is whole; a rejection, that of `body` too, leaves nothing behind. */
  upload(key: string, body: AsyncIterable<Uint8Array>): Promise<void>;
  /** Gives up uploads of that key that were begun and not ended. (MinIO lists none by the beginning of a key.) */
  abandonUploads(key: string): Promise<void>;
  /** `length` bytes, all of which are there. Undefined: there is no such object. */
  get(key: string, offset: number, length: number): Promise<Uint8Array | undefined>;
  /** Bytes. Undefined: there is no such object. */
  size(key: string): Promise<number | undefined>;
  /** Objects whose keys begin so, in the order of their keys. */
  list(prefix: string): AsyncIterable<StoredObject>;
  /** What stands between `prefix` and the next slash of keys that have one, in order. */
  folders(prefix: string): Promise<readonly string[]>;
  /** Those that are not there are no error. */
  remove(keys: readonly string[]): Promise<void>;
}
