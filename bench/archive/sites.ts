/** Where recordings go in this benchmark: nowhere, a folder, and a real S3 server. */
import { generateKeyPairSync } from 'node:crypto';
import type { ArchiveForWriters } from '../../recorder/archive/port.ts';
import { S3Archive } from '../../recorder/archive/s3/archive.ts';
import { parseLocation } from '../../recorder/archive/s3/location.ts';
import { SdkStore } from '../../recorder/archive/s3/sdk-store.ts';
import type { Clock } from '../../recorder/container/clock.ts';
import {
  type Archive,
  type ArchiveAppender,
  ArchiveError,
  type ArchiveIdentity,
  DEFAULT_WINDOW,
  generateIdentity,
  openArchive,
  Recorder,
  type RecordingInit,
} from '../../recorder/index.ts';
import { obstacle } from '../../test/support/packages.ts';
import { S3_PACKAGES, type S3Server, startS3 } from '../../test/support/s3.ts';
import { temporaryFolder } from '../../test/support/temp.ts';

export type Sink = 'nowhere' | 'file' | 's3';
/** Those that can be read, too. */
export type RealSink = Exclude<Sink, 'nowhere'>;

/** What a sink was asked to keep: appends of recordings, or objects. */
export interface Tally {
  writes: number;
}

export interface Site {
  /** `s3` is not among them where its server cannot be had. */
  readonly sinks: readonly RealSink[];
  readonly identity: ArchiveIdentity;
  /** A new door to the same archive, as each thread of a node has its own. */
  archive(sink: RealSink): Archive;
  /**
   * The same for writers alone, with its writes counted. `groupMs`: how far apart an object store is sent
   * what small appends bring.
   */
  writing(sink: Sink, tally: Tally, groupMs?: number): ArchiveForWriters;
  recorder(archive: ArchiveForWriters, clock?: Clock): Recorder;
  /** `archive` of a gateway's configuration. */
  configuration(sink: RealSink): Readonly<Record<string, unknown>>;
  stop(): Promise<void>;
}

export async function startSite(progress: (line: string) => void): Promise<Site> {
  const missing = obstacle(S3_PACKAGES);
  if (missing !== undefined) progress(`s3 is left out: ${missing}`);
  const server = missing === undefined ? await startS3() : undefined;
  const folder = temporaryFolder('bench-archive');
  const identity = await generateIdentity();
  const { privateKey } = generateKeyPairSync('ed25519');
  const open = (sink: RealSink, tally: Tally, groupMs?: number): Archive =>
    sink === 's3' && server !== undefined ? s3Archive(server, tally, groupMs) : openArchive(`file:${folder}`);
  return {
    sinks: server === undefined ? ['file'] : ['file', 's3'],
    identity,
    archive: (sink) => open(sink, { writes: 0 }),
    writing(sink, tally, groupMs) {
      if (sink === 's3') return open(sink, tally, groupMs);
      return new CountedArchive(sink === 'nowhere' ? new Nowhere() : open(sink, tally), tally);
    },
    recorder: (archive, clock) =>
      new Recorder({
        archive,
        recipients: [identity.recipient],
        node: 'bench',
        signingKey: privateKey,
        // However long an archive takes: that is measured, and ends nothing.
        window: { ...DEFAULT_WINDOW, graceSeconds: 3600 },
        ...(clock === undefined ? {} : { clock }),
      }),
    configuration: (sink) =>
      sink === 's3' && server !== undefined
        ? { url: urlOf(server), credentials: credentialsOf(server) }
        : { url: `file:${folder}` },
    stop: async () => await server?.stop(),
  };
}

export function initOf(sessionId: string, startedAt = Date.now()): RecordingInit {
  return {
    sessionId,
    startedAt,
    protocol: 'ssh',
    user: 'alice',
    account: 'root',
    system: 'web01',
    policy: 'everything',
  };
}

/** Acknowledges at once, keeps nothing and has nothing. */
class Nowhere implements ArchiveForWriters {
  async create(): Promise<ArchiveAppender> {
    return { append: async () => {}, close: async () => {} };
  }

  async open(): Promise<never> {
    throw new ArchiveError('recording-missing', 'nothing is kept');
  }

  async resume(): Promise<never> {
    return await this.open();
  }
}

class CountedArchive implements ArchiveForWriters {
  readonly #archive: ArchiveForWriters;
  readonly #tally: Tally;

  constructor(archive: ArchiveForWriters, tally: Tally) {
    this.#archive = archive;
    this.#tally = tally;
  }

  async create(...call: Parameters<Archive['create']>): Promise<ArchiveAppender> {
    const inner = await this.#archive.create(...call);
    return {
      ...(inner.atOnce === undefined ? {} : { atOnce: inner.atOnce }),
      append: async (bytes, at) => {
        this.#tally.writes += 1;
        await inner.append(bytes, at);
      },
      close: () => inner.close(),
    };
  }

  open(sessionId: string): ReturnType<Archive['open']> {
    return this.#archive.open(sessionId);
  }

  resume(...call: Parameters<Archive['resume']>): Promise<ArchiveAppender> {
    return this.#archive.resume(...call);
  }
}

class CountedStore extends SdkStore {
  readonly #tally: Tally;

  constructor(tally: Tally, ...options: ConstructorParameters<typeof SdkStore>) {
    super(...options);
    this.#tally = tally;
  }

  override async put(key: string, body: Uint8Array): Promise<void> {
    this.#tally.writes += 1;
    await super.put(key, body);
  }

  override async putNew(key: string, body: Uint8Array): Promise<boolean> {
    this.#tally.writes += 1;
    return await super.putNew(key, body);
  }
}

function s3Archive(server: S3Server, tally: Tally, groupMs: number | undefined): Archive {
  const location = parseLocation(urlOf(server));
  const store = new CountedStore(tally, location, server);
  return new S3Archive({ store, prefix: location.prefix, writer: 'bench', groupMs });
}

const urlOf = ({ bucket, endpoint }: S3Server): string =>
  `s3://${bucket}/bench?endpoint=${encodeURIComponent(endpoint)}&style=path`;

const credentialsOf = ({ accessKeyId, secretAccessKey }: S3Server) => ({ accessKeyId, secretAccessKey });
