/** Errors of files that people write: what is wrong, where, and what to write instead. */
import { z } from 'zod';

/** The message of whatever is wrong with a value; {@link explain} appends what was given. */
export const wants = (text: string) => ({ error: `wants ${text}` });

/** A schema of exactly these keys. */
export const group = <T extends z.core.$ZodLooseShape>(shape: T) =>
  z.strictObject(shape, {
    error: (issue) => (issue.code === 'invalid_type' ? 'wants a group of keys' : undefined),
  });

/** A file that cannot be used. Each problem is one line that names its key or position. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  readonly source: string;
  readonly problems: readonly string[];

  constructor(source: string, problems: readonly string[], options?: ErrorOptions) {
    super(problems.map((problem) => `${source}: ${problem}`).join('\n'), options);
    this.source = source;
    this.problems = problems;
  }
}

/** One thing wrong at one place, as zod reports it (the parts used here). */
export interface Issue {
  readonly code?: string | undefined;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly keys?: readonly string[];
}

/**
 * The lines for a person: `listen.ssh: wants "host:port", was given true`. The value is
 * left out below the paths that `hide` names, because it may be a secret.
 *
 * @param known every key of the format as a dotted path, `[]` for list elements
 */
export function explain(
  issues: readonly Issue[],
  input: unknown,
  known: readonly string[],
  hide: (path: string) => boolean = () => false,
): string[] {
  return issues.flatMap((issue) => {
    const path = pathText(issue.path);
    if (issue.code === 'unrecognized_keys') {
      return (issue.keys ?? []).map((key) => {
        const full = path === '' ? key : `${path}.${key}`;
        const near = nearestKey(full, known);
        return `${full}: no such key${near === undefined ? '' : `; did you mean ${near}?`}`;
      });
    }
    const given = hide(path) ? '' : `, was given ${show(valueAt(input, issue.path))}`;
    return [`${path === '' ? 'the whole file' : path}: ${issue.message}${given}`];
  });
}

/** `['accounts', 1, 'system']` → `accounts[1].system`. */
export function pathText(path: readonly PropertyKey[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? String(part) : `.${String(part)}`;
  }
  return text;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Reflect.get(value, part);
  }
  return value;
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a group of keys';
  if (typeof value !== 'string') return String(value);
  // A URL may carry a password.
  const text = value.replace(/\/\/[^/@]*@/, '//<secret>@');
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

/**
 * The known key that was most likely meant: a small slip in the whole path, or the right
 * last word in the wrong place.
 */
export function nearestKey(path: string, known: readonly string[]): string | undefined {
  const wanted = path.replace(/\[\d+\]/g, '[]');
  const leaf = lastWord(wanted);
  let best: string | undefined;
  let bestScore = Math.max(2, Math.floor(leaf.length / 3)) + 0.75;
  for (const candidate of known) {
    const elsewhere = parent(candidate) === parent(wanted) ? 0 : 0.5;
    const score = Math.min(
      distance(wanted.toLowerCase(), candidate.toLowerCase()),
      distance(leaf.toLowerCase(), lastWord(candidate).toLowerCase()) + elsewhere,
    );
    if (score < bestScore) {
      best = candidate;
      bestScore = score;
    }
  }
  return best;
}

const lastWord = (path: string): string => path.slice(path.lastIndexOf('.') + 1);
const parent = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('.')));

/** Levenshtein distance: insertions, deletions and substitutions. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** Every key of a JSON Schema as dotted paths, sections included. */
export function keysOf(schema: unknown, prefix = ''): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const keys: string[] = [];
  if ('properties' in schema && typeof schema.properties === 'object' && schema.properties !== null) {
    for (const [key, value] of Object.entries(schema.properties)) {
      const path = prefix === '' ? key : `${prefix}.${key}`;
      keys.push(path, ...keysOf(value, path));
    }
  }
  if ('items' in schema) keys.push(...keysOf(schema.items, `${prefix}[]`));
  return keys;
}
