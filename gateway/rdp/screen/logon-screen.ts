/**
 * The screen that people meet who sent no or wrong credentials, or no target: they log on,
 * choose and wait here, drawn by the gateway itself. A pure state machine: input in,
 * rectangles and actions out.
 */
import { backdrop, monitorOf, type ScreenSize } from './backdrop.ts';
import { Canvas, canvasBytes, type DirtyRectangle, type Rectangle } from './canvas.ts';
import type { Action, InputEvent, KeyEvent, MouseEvent, View } from './event.ts';
import { type Form, type FormButton, type FormField, formAfter, formFor } from './form.ts';
import { keyboardName } from './keyboard-name.ts';
import { cellsIn, type Layout, layOut, type Notice, panelSize } from './layout.ts';
import { fieldInside, paint, paintIndicator } from './paint.ts';
import { focusable, type Part, partAt, samePart } from './part.ts';
import { PALETTE, type Theme, themeFor } from './theme.ts';

export interface LogonScreenOptions extends ScreenSize {
  /** CS_CORE.keyboardLayout, named in the footer: a wrong one makes passwords wrong. */
  readonly keyboardLayout: number;
  /** What the node's owner wants to be read before people log on. */
  readonly banner: string;
}

/** Windows' default. */
const DOUBLE_CLICK_MS = 500;
const WHEEL_ROWS = 3;
const LEFT_BUTTON = 1;

export class LogonScreen {
  readonly #banner: string;
  readonly #keyboard: string;
  #size: ScreenSize;
  #theme: Theme;
  #canvas: Canvas;
  /** Where the panel, the canvas, stands on the desktop. */
  #panel: Rectangle;
  #form: Form;
  #layout: Layout;
  #focus: Part | undefined;
  #hover: Part | undefined;
  /** What the left button went down on and is held on. */
  #held: Part | undefined;
  #buttons = 0;
  #click: { readonly row: number; readonly at: number } | undefined;
  #capsLock = false;
  #ticks = 0;
  #actions: Action[] = [];
  /** The whole desktop is to be painted. */
  #whole = true;
  #stale = true;
  /** Only the indicator moved: many may wait at once, and each moves ten times a second. */
  #ticked = false;

  /** Shows that it waits until the first `show`. */
  constructor(options: LogonScreenOptions) {
    this.#banner = options.banner;
    const layout = options.keyboardLayout;
    this.#keyboard = `Keyboard: ${keyboardName(layout) ?? `0x${layout.toString(16)}`}`;
    this.#size = options;
    ({ theme: this.#theme, canvas: this.#canvas, panel: this.#panel } = place(options, this.#banner));
    this.#form = formFor({ kind: 'waiting', text: 'One moment …' }, this.#banner);
    this.#layout = this.#layOut();
  }

  /** What is being asked must not be kept where keystrokes are recorded. */
  get secret(): boolean {
    return this.#focused()?.secret === true;
  }

  /** An indicator moves: call `tick` about ten times a second. */
  get moving(): boolean {
    return this.#form.waits;
  }

  /** Asks or says `view`; what was typed before is wiped. */
  show(view: View): void {
    this.#open(formFor(view, this.#banner));
    // Someone whose name is known goes on with the password.
    if (view.kind === 'log-on' && view.user !== undefined && view.user !== '')
      this.#focus = { kind: 'field', index: 1 };
  }

  /** The client's desktop has another size from now on; everything will be painted. */
  resize(size: ScreenSize): void {
    this.#size = size;
    ({ theme: this.#theme, canvas: this.#canvas, panel: this.#panel } = place(size, this.#banner));
    this.#hover = this.#held = undefined;
    this.invalidate();
  }

  /** The client lost what was painted (a new activation, a Refresh Rect PDU). */
  invalidate(): void {
    this.#whole = true;
    this.#stale = true;
  }

  /** The state of the client's Caps Lock. */
  capsLock(on: boolean): void {
    if (on === this.#capsLock) return;
    this.#capsLock = on;
    this.#stale = true;
  }

  /** Moves the indicator one step. */
  tick(): void {
    if (!this.#form.waits) return;
    this.#ticks++;
    this.#ticked = true;
  }

  /** Actions since the last call, in order. */
  actions(): Action[] {
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  input(event: InputEvent): void {
    switch (event.kind) {
      case 'text':
        this.#type(event.text);
        break;
      case 'key':
        this.#key(event);
        break;
      case 'mouse':
        this.#mouse(event);
    }
  }

  /** What changed since the last call, in pixels of the desktop: at first everything. */
  takeDirty(): DirtyRectangle[] {
    if (!this.#stale && !this.#ticked) return [];
    if (this.#stale) this.#paint();
    else if (this.#layout.indicator !== undefined)
      paintIndicator(this.#canvas, this.#layout.indicator, this.#ticks, this.#theme);
    this.#stale = this.#ticked = false;
    const around = this.#whole ? backdrop(this.#size, this.#panel) : [];
    if (this.#whole) this.#canvas.invalidate();
    this.#whole = false;
    const { x, y } = this.#panel;
    const panel = this.#canvas.takeDirty().map((dirty) => ({ ...dirty, x: dirty.x + x, y: dirty.y + y }));
    return [...around, ...panel];
  }

  #paint(): void {
    this.#layout = this.#layOut();
    paint(this.#canvas, {
      form: this.#form,
      layout: this.#layout,
      theme: this.#theme,
      focus: this.#focus,
      hover: this.#hover,
      pressed: this.#held?.kind === 'button' ? this.#held.index : undefined,
      ticks: this.#ticks,
      keyboard: this.#keyboard,
    });
  }

  #open(form: Form): void {
    for (const { field } of this.#form.fields) field.wipe();
    this.#form = form;
    // While it waits Enter must not cancel: it may be the same that was pressed to log on.
    this.#focus = form.waits ? undefined : focusable(form)[0];
    this.#hover = this.#held = this.#click = undefined;
    this.#ticks = 0;
    this.#stale = true;
    this.#layout = this.#layOut();
  }

  #layOut(): Layout {
    const layout = layOut(this.#form, this.#canvas, this.#theme, this.#notice());
    if (layout.list !== undefined) this.#form.list?.setRows(layout.list.rows);
    return layout;
  }

  #notice(): Notice | undefined {
    if (this.#form.error !== '') return { kind: 'error', text: this.#form.error };
    if (this.#capsLock && this.#form.fields.some(({ field }) => field.dots))
      return { kind: 'warning', text: 'Caps Lock is on.' };
    return undefined;
  }

  // Keyboard.

  #focused(): FormField | undefined {
    return this.#focus?.kind === 'field' ? this.#form.fields[this.#focus.index] : undefined;
  }

  #type(text: string): void {
    this.#stale = true;
    if (this.#focus?.kind === 'button') {
      if (text === ' ') this.#press(this.#form.buttons[this.#focus.index]);
      // Typing filters wherever the focus is.
      else if (this.#form.list !== undefined) this.#focus = { kind: 'field', index: 0 };
    }
    this.#focused()?.field?.insert(text);
    this.#filter();
  }

  #filter(): void {
    this.#form.list?.setFilter(this.#form.fields[0]?.field.text ?? '');
  }

  #key({ name, shift, ctrl }: KeyEvent): void {
    this.#stale = true;
    if (name === 'Esc') return this.#cancel();
    if (name === 'Tab') return this.#moveFocus(shift ? -1 : 1);
    if (name === 'Enter') {
      if (this.#focus?.kind === 'button') this.#press(this.#form.buttons[this.#focus.index]);
      else if (this.#focus?.kind === 'field') this.#submit();
      return;
    }
    const { list } = this.#form;
    if (list !== undefined) {
      if (name === 'Up') return list.moveBy(-1);
      if (name === 'Down') return list.moveBy(1);
      if (name === 'PageUp') return list.moveBy(-list.rows);
      if (name === 'PageDown') return list.moveBy(list.rows);
      // Without Ctrl they belong to the filter.
      if (ctrl && name === 'Home') return list.moveTo(0);
      if (ctrl && name === 'End') return list.moveTo(list.count - 1);
    }
    if (this.#focus?.kind === 'button') {
      if (name === 'Left' || name === 'Up') this.#moveFocus(-1);
      if (name === 'Right' || name === 'Down') this.#moveFocus(1);
      return;
    }
    if (name === 'Up') return this.#moveFocus(-1);
    if (name === 'Down') return this.#moveFocus(1);
    const field = this.#focused()?.field;
    if (field === undefined) return;
    if (name === 'Left') field.moveBy(-1);
    if (name === 'Right') field.moveBy(1);
    if (name === 'Home') field.moveTo(0);
    if (name === 'End') field.moveTo(Number.POSITIVE_INFINITY);
    if (name === 'Backspace') field.backspace(ctrl);
    if (name === 'Delete') field.delete();
    this.#filter();
  }

  #moveFocus(by: number): void {
    const parts = focusable(this.#form);
    if (parts.length === 0) return;
    const now = parts.findIndex((part) => samePart(part, this.#focus));
    this.#focus = parts[(now + by + parts.length) % parts.length];
  }

  // Mouse.

  #mouse({ x, y, buttons, wheel, at }: MouseEvent): void {
    const point = { x: x - this.#panel.x, y: y - this.#panel.y };
    const part = partAt(this.#form, this.#layout, point);
    if (!samePart(part, this.#hover)) {
      this.#hover = part;
      this.#stale = true;
    }
    const was = this.#buttons & LEFT_BUTTON;
    const is = buttons & LEFT_BUTTON;
    this.#buttons = buttons;
    if (wheel !== 0 && this.#form.list !== undefined) {
      this.#form.list.scrollTo(this.#form.list.top - Math.sign(wheel) * WHEEL_ROWS);
      this.#stale = true;
    }
    if (is && !was) this.#down(part, point, at);
    else if (is && this.#held?.kind === 'scroll-bar') this.#drag(point);
    else if (was && !is) this.#up(part);
  }

  #down(part: Part | undefined, point: { x: number; y: number }, at: number): void {
    this.#stale = true;
    this.#held = part;
    const click = this.#click;
    this.#click = undefined;
    switch (part?.kind) {
      case 'field': {
        this.#focus = part;
        const box = this.#layout.fields[part.index]?.box;
        if (box === undefined) break;
        const into = point.x - fieldInside(box, this.#theme).x + this.#theme.font.width / 2;
        this.#form.fields[part.index]?.field.moveToCell(Math.max(0, cellsIn(into, this.#theme)));
        break;
      }
      case 'button':
        this.#focus = part;
        break;
      case 'row': {
        const list = this.#form.list;
        if (list === undefined) break;
        const row = list.top + part.index;
        list.moveTo(row);
        if (click?.row === row && at - click.at <= DOUBLE_CLICK_MS) this.#submit();
        else this.#click = { row, at };
        break;
      }
      case 'scroll-bar':
        this.#drag(point);
    }
  }

  /** Scrolls so that the middle of what shows is where the mouse is on the bar. */
  #drag(point: { x: number; y: number }): void {
    const list = this.#form.list;
    const bar = this.#layout.list?.scrollBar;
    if (list === undefined || bar === undefined) return;
    list.scrollTo(Math.round(((point.y - bar.y) / bar.height) * list.count - list.rows / 2));
    this.#stale = true;
  }

  #up(part: Part | undefined): void {
    const held = this.#held;
    this.#held = undefined;
    this.#stale = true;
    if (held?.kind === 'button' && samePart(held, part)) this.#press(this.#form.buttons[held.index]);
  }

  // Answers.

  #press(button: FormButton | undefined): void {
    if (button?.does === 'submit') this.#submit();
    else if (button?.does === 'retry') this.#act({ kind: 'retry' });
    else if (button?.does === 'cancel') this.#cancel();
  }

  /** There is nothing to cancel once it is closing. */
  #cancel(): void {
    if (this.#form.buttons.some(({ does }) => does === 'cancel')) this.#act({ kind: 'cancel' });
  }

  #submit(): void {
    const answer = this.#form.submit();
    if (answer.kind !== 'missing') return this.#act(answer);
    this.#focus = { kind: 'field', index: answer.field };
  }

  #act(action: Action): void {
    this.#actions.push(action);
    this.#open(formAfter(action));
  }
}

/** Bytes of what is kept to draw on such a desktop. */
export function logonScreenBytes(size: ScreenSize, banner: string): number {
  const { width, height } = placeOf(size, banner);
  return canvasBytes(width, height);
}

/** Theme and panel for a desktop: in the middle of its primary monitor. */
function place(size: ScreenSize, banner: string) {
  const { monitor, theme, width, height } = placeOf(size, banner);
  const x = monitor.x + Math.floor((monitor.width - width) / 2);
  const y = monitor.y + Math.floor((monitor.height - height) / 2);
  return { theme, canvas: new Canvas(width, height, PALETTE), panel: { x, y, width, height } };
}

function placeOf(size: ScreenSize, banner: string) {
  const monitor = monitorOf(size);
  const theme = themeFor(monitor.width, monitor.height);
  return { monitor, theme, ...panelSize(monitor, theme, banner) };
}
