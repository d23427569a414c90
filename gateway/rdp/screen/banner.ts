/** A message over a running desktop: a box at the top of the primary monitor. */
import { monitorOf, type ScreenSize } from './backdrop.ts';
import { Canvas, type DirtyRectangle } from './canvas.ts';
import { cellsOf, wrap } from './text.ts';
import { COLOUR, PALETTE, themeFor } from './theme.ts';

const WIDTH = 640;
const LINES = 4;
/** Around the text. */
const PADDING = 12;
const LEADING = 4;
const MARK = 5;

/** The box with `text`, as large as its lines need; undefined on a desktop without pixels. */
export function banner(size: ScreenSize, text: string): DirtyRectangle | undefined {
  const monitor = monitorOf(size);
  const { px, font } = themeFor(monitor.width, monitor.height);
  const widest = Math.min(px(WIDTH), monitor.width);
  const lines = wrap(text, Math.floor((widest - 2 * px(PADDING) - px(MARK)) / font.width), LINES);
  const cells = Math.max(1, ...lines.map(cellsOf));
  const width = Math.min(widest, cells * font.width + 2 * px(PADDING) + px(MARK));
  const lineHeight = font.height + px(LEADING);
  const height = Math.min(
    monitor.height,
    Math.max(1, lines.length) * lineHeight - px(LEADING) + 2 * px(PADDING),
  );
  const canvas = new Canvas(width, height, PALETTE);
  const box = { x: 0, y: 0, width, height };
  canvas.fill(box, COLOUR.warning);
  for (const [row, line] of lines.entries())
    canvas.text(px(PADDING) + px(MARK), px(PADDING) + row * lineHeight, line, font, COLOUR.text);
  canvas.frame(box, COLOUR.warningMark, Math.max(1, px(1)));
  canvas.fill({ ...box, width: px(MARK) }, COLOUR.warningMark);
  const x = monitor.x + Math.floor((monitor.width - width) / 2);
  return canvas.takeDirty().map((whole) => ({ ...whole, x, y: monitor.y }))[0];
}
