/**
 * Does the heavy work of recording (SHA-256 of long streams, packing and encrypting full
 * segments) in a thread of its own, so that the session thread only copies. Memory is moved
 * there and back, never shared.
 */
import { hash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { type ChainLink, type Framed, frameSegments, framesBound, type PlainSegment } from './frames.ts';
import type { ChunkPool } from './segment-buffer.ts';

export type ToScribe =
  | { readonly type: 'update'; readonly id: number; readonly memory: ArrayBuffer; readonly length: number }
  | { readonly type: 'digest'; readonly id: number }
  | {
      readonly type: 'frame';
      readonly id: number;
      readonly link: ChainLink;
      readonly segments: readonly (Omit<PlainSegment, 'chunk'> & { readonly memory: ArrayBuffer })[];
      readonly target: ArrayBuffer;
    };

export type FromScribe =
  | {
      readonly type: 'updated';
      readonly id: number;
      readonly memory: ArrayBuffer;
      readonly length: number;
    }
  | { readonly type: 'digested'; readonly id: number; readonly sha256: string }
  | {
      readonly type: 'framed';
      readonly id: number;
      readonly framed: Framed;
      readonly memory: readonly ArrayBuffer[];
      readonly target: ArrayBuffer;
    };

/** From so many bytes on, the work is worth two messages between threads. */
const ASIDE_BYTES = 64 * 1024;
/**
 * Bytes of a stream that are moved at once: few, because a stream that rests keeps them,
 * and more for one that has proved to be long, because each move wakes two threads.
 */
const STREAM_BYTES = 256 * 1024;
const LONG_STREAM_BYTES = 1024 * 1024;
/** From so many bytes on a stream is long. */
const LONG_BYTES = 8 * 1024 * 1024;

/** The SHA-256 of a stream. */
export interface StreamHash {
  /** Takes a copy. */
  update(bytes: Uint8Array): void;
  /** Lower-case hex, to be asked for once. `then` is called at once for a short stream. */
  digest(then: (sha256: string) => void): void;
}

/** One that somebody answers for. */
export interface OwnedStreamHash extends StreamHash {
  /** Instead of {@link StreamHash.digest}, of a stream that nobody will end: gives its memory back. */
  drop(): void;
}

/** Frames, at the start of memory that the caller gives back to the pool. */
export interface FramedMemory {
  readonly framed: Framed;
  readonly target: Buffer;
}

export class Scribe {
  readonly #pool: ChunkPool;
  #worker: Worker | undefined;
  /** Orders that are not answered yet: the thread keeps the process alive meanwhile. */
  #unanswered = 0;
  #nextId = 1;
  readonly #frames = new Map<number, (framed: FramedMemory) => void>();
  readonly #streams = new Map<number, MovedStream>();

  constructor(pool: ChunkPool) {
    this.#pool = pool;
  }

  /** Makes the frames of `segments`, whose memory goes back to the pool. */
  frame(link: ChainLink, segments: readonly PlainSegment[]): FramedMemory | Promise<FramedMemory> {
    const bound = framesBound(segments);
    const target = this.#pool.take(bound);
    if (bound <= ASIDE_BYTES) {
      const framed = frameSegments(link, segments, target);
      for (const { chunk } of segments) this.#pool.give(chunk);
      return { framed, target };
    }
    const id = this.#nextId++;
    const moved = segments.map(({ chunk, ...facts }) => ({ ...facts, memory: memoryOf(chunk) }));
    const memory = [...moved.map((segment) => segment.memory), memoryOf(target)];
    this.#send({ type: 'frame', id, link, segments: moved, target: memoryOf(target) }, memory);
    return new Promise((resolve) => this.#frames.set(id, resolve));
  }

  /**
   * Begins the SHA-256 of a stream.
   * @param onBehind told of bytes that were moved (positive) and hashed (negative)
   */
  stream(onBehind: (bytes: number) => void): OwnedStreamHash {
    const id = this.#nextId++;
    return new MovedStream(this.#pool, onBehind, (stream, order, memory) => {
      this.#streams.set(id, stream);
      this.#send({ ...order, id }, memory);
    });
  }

  #send(order: ToScribe, memory: ArrayBuffer[]): void {
    this.#worker ??= this.#start();
    if (this.#unanswered++ === 0) this.#worker.ref();
    this.#worker.postMessage(order, memory);
  }

  #start(): Worker {
    const worker = new Worker(new URL('./scribe-thread.ts', import.meta.url), { name: 'scribe' });
    worker.on('message', (answer: FromScribe) => {
      if (--this.#unanswered === 0) worker.unref();
      this.#receive(answer);
    });
    // Without its scribe the thread cannot record: it ends, and its sessions with it.
    worker.on('error', (error) => {
      throw error;
    });
    return worker;
  }

  #receive(answer: FromScribe): void {
    switch (answer.type) {
      case 'framed':
        for (const memory of answer.memory) this.#pool.give(Buffer.from(memory));
        this.#frames.get(answer.id)?.({ framed: answer.framed, target: Buffer.from(answer.target) });
        this.#frames.delete(answer.id);
        return;
      case 'updated':
        this.#pool.give(Buffer.from(answer.memory));
        this.#streams.get(answer.id)?.hashed(answer.length);
        return;
      case 'digested':
        this.#streams.get(answer.id)?.digested(answer.sha256);
        this.#streams.delete(answer.id);
    }
  }
}

type StreamOrder =
  | { readonly type: 'update'; readonly memory: ArrayBuffer; readonly length: number }
  | { readonly type: 'digest' };

/** Collects a stream; what does not fit one chunk is moved to the scribe. */
class MovedStream implements OwnedStreamHash {
  readonly #pool: ChunkPool;
  readonly #onBehind: (bytes: number) => void;
  readonly #send: (stream: MovedStream, order: StreamOrder, memory: ArrayBuffer[]) => void;
  #chunk: Buffer | undefined;
  #length = 0;
  #moved = 0;
  #then: (sha256: string) => void = () => {};

  constructor(
    pool: ChunkPool,
    onBehind: (bytes: number) => void,
    send: (stream: MovedStream, order: StreamOrder, memory: ArrayBuffer[]) => void,
  ) {
    this.#pool = pool;
    this.#onBehind = onBehind;
    this.#send = send;
  }

  update(bytes: Uint8Array): void {
    const full = this.#moved < LONG_BYTES ? STREAM_BYTES : LONG_STREAM_BYTES;
    let rest = bytes;
    for (;;) {
      const taken = Math.min(rest.length, full - this.#length);
      const chunk = this.#room(this.#length + taken);
      chunk.set(taken === rest.length ? rest : rest.subarray(0, taken), this.#length);
      this.#length += taken;
      if (this.#length === full) this.#move(chunk);
      if (taken === rest.length) return;
      rest = rest.subarray(taken);
    }
  }

  digest(then: (sha256: string) => void): void {
    const chunk = this.#chunk;
    if (this.#moved > 0) {
      this.#then = then;
      if (chunk !== undefined) this.#move(chunk);
      this.#send(this, { type: 'digest' }, []);
      return;
    }
    const sha256 = hash('sha256', chunk?.subarray(0, this.#length) ?? '');
    if (chunk !== undefined) this.#pool.give(chunk);
    this.#chunk = undefined;
    then(sha256);
  }

  drop(): void {
    if (this.#chunk !== undefined) this.#pool.give(this.#chunk);
    this.#chunk = undefined;
    // The scribe forgets a stream with its digest.
    if (this.#moved > 0) this.#send(this, { type: 'digest' }, []);
  }

  hashed(bytes: number): void {
    this.#onBehind(-bytes);
  }

  digested(sha256: string): void {
    this.#then(sha256);
  }

  #room(length: number): Buffer {
    const before = this.#chunk;
    if (before !== undefined && length <= before.length) return before;
    const chunk = this.#pool.take(length);
    if (before !== undefined) {
      chunk.set(before.subarray(0, this.#length));
      this.#pool.give(before);
    }
    this.#chunk = chunk;
    return chunk;
  }

  #move(chunk: Buffer): void {
    const length = this.#length;
    this.#moved += length;
    this.#chunk = undefined;
    this.#length = 0;
    const memory = memoryOf(chunk);
    this.#send(this, { type: 'update', memory, length }, [memory]);
    this.#onBehind(length);
  }
}

/** Chunks of the pool have their memory to themselves. */
function memoryOf(chunk: Buffer): ArrayBuffer {
  return chunk.buffer as ArrayBuffer;
}
