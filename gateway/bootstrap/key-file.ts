/** Files that hold keys: made once, readable by their owner alone. */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  unlinkSync,
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

/** The file's text, undefined when there is no such file. */
export function readKeyFile(path: string): string | undefined {
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
    if ((stat.mode & 0o077) !== 0) {
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
 */
export function createKeyFile(path: string, text: string, mode = 0o600): void {
  const unfinished = `${path}.${process.pid}.new`;
  try {
    const fd = openSync(unfinished, 'wx', mode);
    try {
      writeSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    try {
      linkSync(unfinished, path);
    } finally {
      unlinkSync(unfinished);
    }
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return;
    throw new ConfigurationError(path, [`cannot be written (${codeOf(error)})`], { cause: error });
  }
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
}
