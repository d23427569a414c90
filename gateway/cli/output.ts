/** How the CLI speaks: tables for people, `--json` for machines, errors on standard error. */

/** An error whose message says all a person needs: shown without a stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string | number | undefined;
  readonly align?: 'right';
}

/** Prints a list: a JSON array, or an aligned table with a header. */
export function printList<Row extends object>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  options: { readonly json?: boolean | undefined; readonly empty: string },
): void {
  if (options.json === true) return printJson(rows);
  if (rows.length === 0) {
    process.stdout.write(`${options.empty}\n`);
    return;
  }
  const cells = rows.map((row) => columns.map((column) => printable(String(column.value(row) ?? '-'))));
  const widths = columns.map((column, at) =>
    Math.max(column.title.length, ...cells.map((line) => line[at]?.length ?? 0)),
  );
  const format = (line: readonly string[]): string =>
    line
      .map((cell, at) =>
        columns[at]?.align === 'right' ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
      )
      .join('  ')
      .trimEnd();
  process.stdout.write(`${format(columns.map((column) => column.title))}\n`);
  for (const line of cells) process.stdout.write(`${format(line)}\n`);
}

/** Prints one thing: a JSON object, or `name  value` lines without what is undefined. */
export function printFields(
  fields: Readonly<Record<string, string | number | boolean | undefined>>,
  json: boolean | undefined,
): void {
  if (json === true) return printJson(fields);
  const shown = Object.entries(fields).filter(([, value]) => value !== undefined);
  const width = Math.max(...shown.map(([name]) => name.length));
  for (const [name, value] of shown)
    process.stdout.write(`${name.padEnd(width)}  ${printable(String(value))}\n`);
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** `2026-11-21 10:30:45` in local time. */
export function timeText(ms: number | undefined): string | undefined {
  if (ms === undefined) return undefined;
  const date = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, '0');
  return (
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  );
}

/** `1:02:03` or `2:03`. */
export function durationText(ms: number | undefined): string | undefined {
  if (ms === undefined) return undefined;
  // A clock that was put back ends things before they began.
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (value: number): string => String(value).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** `1.4 MiB` */
export function bytesText(bytes: number | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  if (bytes < 1024) return `${bytes} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 'B';
  for (const next of units) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`;
}

/** Control characters made visible: what an attacker named must not draw on an auditor's terminal. */
export function printable(text: string): string {
  return text.replace(
    /\p{Cc}/gu,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
