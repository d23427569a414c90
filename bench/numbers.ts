/** Numbers as people write them behind options. */
import { InvalidArgumentError } from 'commander';

export function positive(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('wants a number from 1');
  return value;
}

const SECONDS = { s: 1, m: 60, h: 3600 } as const;

/** Seconds of `90`, `90s`, `10m` or `1h`. */
export function duration(text: string): number {
  const [, count = '', unit = 's'] = /^(\d{1,6})([smh])?$/.exec(text) ?? [];
  const seconds = Number(count) * SECONDS[unit as keyof typeof SECONDS];
  if (count === '' || seconds < 1) throw new InvalidArgumentError('wants a duration such as 90s, 10m or 1h');
  return seconds;
}
