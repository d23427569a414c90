/** Sizes and durations as people write them. */
import type { Retention } from '../policy/retention.ts';

const BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 1024,
  MIB: 1024 ** 2,
  GIB: 1024 ** 3,
};
/** For JSON Schema and zod: `4MiB`, `512 KiB`, `65536`. */
export const SIZE_PATTERN = /^\d{1,15}\s*([kKmMgG][iI]?)?[bB]?$/;

/** `4MiB` or a number → bytes; undefined when it is neither. */
export function parseSize(value: string | number): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  const match = /^(\d{1,15})\s*([a-z]*)$/i.exec(value.trim());
  if (match === null) return undefined;
  let unit = (match[2] ?? '').toUpperCase();
  if (/^[KMG]I?$/.test(unit)) unit += 'B';
  const factor = BYTES[unit === '' ? 'B' : unit];
  const bytes = factor === undefined ? Number.NaN : Number(match[1]) * factor;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

const MILLISECONDS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
/** For JSON Schema and zod: `8h`, `15m`, `1h30m`. */
export const DURATION_PATTERN = /^(\d{1,9}(ms|s|m|h|d))+$/;

/** `1h30m` → milliseconds; undefined when it is no duration or is zero. */
export function parseDuration(value: string): number | undefined {
  if (!DURATION_PATTERN.test(value)) return undefined;
  let total = 0;
  for (const [, amount, unit] of value.matchAll(/(\d+)(ms|s|m|h|d)/g)) {
    total += Number(amount) * (MILLISECONDS[unit ?? ''] ?? Number.NaN);
  }
  return total > 0 && Number.isSafeInteger(total) ? total : undefined;
}

/** `90d` or `forever`; undefined when it is neither. */
export function parseRetention(value: string): Retention | undefined {
  return value === 'forever' ? 'forever' : parseDuration(value);
}
