/** Lines over time as SVG: panels one below the other that share their x axis. */

export interface Line {
  readonly name: string;
  /** CSS colour. */
  readonly colour: string;
  /** In order of x; NaN as y leaves a gap. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Panel {
  readonly title: string;
  /** Unit of y, as shown. */
  readonly unit: string;
  readonly lines: readonly Line[];
  /** y is shown as its logarithm; what is below `floor` is drawn there. */
  readonly log?: { readonly floor: number };
}

export interface Plot {
  readonly title: string;
  /** Below the title. */
  readonly note: string;
  /** Unit of x, as shown. */
  readonly xUnit: string;
  readonly panels: readonly Panel[];
  /** Moments that are marked in every panel. */
  readonly marks: readonly { readonly x: number; readonly name: string }[];
}

const WIDTH = 1000;
const LEFT = 78;
const RIGHT = 24;
const TOP = 84;
const PANEL = 170;
const GAP = 56;
const BOTTOM = 44;
const INNER = WIDTH - LEFT - RIGHT;
/** More points than this say nothing that a reader could see. */
const MAX_POINTS = 1000;

/** A whole SVG document. */
export function svgOf(plot: Plot): string {
  const height = TOP + plot.panels.length * (PANEL + GAP) - GAP + BOTTOM;
  const xs = plot.panels.flatMap(({ lines }) => lines.flatMap(({ points }) => points.map(([x]) => x)));
  const xMax = Math.max(1, ...extent(xs));
  const bottom = TOP + plot.panels.length * (PANEL + GAP) - GAP;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12" fill="#222">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    text(LEFT, 24, plot.title, 'font-size="17" font-weight="bold"'),
    text(LEFT, 43, plot.note, 'fill="#555"'),
    ...plot.panels.flatMap((panel, index) => panelOf(panel, TOP + index * (PANEL + GAP), xMax, plot.marks)),
    ...ticks(0, xMax).map((x) => text(xAt(x, xMax), bottom + 16, label(x), 'text-anchor="middle"')),
    text(LEFT + INNER / 2, bottom + 34, plot.xUnit, 'text-anchor="middle"'),
    '</svg>',
    '',
  ].join('\n');
}

const xAt = (x: number, max: number): number => round(LEFT + (x / max) * INNER);

function panelOf(panel: Panel, top: number, xMax: number, marks: Plot['marks']): string[] {
  const ys = panel.lines.flatMap(({ points }) => points.map(([, y]) => y));
  const [, highest] = extent(ys);
  const scale = panel.log === undefined ? linear(highest) : logarithmic(panel.log.floor, highest);
  const yAt = (y: number): number => round(top + PANEL * (1 - scale.share(y)));
  const parts = [
    `<rect x="${LEFT}" y="${top}" width="${INNER}" height="${PANEL}" fill="none" stroke="#999"/>`,
    text(LEFT, top - 8, `${panel.title}, ${panel.unit}`, 'font-weight="bold"'),
    ...legend(panel.lines, top - 8),
  ];
  for (const y of scale.ticks) {
    parts.push(`<line x1="${LEFT}" x2="${LEFT + INNER}" y1="${yAt(y)}" y2="${yAt(y)}" stroke="#e4e4e4"/>`);
    parts.push(text(LEFT - 8, yAt(y) + 4, label(y), 'text-anchor="end"'));
  }
  for (const { x, name } of marks) {
    const at = xAt(x, xMax);
    parts.push(
      `<line x1="${at}" x2="${at}" y1="${top}" y2="${top + PANEL}" stroke="#888" stroke-dasharray="4 3"/>`,
    );
    // Near the right edge there is room on the left alone.
    const [beside, anchor] = at > LEFT + INNER * 0.9 ? [at - 4, 'end'] : [at + 4, 'start'];
    parts.push(text(beside, top + PANEL - 6, name, `fill="#666" font-size="11" text-anchor="${anchor}"`));
  }
  for (const { colour, points } of panel.lines)
    parts.push(
      `<path fill="none" stroke="${colour}" stroke-width="1.6" stroke-linejoin="round" d="${pathOf(points, xMax, yAt)}"/>`,
    );
  return parts;
}

/** From the right, so that it never runs into the title on the left. */
function legend(lines: readonly Line[], y: number): string[] {
  let right = LEFT + INNER;
  return [...lines].reverse().flatMap(({ name, colour }) => {
    const left = right - name.length * 7 - 30;
    right = left - 12;
    return [
      `<line x1="${left}" x2="${left + 20}" y1="${y - 4}" y2="${y - 4}" stroke="${colour}" stroke-width="3"/>`,
      text(left + 26, y, name, ''),
    ];
  });
}

function pathOf(points: Line['points'], xMax: number, yAt: (y: number) => number): string {
  const step = Math.max(1, Math.ceil(points.length / MAX_POINTS));
  let pen = 'M';
  let path = '';
  for (let at = 0; at < points.length; at += step) {
    const [x, y] = highestOf(points.slice(at, at + step));
    if (Number.isNaN(y)) {
      pen = 'M';
      continue;
    }
    path += `${pen}${xAt(x, xMax)} ${yAt(y)}`;
    pen = 'L';
  }
  return path;
}

/** Of neighbours that share a place in the picture, the one that a reader must not miss. */
function highestOf(points: Line['points']): readonly [number, number] {
  return points.reduce<readonly [number, number]>(
    (best, point) => (Number.isNaN(best[1]) || point[1] > best[1] ? point : best),
    [0, Number.NaN],
  );
}

interface Scale {
  /** Height of a value, 0 to 1. */
  share(y: number): number;
  readonly ticks: readonly number[];
}

function linear(highest: number): Scale {
  const all = ticks(0, Math.max(highest, 1e-9) * 1.05);
  const step = (all[1] ?? 1) - (all[0] ?? 0);
  const max = Math.max(highest * 1.05, (all.at(-1) ?? 0) + (highest > (all.at(-1) ?? 0) ? step : 0));
  return { share: (y) => Math.min(1, Math.max(0, y / max)), ticks: all };
}

function logarithmic(floor: number, highest: number): Scale {
  const [low, high] = [Math.floor(Math.log10(floor)), Math.ceil(Math.log10(Math.max(highest, floor * 10)))];
  const all = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index));
  const share = (y: number): number => (Math.log10(Math.max(y, floor)) - low) / (high - low);
  return { share: (y) => Math.max(0, share(y)), ticks: all };
}

/** Round numbers from `low` to `high`, about five. */
function ticks(low: number, high: number): number[] {
  const raw = (high - low) / 5;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * size).find((each) => each >= raw) ?? raw;
  const all: number[] = [];
  for (let at = Math.ceil(low / step); at * step <= high + step / 1e6; at += 1) all.push(at * step);
  return all;
}

/** Lowest and highest; without `Math.min(…)`, which takes no hour of samples. */
function extent(values: readonly number[]): readonly [number, number] {
  let [low, high] = [0, 0];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

const round = (value: number): number => Math.round(value * 10) / 10;

/** Without the noise of binary fractions. */
const label = (value: number): string => String(Number(value.toPrecision(6)));

function text(x: number, y: number, content: string, attributes: string): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x}" y="${y}"${attributes === '' ? '' : ` ${attributes}`}>${escaped}</text>`;
}
