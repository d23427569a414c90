/**
 * Archive identities: the age key pairs that recordings are encrypted to. The gateway
 * needs only recipients; whoever reads a recording needs an identity.
 */
import { readFile } from 'node:fs/promises';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';

export interface ArchiveIdentity {
  /** Secret: `AGE-SECRET-KEY-1…`. */
  readonly identity: string;
  /** Public: `age1…`. */
  readonly recipient: string;
}

/** An identity file is text that people keep by hand; more than this is something else. */
const MAX_IDENTITY_FILE_CHARS = 65_536;

export async function generateIdentity(): Promise<ArchiveIdentity> {
  const identity = await generateX25519Identity();
  return { identity, recipient: await identityToRecipient(identity) };
}

/**
 * The identities of an identity file's text as `age-keygen` writes it: one a line, with
 * empty lines and `#` comments between. Throws when a line is none; never shows the line.
 */
export function parseIdentities(text: string): readonly string[] {
  if (text.length > MAX_IDENTITY_FILE_CHARS)
    throw new Error('archive identity: the text is too long for an identity file');
  const identities: string[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (!/^AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]+$/.test(line)) {
      throw new Error(`archive identity: line ${index + 1} is no age identity (AGE-SECRET-KEY-1…)`);
    }
    identities.push(line);
  }
  return identities;
}

/** Reads identities from `file:PATH` or `env:NAME`. */
export async function loadIdentities(reference: string): Promise<readonly string[]> {
  const [, kind, name = ''] = /^(file|env):(.+)$/s.exec(reference) ?? [];
  if (kind === 'file') return parseIdentities(await readFile(name, 'utf8'));
  if (kind === 'env') {
    const text = process.env[name];
    if (text === undefined) throw new Error(`archive identity: environment variable ${name} is not set`);
    return parseIdentities(text);
  }
  throw new Error('archive identity: give file:PATH or env:NAME');
}
