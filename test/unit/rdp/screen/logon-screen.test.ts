import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import type { DirtyRectangle, Rectangle } from '../../../../gateway/rdp/screen/canvas.ts';
import type { Action, KeyName, View } from '../../../../gateway/rdp/screen/event.ts';
import { formFor } from '../../../../gateway/rdp/screen/form.ts';
import { type Layout, layOut, panelSize } from '../../../../gateway/rdp/screen/layout.ts';
import { LogonScreen } from '../../../../gateway/rdp/screen/logon-screen.ts';
import { TextField } from '../../../../gateway/rdp/screen/text-field.ts';
import { PALETTE, themeFor } from '../../../../gateway/rdp/screen/theme.ts';

const WIDTH = 1024;
const HEIGHT = 768;
const BANNER = 'Sessions are recorded.';
const TARGETS = Array.from({ length: 40 }, (_, at) => ({ account: 'root', system: `win${at + 1}` }));

/** A screen, what its client sees of it, and a person at it. */
class Person {
  readonly screen = new LogonScreen({ width: WIDTH, height: HEIGHT, keyboardLayout: 0x407, banner: BANNER });
  readonly pixels = new Uint32Array(WIDTH * HEIGHT).fill(0xffffffff);
  #layout: Layout | undefined;
  #now = 0;

  constructor(view: View) {
    this.show(view);
  }

  show(view: View): void {
    this.screen.show(view);
    const theme = themeFor(WIDTH, HEIGHT);
    this.#layout = layOut(
      formFor(view, BANNER),
      panelSize({ width: WIDTH, height: HEIGHT }, theme, BANNER),
      theme,
      undefined,
    );
    this.look();
  }

  look(): DirtyRectangle[] {
    const dirty = this.screen.takeDirty();
    for (const { x, y, width, height, pixels } of dirty)
      for (let row = 0; row < height; row++)
        this.pixels.set(pixels.subarray(row * width, (row + 1) * width), (y + row) * WIDTH + x);
    return dirty;
  }

  type(text: string): this {
    for (const character of text) this.screen.input({ kind: 'text', text: character });
    return this;
  }

  press(...names: KeyName[]): this {
    for (const name of names) this.screen.input({ kind: 'key', name, shift: false, ctrl: false });
    return this;
  }

  hold(modifier: 'shift' | 'ctrl', name: KeyName): this {
    this.screen.input({ kind: 'key', name, shift: modifier === 'shift', ctrl: modifier === 'ctrl' });
    return this;
  }

  point(box: Rectangle | undefined, buttons: number, wheel = 0): this {
    assert.ok(box !== undefined);
    const size = panelSize({ width: WIDTH, height: HEIGHT }, themeFor(WIDTH, HEIGHT), BANNER);
    const x = Math.floor((WIDTH - size.width) / 2 + box.x + box.width / 2);
    const y = Math.floor((HEIGHT - size.height) / 2 + box.y + box.height / 2);
    this.screen.input({ kind: 'mouse', x, y, buttons, wheel, at: this.#now });
    return this;
  }

  click(box: Rectangle | undefined, after = 1000): this {
    this.#now += after;
    return this.point(box, 0).point(box, 1).point(box, 0);
  }

  field(index: number): Rectangle | undefined {
    return this.#layout?.fields[index]?.box;
  }

  button(index: number): Rectangle | undefined {
    return this.#layout?.buttons[index];
  }

  row(index: number): Rectangle {
    const list = this.#layout?.list;
    assert.ok(list !== undefined);
    return { ...list.box, y: list.box.y + 1 + index * list.rowHeight, height: list.rowHeight };
  }

  get rows(): number {
    return this.#layout?.list?.rows ?? 0;
  }

  scrollBar(): Rectangle {
    const bar = this.#layout?.list?.scrollBar;
    assert.ok(bar !== undefined);
    return bar;
  }

  acts(...actions: Action[]): void {
    assert.deepEqual(this.screen.actions(), actions);
  }
}

test('logging on with the keyboard alone', () => {
  const person = new Person({ kind: 'log-on' });
  person.press('Enter').acts();
  person.type('alice+root+win01');
  assert.ok(!person.screen.secret);
  // Enter goes on to what is missing.
  person.press('Enter').acts();
  assert.ok(person.screen.secret);
  person.type('gehaim').press('Left', 'Left', 'Backspace').type('e').press('Enter');
  person.acts({ kind: 'log-on', user: 'alice+root+win01', password: 'geheim' });
  person.acts();
  assert.ok(person.screen.moving);
});

test('Tab goes round, Shift-Tab back, and the arrows help', () => {
  const person = new Person({ kind: 'log-on' });
  person.press('Tab').type('pw').press('Tab', 'Tab', 'Tab').type('alice').hold('shift', 'Tab');
  person.hold('shift', 'Tab').type(' ').acts({ kind: 'log-on', user: 'alice', password: 'pw' });
  person.show({ kind: 'log-on' });
  person.type('bob').press('Down').type('x').press('Down', 'Right', 'Left', 'Enter');
  person.acts({ kind: 'log-on', user: 'bob', password: 'x' });
});

test('logging on with the mouse and letters', () => {
  const person = new Person({ kind: 'log-on', user: 'alice' });
  assert.ok(person.screen.secret, 'the name is known, the password is not');
  person.click(person.field(0)).type('!').click(person.field(1)).type('pw').click(person.button(0));
  person.acts({ kind: 'log-on', user: 'alice!', password: 'pw' });
});

test('a button that the mouse left before it was let go is not pressed', () => {
  const person = new Person({ kind: 'message', title: 'Closed', text: 'The session ended.', retry: true });
  person
    .point(person.button(0), 0)
    .point(person.button(0), 1)
    .point(person.button(1), 1)
    .point(person.button(1), 0);
  person.acts();
  // Nor one that it came to with the button down, nor with another button.
  person.point({ x: 0, y: 0, width: 2, height: 2 }, 1).point(person.button(0), 1).point(person.button(0), 0);
  person.point(person.button(0), 2).point(person.button(0), 0);
  person.acts();
  person.click(person.button(0)).acts({ kind: 'retry' });
});

test('a click puts the caret between the characters', () => {
  const person = new Person({ kind: 'log-on', user: 'alice' });
  const box = person.field(0);
  assert.ok(box !== undefined);
  // Ten pixels of padding and eight for each character.
  person.click({ ...box, x: box.x + 10 + 8 * 2, width: 0 }).type('XY');
  person.press('Tab').type('p').press('Enter').acts({ kind: 'log-on', user: 'alXYice', password: 'p' });
});

test('what was typed is gone after the action and before the next view', () => {
  const person = new Person({ kind: 'log-on', user: 'alice' });
  const empty = person.pixels.slice();
  person.type('geheim').look();
  assert.notDeepEqual(person.pixels, empty);
  person.press('Enter').screen.actions();
  person.show({ kind: 'log-on', user: 'alice' });
  assert.deepEqual(person.pixels, empty);
  person.press('Enter').acts();
  person.type('geheim');
  person.show({ kind: 'log-on', user: 'alice' });
  assert.deepEqual(person.pixels, empty);
});

test('fields are overwritten in memory as soon as they are answered or given up', () => {
  const wiped: string[] = [];
  const { wipe } = TextField.prototype;
  const spy = mock.method(TextField.prototype, 'wipe', function (this: TextField) {
    wiped.push(this.text);
    wipe.call(this);
  });
  const person = new Person({ kind: 'log-on', user: 'alice' });
  person.type('geheim').press('Enter');
  assert.deepEqual(wiped, ['alice', 'geheim']);
  person.show({ kind: 'code' });
  person.type('123').press('Esc');
  assert.deepEqual(wiped.slice(2), ['123']);
  spy.mock.restore();
});

test('a password is drawn as dots: others of the same length look the same', () => {
  const [one, two] = ['geheim', 'secret'].map((password) => {
    const person = new Person({ kind: 'log-on', user: 'alice' });
    person.type(password).look();
    return person.pixels;
  });
  assert.deepEqual(one, two);
});

test('a second Enter does not cancel what the first began', () => {
  const person = new Person({ kind: 'log-on', user: 'alice' });
  person.type('pw').press('Enter', 'Enter', 'Enter').type(' ').screen.actions();
  person.acts();
  person.press('Tab', 'Enter').acts({ kind: 'cancel' });
  person.press('Esc', 'Enter', 'Tab').type(' x').acts();
});

test('a one-time code, with the spaces that authenticators show', () => {
  const person = new Person({ kind: 'code' });
  assert.ok(person.screen.secret);
  person.press('Enter').acts();
  person.type('123 456').press('Enter').acts({ kind: 'code', code: '123456' });
  person.show({ kind: 'code', error: 'The code is wrong.' });
  person.type('1').click(person.button(0)).acts({ kind: 'code', code: '1' });
});

test('a reason', () => {
  const person = new Person({ kind: 'reason' });
  person.type('  ').press('Enter').acts();
  person.type('CHG 12: größer').press('Home', 'Delete', 'Delete', 'End').type('!').press('Enter');
  person.acts({ kind: 'reason', text: 'CHG 12: größer!' });
  person.show({ kind: 'reason' });
  person.click(person.field(0)).type('x').hold('ctrl', 'Backspace').type('why').click(person.button(0));
  person.acts({ kind: 'reason', text: 'why' });
});

test('choosing a target with the keyboard', () => {
  const person = new Person({ kind: 'targets', targets: TARGETS });
  const choose = (...names: KeyName[]) => {
    person.show({ kind: 'targets', targets: TARGETS });
    person.press(...names, 'Enter');
    const [action] = person.screen.actions();
    return action?.kind === 'target' ? action.system : action;
  };
  assert.equal(choose(), 'win1');
  assert.equal(choose('Down', 'Down', 'Up'), 'win2');
  assert.equal(choose('PageDown'), `win${person.rows + 1}`);
  assert.equal(choose('PageDown', 'PageDown', 'PageUp', 'Up'), `win${person.rows}`);
  assert.equal(choose('Tab', 'Down'), 'win2');
  person.show({ kind: 'targets', targets: TARGETS });
  person.hold('ctrl', 'End').press('Enter').acts({ kind: 'target', account: 'root', system: 'win40' });
  person.show({ kind: 'targets', targets: TARGETS });
  person.hold('ctrl', 'End').hold('ctrl', 'Home').press('Enter');
  person.acts({ kind: 'target', account: 'root', system: 'win1' });
});

test('typing filters the targets, wherever the focus is', () => {
  const person = new Person({ kind: 'targets', targets: TARGETS });
  person
    .press('Tab')
    .type('N3')
    .press('Down', 'Enter')
    .acts({ kind: 'target', account: 'root', system: 'win30' });
  person.show({ kind: 'targets', targets: TARGETS });
  person.type('nothing').press('Enter').acts();
  person.hold('ctrl', 'Backspace').type('win9').press('Enter');
  person.acts({ kind: 'target', account: 'root', system: 'win9' });
  person.show({ kind: 'targets', targets: [] });
  person.press('Down', 'Enter').acts();
  person.press('Esc').acts({ kind: 'cancel' });
});

test('choosing a target with the mouse', () => {
  const person = new Person({ kind: 'targets', targets: TARGETS });
  person.click(person.row(2)).acts();
  person.click(person.button(0)).acts({ kind: 'target', account: 'root', system: 'win3' });

  person.show({ kind: 'targets', targets: TARGETS });
  person.click(person.row(1)).click(person.row(1), 600).acts();
  person.click(person.row(2), 100).acts();
  person.click(person.row(2), 400).acts({ kind: 'target', account: 'root', system: 'win3' });

  person.show({ kind: 'targets', targets: TARGETS });
  person.point(person.row(0), 0, -1).point(person.row(0), 0, -1).point(person.row(0), 0, 1);
  person
    .click(person.row(0))
    .click(person.button(0))
    .acts({ kind: 'target', account: 'root', system: 'win4' });
});

test('the wheel between two clicks makes no double click of them', () => {
  const person = new Person({ kind: 'targets', targets: TARGETS });
  person.click(person.row(1)).point(person.row(1), 0, -1).click(person.row(1), 100).acts();
});

test('the scroll bar follows the mouse', () => {
  const person = new Person({ kind: 'targets', targets: TARGETS });
  const bar = person.scrollBar();
  const end = { ...bar, y: bar.y + bar.height - 1, height: 1 };
  person.point(bar, 0).point(bar, 1).point(end, 1);
  // Dragging goes on beside the bar, and ends with the button.
  person.point({ ...end, x: end.x - 200 }, 0).point(bar, 0);
  person.click(person.row(person.rows - 1)).click(person.button(0));
  person.acts({ kind: 'target', account: 'root', system: 'win40' });
});

test('Esc and the button cancel every view', () => {
  const views: View[] = [
    { kind: 'log-on' },
    { kind: 'code' },
    { kind: 'targets', targets: TARGETS },
    { kind: 'reason' },
    { kind: 'waiting', text: 'Connecting to win01 …' },
    { kind: 'message', title: 'Closed', text: 'The session ended.', retry: true },
    { kind: 'message', title: 'Closed', text: 'The session ended.', retry: false },
  ];
  for (const view of views) {
    const person = new Person(view);
    person.press('Esc', 'Esc').acts({ kind: 'cancel' });
    person.show(view);
    const last = person.button(1) ?? person.button(0);
    person.click(last).click(last).acts({ kind: 'cancel' });
  }
});

test('the whole desktop is painted at first and when the client lost it, and only then', () => {
  const person = new Person({ kind: 'log-on' });
  assert.ok(!person.pixels.includes(0xffffffff), 'a pixel was not painted');
  assert.deepEqual(person.look(), []);
  const painted = person.pixels.slice();
  person.pixels.fill(0xffffffff);
  person.screen.invalidate();
  person.look();
  assert.deepEqual(person.pixels, painted);
  person.screen.resize({ width: WIDTH, height: HEIGHT });
  const area = person.look().reduce((sum, { width, height }) => sum + width * height, 0);
  assert.equal(area, WIDTH * HEIGHT);
});

test('a keystroke costs little more than its character', () => {
  const person = new Person({ kind: 'log-on' });
  person.type('a').look();
  for (const change of [
    () => person.type('b'),
    () => person.press('Left'),
    () => person.press('Backspace'),
  ]) {
    change();
    const area = person.look().reduce((sum, { width, height }) => sum + width * height, 0);
    assert.ok(area > 0 && area <= 32 * 24, `${area} pixels`);
  }
});

test('the indicator moves while it waits, and at no other time', () => {
  const person = new Person({ kind: 'waiting', text: 'Connecting to win01 …' });
  for (let i = 0; i < 200; i++) {
    person.screen.tick();
    const area = person.look().reduce((sum, { width, height }) => sum + width * height, 0);
    assert.ok(area > 0 && area <= 600, `${area} pixels`);
  }
  person.show({ kind: 'log-on' });
  assert.ok(!person.screen.moving);
  person.screen.tick();
  assert.deepEqual(person.look(), []);
});

test('a mouse that moves about costs only what it lights up', () => {
  const person = new Person({ kind: 'log-on' });
  person.point(person.field(0), 0);
  assert.deepEqual(person.look(), []);
  const before = person.pixels.slice();
  person.point(person.button(0), 0);
  assert.equal(person.look().length, 1);
  person.point(person.button(0), 0);
  assert.deepEqual(person.look(), []);
  person.point(person.field(0), 0).look();
  assert.deepEqual(person.pixels, before);
});

test('Caps Lock is told of beside a password, and only there', () => {
  const person = new Person({ kind: 'log-on' });
  const before = person.pixels.slice();
  person.screen.capsLock(true);
  assert.ok(person.look().length > 0);
  person.screen.capsLock(false);
  person.look();
  assert.deepEqual(person.pixels, before);
  person.show({ kind: 'reason' });
  person.screen.capsLock(true);
  assert.deepEqual(person.look(), []);
});

test('the panel stands on the primary monitor, the background on all', () => {
  const primary = { x: 1280, y: 200, width: 1024, height: 768 };
  const screen = new LogonScreen({ width: 2304, height: 1024, primary, keyboardLayout: 0x409, banner: '' });
  screen.show({ kind: 'code' });
  const dirty = screen.takeDirty();
  assert.equal(
    dirty.reduce((sum, { width, height }) => sum + width * height, 0),
    2304 * 1024,
  );
  screen.input({ kind: 'text', text: '1' });
  for (const { x, y } of screen.takeDirty())
    assert.ok(
      x > primary.x && y > primary.y && x < primary.x + primary.width && y < primary.y + primary.height,
    );
});

test('monitors that are not where they say do no harm', () => {
  for (const primary of [
    { x: -500, y: -500, width: 100, height: 100 },
    { x: 900, y: 700, width: 5000, height: 5000 },
    { x: 0, y: 0, width: 0, height: 0 },
    { x: 0, y: 0, width: -1, height: 10 },
  ]) {
    const screen = new LogonScreen({ width: 1024, height: 768, primary, keyboardLayout: 0, banner: '' });
    let area = 0;
    for (const { x, y, width, height } of screen.takeDirty()) {
      assert.ok(x >= 0 && y >= 0 && x + width <= 1024 && y + height <= 768);
      area += width * height;
    }
    assert.equal(area, 1024 * 768);
  }
});

test('every pixel is a colour of the palette, and no rectangle is larger than it must be', () => {
  const colours = new Set(PALETTE);
  const screen = new LogonScreen({ width: 4096, height: 2160, keyboardLayout: 0x407, banner: BANNER });
  screen.show({ kind: 'targets', targets: TARGETS });
  for (const { width, height, pixels } of screen.takeDirty()) {
    assert.equal(pixels.length, width * height);
    assert.ok(pixels.length <= 1152 * 896);
    for (const pixel of new Set(pixels)) assert.ok(colours.has(pixel));
  }
});
