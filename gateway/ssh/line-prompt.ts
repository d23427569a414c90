/**
 * Asks one line of text on the person's own terminal, for example the reason for a
 * session. Pure: bytes in, text to draw and the answer out.
 */
import { TerminalInput, visible } from './terminal-input.ts';

/** A reason is a sentence or a ticket number. */
const CHARACTERS_MAX = 500;

export interface LinePromptStep {
  /** What to write to the terminal. */
  readonly output: string;
  /** The line, trimmed and never empty, once Enter was pressed. */
  readonly line?: string;
  readonly cancelled?: true;
}

export class LinePrompt {
  readonly #question: string;
  readonly #input = new TerminalInput();
  #line: string[] = [];
  #done = false;

  constructor(question: string) {
    this.#question = question;
  }

  start(): string {
    return `\r\n${visible(this.#question)} `;
  }

  /** After an answer or a cancellation, input is ignored. */
  input(bytes: Uint8Array): LinePromptStep {
    let output = '';
    if (this.#done) return { output };
    for (const key of this.#input.read(bytes)) {
      switch (key.key) {
        case 'text':
          output += this.#type(key.text);
          break;
        case 'backspace':
          output += this.#erase(1);
          break;
        case 'erase-word':
          output += this.#erase(/\S*\s*$/.exec(this.#line.join(''))?.[0].length ?? 0);
          break;
        case 'erase-line':
          output += this.#erase(this.#line.length);
          break;
        case 'cancel':
          this.#done = true;
          return { output: `${output}^C\r\n`, cancelled: true };
        case 'enter': {
          const line = this.#line.join('').trim();
          if (line === '') {
            output += '\x07';
            break;
          }
          this.#done = true;
          return { output: `${output}\r\n`, line };
        }
        default:
          break;
      }
    }
    return { output };
  }

  #type(text: string): string {
    let echo = '';
    for (const char of text) {
      // What cannot be drawn as it is would make the erasing wrong: it is left out.
      if (visible(char) !== char) continue;
      if (this.#line.length >= CHARACTERS_MAX) return `${echo}\x07`;
      this.#line.push(char);
      echo += char;
    }
    return echo;
  }

  /** Draws the question and what is left of the line anew: the only way that holds for wide characters too. */
  #erase(count: number): string {
    if (count === 0 || this.#line.length === 0) return '';
    const removed = this.#line.splice(Math.max(0, this.#line.length - count));
    if (removed.every((char) => char >= ' ' && char <= '~')) return '\b \b'.repeat(removed.length);
    return `\r\x1b[K${visible(this.#question)} ${this.#line.join('')}`;
  }
}
