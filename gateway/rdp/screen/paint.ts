/** Draws a form on the panel. */
import type { Canvas, Rectangle } from './canvas.ts';
import type { Form, FormField } from './form.ts';
import { cellsIn, type Layout, type ListLayout } from './layout.ts';
import { isPart, type Part } from './part.ts';
import { type TargetList, targetName } from './target-list.ts';
import { cellsOf, fit, fitEnds } from './text.ts';
import { COLOUR, type Theme } from './theme.ts';

export interface Scene {
  readonly form: Form;
  readonly layout: Layout;
  readonly theme: Theme;
  readonly focus: Part | undefined;
  readonly hover: Part | undefined;
  /** The button that is held down. */
  readonly pressed: number | undefined;
  /** Steps that the indicator has moved. */
  readonly ticks: number;
  /** What stands in the footer, left. */
  readonly keyboard: string;
}

const INDICATOR_STEP = 12;
const INDICATOR_BLOCK = 96;

export function paint(canvas: Canvas, scene: Scene): void {
  const { form, layout, theme } = scene;
  const { px, font } = theme;
  const all = { x: 0, y: 0, width: canvas.width, height: canvas.height };
  canvas.fill(all, COLOUR.panel);
  const { header, title, text, footer } = layout;
  if (header.height > 0) paintHeader(canvas, header, theme);
  const heading = fit(form.title, Math.floor(title.width / theme.title.width));
  canvas.text(title.x, title.y, heading, theme.title, COLOUR.text, title);
  const lineHeight = font.height + px(4);
  // Beside fields the text is the small print, without them it is the message.
  const colour = form.fields.length > 0 ? COLOUR.muted : COLOUR.text;
  for (const [row, line] of layout.lines.entries())
    canvas.text(text.x, text.y + row * lineHeight, line, font, colour);
  for (const [index, field] of form.fields.entries()) {
    const place = layout.fields[index];
    if (place === undefined) continue;
    canvas.text(place.label.x, place.label.y, field.label, font, COLOUR.text);
    paintField(canvas, place.box, field, isPart(scene.focus, 'field', index), theme);
  }
  if (form.list !== undefined && layout.list !== undefined) {
    paintCount(canvas, layout, form.list, theme);
    paintList(canvas, layout.list, form.list, scene);
  }
  if (layout.indicator !== undefined) paintIndicator(canvas, layout.indicator, scene.ticks, theme);
  paintNotice(canvas, layout, theme);
  if (footer.height > 0) paintFooter(canvas, scene);
  // Last, so that on a screen too small for everything the way on stays in sight.
  for (const index of form.buttons.keys()) paintButton(canvas, scene, index);
  canvas.frame(all, COLOUR.border);
}

/** Where a line of `font` stands in the middle of `box`. */
function middle(box: Rectangle, height: number): number {
  return box.y + Math.floor((box.height - height) / 2);
}

/** The mark is a portcullis: three bars between two beams. */
function paintHeader(canvas: Canvas, box: Rectangle, { px, title }: Theme): void {
  canvas.fill(box, COLOUR.header);
  const size = px(26);
  const bar = px(4);
  const x = px(28);
  const y = box.y + Math.floor((box.height - size) / 2);
  for (let column = 0; column < 3; column++) {
    const at = x + Math.round((column * (size - bar)) / 2);
    canvas.fill({ x: at, y, width: bar, height: size }, COLOUR.headerMark);
  }
  canvas.fill({ x, y, width: size, height: bar }, COLOUR.headerMark);
  canvas.fill({ x, y: y + px(11), width: size, height: bar }, COLOUR.headerMark);
  canvas.text(x + size + px(14), middle(box, title.height), 'Sallyport', title, COLOUR.headerText);
}

function paintField(
  canvas: Canvas,
  box: Rectangle,
  { field }: FormField,
  focus: boolean,
  theme: Theme,
): void {
  const { px, font } = theme;
  canvas.fill(box, COLOUR.field);
  canvas.frame(box, focus ? COLOUR.accent : COLOUR.fieldLine, focus ? px(2) : Math.max(1, px(1)));
  const inside = fieldInside(box, theme);
  const { text, caret } = field.show(cellsIn(inside.width, theme));
  const y = middle(box, font.height);
  canvas.text(inside.x, y, text, font, COLOUR.text, inside);
  if (!focus) return;
  const height = font.height + px(4);
  canvas.fill(
    { x: inside.x + caret * font.width - px(1), y: middle(box, height), width: px(1), height },
    COLOUR.text,
  );
}

/** Where the text of a field stands. */
export function fieldInside(box: Rectangle, { px }: Theme): Rectangle {
  return { x: box.x + px(10), y: box.y, width: Math.max(0, box.width - px(20)), height: box.height };
}

/** How many targets there are, beside the filter's label. */
function paintCount(canvas: Canvas, layout: Layout, list: TargetList, { font }: Theme): void {
  const label = layout.fields[0]?.label;
  if (label === undefined) return;
  const text = list.count === list.total ? `${list.total}` : `${list.count} of ${list.total}`;
  canvas.text(label.x + label.width - cellsOf(text) * font.width, label.y, text, font, COLOUR.muted);
}

function paintList(canvas: Canvas, layout: ListLayout, list: TargetList, scene: Scene): void {
  const { px, font, bold } = scene.theme;
  const { box, rowHeight, scrollBar } = layout;
  canvas.fill(box, COLOUR.field);
  const { scrolls } = list;
  const width = box.width - 2 - (scrolls ? scrollBar.width : 0);
  const cells = cellsIn(width - px(20), scene.theme);
  for (const [index, target] of list.visible().entries()) {
    const row = { x: box.x + 1, y: box.y + 1 + index * rowHeight, width, height: rowHeight };
    const chosen = list.top + index === list.cursor;
    if (chosen) canvas.fill(row, COLOUR.accent);
    else if (isPart(scene.hover, 'row', index)) canvas.fill(row, COLOUR.rowHover);
    canvas.text(
      row.x + px(10),
      middle(row, font.height),
      fitEnds(targetName(target), cells),
      chosen ? bold : font,
      chosen ? COLOUR.onAccent : COLOUR.text,
      row,
    );
  }
  if (list.count === 0) {
    const text = list.total === 0 ? 'There is no target that you may open.' : 'No target matches.';
    canvas.text(box.x + px(11), box.y + 1 + px(4), fit(text, cells), font, COLOUR.muted, box);
  }
  if (scrolls) {
    canvas.fill(scrollBar, COLOUR.line);
    const height = Math.max(px(16), Math.round((scrollBar.height * list.rows) / list.count));
    const y = scrollBar.y + Math.round(((scrollBar.height - height) * list.top) / (list.count - list.rows));
    canvas.fill({ ...scrollBar, y, height }, COLOUR.fieldLine);
  }
  canvas.frame(box, COLOUR.fieldLine);
}

/** Draws the indicator after so many steps. */
export function paintIndicator(canvas: Canvas, box: Rectangle, ticks: number, { px }: Theme): void {
  canvas.fill(box, COLOUR.line);
  const block = Math.min(px(INDICATOR_BLOCK), box.width);
  const way = Math.max(1, box.width - block);
  // There and back again.
  const at = (ticks * px(INDICATOR_STEP)) % (2 * way);
  canvas.fill({ ...box, x: box.x + (at < way ? at : 2 * way - at), width: block }, COLOUR.accent);
}

function paintNotice(canvas: Canvas, { notice }: Layout, { px, font }: Theme): void {
  if (notice === undefined) return;
  const error = notice.kind === 'error';
  canvas.fill(notice.box, error ? COLOUR.error : COLOUR.warning);
  canvas.fill({ ...notice.box, width: px(4) }, error ? COLOUR.errorMark : COLOUR.warningMark);
  const colour = error ? COLOUR.errorText : COLOUR.warningText;
  for (const [row, line] of notice.lines.entries())
    canvas.text(
      notice.box.x + px(14),
      notice.box.y + px(8) + row * (font.height + px(4)),
      line,
      font,
      colour,
    );
}

function paintFooter(canvas: Canvas, { layout, form, keyboard, theme }: Scene): void {
  const { px, font } = theme;
  const { footer } = layout;
  canvas.fill({ ...footer, height: 1 }, COLOUR.line);
  const y = middle(footer, font.height);
  const cells = cellsIn(footer.width - 2 * px(28), theme);
  const left = form.fields.length > 0 ? fit(keyboard, cells) : '';
  canvas.text(footer.x + px(28), y, left, font, COLOUR.muted);
  const hint = cellsOf(form.hint);
  if (cellsOf(left) + 2 + hint > cells) return;
  canvas.text(footer.x + footer.width - px(28) - hint * font.width, y, form.hint, font, COLOUR.muted);
}

function paintButton(
  canvas: Canvas,
  { form, layout, theme, focus, hover, pressed }: Scene,
  index: number,
): void {
  const box = layout.buttons[index];
  const button = form.buttons[index];
  if (box === undefined || button === undefined) return;
  const { px, bold } = theme;
  const main = button.does !== 'cancel';
  const over = isPart(hover, 'button', index);
  const held = over && pressed === index;
  const colour = main
    ? held
      ? COLOUR.accentPressed
      : over
        ? COLOUR.accentHover
        : COLOUR.accent
    : held
      ? COLOUR.buttonPressed
      : over
        ? COLOUR.buttonHover
        : COLOUR.button;
  canvas.fill(box, colour);
  canvas.frame(box, main ? COLOUR.accentPressed : COLOUR.fieldLine, Math.max(1, px(1)));
  if (isPart(focus, 'button', index)) {
    const gap = px(3);
    const ring = {
      x: box.x + gap,
      y: box.y + gap,
      width: box.width - 2 * gap,
      height: box.height - 2 * gap,
    };
    canvas.frame(ring, main ? COLOUR.onAccent : COLOUR.accent, Math.max(1, px(1)));
  }
  const x = box.x + Math.floor((box.width - cellsOf(button.label) * bold.width) / 2);
  canvas.text(x, middle(box, bold.height), button.label, bold, main ? COLOUR.onAccent : COLOUR.text);
}
