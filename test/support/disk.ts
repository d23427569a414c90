/** A small disk of its own (tmpfs), which can be full, read-only or gone. Needs root. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, runOk, until } from './process.ts';
import { atExit, temporaryFolder } from './temp.ts';

export interface SmallDisk {
  /** Where it is mounted. */
  readonly mountPoint: string;
  /** A folder on the disk. */
  readonly folder: string;
  /** Takes all space but `free` bytes. */
  fill(free: number): void;
  /** Gives back what {@link fill} took. */
  empty(): void;
  /** Bytes that can still be written. */
  free(): number;
  /** Mounts the disk anew, read-only or writable. */
  access(mode: 'ro' | 'rw'): Promise<void>;
  /** Takes the folder away from its place; who has files of it open keeps them. */
  unmount(): Promise<void>;
  mount(): Promise<void>;
}

/** Mounts a disk of `mib` MiB; unmounted when the test process ends. */
export async function smallDisk(mib: number): Promise<SmallDisk> {
  const root = temporaryFolder('disk');
  // The disk itself stays: what is taken away is a second place of it.
  const behind = temporaryFolder('disk-itself');
  await runOk('mount', ['-t', 'tmpfs', '-o', `size=${mib}m,mode=0700`, 'tmpfs', behind]);
  const mount = async (): Promise<void> => void (await runOk('mount', ['--bind', behind, root]));
  await mount();
  atExit(() => void spawnSync('umount', ['-l', root, behind]));
  const folder = join(root, 'archive');
  const filler = join(root, 'filler');
  mkdirSync(folder, { mode: 0o700 });
  const free = (): number => {
    const { bavail, bsize } = statfsSync(root);
    return bavail * bsize;
  };
  return {
    mountPoint: root,
    folder,
    fill(left) {
      try {
        writeFileSync(filler, Buffer.alloc(Math.max(0, free() - left)));
      } catch (error) {
        // Who is to meet a full disk has written meanwhile, and has filled it.
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
        truncateSync(filler, Math.max(0, statSync(filler).size - left));
      }
    },
    empty: () => rmSync(filler, { force: true }),
    free,
    async access(mode) {
      // Busy while a recording is still open for writing.
      await until(`the disk is ${mode}`, async () =>
        (await run('mount', ['-o', `remount,${mode}`, root])).code === 0 ? true : undefined,
      );
    },
    unmount: async () => void (await runOk('umount', ['-l', root])),
    mount,
  };
}
