/** Files that hold keys: made once, readable by their owner alone. */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { ConfigurationError } from '../config/problems.ts';

/** A key or certificate fits; a wrong file does not. */
const MAX_BYTES = 64 * 1024;

/**
 * The file's text; without such a file, `make` gives it first.
 *
 * @throws ConfigurationError naming the file when it cannot be used or others may read it
 */
export async function keyFile(path: string, make: () => Promise<string>): Promise<string> {
  const text = readKeyFile(path);
  if (text !== undefined) return text;
  createKeyFile(path, await make());
  return readKeyFile(path) ?? '';
}

/**
 * The file's text, undefined when there is no such file.
 *
 * @param isPublic a certificate, which others may read
 * @throws ConfigurationError naming the file when it cannot be used or others may read it
 */
export function readKeyFile(path: string, isPublic = false): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new ConfigurationError(path, [`cannot be read (${codeOf(error)})`], { cause: error });
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.size > MAX_BYTES) throw new ConfigurationError(path, ['is no key file']);
    if (!isPublic && (stat.mode & 0o077) !== 0) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
      throw new ConfigurationError(path, [`others may read it (mode ${mode}); run chmod 600 on it`]);
    }
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

/**
 * Writes a file that is whole or absent, whatever happens meanwhile. One that is there
 * already stays: another process that starts at the same time made it.
 *
 * @returns whether it was this call that made the file
 */
export function createKeyFile(path: string, text: string, mode = 0o600): boolean {
  try {
    place(path, text, mode, linkSync);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw new ConfigurationError(path, [`cannot be written (${codeOf(error)})`], { cause: error });
  }
}

/** Puts another text in the place of the file's: the old or the new is there, whatever happens meanwhile. */
export function replaceKeyFile(path: string, text: string): void {
  try {
    place(path, text, 0o600, renameSync);
  } catch (error) {
    throw new ConfigurationError(path, [`cannot be written (${codeOf(error)})`], { cause: error });
  }
}

/** Writes a file beside `path`, and gives it that name with `name` when it is whole. */
function place(path: string, text: string, mode: number, name: (from: string, to: string) => void): void {
  const unfinished = `${path}.${process.pid}.new`;
  const fd = openSync(unfinished, 'wx', mode);
  try {
    try {
      writeSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    name(unfinished, path);
  } finally {
    rmSync(unfinished, { force: true });
  }
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
}
