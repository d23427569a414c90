/** Objects over the S3 protocol, with the AWS client. */
import { hash, subtle } from 'node:crypto';
import { Readable } from 'node:stream';
import type { PutObjectCommandInput, S3Client } from '@aws-sdk/client-s3';
import type { ArchiveCredentials } from '../open.ts';
import { ArchiveError } from '../port.ts';
import { explained, statusOf } from './errors.ts';
import type { S3Location } from './location.ts';
import { retries } from './retries.ts';
import type { ObjectStore, StoredObject } from './store.ts';

type Sdk = typeof import('@aws-sdk/client-s3');

interface Context {
  readonly sdk: Sdk;
  readonly client: S3Client;
  /** Whether objects are sent with their MD5: buckets with object lock may want it. */
  md5: boolean;
}

/** Of a thread: journal, parts and reads together stay below. */
const MAX_SOCKETS = 64;
const CONNECT_MS = 3000;
/** Unused connections are closed before balancers and firewalls forget them, which only the next request would notice. */
const IDLE_MS = 10_000;
/** One operation with its retries: well below the default grace, so that a server that hangs is told of. */
const LIMIT_MS = 8000;
/** What it takes longer for large bodies: at least so many bytes a millisecond are expected. */
const SLOWEST = 512;
const ATTEMPTS = 3;
/** Of an upload in parts (S3 wants 5 MiB or more, and at most 10,000 of them). */
const CHUNK_BYTES = 16 * 1024 * 1024;
/** Bodies of this size are hashed on another thread. */
const HASHED_BESIDE = 64 * 1024;
/** Of one DeleteObjects. */
const MAX_KEYS = 1000;
/** An answer that a conditional write ran into another; it may be tried again. */
const CONFLICT = 409;
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

export class SdkStore implements ObjectStore {
  readonly description: string;
  readonly #location: S3Location;
  readonly #context: Promise<Context>;

  /** `credentials`: undefined for those that the environment has. */
  constructor(location: S3Location, credentials: ArchiveCredentials | undefined) {
    const { bucket, prefix, endpoint, region } = location;
    const place = endpoint ?? (region === undefined ? undefined : `region ${region}`);
    this.description = `s3://${bucket}/${prefix}${place === undefined ? '' : ` at ${place}`}`;
    this.#location = location;
    // Loading the client takes a fifth of a second: only who has such an archive waits, and not in a session.
    this.#context = load(location, credentials);
    this.#context.catch(() => {});
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    await this.#do(body.length, async (context, abortSignal) => {
      await putObject(context, { ...this.#at(key), Body: body }, abortSignal);
    });
  }

  async putNew(key: string, body: Uint8Array): Promise<boolean> {
    return await this.#do(body.length, async (context, abortSignal) => {
      const object = { ...this.#at(key), Body: body };
      for (let attempt = 1; ; attempt += 1) {
        try {
          await putObject(context, { ...object, IfNoneMatch: '*' }, abortSignal);
          return true;
        } catch (error) {
          const status = statusOf(error);
          if (status === 412) return false;
          // A server that does not know the condition: it is asked without.
          if (status === 501) {
            await putObject(context, object, abortSignal);
            return true;
          }
          if (status !== CONFLICT || attempt >= ATTEMPTS) throw error;
        }
      }
    });
  }

  async upload(key: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    const chunks = chunked(body, CHUNK_BYTES);
    const first = await chunks.next();
    const second = first.done === true ? first : await chunks.next();
    if (second.done === true) {
      await this.put(key, first.done === true ? new Uint8Array(0) : first.value);
      return;
    }
    const at = this.#at(key);
    const id = await this.#do(0, async ({ sdk, client }, abortSignal) => {
      const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand(at), { abortSignal });
      return UploadId;
    });
    try {
      const parts: { readonly PartNumber: number; readonly ETag: string | undefined }[] = [];
      const send = async (chunk: Uint8Array): Promise<void> => {
        const PartNumber = parts.length + 1;
        const ETag = await this.#do(chunk.length, async ({ sdk, client }, abortSignal) => {
          const command = new sdk.UploadPartCommand({ ...at, UploadId: id, PartNumber, Body: chunk });
          return (await client.send(command, { abortSignal })).ETag;
        });
        parts.push({ PartNumber, ETag });
      };
      if (first.done !== true) await send(first.value);
      await send(second.value);
      for await (const chunk of chunks) await send(chunk);
      await this.#do(CHUNK_BYTES, async ({ sdk, client }, abortSignal) => {
        const command = new sdk.CompleteMultipartUploadCommand({
          ...at,
          UploadId: id,
          MultipartUpload: { Parts: parts },
        });
        await client.send(command, { abortSignal });
      });
    } catch (error) {
      // What failed is told; the cleaning up is best effort, and done again by whoever does this again.
      await this.#do(0, ({ sdk, client }, abortSignal) =>
        client.send(new sdk.AbortMultipartUploadCommand({ ...at, UploadId: id }), { abortSignal }),
      ).catch(() => {});
      throw error;
    }
  }

  async abandonUploads(key: string): Promise<void> {
    await this.#do(0, async ({ sdk, client }, abortSignal) => {
      const command = new sdk.ListMultipartUploadsCommand({ Bucket: this.#location.bucket, Prefix: key });
      const { Uploads = [] } = await client.send(command, { abortSignal });
      for (const { Key, UploadId } of Uploads) {
        if (Key !== key) continue;
        await client.send(new sdk.AbortMultipartUploadCommand({ ...this.#at(key), UploadId }), {
          abortSignal,
        });
      }
    });
  }

  async get(key: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    if (length === 0) return new Uint8Array(0);
    return await this.#do(length, async ({ sdk, client }, abortSignal) => {
      try {
        const range = `bytes=${offset}-${offset + length - 1}`;
        const command = new sdk.GetObjectCommand({ ...this.#at(key), Range: range });
        const { Body, ContentRange } = await client.send(command, { abortSignal });
        if (!(Body instanceof Readable)) throw new Error('an answer without a body');
        // A server that does not know ranges answers with the whole.
        if (!ContentRange?.startsWith(`bytes ${offset}-`) && offset > 0) {
          Body.destroy();
          throw new Error('the server does not know range reads');
        }
        return await collected(Body, length, abortSignal);
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    });
  }

  async size(key: string): Promise<number | undefined> {
    return await this.#do(0, async ({ sdk, client }, abortSignal) => {
      try {
        const { ContentLength } = await client.send(new sdk.HeadObjectCommand(this.#at(key)), {
          abortSignal,
        });
        return ContentLength ?? 0;
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    });
  }

  async *list(prefix: string): AsyncGenerator<StoredObject, void, void> {
    for await (const page of this.#pages(prefix)) {
      for (const { Key, Size } of page.Contents ?? []) {
        if (Key !== undefined && Size !== undefined) yield { key: Key, size: Size };
      }
    }
  }

  async folders(prefix: string): Promise<readonly string[]> {
    const names: string[] = [];
    for await (const page of this.#pages(prefix, '/')) {
      for (const { Prefix } of page.CommonPrefixes ?? []) {
        if (Prefix?.startsWith(prefix) === true) names.push(Prefix.slice(prefix.length, -1));
      }
    }
    return names;
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (let from = 0; from < keys.length; from += MAX_KEYS) {
      const objects = keys.slice(from, from + MAX_KEYS).map((Key) => ({ Key }));
      await this.#do(0, async ({ sdk, client }, abortSignal) => {
        const command = new sdk.DeleteObjectsCommand({
          Bucket: this.#location.bucket,
          Delete: { Objects: objects, Quiet: true },
        });
        const { Errors = [] } = await client.send(command, { abortSignal });
        const [refused] = Errors.filter(({ Code }) => Code !== 'NoSuchKey');
        if (refused !== undefined) {
          throw Object.assign(new Error(refused.Message ?? 'an object was not deleted'), {
            name: refused.Code ?? 'unknown error',
          });
        }
      });
    }
  }

  async *#pages(prefix: string, delimiter?: string) {
    for (let token: string | undefined; ; ) {
      const page = await this.#do(0, async ({ sdk, client }, abortSignal) => {
        const command = new sdk.ListObjectsV2Command({
          Bucket: this.#location.bucket,
          Prefix: prefix,
          Delimiter: delimiter,
          ContinuationToken: token,
        });
        return await client.send(command, { abortSignal });
      });
      const next = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      // A server that knows only the first version of lists tells no token: its first thousand are not all.
      if (page.IsTruncated === true && (next === undefined || next === token))
        throw new ArchiveError(
          'archive-io',
          `archive ${this.description} lists a part and not how to go on: it must know ListObjectsV2`,
        );
      yield page;
      token = next;
      if (token === undefined) return;
    }
  }

  #at(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.#location.bucket, Key: key };
  }

  /** One operation over `bytes` of body, in bounded time. */
  async #do<T>(
    bytes: number,
    operation: (context: Context, abortSignal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const limit = LIMIT_MS + Math.ceil(bytes / SLOWEST);
    try {
      const context = await this.#context;
      try {
        return await operation(context, AbortSignal.timeout(limit));
      } catch (error) {
        // This machine's clock was set: by its answer the client knows the server's time now.
        if (!(error instanceof Error) || error.name !== 'RequestTimeTooSkewed') throw error;
        return await operation(context, AbortSignal.timeout(limit));
      }
    } catch (error) {
      throw explained(this.description, error);
    }
  }
}

async function load(location: S3Location, credentials: ArchiveCredentials | undefined): Promise<Context> {
  const sdk: Sdk = await import('@aws-sdk/client-s3');
  const { endpoint, pathStyle } = location;
  // Other servers than AWS do not care for the region, but the signature names one.
  const region = location.region ?? (endpoint === undefined ? undefined : 'us-east-1');
  const agent = { keepAlive: true, maxSockets: MAX_SOCKETS, timeout: IDLE_MS };
  const client = new sdk.S3Client({
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(credentials === undefined ? {} : { credentials }),
    forcePathStyle: pathStyle,
    maxAttempts: ATTEMPTS,
    retryStrategy: retries(ATTEMPTS),
    // Checksums behind a body in chunks, and headers for them, are not known to all servers. What is sent
    // is checked all the same: each request is signed with the SHA-256 of its body.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      httpAgent: agent,
      httpsAgent: agent,
      logger: SILENT,
    },
    // The client would tell the console of what it is asked to do.
    logger: SILENT,
  });
  const context: Context = { sdk, client, md5: false };
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        if (isRequest(args.request)) {
          const { body, headers } = args.request;
          const isPut = commandName === 'PutObjectCommand';
          // Some servers want it with every deletion; only a live session's own writes are spared.
          if ((typeof body === 'string' || body instanceof Uint8Array) && (!isPut || context.md5)) {
            headers['content-md5'] = hash('md5', body, 'base64');
          }
          // Beside this thread: other sessions' keystrokes do not wait for it.
          if (body instanceof Uint8Array && body.length >= HASHED_BESIDE) {
            const digest = await subtle.digest('SHA-256', ownBytes(body));
            headers['x-amz-content-sha256'] = Buffer.from(digest).toString('hex');
          }
        }
        return await next(args);
      },
    { step: 'build', name: 'digests' },
  );
  return context;
}

async function putObject(
  context: Context,
  input: PutObjectCommandInput,
  abortSignal: AbortSignal,
): Promise<void> {
  const { sdk, client } = context;
  try {
    await client.send(new sdk.PutObjectCommand(input), { abortSignal });
  } catch (error) {
    const wanted =
      error instanceof Error && error.name === 'InvalidRequest' && /md5|checksum/i.test(error.message);
    if (!wanted || context.md5) throw error;
    context.md5 = true;
    await client.send(new sdk.PutObjectCommand(input), { abortSignal });
  }
}

/** The same bytes, as what is known not to be shared between threads. */
function ownBytes({ buffer, byteOffset, length }: Uint8Array): Uint8Array<ArrayBuffer> {
  if (!(buffer instanceof ArrayBuffer)) throw new TypeError('bytes of shared memory cannot be hashed');
  return new Uint8Array(buffer, byteOffset, length);
}

function isRequest(value: unknown): value is { body: unknown; headers: Record<string, string> } {
  return typeof value === 'object' && value !== null && 'headers' in value && 'body' in value;
}

function isMissing(error: unknown): boolean {
  const name = error instanceof Error ? error.name : '';
  return name === 'NoSuchKey' || (name !== 'NoSuchBucket' && statusOf(error) === 404);
}

/** The first `length` bytes of a body; rejects when there are fewer, or when they do not come in time. */
async function collected(body: Readable, length: number, signal: AbortSignal): Promise<Uint8Array> {
  const stop = (): void => void body.destroy(signal.reason);
  signal.addEventListener('abort', stop);
  try {
    const target = Buffer.allocUnsafe(length);
    let done = 0;
    for await (const chunk of body) {
      if (!(chunk instanceof Uint8Array)) throw new Error('an answer that is not bytes');
      done += Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).copy(target, done);
      if (done === length) break;
    }
    if (done < length) throw new Error(`the answer ended after ${done} of ${length} bytes`);
    return target;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** The same bytes in pieces of `length`, the last one shorter; each is valid until the next is asked for. */
async function* chunked(
  body: AsyncIterable<Uint8Array>,
  length: number,
): AsyncGenerator<Uint8Array, void, void> {
  let held: Uint8Array[] = [];
  let size = 0;
  for await (const bytes of body) {
    for (let rest = bytes; rest.length > 0; ) {
      const piece = rest.subarray(0, length - size);
      held.push(piece);
      size += piece.length;
      rest = rest.subarray(piece.length);
      if (size < length) continue;
      yield Buffer.concat(held);
      [held, size] = [[], 0];
    }
  }
  if (size > 0) yield Buffer.concat(held);
}
