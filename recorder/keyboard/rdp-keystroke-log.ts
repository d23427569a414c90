/**
 * From the keyboard events of a desktop to masked keystrokes and commands.
 *
 * A desktop shows no echo that could prove a text harmless, as a terminal's does, so the
 * policy decides: `never` masks nothing; `prompts` masks while the caller knows of a
 * password field; `always` keeps the names of keys only. What is masked becomes one
 * `********`, however long it is, so that its length is not told either.
 */
import type { KeystrokePiece } from '../keystroke/index.ts';
import { Keyboard, type KeyEvent, type Typed, type TypedKey } from './keyboard.ts';

export type KeystrokeMask = 'never' | 'prompts' | 'always';

export interface RdpKeystrokeLogOptions {
  /** Milliseconds since the epoch. */
  now(): number;
  /** `keyboardLayout` of the client's core data. */
  readonly layout: number;
  readonly mask: KeystrokeMask;
}

const MASK = '********';

/** A pause this long ends a piece. */
const PAUSE_MS = 250;
/** Nobody who types without a pause waits longer for the store. */
const HOLD_MS = 2000;
/** A piece is closed at this size. */
const PIECE_MAX = 4096;
/** Longest line that is told as a command. */
const LINE_MAX = 4096;
/** Characters that wait to be taken; what comes beyond them is told as lost. A second of the fastest sender. */
const UNTAKEN_MAX = 1_048_576;
const LOST = '<Lost>';

/** Keys that take the focus elsewhere, as those with the Windows key do; Esc clears the line or leaves it. */
const FOCUS_KEYS: ReadonlySet<string> = new Set([
  'Esc',
  'Alt-Tab',
  'Alt-Shift-Tab',
  'Alt-Esc',
  'Alt-F4',
  'Ctrl-Esc',
  'Ctrl-Shift-Esc',
  'Ctrl-Alt-Del',
]);

export class RdpKeystrokeLog {
  readonly #now: () => number;
  readonly #keyboard: Keyboard;
  readonly #mask: KeystrokeMask;
  #secret = false;

  #pieces: KeystrokePiece[] = [];
  #untaken = 0;
  #lostAt: number | undefined;

  /** The piece that grows. */
  #piece = '';
  #pieceAt = 0;
  #keyAt = 0;
  /** Characters at the end of the piece that Backspace can take back. */
  #erasable = 0;
  /** The last thing told was a mask: another one behind it would tell of a length. */
  #afterMask = false;

  /** What was typed since the line began. */
  #line = '';
  #lineAt = 0;
  /** The line holds that and nothing else. */
  #lineKnown = true;

  constructor(options: RdpKeystrokeLogOptions) {
    this.#now = options.now;
    this.#keyboard = new Keyboard(options.layout);
    this.#mask = options.mask;
  }

  /** The client's layout is not known; the text may differ from what was typed. */
  get fallback(): boolean {
    return this.#keyboard.fallback;
  }

  key(event: KeyEvent): void {
    this.#typed(this.#keyboard.key(event));
  }

  /** A Unicode keyboard event: one unit of UTF-16. */
  unicode(code: number, release: boolean): void {
    this.#typed(this.#keyboard.unicode(code, release));
  }

  /** A synchronise event, with its toggle flags. */
  synchronize(toggles: number): void {
    this.#keyboard.synchronize(toggles);
  }

  /** A mouse button went down, or another window is in front: what comes next is typed elsewhere. */
  focus(): void {
    this.#closePiece();
    this.#newLine();
    this.#afterMask = false;
  }

  /** Whether a password field has the focus; counts with mask `prompts`. */
  secret(on: boolean): void {
    if (on === this.#secret) return;
    this.focus();
    this.#secret = on;
    // An accent of a password must not come out behind it.
    this.#keyboard.forget();
  }

  /** Ends the piece after a pause. To be called every 250 ms or so while {@link pending}. */
  tick(): void {
    if (this.#piece === '') return;
    const now = this.#now();
    if (now - this.#keyAt >= PAUSE_MS || now - this.#pieceAt >= HOLD_MS) this.#closePiece();
  }

  /** The session is over: all that was typed can be taken. */
  end(): void {
    this.#closePiece();
  }

  /** Whether anything is held or waits to be taken. */
  get pending(): boolean {
    return this.#piece !== '' || this.#pieces.length > 0;
  }

  /** The pieces that ended since the last call. */
  take(): KeystrokePiece[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#untaken = 0;
    if (this.#lostAt !== undefined) pieces.push({ at: this.#lostAt, kind: 'keys', text: LOST });
    this.#lostAt = undefined;
    return pieces;
  }

  get #masked(): boolean {
    return this.#mask === 'always' || (this.#mask === 'prompts' && this.#secret);
  }

  #typed(all: readonly Typed[]): void {
    if (all.length === 0) return;
    this.#keyAt = this.#now();
    for (const typed of all) {
      if (this.#masked && (typed.kind === 'text' || typed.printable)) this.#hide();
      else if (typed.kind === 'text') this.#text(typed.text);
      else this.#key(typed);
    }
  }

  #hide(): void {
    if (this.#afterMask) return;
    this.#append(MASK);
    this.#erasable = 0;
    this.#afterMask = true;
  }

  #text(text: string): void {
    this.#afterMask = false;
    this.#erasable += text.length;
    this.#append(text);
    if (this.#line === '') this.#lineAt = this.#keyAt;
    if (this.#line.length + text.length > LINE_MAX) this.#lineKnown = false;
    else this.#line += text;
  }

  #key(key: TypedKey): void {
    if (key.name === 'Backspace') {
      this.#backspace();
      return;
    }
    this.#afterMask = false;
    this.#erasable = 0;
    this.#append(`<${key.name}>`);
    if (key.name === 'Enter') {
      this.#enter();
    } else if (key.name.startsWith('Win') || FOCUS_KEYS.has(key.name)) {
      this.focus();
    } else {
      // The next field, a completed name, a moved caret, a paste: what stands on the line is not known.
      this.#lineKnown = false;
      if (key.key === 'Tab') this.#closePiece();
    }
  }

  #backspace(): void {
    // How often a masked text is corrected tells of its length.
    if (this.#afterMask) return;
    if (this.#line === '') this.#lineKnown = false;
    this.#line = withoutLast(this.#line);
    if (this.#erasable === 0) {
      this.#append('<Backspace>');
      return;
    }
    const shorter = withoutLast(this.#piece);
    this.#erasable -= this.#piece.length - shorter.length;
    this.#piece = shorter;
  }

  #enter(): void {
    this.#closePiece();
    if (this.#lineKnown && this.#line !== '') this.#push(this.#lineAt, 'command', this.#line);
    this.#newLine();
  }

  #newLine(): void {
    this.#line = '';
    this.#lineKnown = true;
  }

  #append(text: string): void {
    if (this.#piece === '') this.#pieceAt = this.#keyAt;
    this.#piece += text;
    if (this.#piece.length >= PIECE_MAX) this.#closePiece();
  }

  #closePiece(): void {
    this.#erasable = 0;
    if (this.#piece === '') return;
    this.#push(this.#pieceAt, 'keys', this.#piece);
    this.#piece = '';
  }

  #push(at: number, kind: KeystrokePiece['kind'], text: string): void {
    if (this.#untaken + text.length > UNTAKEN_MAX) {
      this.#lostAt ??= at;
      return;
    }
    this.#untaken += text.length;
    this.#pieces.push({ at, kind, text });
  }
}

/** `text` without its last code point. */
function withoutLast(text: string): string {
  const last = text.codePointAt(text.length - 2) ?? 0;
  return text.slice(0, last > 0xffff ? -2 : -1);
}
