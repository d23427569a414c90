/** Ends a job that nobody wants any more. */
import type { Archive, ArchiveReader } from '../archive/port.ts';

/** Why a job ended whose owner cancelled it: nobody reads this. */
export class CancelledError extends Error {
  override readonly name = 'CancelledError';
}

/**
 * The same archive, of which no recording is read any further once `signal` is aborted: reads then reject
 * with {@link CancelledError}. Every job lives on what it reads.
 */
export function cancellable(archive: Archive, signal: AbortSignal): Archive {
  const watch = (reader: ArchiveReader): ArchiveReader => ({
    size: reader.size,
    async read(offset, length) {
      if (signal.aborted) throw new CancelledError('the job was cancelled');
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
        return target.copies.map((copy) => (copy === target ? proxy : cancellable(copy, signal)));
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  return proxy;
}
