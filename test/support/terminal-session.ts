/** Replays captured terminal sessions (test/fixtures/keystroke) through a KeystrokeLog. */
import { readFileSync } from 'node:fs';
import { KeystrokeLog, type KeystrokePiece } from '../../recorder/keystroke/index.ts';

export interface TerminalFixture {
  readonly columns: number;
  readonly rows: number;
  /** In order: what the person typed (`in`) and what the program wrote (`out`). */
  readonly events: readonly (readonly ['in' | 'out', string])[];
}

export function readTerminalFixture(name: string): TerminalFixture {
  return JSON.parse(readFileSync(new URL(`../fixtures/keystroke/${name}.json`, import.meta.url), 'utf8'));
}

export interface Told {
  /** All pieces in order, commands marked by `$ `. */
  readonly lines: readonly string[];
  readonly input: string;
}

/** A log on a clock of its own, with everything that it told. */
export class LogBench {
  now = 1000;
  readonly log: KeystrokeLog;
  readonly #pieces: KeystrokePiece[] = [];
  readonly #input: Uint8Array[] = [];

  constructor(columns = 80, rows = 24) {
    this.log = new KeystrokeLog({ now: () => this.now, columns, rows });
  }

  in(text: string | Uint8Array): this {
    this.now += 20;
    this.log.input(typeof text === 'string' ? Buffer.from(text) : text);
    return this.#collect();
  }

  out(text: string | Uint8Array): this {
    this.now += 20;
    this.log.output(typeof text === 'string' ? Buffer.from(text) : text);
    return this.#collect();
  }

  wait(ms: number): this {
    for (let passed = 0; passed < ms; passed += 250) {
      this.now += 250;
      this.log.tick();
    }
    return this.#collect();
  }

  /** Types `text` key by key, each echoed at once. */
  echoed(text: string): this {
    for (const char of text) this.in(char).out(char);
    return this;
  }

  #collect(): this {
    this.#pieces.push(...this.log.take());
    this.#input.push(...this.log.maskedInput());
    return this;
  }

  told(): Told {
    this.log.end();
    this.#collect();
    return { lines: linesOf(this.#pieces), input: Buffer.concat(this.#input).toString() };
  }
}

/** Keys joined up to each Enter or command, as a person would read them. */
function linesOf(pieces: readonly KeystrokePiece[]): string[] {
  const lines: string[] = [];
  let keys = '';
  const flush = () => {
    if (keys !== '') lines.push(keys);
    keys = '';
  };
  for (const { kind, text } of pieces) {
    if (kind === 'command') {
      flush();
      lines.push(`$ ${text}`);
    } else {
      keys += text;
      if (/<(Enter|Ctrl-[CDZ])>$/.test(keys)) flush();
    }
  }
  flush();
  return lines;
}
