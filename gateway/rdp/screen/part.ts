/** The parts of a form that can have the keyboard or be under the mouse. */
import type { Form } from './form.ts';
import { contains, type Layout } from './layout.ts';

export interface Part {
  readonly kind: 'field' | 'button' | 'row' | 'scroll-bar';
  /** Of the field, the button, or the row counted from the first in sight. */
  readonly index: number;
}

export function isPart(part: Part | undefined, kind: Part['kind'], index: number): boolean {
  return part?.kind === kind && part.index === index;
}

export function samePart(a: Part | undefined, b: Part | undefined): boolean {
  return a?.kind === b?.kind && a?.index === b?.index;
}

/** What Tab goes through, in its order. */
export function focusable({ fields, buttons }: Form): Part[] {
  return [
    ...fields.map((_, index): Part => ({ kind: 'field', index })),
    ...buttons.map((_, index): Part => ({ kind: 'button', index })),
  ];
}

/** What is at `point` of the panel. */
export function partAt(form: Form, layout: Layout, point: { x: number; y: number }): Part | undefined {
  const button = layout.buttons.findIndex((box) => contains(box, point));
  if (button >= 0) return { kind: 'button', index: button };
  const field = layout.fields.findIndex(({ box }) => contains(box, point));
  if (field >= 0) return { kind: 'field', index: field };
  if (form.list === undefined || layout.list === undefined) return undefined;
  const { box, rowHeight, scrollBar } = layout.list;
  if (form.list.scrolls && contains(scrollBar, point)) return { kind: 'scroll-bar', index: 0 };
  if (!contains(box, point)) return undefined;
  const row = Math.floor((point.y - box.y - 1) / rowHeight);
  return form.list.visible()[row] === undefined ? undefined : { kind: 'row', index: row };
}
