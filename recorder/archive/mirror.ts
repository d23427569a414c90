/**
 * Several sinks as one archive: what is durable is durable in each. They are written the same bytes in the
 * same order, so that after a crash one may only be shorter than another; who seals a recording looks at each
 * (container/seal.ts). What is read comes from the first that can give it. The first also decides who has
 * sealed a recording.
 */
import {
  type Archive,
  type ArchiveAppender,
  type ArchiveEntry,
  ArchiveError,
  type ArchiveReader,
  isMissing,
  openIfThere,
  type Side,
} from './port.ts';

/** How much is copied from one sink to another at once. */
const COPY_BYTES = 1024 * 1024;

export class MirrorArchive implements Archive {
  readonly description: string;
  readonly copies: readonly Archive[];
  readonly #first: Archive;

  /** `more`: at least one. Where several sinks fail, the error of the first of them is told. */
  constructor(first: Archive, more: readonly Archive[]) {
    this.#first = first;
    this.copies = [first, ...more];
    this.description = this.copies.map((sink) => sink.description).join(' and ');
  }

  async check(): Promise<void> {
    await this.#each((sink) => sink.check());
  }

  async create(sessionId: string, startedAt: number, first: Uint8Array): Promise<ArchiveAppender> {
    const created: Archive[] = [];
    return await this.#appenders(async (sink) => {
      const appender = await sink.create(sessionId, startedAt, first);
      created.push(sink);
      return appender;
    }).catch(async (error: unknown) => {
      // What failed is told; the cleaning up is best effort.
      await Promise.allSettled(created.map((sink) => sink.remove(sessionId, startedAt)));
      throw error;
    });
  }

  async *list(): AsyncGenerator<ArchiveEntry, void, void> {
    let failure: unknown;
    for (const sink of this.copies) {
      let begun = false;
      try {
        for await (const entry of sink.list()) {
          begun = true;
          yield entry;
        }
        return;
      } catch (error) {
        // Half of one list and then another would be told as one.
        if (begun) throw error;
        failure ??= error;
      }
    }
    throw failure;
  }

  async open(sessionId: string): Promise<ArchiveReader> {
    let missing: unknown;
    let failure: unknown;
    for (const sink of this.copies) {
      try {
        return await sink.open(sessionId);
      } catch (error) {
        if (isMissing(error)) missing ??= error;
        else failure ??= error;
      }
    }
    // It may well be in the sink that cannot be asked.
    throw failure ?? missing;
  }

  async resume(sessionId: string, startedAt: number, end: number): Promise<ArchiveAppender> {
    await this.#level(sessionId, startedAt, end);
    return await this.#appenders((sink) => sink.resume(sessionId, startedAt, end));
  }

  async seal(sessionId: string, startedAt: number, end: number, manifest: Uint8Array): Promise<Uint8Array> {
    await this.#level(sessionId, startedAt, end);
    const won = await this.#first.seal(sessionId, startedAt, end, manifest);
    await this.#each(async (sink) => {
      if (sink !== this.#first) await sink.seal(sessionId, startedAt, end, won);
    });
    return won;
  }

  async compact(
    sessionId: string,
    startedAt: number,
    check: (compacted: ArchiveReader) => Promise<void>,
  ): Promise<void> {
    await this.#each((sink) => sink.compact(sessionId, startedAt, check));
  }

  async remove(sessionId: string, startedAt: number): Promise<void> {
    await this.#each((sink) => sink.remove(sessionId, startedAt));
  }

  async tidy(writer: string): Promise<void> {
    await this.#each((sink) => sink.tidy(writer));
  }

  async putSide(
    sessionId: string,
    startedAt: number,
    side: Side,
    bytes: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    await this.#first.putSide(sessionId, startedAt, side, bytes);
    await this.#each(async (sink) => {
      if (sink === this.#first) return;
      const put = await this.#first.openSide(sessionId, startedAt, side);
      if (put === undefined) return;
      try {
        await sink.putSide(sessionId, startedAt, side, contents(put, 0, put.size));
      } finally {
        await put.close();
      }
    });
  }

  async openSide(sessionId: string, startedAt: number, side: Side): Promise<ArchiveReader | undefined> {
    let failure: unknown;
    for (const sink of this.copies) {
      try {
        const reader = await sink.openSide(sessionId, startedAt, side);
        if (reader !== undefined) return reader;
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
    return undefined;
  }

  /** Brings every sink to at least the first `end` bytes of a recording, from one that has them. */
  async #level(sessionId: string, startedAt: number, end: number): Promise<void> {
    const readers = await Promise.all(this.copies.map((sink) => openIfThere(sink, sessionId)));
    try {
      const source = readers.find((reader) => reader !== undefined && reader.size >= end);
      if (source === undefined) {
        throw new ArchiveError(
          'recording-missing',
          `archive ${this.description} holds no recording of session ${sessionId} that is ${end} bytes long`,
        );
      }
      await this.#each(async (sink) => {
        const size = readers[this.copies.indexOf(sink)]?.size;
        if (size !== undefined && size >= end) return;
        const from = size ?? Math.min(end, COPY_BYTES);
        const appender =
          size === undefined
            ? await sink.create(sessionId, startedAt, await source.read(0, from))
            : await sink.resume(sessionId, startedAt, size);
        try {
          for await (const bytes of contents(source, from, end)) await appender.append(bytes);
        } finally {
          await appender.close();
        }
      });
    } finally {
      await Promise.allSettled(readers.map((reader) => reader?.close()));
    }
  }

  /** One appender to all sinks; where one cannot be had, those of the others are closed. */
  async #appenders(open: (sink: Archive) => Promise<ArchiveAppender>): Promise<ArchiveAppender> {
    const results = await Promise.allSettled(this.copies.map((sink) => open(sink)));
    const appenders = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const appender = new MirrorAppender(appenders);
    if (appenders.length === results.length) return appender;
    await appender.close().catch(() => {});
    throw firstReason(results);
  }

  /** In all sinks at once; rejects when all are done and one has failed. */
  async #each(work: (sink: Archive) => Promise<void>): Promise<void> {
    await settled(this.copies.map((sink) => work(sink)));
  }
}

class MirrorAppender implements ArchiveAppender {
  readonly #appenders: readonly ArchiveAppender[];
  /** Those that have taken the bytes that another has refused: these bytes come again. */
  readonly #ahead = new Set<ArchiveAppender>();

  constructor(appenders: readonly ArchiveAppender[]) {
    this.#appenders = appenders;
  }

  async append(bytes: Uint8Array): Promise<void> {
    const behind = this.#appenders.filter((appender) => !this.#ahead.has(appender));
    await settled(
      behind.map(async (appender) => {
        await appender.append(bytes);
        this.#ahead.add(appender);
      }),
    );
    this.#ahead.clear();
  }

  async close(): Promise<void> {
    await settled(this.#appenders.map((appender) => appender.close()));
  }
}

async function settled(work: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(work);
  if (results.some((result) => result.status === 'rejected')) throw firstReason(results);
}

function firstReason(results: readonly PromiseSettledResult<unknown>[]): unknown {
  return results.find((result) => result.status === 'rejected')?.reason;
}

async function* contents(
  reader: ArchiveReader,
  from: number,
  end: number,
): AsyncGenerator<Uint8Array, void, void> {
  for (let offset = from; offset < end; offset += COPY_BYTES) {
    yield await reader.read(offset, Math.min(COPY_BYTES, end - offset));
  }
}
