/**
 * From the two directions of a terminal to masked keystrokes and commands.
 *
 * The echo gate: what is typed is held until the screen proves that it is shown there,
 * character by character, at the place where it was typed, with the cursor behind it.
 * Whatever is not proven becomes `********`, so that its length is not told either: other
 * output in its place, a new line first, or nothing for a second. Keys that are no
 * characters (arrows, Enter, Ctrl-C) tell nothing and are named.
 *
 * On the alternate screen programs act on single keys without an echo: there a key is
 * released when the program reacts to it, but never at a password prompt.
 */
import { ANYWHERE, anchorAfter, append, isMark, type Key, NEXT_LINE, type Run } from './held.ts';
import { type KeyListener, KeyParser, type KeyRole } from './key-parser.ts';
import { asksForSecret, Prompt } from './prompt.ts';
import { ScreenLine, type ScreenListener } from './screen-line.ts';
import { type KeystrokePiece, Tally } from './tally.ts';

export interface KeystrokeLogOptions {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Size of the terminal, so that a wrapped line is read as one; 0 or nothing: unknown. */
  readonly columns?: number;
  readonly rows?: number;
}

const MASK = '********';
const MASK_BYTES: readonly number[] = Array.from(MASK, (char) => char.charCodeAt(0));

/** Echo takes a round trip; a link slower than this has its keys masked. */
const PROOF_MS = 1000;
/** Characters held at once. What is pasted beyond it in one line is masked. */
const HELD_MAX = 8192;
/** Keys held at once. */
const ITEMS_MAX = 1024;
/** Shortest text that proves itself at the end of any line, typed ahead. */
const AHEAD_MIN = 4;
/** Enters whose line has not been seen ended. */
const ENTERS_MAX = 64;

/** An Enter whose line the screen has not ended yet. */
interface Entered {
  readonly at: number;
  /** What stands on its line is what was typed. */
  readonly shown: boolean;
  /** Its line was typed ahead and masked: the screen may show it later, behind the next prompt. */
  readonly ahead: boolean;
}

/** `reacted`: released without an echo. */
type Verdict = 'release' | 'reacted' | 'mask' | 'wait';
/** When the screen is looked at: before a control acts, before a line feed, at the end of a chunk. */
type Moment = 'control' | 'newline' | 'end';

export class KeystrokeLog implements KeyListener, ScreenListener {
  readonly #now: () => number;
  readonly #screen: ScreenLine;
  readonly #parser: KeyParser;
  readonly #prompt = new Prompt();
  readonly #queue: (Run | Key)[] = [];
  #time = 0;
  /** Last time that a key was pressed or an echo grew. */
  #proofAt = 0;
  #heldPoints = 0;
  /** Where the next character's echo is due, while output for the keys before it is awaited. */
  #due = ANYWHERE;
  #dueKnown = false;
  /** ScreenLine.printed when the head of the queue became the head. */
  #printedMark = 0;
  #progress = 0;

  /** The line on which a secret is typed (ScreenLine.serial), or -1. */
  #secretLine = -1;
  /** Of the line being typed: something was proven, masked, or changed by keys like Up. */
  #echoed = false;
  #echoedRow = 0;
  #masked = false;
  #edited = false;
  /** What was masked of it was typed ahead. */
  #ahead = false;
  /** The last thing told was a mask: another one behind it would tell of a length. */
  #afterMask = false;
  #enters: Entered[] = [];

  readonly #tally = new Tally();

  constructor(options: KeystrokeLogOptions) {
    this.#now = options.now;
    this.#screen = new ScreenLine(options.columns ?? 0, options.rows ?? 0);
    this.#parser = new KeyParser(this);
  }

  resize(columns: number, rows: number): void {
    this.#screen.resize(columns, rows);
  }

  /** What the person typed, in the order in which the target receives it. */
  input(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#time = this.#now();
    this.#proofAt = this.#time;
    this.#parser.feed(bytes);
    this.#settle('end');
  }

  /** What the target wrote to the terminal. */
  output(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const held = this.#queue.length > 0;
    if (held) this.#time = this.#now();
    this.#dueKnown = false;
    this.#screen.watched = held;
    this.#screen.idle = !held && this.#enters.length === 0;
    this.#printedMark = this.#screen.printed;
    this.#screen.feed(bytes, this);
    if (held) this.#settle('end', true);
  }

  /** Masks what has waited too long. To be called every 250 ms or so while {@link pending}. */
  tick(): void {
    if (this.#queue.length === 0) return;
    this.#time = this.#now();
    if (this.#time - this.#proofAt < PROOF_MS) return;
    const [head] = this.#queue;
    // At a password prompt the decision falls with Enter.
    if (head?.kind === 'run' && head.secret && this.#sentBy() === undefined) return;
    this.#maskAll();
  }

  /** The terminal is gone: what is held was never shown. */
  end(): void {
    this.#time = this.#now();
    this.#maskAll();
  }

  /** Whether anything is held or waits to be taken. */
  get pending(): boolean {
    return this.#queue.length > 0 || !this.#tally.empty;
  }

  /** What was decided since the last call. */
  take(): KeystrokePiece[] {
    return this.#tally.takePieces();
  }

  /** The bytes typed, decided since the last call, with what was not shown replaced by a mask. */
  maskedInput(): Uint8Array[] {
    return this.#tally.takeBytes();
  }

  /** {@link KeyListener} */
  key(role: KeyRole, point: number, name: string, raw: Uint8Array, size: number): void {
    if (role !== 'none') this.#readPrompt();
    if (role === 'text') {
      this.#character(point, raw, size);
      return;
    }
    const open = this.#openRun();
    if (open?.secret && role !== 'enter' && role !== 'stop') {
      open.tainted = true;
      return;
    }
    if (role === 'erase' && this.#queue.length === 0 && this.#afterMask) return;
    this.#due = anchorAfter(this.#nextDue(), role);
    this.#dueKnown = true;
    this.#queue.push({ kind: 'key', at: this.#time, role, name, raw: raw.slice(0, size) });
    this.#settle('control');
    if (this.#queue.length > ITEMS_MAX) this.#maskAll();
  }

  #character(point: number, raw: Uint8Array, size: number): void {
    let run = this.#openRun();
    if (run === undefined) {
      const secret = this.#queue.length === 0 && this.#atSecret();
      run = {
        kind: 'run',
        at: this.#time,
        points: [],
        raw: [],
        columns: 0,
        anchor: this.#screen.alternate ? ANYWHERE : this.#nextDue(),
        serial: this.#screen.serial,
        alternate: this.#screen.alternate,
        secret,
        tainted: false,
      };
      this.#queue.push(run);
      if (this.#queue.length === 1) this.#headChanged();
    }
    append(run, point, raw, size);
    this.#heldPoints++;
    if (run.anchor >= 0) this.#due = run.anchor + run.columns;
    else this.#due = ANYWHERE;
    this.#dueKnown = true;
    if (this.#heldPoints > HELD_MAX) this.#maskAll();
  }

  /** The run that the next character belongs to. */
  #openRun(): Run | undefined {
    const last = this.#queue[this.#queue.length - 1];
    return last?.kind === 'run' ? last : undefined;
  }

  /** Where the echo of the next character is due: at the cursor, when the screen shows all that was typed. */
  #nextDue(): number {
    return this.#queue.length === 0 && !this.#dueKnown ? this.#screen.cells.cursor : this.#due;
  }

  /** Whether a secret is being typed on this line; asked while nothing is held. */
  #atSecret(): boolean {
    const screen = this.#screen;
    if (this.#secretLine === screen.serial) return true;
    // What the person typed and sees may well end like a prompt.
    if (this.#echoed && (!screen.alternate || screen.row === this.#echoedRow)) return false;
    if (!asksForSecret(screen.cells.text(0, screen.cells.cursor))) return false;
    this.#secretLine = screen.serial;
    return true;
  }

  /** The first key on a line finds the prompt there. */
  #readPrompt(): void {
    const screen = this.#screen;
    if (screen.alternate || this.#queue.length > 0) return;
    // After an Enter that was not echoed, the program has written more onto the same line: its next prompt.
    const answered = this.#enters.length > 0 && !this.#dueKnown;
    if (this.#prompt.serial === screen.serial && !answered) return;
    // Enters before this key found nothing.
    this.#enters.length = 0;
    this.#forgetLine();
    if (answered) this.#prompt.forget();
    this.#prompt.read(
      screen.serial,
      screen.cells.text(0, screen.cells.cursor),
      screen.cells.text(screen.cells.cursor, screen.cells.length),
    );
  }

  #forgetLine(): void {
    this.#echoed = false;
    this.#masked = false;
    this.#edited = false;
    this.#ahead = false;
  }

  /** {@link ScreenListener} */
  beforeControl(): void {
    this.#settle('control');
  }

  /** {@link ScreenListener} */
  beforeNewline(): void {
    if (this.#queue.length > 0) this.#settle('newline');
    if (this.#enters.length > 0) this.#commandLine();
  }

  /** Decides as much of the queue as the screen allows. `reacted`: the target wrote something. */
  #settle(moment: Moment, reacted = false): void {
    for (;;) {
      const head = this.#queue[0];
      if (head === undefined) break;
      if (head.kind === 'key') {
        this.#queue.shift();
        this.#releaseKey(head);
        this.#headChanged();
        continue;
      }
      const verdict = this.#judge(head, moment, reacted);
      if (verdict === 'wait') break;
      this.#queue.shift();
      this.#heldPoints -= head.points.length;
      if (verdict === 'mask') this.#maskRun(head);
      else this.#releaseRun(head, verdict === 'release');
      this.#headChanged();
    }
    this.#screen.watched = this.#queue.length > 0;
  }

  #headChanged(): void {
    this.#screen.firstPoint = 0;
    this.#printedMark = this.#screen.printed;
    this.#progress = 0;
  }

  #judge(run: Run, moment: Moment, reacted: boolean): Verdict {
    const screen = this.#screen;
    if (run.secret) return this.#judgeSecret(run, moment);
    if (run.anchor === NEXT_LINE) return this.#judgeAhead(run, moment);
    if (run.anchor === ANYWHERE) {
      if (screen.firstPoint === 0) return this.#unshown(run, moment, reacted);
      if (screen.firstPoint !== run.points[0]) return this.#unshown(run, moment, reacted);
      run.anchor = screen.firstColumn;
      run.serial = screen.serial;
    }
    if (this.#shows(run)) return 'release';
    if (moment === 'newline') return 'mask';
    if (moment === 'control') return 'wait';
    return this.#grows(run) ? 'wait' : this.#unshown(run, moment, reacted);
  }

  /** The echo is not there (yet): other output in its place, or a new line, say that it will not come. */
  #unshown(run: Run, moment: Moment, reacted: boolean): Verdict {
    if (moment === 'newline') return 'mask';
    if (moment === 'control') return 'wait';
    const screen = this.#screen;
    if (run.alternate && reacted) {
      const alike = run.points.length <= 2 || run.points.every((point) => point === run.points[0]);
      return alike && !isMark(screen.firstPoint) && this.#sentBy() === undefined ? 'reacted' : 'mask';
    }
    return screen.printed === this.#printedMark ? 'wait' : 'mask';
  }

  /** At a password prompt only a whole line, sent by Enter and shown in full, is no secret. */
  #judgeSecret(run: Run, moment: Moment): Verdict {
    const sent = this.#sentBy();
    if (sent === undefined) return this.#screen.serial === run.serial ? 'wait' : 'mask';
    if (sent.role !== 'enter' || run.tainted || run.alternate) return 'mask';
    if (this.#shows(run)) return 'release';
    return moment === 'newline' || this.#screen.serial !== run.serial ? 'mask' : 'wait';
  }

  /**
   * Typed ahead, behind an Enter: its echo is due behind a prompt that is not there yet,
   * or, in a paste, on a line of its own.
   */
  #judgeAhead(run: Run, moment: Moment): Verdict {
    const screen = this.#screen;
    const sent = this.#sentBy() !== undefined;
    if (moment === 'control' || (moment === 'newline') !== sent || screen.serial === run.serial)
      return 'wait';
    if (!sent && screen.cells.cursor !== screen.cells.length) return 'wait';
    const start = screen.cells.length - run.columns;
    if (start < 0 || !screen.cells.holds(run.points, start, screen.cells.length)) return 'wait';
    const before = screen.cells.text(0, start);
    const long = run.points.length >= AHEAD_MIN;
    const proven = before === '' ? sent || long : before === this.#prompt.last || (sent && long);
    if (!proven) return 'wait';
    this.#forgetLine();
    this.#prompt.set(screen.serial, before);
    return 'release';
  }

  /** The key that ended the run at the head, when it has been pressed. */
  #sentBy(): Key | undefined {
    const next = this.#queue[1];
    return next?.kind === 'key' && (next.role === 'enter' || next.role === 'stop') ? next : undefined;
  }

  /** The whole run stands where it was typed, and the cursor behind it. */
  #shows(run: Run): boolean {
    const screen = this.#screen;
    const end = run.anchor + run.columns;
    if (screen.cells.cursor !== end || screen.serial !== run.serial || run.columns === 0) return false;
    // On a line with something unproven, stars are what a password field shows.
    if (this.#masked && run.points.every(isMark)) return false;
    return screen.cells.holds(run.points, run.anchor, end);
  }

  /** The beginning of the run, or nothing yet, stands there, and the cursor behind that. */
  #grows(run: Run): boolean {
    const screen = this.#screen;
    const shown = screen.cells.cursor - run.anchor;
    if (
      shown < 0 ||
      screen.serial !== run.serial ||
      !screen.cells.holds(run.points, run.anchor, screen.cells.cursor)
    )
      return false;
    if (shown > this.#progress) {
      this.#progress = shown;
      this.#proofAt = this.#time;
    }
    return true;
  }

  #releaseRun(run: Run, proven: boolean): void {
    this.#tally.keys(run.at, String.fromCodePoint(...run.points), run.raw);
    if (proven) {
      this.#echoed = true;
      this.#echoedRow = this.#screen.row;
    }
    this.#afterMask = false;
    this.#proofAt = this.#time;
  }

  /** Masks the run that was just taken off the queue, and the erasing and typing behind it that belongs to it. */
  #maskRun(run: Run): void {
    if (!this.#afterMask) this.#tally.keys(this.#time, MASK, MASK_BYTES);
    this.#afterMask = true;
    this.#masked = true;
    this.#ahead = run.anchor === NEXT_LINE;
    for (;;) {
      const next = this.#queue[0];
      if (next === undefined || (next.kind === 'key' && next.role !== 'erase')) return;
      this.#queue.shift();
      if (next.kind === 'run') this.#heldPoints -= next.points.length;
    }
  }

  #maskAll(): void {
    for (let head = this.#queue.shift(); head !== undefined; head = this.#queue.shift()) {
      if (head.kind === 'key') this.#releaseKey(head);
      else this.#maskRun(head);
    }
    this.#heldPoints = 0;
    this.#screen.watched = false;
  }

  #releaseKey(key: Key): void {
    this.#tally.keys(key.at, key.name === '' ? '' : `<${key.name}>`, key.raw);
    if (key.role === 'none') return;
    this.#afterMask = false;
    if (key.role === 'edit') this.#edited = true;
    if (key.role !== 'enter' && key.role !== 'stop') return;
    this.#tally.closePiece();
    if (key.role === 'enter' && !this.#screen.alternate && this.#enters.length < ENTERS_MAX) {
      const secret = this.#secretLine === this.#screen.serial && this.#masked;
      const shown = !secret && (!this.#masked || this.#echoed || this.#edited);
      this.#enters.push({ at: key.at, shown, ahead: this.#ahead });
    }
    this.#secretLine = -1;
    this.#forgetLine();
  }

  /** A line ends that Enter sent: what stands behind its prompt is the command. */
  #commandLine(): void {
    const screen = this.#screen;
    const line = screen.cells.text(0, screen.cells.length);
    const typedHere = this.#prompt.serial === screen.serial;
    const text = typedHere ? this.#prompt.command(line) : this.#prompt.commandAtLast(line);
    // A line of output, not of the one who typed: the Enter waits for its own.
    if (text === undefined) return;
    const entered = this.#enters.shift();
    if (typedHere) this.#prompt.serial = -1;
    if (entered === undefined || !(typedHere ? entered.shown : entered.ahead)) return;
    if (text === '' || Array.from(text).every((char) => isMark(char.codePointAt(0) ?? 0))) return;
    this.#tally.command(entered.at, text);
  }
}
