/**
 * An archive that takes recordings only while the node has its lease: once that has run out, a peer may
 * have sealed them.
 */
import { type Archive, type ArchiveAppender, ArchiveError, type ArchiveReader } from '../recorder/index.ts';
import type { Deadline } from './deadline.ts';

type Call<Name extends 'create' | 'resume' | 'seal' | 'compact' | 'putSide' | 'openSide'> = Parameters<
  Archive[Name]
>;

export class LeasedArchive implements Archive {
  readonly #archive: Archive;
  readonly #deadline: Deadline;

  constructor(archive: Archive, deadline: Deadline) {
    this.#archive = archive;
    this.#deadline = deadline;
  }

  get description(): string {
    return this.#archive.description;
  }

  get copies(): readonly Archive[] {
    return this.#archive.copies;
  }

  async create(...call: Call<'create'>): Promise<ArchiveAppender> {
    this.#require();
    return this.#leased(await this.#archive.create(...call));
  }

  async resume(...call: Call<'resume'>): Promise<ArchiveAppender> {
    this.#require();
    return this.#leased(await this.#archive.resume(...call));
  }

  check(): Promise<void> {
    return this.#archive.check();
  }

  list(): ReturnType<Archive['list']> {
    return this.#archive.list();
  }

  open(sessionId: string): Promise<ArchiveReader> {
    return this.#archive.open(sessionId);
  }

  seal(...call: Call<'seal'>): Promise<Uint8Array> {
    return this.#archive.seal(...call);
  }

  compact(...call: Call<'compact'>): Promise<void> {
    return this.#archive.compact(...call);
  }

  remove(sessionId: string, startedAt: number): Promise<void> {
    return this.#archive.remove(sessionId, startedAt);
  }

  tidy(writer: string): Promise<void> {
    return this.#archive.tidy(writer);
  }

  putSide(...call: Call<'putSide'>): Promise<void> {
    return this.#archive.putSide(...call);
  }

  openSide(...call: Call<'openSide'>): Promise<ArchiveReader | undefined> {
    return this.#archive.openSide(...call);
  }

  #leased(appender: ArchiveAppender): ArchiveAppender {
    const { atOnce } = appender;
    return {
      ...(atOnce === undefined ? {} : { atOnce }),
      append: async (bytes, at) => {
        this.#require();
        await appender.append(bytes, at);
      },
      close: () => appender.close(),
    };
  }

  #require(): void {
    if (!this.#deadline.passed) return;
    throw new ArchiveError(
      'archive-lease',
      'this node has lost its lease: its peers may have sealed the recording, so that it writes no more',
    );
  }
}
