/** Tables that read well in a terminal and, being Markdown, in RESULTS.md. */

export interface Table {
  readonly title: string;
  /** What a reader must know about how it was measured. */
  readonly note?: string;
  readonly columns: readonly string[];
  /** Cells as shown; every row has one per column. */
  readonly rows: readonly (readonly string[])[];
}

/** A heading of the third level, the note and the rows; the first column stands left, numbers right. */
export function formatTable(table: Table): string {
  const widths = table.columns.map((column, index) =>
    Math.max(3, column.length, ...table.rows.map((row) => (row[index] ?? '').length)),
  );
  const line = (cells: readonly string[]): string => {
    const padded = widths.map((width, index) => {
      const cell = cells[index] ?? '';
      return index === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    return `| ${padded.join(' | ')} |`;
  };
  const rule = widths.map((width, index) => (index === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  const note = table.note === undefined ? [] : [table.note, ''];
  return [
    `### ${table.title}`,
    '',
    ...note,
    line(table.columns),
    line(rule),
    ...table.rows.map(line),
    '',
  ].join('\n');
}

/** A figure with about three significant digits; what was not measured, or could not be, shows as a dash. */
export function figure(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '–';
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}
