/**
 * The target picker: what an interactive user sees who named no target. A pure state
 * machine: bytes and sizes in, text for the terminal and the choice out.
 */
import { columnsOf, fit, TerminalInput, visible } from './terminal-input.ts';

export { LinePrompt } from './line-prompt.ts';

export interface PickerChoice {
  readonly account: string;
  readonly system: string;
  readonly protocol: string;
  readonly policy: string;
}

export interface PickerSize {
  readonly columns: number;
  readonly rows: number;
}

export interface PickerStep {
  /** What to write to the terminal. */
  readonly output: string;
  /** Index into the choices that the picker was made with. */
  readonly picked?: number;
  readonly cancelled?: true;
}

/** A client may announce any size, and 0×0 when it knows none (RFC 4254 §6.2). */
const COLUMNS_MAX = 400;
const ROWS_MAX = 200;
const FILTER_MAX = 100;

const TITLE = 'Sallyport - choose a target';
const HELP = 'Up/Down: move  type: filter  Enter: connect  Esc: leave';
/** Alternate screen, no automatic wrap: a line that is drawn too wide must not push the others. */
const ENTER = '\x1b[?1049h\x1b[?7l\x1b[2J';
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l';

export class Picker {
  readonly #choices: readonly PickerChoice[];
  /** Lower-case text of each choice, for the filter. */
  readonly #texts: readonly string[];
  readonly #input = new TerminalInput();
  #columns = 80;
  #rows = 24;
  #filter = '';
  /** Indices of the choices that pass the filter. */
  #shown: readonly number[];
  /** Positions in `#shown`. INVARIANT: `#top` ≤ `#cursor` < `#top` + rows of the list. */
  #cursor = 0;
  #top = 0;
  #done = false;

  constructor(choices: readonly PickerChoice[], size: PickerSize) {
    this.#choices = choices;
    this.#texts = choices.map(({ account, system, protocol, policy }) =>
      `${account}@${system} ${protocol} ${policy}`.toLowerCase(),
    );
    this.#shown = choices.map((_, index) => index);
    this.#setSize(size);
  }

  start(): string {
    return ENTER + this.#draw();
  }

  resize(size: PickerSize): string {
    this.#setSize(size);
    return this.#done ? '' : `\x1b[2J${this.#draw()}`;
  }

  /** Leaves the alternate screen as it was found. */
  end(): string {
    return LEAVE;
  }

  /** After a choice or a cancellation, input is ignored. */
  input(bytes: Uint8Array): PickerStep {
    if (this.#done) return { output: '' };
    for (const key of this.#input.read(bytes)) {
      switch (key.key) {
        case 'text':
          this.#setFilter((this.#filter + key.text).slice(0, FILTER_MAX));
          break;
        case 'backspace':
          this.#setFilter([...this.#filter].slice(0, -1).join(''));
          break;
        case 'erase-word':
          this.#setFilter(this.#filter.replace(/\S*\s*$/, ''));
          break;
        case 'erase-line':
          this.#setFilter('');
          break;
        case 'up':
          this.#move(this.#cursor - 1);
          break;
        case 'down':
          this.#move(this.#cursor + 1);
          break;
        case 'page-up':
          this.#move(this.#cursor - this.#listRows());
          break;
        case 'page-down':
          this.#move(this.#cursor + this.#listRows());
          break;
        case 'home':
          this.#move(0);
          break;
        case 'end':
          this.#move(this.#shown.length - 1);
          break;
        case 'cancel':
          this.#done = true;
          return { output: '', cancelled: true };
        case 'enter': {
          const picked = this.#shown[this.#cursor];
          if (picked === undefined) break;
          this.#done = true;
          return { output: '', picked };
        }
      }
    }
    return { output: this.#draw() };
  }

  #setSize({ columns, rows }: PickerSize): void {
    this.#columns = Math.min(Math.max(Math.trunc(columns) || 80, 1), COLUMNS_MAX);
    this.#rows = Math.min(Math.max(Math.trunc(rows) || 24, 1), ROWS_MAX);
    this.#move(this.#cursor);
  }

  /** A filter that only grew looks through what passed before. */
  #setFilter(filter: string): void {
    if (filter === this.#filter) return;
    const narrower = filter.startsWith(this.#filter);
    this.#filter = filter;
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const among = narrower ? this.#shown : this.#choices.map((_, index) => index);
    this.#shown = among.filter((index) => words.every((word) => this.#texts[index]?.includes(word)));
    this.#move(0);
  }

  #move(to: number): void {
    this.#cursor = Math.max(0, Math.min(to, this.#shown.length - 1));
    const rows = this.#listRows();
    this.#top = Math.max(0, Math.min(this.#top, this.#cursor, this.#shown.length - rows));
    if (this.#cursor >= this.#top + rows) this.#top = this.#cursor - rows + 1;
  }

  /** Title, filter and footer give way, in this order of need: list, filter, title, footer. */
  #listRows(): number {
    return Math.max(1, this.#rows - 3);
  }

  /** Draws what shows, and nothing of the thousands that do not. */
  #draw(): string {
    const lines: string[] = [];
    if (this.#rows >= 3) lines.push(`\x1b[1m${fit(TITLE, this.#columns)}\x1b[m`);
    if (this.#rows >= 2) lines.push(fit(this.#filterLine(), this.#columns));
    const rows = this.#listRows();
    const showing = this.#shown.slice(this.#top, this.#top + rows);
    const names = showing.map((index) => this.#name(index));
    // Protocol and policy keep some room beside names of any length.
    const width = Math.min(
      Math.max(0, ...names.map(columnsOf)),
      Math.max(this.#columns - 30, this.#columns >> 1),
    );
    for (let row = 0; row < rows; row++) {
      const index = showing[row];
      const choice = index === undefined ? undefined : this.#choices[index];
      if (choice === undefined) {
        lines.push(fit(row === 0 ? '  no target matches' : '', this.#columns));
        continue;
      }
      const text = `  ${fit(names[row] ?? '', width)}  ${visible(choice.protocol)}  ${visible(choice.policy)}`;
      const line = fit(text, this.#columns);
      lines.push(this.#top + row === this.#cursor ? `\x1b[7m${line}\x1b[m` : line);
    }
    if (this.#rows >= 4) lines.push(`\x1b[2m${fit(HELP, this.#columns)}\x1b[m`);
    const cursor = `\x1b[${this.#rows >= 3 ? 2 : 1};${Math.min(this.#columns, columnsOf(this.#filterLine()) + 1)}H`;
    return `\x1b[?25l${lines.map((line, row) => `\x1b[${row + 1};1H${line}`).join('')}${cursor}\x1b[?25h`;
  }

  #filterLine(): string {
    return `${this.#shown.length}/${this.#choices.length} Filter: ${visible(this.#filter)}`;
  }

  #name(index: number): string {
    const choice = this.#choices[index];
    return choice === undefined ? '' : visible(`${choice.account}@${choice.system}`);
  }
}
