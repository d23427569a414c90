/** Secrets in a configuration or document: inline, `env:NAME` or `file:PATH`. */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';

/** A private key with a certificate fits; a wrong file does not. */
const MAX_SECRET_BYTES = 64 * 1024;

export interface SecretSources {
  /** Folder where relative `file:` paths start. */
  readonly baseDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The secret, or why it cannot be had. The reason never quotes an inline secret. */
export function resolveSecret(
  given: string,
  { baseDir, env }: SecretSources,
): { readonly value: string } | { readonly problem: string } {
  if (given.startsWith('env:')) {
    const name = given.slice('env:'.length);
    const value = env[name];
    return value === undefined || value === ''
      ? { problem: `environment variable ${name} is not set` }
      : { value };
  }
  if (given.startsWith('file:')) {
    const path = resolve(baseDir, given.slice('file:'.length));
    try {
      const stat = statSync(path);
      if (!stat.isFile()) return { problem: `${path} is no file` };
      if (stat.size > MAX_SECRET_BYTES)
        return { problem: `${path} is larger than ${MAX_SECRET_BYTES} bytes` };
      // Editors end the last line; the line end is not part of the secret.
      const value = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
      return value === '' ? { problem: `${path} is empty` } : { value };
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : 'unknown error';
      return { problem: code === 'ENOENT' ? `no such file: ${path}` : `${path} cannot be read (${code})` };
    }
  }
  return { value: given };
}
