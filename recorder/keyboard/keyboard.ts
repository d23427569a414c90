/**
 * What a person types, from the keyboard events of an RDP client ([MS-RDPBCGR] 2.2.8.1.1.3.1.1
 * and 2.2.8.1.2.2): the same work that the target's Windows does with them.
 */
import { altCode } from './code-pages.ts';
import { compose } from './dead-keys.ts';
import { CONTROL_NAMES, EXTENDED_NAMES, FIXED, KEYPAD, NAMES, Scancode } from './keys.ts';
import { type Layout, type LayoutKey, layoutFor, type Stroke } from './layout.ts';

/** A key goes down (again, while it is held) or up. */
export interface KeyEvent {
  /** Set 1, without its prefix. */
  readonly scancode: number;
  /** Prefix E0. */
  readonly extended: boolean;
  /** Prefix E1. */
  readonly extended1: boolean;
  readonly release: boolean;
}

/** Toggle keys of a synchronise event (TS_SYNC_*, [MS-RDPBCGR] 2.2.8.1.1.3.1.1.5). */
export const Toggle = { scrollLock: 1, numLock: 2, capsLock: 4, kanaLock: 8 } as const;

export interface TypedText {
  readonly kind: 'text';
  readonly text: string;
}

export interface TypedKey {
  readonly kind: 'key';
  /** With its modifiers: `Enter`, `Ctrl-C`, `Win-R`, `Ctrl-Shift-Left`. */
  readonly name: string;
  /** Without them. */
  readonly key: string;
  readonly shift: boolean;
  readonly ctrl: boolean;
  /** A target whose layout or Num Lock is another may have taken it for a character: do not tell it of a secret. */
  readonly printable: boolean;
}

export type Typed = TypedText | TypedKey;

const NOTHING: readonly Typed[] = [];

/** Digits of an Alt code that count; more change nothing but the character. */
const ALT_DIGITS_MAX = 16;

const Modifier = { shift: 3, control: 12, leftAlt: 16, rightAlt: 32, win: 192 } as const;

/** Modifier bit of a key, or 0. A shift behind E0 is no key but padding of old keyboards. */
function modifierBit(scancode: number, extended: boolean): number {
  switch (scancode) {
    case Scancode.leftShift:
      return extended ? 0 : 1;
    case Scancode.rightShift:
      return extended ? 0 : 2;
    case Scancode.control:
      return extended ? 8 : 4;
    case Scancode.alt:
      return extended ? Modifier.rightAlt : Modifier.leftAlt;
    case Scancode.leftWin:
      return extended ? 64 : 0;
    case Scancode.rightWin:
      return extended ? 128 : 0;
    default:
      return 0;
  }
}

export class Keyboard {
  readonly #layout: Layout;
  /** The client's layout is not known; another stands in. */
  readonly fallback: boolean;
  #held = 0;
  #caps = false;
  #num = false;
  /** Of the lock keys: they toggle when they go down, not while they are held. */
  #lockDown = 0;
  /** The accent that waits for its letter. */
  #accent = '';
  /** Digits of the Alt code being typed. */
  #digits = '';
  /** First half of a surrogate pair. */
  #high = 0;
  /** The Windows key is down and nothing was pressed with it. */
  #winAlone = false;
  /** E1 1D was pressed: the 45 behind it is Pause, not Num Lock. */
  #pause = false;

  /** `layout`: `keyboardLayout` of the client's core data. */
  constructor(layout: number) {
    const found = layoutFor(layout);
    this.#layout = found.layout;
    this.fallback = found.fallback;
  }

  /** What the event typed: mostly nothing or one thing; an accent that does not compose comes before its key. */
  key(event: KeyEvent): readonly Typed[] {
    const { extended } = event;
    // Bit 7 tells releases where keyboards speak for themselves; here targets take no notice of it, nor of more bits.
    const scancode = event.scancode & 0x7f;
    // Of another key with E1 Windows knows nothing, but xrdp takes it for the same key without.
    if (event.extended1 && scancode === Scancode.control) {
      this.#pause = !event.release;
      return NOTHING;
    }
    const bit = modifierBit(scancode, extended);
    if (bit !== 0) return event.release ? this.#modifierUp(bit) : this.#modifierDown(bit);
    if (event.release) {
      if (scancode === Scancode.capsLock || scancode === Scancode.numLock)
        this.#lockDown &= ~lockBit(scancode);
      return NOTHING;
    }
    this.#winAlone = false;
    const pause = this.#pause;
    this.#pause = false;
    if (scancode === Scancode.numLock && pause) return [this.#named('Pause')];
    if (scancode === Scancode.capsLock || scancode === Scancode.numLock) {
      this.#toggle(scancode);
      return NOTHING;
    }
    if (extended || !KEYPAD.has(scancode)) this.#digits = '';
    return extended ? this.#extendedKey(scancode) : this.#plainKey(scancode);
  }

  /** A Unicode keyboard event: one unit of UTF-16. */
  unicode(code: number, release: boolean): readonly Typed[] {
    if (release || code === 0) return NOTHING;
    const high = this.#high;
    this.#high = 0;
    const unit = code & 0xffff;
    if (unit >= 0xd800 && unit < 0xdc00) {
      this.#high = unit;
      return high === 0 ? NOTHING : [text('\ufffd')];
    }
    if (unit >= 0xdc00 && unit < 0xe000)
      return [text(high === 0 ? '\ufffd' : String.fromCharCode(high, unit))];
    const typed = this.#control(unit) ?? text(String.fromCharCode(unit));
    return high === 0 ? [typed] : [text('\ufffd'), typed];
  }

  /** A synchronise event: `toggles` ({@link Toggle}) hold, and no key is down any more. */
  synchronize(toggles: number): void {
    this.#caps = (toggles & Toggle.capsLock) !== 0;
    this.#num = (toggles & Toggle.numLock) !== 0;
    this.#held = 0;
    this.#lockDown = 0;
    this.#winAlone = false;
    this.#pause = false;
    this.forget();
  }

  /** Drops what was begun and typed nothing yet: an accent, an Alt code. */
  forget(): void {
    this.#accent = '';
    this.#digits = '';
    this.#high = 0;
  }

  #modifierDown(bit: number): readonly Typed[] {
    if ((bit & Modifier.win) !== 0) this.#winAlone ||= (this.#held & bit) === 0;
    else this.#winAlone = false;
    this.#held |= bit;
    return NOTHING;
  }

  #modifierUp(bit: number): readonly Typed[] {
    const was = this.#held;
    this.#held &= ~bit;
    if ((bit & Modifier.win) !== 0) {
      const alone = this.#winAlone;
      this.#winAlone = false;
      return alone ? [this.#named('Win')] : NOTHING;
    }
    const alt = Modifier.leftAlt | Modifier.rightAlt;
    if ((was & alt) === 0 || (this.#held & alt) !== 0 || this.#digits === '') return NOTHING;
    const char = altCode(this.#digits, this.#layout.oem);
    this.#digits = '';
    if (char === '') return NOTHING;
    return [this.#control(char.charCodeAt(0)) ?? text(char)];
  }

  #toggle(scancode: number): void {
    const bit = lockBit(scancode);
    if ((this.#lockDown & bit) !== 0) return;
    this.#lockDown |= bit;
    if (scancode === Scancode.capsLock) this.#caps = !this.#caps;
    else this.#num = !this.#num;
  }

  get #shift(): boolean {
    return (this.#held & Modifier.shift) !== 0;
  }
  get #win(): boolean {
    return (this.#held & Modifier.win) !== 0;
  }
  get #altGr(): boolean {
    return this.#layout.altGr && (this.#held & Modifier.rightAlt) !== 0;
  }
  get #ctrl(): boolean {
    return (this.#held & Modifier.control) !== 0 || this.#altGr;
  }
  get #alt(): boolean {
    return (this.#held & (Modifier.leftAlt | Modifier.rightAlt)) !== 0;
  }
  get #chord(): boolean {
    return this.#ctrl || this.#alt || this.#win;
  }
  /** The modifiers that type characters on other layouts than the client's. */
  get #perhapsText(): boolean {
    return (this.#held & Modifier.rightAlt) !== 0 || (this.#ctrl && this.#alt);
  }

  #extendedKey(scancode: number): readonly Typed[] {
    if (scancode === Scancode.slash) return this.#fixed('/');
    const name = EXTENDED_NAMES.get(scancode);
    return name === undefined ? NOTHING : this.#keyDown(name);
  }

  #plainKey(scancode: number): readonly Typed[] {
    const keypad = KEYPAD.get(scancode);
    if (keypad !== undefined) return this.#keypad(keypad.char, keypad.name);
    const fixed = FIXED.get(scancode);
    if (fixed !== undefined) return this.#fixed(fixed);
    const name = NAMES.get(scancode);
    if (name !== undefined) return this.#keyDown(name);
    const key = this.#layout.keys.get(scancode);
    return key === undefined ? NOTHING : this.#layoutKey(key);
  }

  #keypad(char: string, name: string): readonly Typed[] {
    // Alt codes are taken with Num Lock and without.
    if (this.#alt && !this.#ctrl && !this.#win && char !== '.') {
      if (this.#digits.length < ALT_DIGITS_MAX) this.#digits += char;
      return NOTHING;
    }
    // Shift turns Num Lock off for the key, and is no modifier then.
    if (this.#num && !this.#shift) return this.#fixed(char === '.' ? this.#layout.decimal : char);
    return [this.#named(name, { shift: this.#shift && !this.#num, printable: true })];
  }

  #fixed(char: string): readonly Typed[] {
    if (this.#chord) return [this.#named(char === ' ' ? 'Space' : char, { printable: this.#perhapsText })];
    return this.#stroke({ char, dead: false });
  }

  #layoutKey(key: LayoutKey): readonly Typed[] {
    const altGr = this.#ctrl && this.#alt && this.#layout.altGr && !this.#win;
    if (!this.#chord || altGr) {
      const stroke = this.#strokeOf(key, altGr);
      if (stroke !== undefined) return this.#stroke(stroke);
      if (!altGr) return NOTHING;
    }
    const printable = this.#perhapsText;
    // As a terminal tells it: Alt-f, and Alt-F with Shift.
    if (this.#alt && !this.#ctrl && !this.#win) {
      const char = this.#strokeOf(key, false)?.char;
      if (char !== undefined) return [this.#named(char, { shift: false, printable })];
    }
    return [this.#named(labelOf(key), { printable })];
  }

  /** What the key types now. */
  #strokeOf(key: LayoutKey, altGr: boolean): Stroke | undefined {
    const swaps = this.#caps && (altGr ? key.capsAltGr : key.caps === 'shift');
    const stroke = key.levels[(altGr ? 2 : 0) + (this.#shift !== swaps ? 1 : 0)];
    if (stroke === undefined || !this.#caps || altGr || key.caps !== 'upper') return stroke;
    return { char: stroke.char.toUpperCase(), dead: stroke.dead };
  }

  #stroke(stroke: Stroke): readonly Typed[] {
    const accent = this.#accent;
    if (accent !== '') {
      this.#accent = '';
      // Two accents stand for themselves.
      return [text(stroke.dead ? accent + stroke.char : compose(accent, stroke.char))];
    }
    if (!stroke.dead) return [text(stroke.char)];
    this.#accent = stroke.char;
    return NOTHING;
  }

  /** A key with a name; those that are characters to Windows (Enter, Tab, Esc, Backspace) end an accent. */
  #keyDown(name: string): readonly Typed[] {
    const key = this.#named(name, { shift: this.#shift && name !== 'Backspace' });
    const accent = this.#accent;
    const ends = name === 'Enter' || name === 'Tab' || name === 'Esc' || name === 'Backspace';
    if (accent === '' || !ends || this.#chord) return [key];
    this.#accent = '';
    // Backspace takes the accent that it makes appear.
    return name === 'Backspace' ? NOTHING : [text(accent), key];
  }

  #named(key: string, is: { shift?: boolean; printable?: boolean } = {}): TypedKey {
    const { shift = this.#shift, printable = false } = is;
    const ctrl = this.#ctrl;
    // The name that everybody knows it by.
    const base = key === 'Delete' && ctrl && this.#alt ? 'Del' : key;
    const win = this.#win && key !== 'Win' ? 'Win-' : '';
    const name = `${win}${ctrl ? 'Ctrl-' : ''}${this.#alt ? 'Alt-' : ''}${shift ? 'Shift-' : ''}${base}`;
    return { kind: 'key', name, key, shift, ctrl, printable };
  }

  /** The key that a control character stands for. */
  #control(code: number): TypedKey | undefined {
    if (code > 0x1f && (code < 0x7f || code > 0x9f)) return undefined;
    const known = CONTROL_NAMES.get(code);
    const ctrl = known === undefined && code < 0x20;
    const key = known ?? (ctrl ? String.fromCharCode(code + 0x40) : `U+00${code.toString(16)}`);
    return { kind: 'key', name: ctrl ? `Ctrl-${key}` : key, key, shift: false, ctrl, printable: false };
  }
}

function text(text: string): TypedText {
  return { kind: 'text', text };
}

function lockBit(scancode: number): number {
  return scancode === Scancode.capsLock ? 1 : 2;
}

/** What a key is called behind Ctrl or Win: its digit where it has one (French boards have them behind Shift), else its capital. */
function labelOf(key: LayoutKey): string {
  const plain = key.levels[0]?.char ?? '';
  const shifted = key.levels[1]?.char ?? '';
  if (/^\d$/.test(shifted)) return shifted;
  const upper = plain.toUpperCase();
  return upper.length === plain.length ? upper : plain;
}
