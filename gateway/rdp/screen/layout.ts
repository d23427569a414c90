/** Where everything of a form stands on the panel. */
import type { Rectangle } from './canvas.ts';
import type { Form } from './form.ts';
import { cellsOf, wrap } from './text.ts';
import type { Theme } from './theme.ts';

/** Boxes in pixels of the panel. */
export interface Layout {
  readonly header: Rectangle;
  readonly title: Rectangle;
  readonly text: Rectangle;
  readonly lines: readonly string[];
  /** Each field's label above its box. */
  readonly fields: readonly { readonly label: Rectangle; readonly box: Rectangle }[];
  readonly list?: ListLayout;
  readonly indicator?: Rectangle;
  readonly notice?: Notice & { readonly box: Rectangle; readonly lines: readonly string[] };
  readonly buttons: readonly Rectangle[];
  readonly footer: Rectangle;
}

export interface ListLayout {
  readonly box: Rectangle;
  readonly rowHeight: number;
  readonly rows: number;
  readonly scrollBar: Rectangle;
}

export interface Notice {
  readonly kind: 'error' | 'warning';
  readonly text: string;
}

const WIDTH = 576;
const HEIGHT = 448;
const MARGIN = 16;
/** A panel that is lower does without header, title and footer. */
const SMALL = 340;
const PADDING = 28;
const HEADER = 60;
const FOOTER = 30;
/** Between two lines of text, and between parts that belong together. */
const LEADING = 4;
const GAP = 14;
const FIELD = 32;
const BUTTON = 34;
const BUTTON_MIN = 104;
const NOTICE_LINES = 4;
/** Longest banner that shows. */
const BANNER_LINES = 24;

/** The panel's size on a monitor: it grows for a long banner as far as there is room. */
export function panelSize(
  monitor: { readonly width: number; readonly height: number },
  theme: Theme,
  banner: string,
): { width: number; height: number } {
  const { px, font } = theme;
  const room = (length: number) => Math.max(1, length - 2 * px(MARGIN));
  const width = Math.min(px(WIDTH), room(monitor.width));
  const lines = wrap(banner, cellsIn(width - 2 * px(PADDING), theme), BANNER_LINES).length;
  // Two lines have room beside two fields and a message.
  const more = Math.max(0, lines - 2) * (font.height + px(LEADING));
  return { width, height: Math.min(px(HEIGHT) + more, room(monitor.height)) };
}

/** Whole cells of text in `width` pixels. */
export function cellsIn(width: number, theme: Theme): number {
  return Math.max(0, Math.floor(width / theme.font.width));
}

export function layOut(
  form: Form,
  size: { readonly width: number; readonly height: number },
  theme: Theme,
  notice: Notice | undefined,
): Layout {
  const { px, font } = theme;
  const x = px(PADDING);
  const width = Math.max(0, size.width - 2 * x);
  const lineHeight = font.height + px(LEADING);
  // A screen too small for everything keeps what can be typed into and pressed.
  const small = size.height < px(SMALL);
  const header = { x: 0, y: 0, width: size.width, height: small ? 0 : px(HEADER) };
  const footerHeight = small ? 0 : px(FOOTER);
  const footer = { x: 0, y: size.height - footerHeight, width: size.width, height: footerHeight };
  const title = { x, y: header.height + px(20), width, height: small ? 0 : theme.title.height };
  const top = small ? px(8) : title.y + title.height + px(12);
  const fieldHeight = lineHeight + px(FIELD);
  const rowHeight = font.height + px(8);
  const needed =
    form.fields.length * (fieldHeight + px(GAP)) +
    (form.list === undefined ? 0 : rowHeight + 2) +
    (form.waits ? px(24) : 0);

  // From below: buttons, notice.
  const buttons = layOutButtons(form, x + width, footer.y - px(GAP) - px(BUTTON), theme);
  let bottom = footer.y - px(GAP) - (form.buttons.length > 0 ? px(BUTTON) + px(GAP) : 0);
  let placedNotice: Layout['notice'];
  if (notice !== undefined) {
    const room = Math.floor((bottom - top - needed - px(12)) / lineHeight);
    const lines = wrap(notice.text, cellsIn(width - px(24), theme), Math.min(NOTICE_LINES, room));
    const height = lines.length * lineHeight + px(12);
    if (lines.length > 0) {
      placedNotice = { ...notice, lines, box: { x, y: bottom - height, width, height } };
      bottom -= height + px(GAP);
    }
  }

  // From above: title, text, fields, list or indicator. The text takes what the others leave.
  const lines = wrap(form.text, cellsIn(width, theme), Math.floor((bottom - top - needed) / lineHeight));
  const text = { x, y: top, width, height: lines.length * lineHeight };
  let y = top + (lines.length > 0 ? text.height + px(GAP) : 0);
  const fields = form.fields.map(() => {
    const label = { x, y, width, height: font.height };
    const box = { x, y: y + lineHeight, width, height: px(FIELD) };
    y += fieldHeight + px(GAP);
    return { label, box };
  });
  const rows = Math.max(1, Math.floor((bottom - y - 2) / rowHeight));
  const listBox = { x, y: y - px(6), width, height: rows * rowHeight + 2 };
  const bar = px(12);
  return {
    header,
    title,
    text,
    lines,
    fields,
    ...(form.list !== undefined && {
      list: {
        box: listBox,
        rowHeight,
        rows,
        scrollBar: { x: x + width - bar - 1, y: listBox.y + 1, width: bar, height: listBox.height - 2 },
      },
    }),
    ...(form.waits && { indicator: { x, y, width, height: px(6) } }),
    ...(placedNotice !== undefined && { notice: placedNotice }),
    buttons,
    footer,
  };
}

/** Side by side, ending at `right`. */
function layOutButtons(form: Form, right: number, y: number, { px, font }: Theme): Rectangle[] {
  const boxes: Rectangle[] = [];
  let end = right;
  for (const { label } of form.buttons.toReversed()) {
    const width = Math.max(px(BUTTON_MIN), cellsOf(label) * font.width + px(32));
    boxes.unshift({ x: end - width, y, width, height: px(BUTTON) });
    end -= width + px(12);
  }
  return boxes;
}

export function contains({ x, y, width, height }: Rectangle, at: { x: number; y: number }): boolean {
  return at.x >= x && at.y >= y && at.x < x + width && at.y < y + height;
}
