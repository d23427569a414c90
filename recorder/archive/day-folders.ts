/** The root of a `file:` sink and its folders by day, `yyyy/mm/dd`: a root that went away is told, and not made anew. */
import { mkdir, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { close, errnoOf, explained, open, sync } from './file-io.ts';
import { dayOf } from './layout.ts';
import { ArchiveError } from './port.ts';

const YEAR = /^\d{4}$/;

export class DayFolders {
  readonly #root: string;
  /** Whether the root was a mount when this began: it must stay one, or recordings would go below it. */
  readonly #wasMount: Promise<boolean>;

  /** `root`: absolute path. */
  constructor(root: string) {
    this.#root = root;
    this.#wasMount = this.#isMount().catch(() => false);
  }

  /** In words for a person. */
  explain(error: unknown): ArchiveError {
    return explained(this.#root, error);
  }

  /** Folders of days, newest first. */
  async *days(): AsyncGenerator<string, void, void> {
    await this.requireRoot();
    for (const year of await this.names(this.#root, YEAR)) {
      for (const month of await this.names(join(this.#root, year), /^\d{2}$/)) {
        for (const day of await this.names(join(this.#root, year, month), /^\d{2}$/)) {
          yield join(this.#root, year, month, day);
        }
      }
    }
  }

  /** What is in a folder, of these names, the last first. */
  async names(folder: string, pattern?: RegExp): Promise<readonly string[]> {
    try {
      const names = await readdir(folder);
      return names.filter((name) => pattern?.test(name) ?? true).sort((a, b) => (a < b ? 1 : -1));
    } catch (error) {
      throw this.explain(error);
    }
  }

  /** Rejects when the root is not there, or is no mount any more. */
  async requireRoot(): Promise<void> {
    let words = 'is not a folder: point archive.url at one';
    try {
      if ((await stat(this.#root)).isDirectory()) {
        if (!(await this.#wasMount) || (await this.#isMount())) return;
        words = 'is not mounted any more: mount it';
      }
    } catch (error) {
      throw this.explain(error);
    }
    throw new ArchiveError('archive-missing', `archive folder ${this.#root} ${words}`);
  }

  /** A mount of a part of the same file system does not look like one. */
  async #isMount(): Promise<boolean> {
    const [root, above] = await Promise.all([stat(this.#root), stat(dirname(this.#root))]);
    return root.dev !== above.dev;
  }

  /** Makes the folder of a day level by level, so that a root that went away is not made anew. */
  async makeDay(startedAt: number): Promise<void> {
    let folder = this.#root;
    for (const level of dayOf(startedAt).split('/')) {
      const parent = folder;
      folder = join(parent, level);
      try {
        await mkdir(folder, 0o700);
      } catch (error) {
        if (errnoOf(error) === 'EEXIST') continue;
        throw this.explain(error);
      }
      await this.syncFolder(parent);
    }
  }

  /** A new name in a folder survives a crash only when the folder itself is flushed. */
  async syncFolder(folder: string): Promise<void> {
    try {
      const fd = await open(folder, 'r');
      try {
        await sync(fd);
      } finally {
        await close(fd);
      }
    } catch (error) {
      // Some network file systems refuse to flush a folder; they write names through.
      if (errnoOf(error) === 'EINVAL') return;
      throw this.explain(error);
    }
  }

  /** The place of a mount that is not there is empty, too: nothing may be taken for lost or deleted then. */
  async requireContents(): Promise<void> {
    await this.requireRoot();
    if ((await this.names(this.#root, YEAR)).length > 0) return;
    throw new ArchiveError(
      'archive-missing',
      `archive folder ${this.#root} is empty: mount what belongs there`,
    );
  }
}
