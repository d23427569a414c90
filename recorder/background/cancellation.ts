/** Ends a job that nobody wants any more, from the thread that asked for it. */
import type { Archive, ArchiveReader } from '../archive/port.ts';

/**
 * One bit that two threads share. A message would be heard only between two turns of the event loop, which
 * a job that computes may not come to for long.
 */
export class Cancellation {
  readonly memory: SharedArrayBuffer;
  readonly #bit: Int32Array;

  /** @param memory of the same cancellation in another thread */
  constructor(memory = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#bit = new Int32Array(memory);
  }

  get requested(): boolean {
    return Atomics.load(this.#bit, 0) === 1;
  }

  request(): void {
    Atomics.store(this.#bit, 0, 1);
  }
}

/** Why a job ended whose owner cancelled it: nobody reads this. */
export class CancelledError extends Error {
  override readonly name = 'CancelledError';
}

/**
 * The same archive, of which no recording is read any further once that is requested: reads then reject
 * with {@link CancelledError}. Every job lives on what it reads.
 */
export function cancellable(archive: Archive, cancellation: Cancellation): Archive {
  const watch = (reader: ArchiveReader): ArchiveReader => ({
    size: reader.size,
    async read(offset, length) {
      if (cancellation.requested) throw new CancelledError('the job was cancelled');
      return await reader.read(offset, length);
    },
    close: () => reader.close(),
  });
  const watched: Pick<Archive, 'open' | 'compact'> = {
    open: async (sessionId) => watch(await archive.open(sessionId)),
    compact: (sessionId, startedAt, check) =>
      archive.compact(sessionId, startedAt, (compacted) => check(watch(compacted))),
  };
  const proxy: Archive = new Proxy(archive, {
    get(target, name) {
      if (name === 'open' || name === 'compact') return watched[name];
      if (name === 'copies')
        return target.copies.map((copy) => (copy === target ? proxy : cancellable(copy, cancellation)));
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  return proxy;
}
