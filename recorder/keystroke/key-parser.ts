/**
 * What a person's terminal sends, cut into keys (ECMA-48 §5.4, xterm's ctlseqs). Answers
 * and reports of the terminal itself are not keys; they pass without a name.
 */
import { CUT, MORE, REPLACEMENT, Utf8 } from './utf8.ts';

/**
 * What a key does to the line: `text` adds to it, `erase` takes one character, `enter`
 * sends it, `stop` leaves it, `edit` changes it in ways that only the program knows,
 * `none` does nothing.
 */
export type KeyRole = 'text' | 'erase' | 'enter' | 'stop' | 'edit' | 'none';

export interface KeyListener {
  /**
   * `point`: the code point of a `text` key; `name`: of all others; the first `size` bytes
   * of `raw` are what was sent, valid during the call.
   */
  key(role: KeyRole, point: number, name: string, raw: Uint8Array, size: number): void;
}

const GROUND = 0;
const ESCAPE = 1;
const CSI = 2;
const SS3 = 3;
const STRING = 4;
const STRING_ESCAPE = 5;

/** Longest control sequence that is a key or a report. */
const SEQUENCE_MAX = 64;
/** Longest answer of a terminal (a clipboard, a colour); what is longer is no answer. */
const STRING_MAX = 65_536;

/** `<final byte>` or `<number>~` → name; modifiers are left out. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ['A', 'Up'],
  ['B', 'Down'],
  ['C', 'Right'],
  ['D', 'Left'],
  ['F', 'End'],
  ['H', 'Home'],
  ['Z', 'Shift-Tab'],
  ['P', 'F1'],
  ['Q', 'F2'],
  ['R', 'F3'],
  ['S', 'F4'],
  ['1~', 'Home'],
  ['2~', 'Insert'],
  ['3~', 'Delete'],
  ['4~', 'End'],
  ['5~', 'PageUp'],
  ['6~', 'PageDown'],
  ['7~', 'Home'],
  ['8~', 'End'],
  ['11~', 'F1'],
  ['12~', 'F2'],
  ['13~', 'F3'],
  ['14~', 'F4'],
  ['15~', 'F5'],
  ['17~', 'F6'],
  ['18~', 'F7'],
  ['19~', 'F8'],
  ['20~', 'F9'],
  ['21~', 'F10'],
  ['23~', 'F11'],
  ['24~', 'F12'],
]);

export class KeyParser {
  readonly #listener: KeyListener;
  readonly #utf8 = new Utf8();
  #state = GROUND;
  readonly #raw = new Uint8Array(SEQUENCE_MAX + 8);
  #size = 0;
  #sequence = '';
  #length = 0;

  constructor(listener: KeyListener) {
    this.#listener = listener;
  }

  /** An escape that ends the chunk is the Esc key: terminals send their sequences in one piece. */
  feed(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) this.#byte(bytes[i] ?? 0);
    if (this.#state === ESCAPE) this.#done('stop', 'Esc');
  }

  #byte(byte: number): void {
    switch (this.#state) {
      case GROUND:
        this.#ground(byte);
        return;
      case ESCAPE:
        this.#escape(byte);
        return;
      case CSI:
        this.#csi(byte);
        return;
      case SS3:
        this.#raw[this.#size++] = byte;
        this.#named(String.fromCharCode(byte));
        return;
      default:
        this.#string(byte);
    }
  }

  #ground(byte: number): void {
    const point = this.#utf8.feed(byte);
    if (point === CUT) {
      this.#text(REPLACEMENT);
      this.#ground(byte);
      return;
    }
    this.#raw[this.#size++] = byte;
    if (point === MORE) return;
    if (point === 0x1b) this.#state = ESCAPE;
    else if (point < 0x20 || (point >= 0x7f && point < 0xa0)) this.#control(point);
    else this.#text(point);
  }

  #text(point: number): void {
    this.#listener.key('text', point, '', this.#raw, this.#size);
    this.#size = 0;
  }

  #control(point: number): void {
    switch (point) {
      case 0x0d:
      case 0x0a:
        this.#done('enter', 'Enter');
        return;
      case 0x7f:
      case 0x08:
        this.#done('erase', 'Backspace');
        return;
      case 0x09:
        this.#done('edit', 'Tab');
        return;
      case 0x03:
      case 0x04:
      case 0x1a:
      case 0x1c:
        this.#done('stop', `Ctrl-${String.fromCharCode(point + 0x40)}`);
        return;
      default:
        this.#done(
          'edit',
          point < 0x20 ? `Ctrl-${String.fromCharCode(point + 0x40)}` : `U+00${point.toString(16)}`,
        );
    }
  }

  #escape(byte: number): void {
    if (byte === 0x1b) {
      this.#done('stop', 'Esc');
      this.#ground(byte);
      return;
    }
    this.#raw[this.#size++] = byte;
    this.#sequence = '';
    this.#length = 0;
    if (byte === 0x5b) this.#state = CSI;
    else if (byte === 0x4f) this.#state = SS3;
    else if (byte === 0x5d || byte === 0x50 || byte === 0x5f || byte === 0x5e) this.#state = STRING;
    else if (byte > 0x20 && byte < 0x7f) this.#done('edit', `Alt-${String.fromCharCode(byte)}`);
    else if (byte === 0x7f || byte === 0x08) this.#done('edit', 'Alt-Backspace');
    else {
      // Esc, then a control or the start of a character: two keys.
      this.#size = 1;
      this.#done('stop', 'Esc');
      this.#ground(byte);
    }
  }

  #csi(byte: number): void {
    this.#raw[this.#size++] = byte;
    if (byte >= 0x20 && byte < 0x40) {
      this.#sequence += String.fromCharCode(byte);
      if (this.#sequence.length <= SEQUENCE_MAX) return;
      // No key is that long: what was held back is not recorded, it may be anything.
      this.#size = 0;
      this.#done('edit', 'Esc');
      return;
    }
    if (byte < 0x20 || byte > 0x7e) {
      this.#size--;
      this.#done('edit', 'Esc');
      this.#ground(byte);
      return;
    }
    this.#named(this.#sequence + String.fromCharCode(byte));
  }

  /** A complete sequence without its introducer. */
  #named(sequence: string): void {
    if (sequence === '200~') this.#done('none', 'Paste');
    else if (sequence === '201~') this.#done('none', 'PasteEnd');
    else if (sequence === 'M' && this.#state === SS3) this.#done('enter', 'Enter');
    else {
      const name = NAMES.get(sequence.replace(/^(\d+);\d+(?=~)|^1;\d+(?=[A-Z]$)/, '$1'));
      if (name === undefined) this.#done('none', '');
      else this.#done('edit', name);
    }
  }

  /** OSC, DCS, APC and PM up to BEL or ST; what they hold (a clipboard, say) is not recorded. */
  #string(byte: number): void {
    this.#length++;
    if (this.#state === STRING_ESCAPE) {
      this.#size = 0;
      this.#done('none', '');
      if (byte !== 0x5c) this.#ground(byte);
    } else if (
      byte === 0x07 ||
      byte === 0x0d ||
      byte === 0x0a ||
      byte === 0x03 ||
      this.#length > STRING_MAX
    ) {
      this.#size = 0;
      this.#done('none', '');
      if (byte !== 0x07) this.#ground(byte);
    } else if (byte === 0x1b) {
      this.#state = STRING_ESCAPE;
    }
  }

  #done(role: KeyRole, name: string): void {
    this.#state = GROUND;
    this.#listener.key(role, 0, name, this.#raw, this.#size);
    this.#size = 0;
  }
}
