/** Text in character cells: what fits, and where lines break. A code point takes one cell. */

const ELLIPSIS = '…';
/** UTF-16 units that are looked at for wrapping: more than any screen shows. */
const WRAP_MAX = 10_000;

/** Code points, which is cells. */
export function cellsOf(text: string): number {
  let cells = 0;
  for (const _ of text) cells++;
  return cells;
}

/** `text` in at most `cells`; what is cut ends with an ellipsis. */
export function fit(text: string, cells: number): string {
  // A code point is at most two units: nothing longer is looked at.
  const characters = [...text.slice(0, Math.max(0, cells) * 2 + 2)];
  if (characters.length <= cells) return text;
  return cells <= 0 ? '' : `${characters.slice(0, cells - 1).join('')}${ELLIPSIS}`;
}

/** `text` in at most `cells` with its beginning and its end: what is cut in between is an ellipsis. */
export function fitEnds(text: string, cells: number): string {
  const characters = [...text];
  if (characters.length <= cells) return text;
  if (cells < 3) return fit(text, cells);
  const end = Math.floor((cells - 1) / 2);
  return `${characters.slice(0, cells - 1 - end).join('')}${ELLIPSIS}${characters.slice(-end).join('')}`;
}

/**
 * Lines of at most `cells`, at most `lines` of them; the last ends with an ellipsis when more
 * was to come. Breaks at spaces and line ends; a word that is longer than a line is cut.
 */
export function wrap(text: string, cells: number, lines: number): string[] {
  if (cells <= 0 || lines <= 0 || text.trim() === '') return [];
  const done: string[] = [];
  const part = text.length > WRAP_MAX ? text.slice(0, WRAP_MAX) + ELLIPSIS : text;
  for (const paragraph of part.trim().split(/\r\n|[\r\n]/)) {
    let line = '';
    let length = 0;
    for (const word of paragraph.split(/[\t ]+/).filter(Boolean)) {
      let rest = [...word];
      if (length > 0 && length + 1 + rest.length <= cells) {
        line += ` ${word}`;
        length += 1 + rest.length;
        continue;
      }
      if (length > 0) done.push(line);
      while (rest.length > cells) {
        done.push(rest.slice(0, cells).join(''));
        rest = rest.slice(cells);
      }
      line = rest.join('');
      length = rest.length;
    }
    done.push(line);
    if (done.length > lines) break;
  }
  if (done.length <= lines) return done;
  const last = done[lines - 1] ?? '';
  return [...done.slice(0, lines - 1), cellsOf(last) < cells ? `${last}${ELLIPSIS}` : fit(`${last} `, cells)];
}
