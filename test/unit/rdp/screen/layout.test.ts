import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Rectangle } from '../../../../gateway/rdp/screen/canvas.ts';
import type { View } from '../../../../gateway/rdp/screen/event.ts';
import { formFor } from '../../../../gateway/rdp/screen/form.ts';
import { type Layout, layOut, type Notice, panelSize } from '../../../../gateway/rdp/screen/layout.ts';
import { cellsOf } from '../../../../gateway/rdp/screen/text.ts';
import { BACKGROUND, COLOUR, PALETTE, type Theme, themeFor } from '../../../../gateway/rdp/screen/theme.ts';

const BANNER = 'For authorised use only. Sessions are recorded. '.repeat(8);
const LONG = `${'Something went wrong at the target. '.repeat(30)}${'x'.repeat(200)}`;
const VIEWS: readonly View[] = [
  { kind: 'log-on' },
  { kind: 'code' },
  { kind: 'code', prompt: LONG },
  { kind: 'targets', targets: [{ account: 'a'.repeat(80), system: 's'.repeat(80) }] },
  { kind: 'reason', prompt: LONG },
  { kind: 'waiting', text: LONG },
  { kind: 'message', title: LONG, text: LONG, retry: true },
  { kind: 'message', title: 'Closed', text: '', retry: false },
];
const NOTICES: readonly (Notice | undefined)[] = [
  undefined,
  { kind: 'warning', text: 'Caps Lock is on.' },
  { kind: 'error', text: LONG },
];
const SIZES = [
  [640, 480],
  [800, 600],
  [1024, 768],
  [1920, 1080],
  [2560, 1440],
  [4096, 2160],
  [480, 2000],
] as const;

const inside = (inner: Rectangle, outer: Rectangle) =>
  inner.x >= outer.x &&
  inner.y >= outer.y &&
  inner.x + inner.width <= outer.x + outer.width &&
  inner.y + inner.height <= outer.y + outer.height;
const overlap = (a: Rectangle, b: Rectangle) =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

function boxes(layout: Layout): Rectangle[] {
  return [
    layout.header,
    layout.title,
    ...(layout.lines.length > 0 ? [layout.text] : []),
    ...layout.fields.flatMap(({ label, box }) => [label, box]),
    ...(layout.list === undefined ? [] : [layout.list.box]),
    ...(layout.indicator === undefined ? [] : [layout.indicator]),
    ...(layout.notice === undefined ? [] : [layout.notice.box]),
    ...layout.buttons,
    layout.footer,
  ];
}

function fits(lines: readonly string[], box: Rectangle, { font }: Theme, what: string): void {
  for (const line of lines)
    assert.ok(cellsOf(line) * font.width <= box.width, `${what} is too wide: ${line}`);
  assert.ok(lines.length * font.height <= box.height, `${what} is too high`);
}

for (const [width, height] of SIZES) {
  test(`at ${width}×${height} everything is on the panel, nothing covers another, and text fits its box`, () => {
    const theme = themeFor(width, height);
    const size = panelSize({ width, height }, theme, BANNER);
    assert.ok(size.width < width && size.height < height);
    const panel = { x: 0, y: 0, ...size };
    for (const view of VIEWS)
      for (const notice of NOTICES) {
        const form = formFor(view, BANNER);
        const layout = layOut(form, size, theme, notice);
        const all = boxes(layout);
        const what = `${view.kind} with ${notice?.kind}`;
        for (const [at, box] of all.entries()) {
          assert.ok(inside(box, panel), `${what}: box ${at} leaves the panel`);
          for (const other of all.slice(at + 1))
            assert.ok(!overlap(box, other), `${what}: box ${at} is covered`);
        }
        fits(layout.lines, layout.text, theme, what);
        if (notice !== undefined) {
          assert.ok(layout.notice !== undefined, `${what}: the notice is not shown`);
          fits(layout.notice.lines, layout.notice.box, theme, what);
        }
        for (const [at, { label }] of form.buttons.entries())
          fits([label], layout.buttons[at] ?? panel, theme, label);
        if (layout.list !== undefined)
          assert.ok(layout.list.rows >= 2 && inside(layout.list.scrollBar, layout.list.box));
      }
  });
}

test('on the smallest screens fields and buttons stay in sight', () => {
  for (const [width, height] of [
    [320, 240],
    [400, 300],
  ] as const) {
    const theme = themeFor(width, height);
    const size = panelSize({ width, height }, theme, BANNER);
    for (const view of VIEWS) {
      const layout = layOut(formFor(view, BANNER), size, theme, { kind: 'error', text: LONG });
      const needed = [...layout.fields.map(({ box }) => box), ...layout.buttons];
      for (const [at, box] of needed.entries()) {
        assert.ok(inside(box, { x: 0, y: 0, ...size }), `${view.kind} at ${width}×${height}`);
        for (const other of needed.slice(at + 1))
          assert.ok(!overlap(box, other), `${view.kind} at ${width}×${height}`);
      }
    }
  }
});

test('a long banner makes the panel higher where there is room, and shows whole', () => {
  const theme = themeFor(1280, 1024);
  const banner = 'One sentence of the rules for access. '.repeat(20).trim();
  const size = panelSize({ width: 1280, height: 1024 }, theme, banner);
  const layout = layOut(formFor({ kind: 'log-on' }, banner), size, theme, {
    kind: 'warning',
    text: 'Caps Lock is on.',
  });
  assert.equal(layout.lines.join(' '), banner);
});

test('text can be read on what it is drawn on', () => {
  const luminance = (name: keyof typeof COLOUR) => {
    const colour = PALETTE[COLOUR[name]] ?? 0;
    const [red = 0, green = 0, blue = 0] = [16, 8, 0].map((shift) => {
      const part = ((colour >> shift) & 0xff) / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  for (const [text, on] of [
    ['text', 'panel'],
    ['text', 'field'],
    ['text', 'rowHover'],
    ['muted', 'panel'],
    ['muted', 'field'],
    ['headerText', 'header'],
    ['onAccent', 'accent'],
    ['onAccent', 'accentHover'],
    ['onAccent', 'accentPressed'],
    ['text', 'button'],
    ['text', 'buttonHover'],
    ['text', 'buttonPressed'],
    ['errorText', 'error'],
    ['warningText', 'warning'],
  ] as const) {
    const [light, dark] = [luminance(text), luminance(on)].sort((a, b) => b - a);
    const contrast = ((light ?? 0) + 0.05) / ((dark ?? 0) + 0.05);
    assert.ok(contrast >= 4.5, `${text} on ${on} has a contrast of ${contrast.toFixed(1)}`);
  }
  assert.equal(PALETTE[COLOUR.background], BACKGROUND);
});
