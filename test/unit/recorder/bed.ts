/** What the recorder's tests share: a clock held in hand, an archive in memory that can be slow or fail, and one recorder over them. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SIDES, type Side } from '../../../recorder/archive/port.ts';
import type { Clock } from '../../../recorder/container/clock.ts';
import {
  type Archive,
  type ArchiveAppender,
  type ArchiveEntry,
  ArchiveError,
  type ArchiveIdentity,
  type ArchiveReader,
  type DurabilityWindow,
  generateIdentity,
  Recorder,
  type RecorderOptions,
  type RecordingEvent,
  type RecordingInit,
  type RecordingReader,
} from '../../../recorder/index.ts';

/** Time stands still until {@link advance}. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ at: number; readonly every: number | undefined; readonly run: () => void }>();

  get timers(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): () => void {
    return this.#add({ at: this.#now + ms, every: undefined, run });
  }

  every(ms: number, run: () => void): () => void {
    return this.#add({ at: this.#now + ms, every: ms, run });
  }

  /** Lets `ms` pass in steps of 25 ms, with everything that promises do between them. */
  async advance(ms: number): Promise<void> {
    await settle();
    for (const end = this.#now + ms; this.#now < end; ) {
      this.#now = Math.min(end, this.#now + 25);
      for (const timer of [...this.#timers]) {
        if (timer.at > this.#now || !this.#timers.has(timer)) continue;
        if (timer.every === undefined) this.#timers.delete(timer);
        else timer.at = this.#now + timer.every;
        timer.run();
      }
      await settle();
    }
  }

  #add(timer: { at: number; readonly every: number | undefined; readonly run: () => void }): () => void {
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }
}

/** Lets pending promises run. Work on other threads (large compressions) is not waited for. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i += 1) await new Promise<void>((resolve) => void setImmediate(resolve));
}

/** Resolves when `condition` holds; rejects when it does not for very long. */
export async function until(condition: () => boolean): Promise<void> {
  for (const deadline = performance.now() + 30_000; !condition(); ) {
    if (performance.now() > deadline) throw new Error(`never held: ${condition}`);
    await new Promise<void>((resolve) => void setTimeout(resolve, 1));
  }
}

/** Keeps recordings in memory. `held`: appends wait for {@link release}; `failure`: they fail. */
export class MemoryArchive implements Archive {
  readonly description: string = 'memory';
  readonly copies: readonly Archive[] = [this];
  readonly recordings = new Map<string, Buffer>();
  /** By session and side. */
  readonly sides = new Map<string, Buffer>();
  /** Bytes read of recordings and of what stands beside them. */
  bytesRead = 0;
  failure: ArchiveError | undefined;
  held = false;
  appends = 0;
  /** Sizes of what was appended behind the header. */
  readonly sizes: number[] = [];
  #waiting: (() => void)[] = [];

  release(): void {
    this.held = false;
    for (const go of this.#waiting.splice(0)) go();
  }

  /** Lets one waiting append through; those after it wait on. */
  step(): void {
    this.#waiting.shift()?.();
  }

  async check(): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
  }

  async create(sessionId: string, _startedAt: number, first: Uint8Array): Promise<ArchiveAppender> {
    if (this.held) await new Promise<void>((resolve) => void this.#waiting.push(resolve));
    await this.check();
    this.recordings.set(sessionId, Buffer.from(first));
    return this.#appender(sessionId);
  }

  async resume(sessionId: string, _startedAt: number, end: number): Promise<ArchiveAppender> {
    await this.check();
    this.recordings.set(sessionId, this.bytes(sessionId).subarray(0, end));
    return this.#appender(sessionId);
  }

  async seal(sessionId: string, startedAt: number, end: number, manifest: Uint8Array): Promise<Uint8Array> {
    await (await this.resume(sessionId, startedAt, end)).append(manifest);
    return manifest;
  }

  async compact(): Promise<void> {}

  async remove(sessionId: string): Promise<void> {
    this.recordings.delete(sessionId);
    for (const side of SIDES) this.sides.delete(`${sessionId}.${side}`);
  }

  async tidy(): Promise<void> {}

  #appender(sessionId: string): ArchiveAppender {
    return {
      append: async (bytes) => {
        this.appends += 1;
        if (this.held) await new Promise<void>((resolve) => void this.#waiting.push(resolve));
        await this.check();
        this.sizes.push(bytes.length);
        this.recordings.set(sessionId, Buffer.concat([this.bytes(sessionId), bytes]));
      },
      close: async () => {},
    };
  }

  async *list(): AsyncGenerator<ArchiveEntry, void, void> {
    for (const [sessionId, bytes] of this.recordings) yield { sessionId, bytes: bytes.length };
  }

  async open(sessionId: string): Promise<ArchiveReader> {
    return this.#reader(this.bytes(sessionId));
  }

  async putSide(
    sessionId: string,
    _startedAt: number,
    side: Side,
    bytes: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    this.sides.set(`${sessionId}.${side}`, Buffer.concat(await collect(bytes)));
  }

  async openSide(sessionId: string, _startedAt: number, side: Side): Promise<ArchiveReader | undefined> {
    const bytes = this.sides.get(`${sessionId}.${side}`);
    return bytes === undefined ? undefined : this.#reader(bytes);
  }

  #reader(bytes: Buffer): ArchiveReader {
    return {
      size: bytes.length,
      read: async (offset, length) => {
        const read = bytes.subarray(offset, offset + length);
        this.bytesRead += read.length;
        return read;
      },
      close: async () => {},
    };
  }

  bytes(sessionId: string): Buffer {
    const bytes = this.recordings.get(sessionId);
    if (bytes === undefined) throw new ArchiveError('recording-missing', `no recording ${sessionId}`);
    return bytes;
  }
}

/** Notes what a recording told its session. */
export class Signals {
  readonly seen: string[] = [];
  error: ArchiveError | undefined;
  pause(): void {
    this.seen.push('pause');
  }
  resume(): void {
    this.seen.push('resume');
  }
  failed(error: ArchiveError): void {
    this.seen.push('failed');
    this.error = error;
  }
}

export const WINDOW: DurabilityWindow = { bytes: 64 * 1024, ms: 1000, graceSeconds: 30 };
export const STARTED_AT = Date.UTC(2026, 10, 21, 10, 30, 45);

export interface Bed {
  readonly clock: ManualClock;
  readonly archive: MemoryArchive;
  readonly identity: ArchiveIdentity;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly recorder: Recorder;
}

/** `more`: options of the recorder that its defaults are not meant for. */
export async function makeBed(
  window: DurabilityWindow = WINDOW,
  more: Partial<Pick<RecorderOptions, 'onFailure' | 'memoryBytes' | 'observer'>> = {},
): Promise<Bed> {
  const clock = new ManualClock();
  const archive = new MemoryArchive();
  const identity = await generateIdentity();
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const recorder = new Recorder({
    archive,
    recipients: [identity.recipient],
    node: 'node1',
    signingKey: privateKey,
    window,
    clock,
    ...more,
  });
  return { clock, archive, identity, privateKey, publicKey, recorder };
}

export function initOf(sessionId: string): RecordingInit {
  return {
    sessionId,
    startedAt: STARTED_AT,
    protocol: 'ssh',
    user: 'alice',
    account: 'root',
    system: 'web01',
    policy: 'ops',
  };
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export async function eventsOf(reader: RecordingReader, from?: number): Promise<RecordingEvent[]> {
  return await collect(reader.events(from));
}

export function text(value: string): Uint8Array {
  return Buffer.from(value);
}
