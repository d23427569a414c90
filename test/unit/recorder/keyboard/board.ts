/** Keyboards that are played on in tests. */
import { Keyboard, type KeyEvent, type Typed } from '../../../../recorder/keyboard/index.ts';
import { layoutFor } from '../../../../recorder/keyboard/layout.ts';

export const LAYOUTS = {
  us: 0x409,
  international: 0x20409,
  uk: 0x809,
  german: 0x407,
  swissGerman: 0x807,
  swissFrench: 0x100c,
  french: 0x40c,
  belgian: 0x80c,
  spanish: 0xc0a,
  italian: 0x410,
  norwegian: 0x414,
  danish: 0x406,
  swedish: 0x41d,
  finnish: 0x40b,
  dutch: 0x413,
  portuguese: 0x816,
  brazilian: 0x416,
} as const;

const HELD: Readonly<Record<string, string>> = {
  shift: '2a',
  rshift: '36',
  ctrl: '1d',
  alt: '38',
  altgr: 'e038',
  win: 'e05b',
};

/**
 * Events of keys that are written as scancodes in hexadecimal (`e0…`: extended, `e1…`:
 * extended1): `1e` is tapped, `+1e` pressed, `-1e` released, and `shift:1e` tapped while
 * Shift is held; `ctrl`, `alt`, `altgr`, `win`, `rshift` likewise, several joined by `:`.
 */
export function events(keys: string): KeyEvent[] {
  const all: KeyEvent[] = [];
  const event = (code: string, release: boolean) => {
    const extended = code.startsWith('e0') && code.length === 4;
    const extended1 = code.startsWith('e1') && code.length === 4;
    all.push({ scancode: Number.parseInt(code.slice(-2), 16), extended, extended1, release });
  };
  for (const word of keys.split(/\s+/).filter((part) => part !== '')) {
    if (word.startsWith('+')) event(HELD[word.slice(1)] ?? word.slice(1), false);
    else if (word.startsWith('-')) event(HELD[word.slice(1)] ?? word.slice(1), true);
    else {
      const held = word.split(':');
      const code = held.pop() ?? '';
      for (const name of held) event(HELD[name] ?? name, false);
      event(code, false);
      event(code, true);
      for (const name of held.reverse()) event(HELD[name] ?? name, true);
    }
  }
  return all;
}

/** Text as it is, keys as `<name>`. */
export const told = (typed: readonly Typed[]): string =>
  typed.map((one) => (one.kind === 'text' ? one.text : `<${one.name}>`)).join('');

/** What the keys type on a board. */
export function play(board: Keyboard | number, keys: string): string {
  const keyboard = typeof board === 'number' ? new Keyboard(board) : board;
  return told(events(keys).flatMap((event) => keyboard.key(event)));
}

/** How a text is typed: character → keys. Characters with accents too, and all that the layout has. */
export function waysToType(layout: number): Map<string, string> {
  const modifiers = ['', 'shift:', 'altgr:', 'shift:altgr:'];
  const ways = new Map<string, string>([[' ', '39']]);
  for (const [scancode, key] of layoutFor(layout).layout.keys) {
    const code = scancode.toString(16).padStart(2, '0');
    for (const [level, stroke] of key.levels.entries()) {
      if (stroke === undefined || ways.has(stroke.char)) continue;
      ways.set(stroke.char, `${modifiers[level]}${code}${stroke.dead ? ' 39' : ''}`);
    }
  }
  return ways;
}
